//! Writing frontmatter: new from fields, or an existing `SKILL.md` with its version and author
//! where the specification wants them, under `metadata`, and everything else as it was.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use semver::Version;

use super::{FrontmatterError, Split, decode, read, split};
use crate::suggest;
use crate::yaml::{self, Entry, Mapping, Node, Scalar, Value, quote};

/// The fields of a new `SKILL.md`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrontmatterFields {
    pub name: String,
    pub description: String,
    pub license: Option<String>,
    pub compatibility: Option<String>,
    /// Written as one text, separated by spaces.
    pub allowed_tools: Vec<String>,
    pub metadata: BTreeMap<String, String>,
}

/// Writes frontmatter with its two fences, ready for a body to follow.
pub fn write_frontmatter(fields: &FrontmatterFields) -> String {
    let mut output = String::from("---\n");
    let mut line = |key: &str, value: &str| {
        output.push_str(key);
        output.push_str(": ");
        output.push_str(&quote(value));
        output.push('\n');
    };
    line("name", &fields.name);
    line("description", &fields.description);
    if let Some(license) = &fields.license {
        line("license", license);
    }
    if let Some(compatibility) = &fields.compatibility {
        line("compatibility", compatibility);
    }
    if !fields.allowed_tools.is_empty() {
        line("allowed-tools", &fields.allowed_tools.join(" "));
    }
    if !fields.metadata.is_empty() {
        output.push_str("metadata:\n");
        for (key, value) in &fields.metadata {
            output.push_str(&format!("  {}: {}\n", quote(key), quote(value)));
        }
    }
    output.push_str("---\n");
    output
}

/// The keys that the specification has under `metadata` and older files have at the top.
const MOVED: [&str; 2] = ["version", "author"];

/// Rewrites a `SKILL.md` so that `version` and `author` stand under `metadata`.
///
/// A given value replaces what the file says; without one, a value at the top level moves down and
/// an existing `metadata` entry stays. The body stays as it is byte for byte, and so do the other
/// fields with their comments, unless the frontmatter is one line of flow style or not valid YAML:
/// then it is written anew with the same values.
pub fn skill_md_with_metadata(
    bytes: &[u8],
    version: Option<&Version>,
    author: Option<&str>,
) -> Result<String, FrontmatterError> {
    let mut before = read(bytes)?;
    correct_spelling(&mut before.fields);
    let text = decode(bytes, &mut Vec::new())?;
    let parts = split(&text, &mut Vec::new())?;
    let wanted = wanted(
        &before.fields,
        [version.map(Version::to_string), author.map(str::to_owned)],
    );
    let edited = edit_lines(&parts, &before.fields, &wanted);
    let yaml = match edited {
        Some(yaml) if means(&yaml, &wanted) => yaml,
        _ => yaml::emit(&wanted, 0),
    };
    Ok(assemble(bytes, &yaml, before.body_line))
}

/// Gives the fields that matter here their right names where they are read under others.
fn correct_spelling(fields: &mut Mapping) {
    for key in MOVED.into_iter().chain(["metadata"]) {
        if fields.get(key).is_none() {
            let mut entries = fields.entries.iter_mut();
            if let Some(entry) = entries.find(|entry| suggest::same_word(&entry.key, key)) {
                entry.key = key.to_owned();
            }
        }
    }
}

/// The fields as they are to be.
fn wanted(fields: &Mapping, given: [Option<String>; 2]) -> Mapping {
    let mut metadata = match fields.get("metadata").map(|entry| &entry.value.value) {
        Some(Value::Mapping(metadata)) => metadata.clone(),
        _ => Mapping::default(),
    };
    for (key, given) in MOVED.into_iter().zip(given) {
        let top = fields.get(key).filter(|entry| !entry.value.is_null());
        let value = given.map(text_node).or_else(|| {
            let known = metadata.get(key).is_some();
            top.filter(|_| !known).map(|entry| as_text(&entry.value))
        });
        if let Some(value) = value {
            set(&mut metadata, key, value);
        }
    }
    let mut entries: Vec<Entry> = fields.entries.clone();
    entries.retain(|entry| !MOVED.contains(&entry.key.as_str()));
    let mut fields = Mapping { entries };
    if !metadata.entries.is_empty() {
        let value = Value::Mapping(metadata);
        set(&mut fields, "metadata", Node { line: 0, value });
    }
    fields
}

fn text_node(text: String) -> Node {
    let value = Value::Scalar(Scalar { text, plain: false });
    Node { line: 0, value }
}

/// In quotes, so that no reader takes the version 1.10 for the number 1.1.
fn as_text(node: &Node) -> Node {
    match &node.value {
        Value::Scalar(scalar) => text_node(scalar.text.clone()),
        _ => node.clone(),
    }
}

fn set(mapping: &mut Mapping, key: &str, value: Node) {
    match mapping.entries.iter_mut().find(|entry| entry.key == key) {
        Some(entry) => entry.value = value,
        None => mapping.entries.push(Entry {
            key: key.to_owned(),
            line: 0,
            value,
        }),
    }
}

/// Takes the moved fields out of the lines and puts `metadata` in anew. `None` where a field does
/// not have lines of its own.
fn edit_lines(parts: &Split<'_>, fields: &Mapping, wanted: &Mapping) -> Option<String> {
    let lines: Vec<&str> = parts.yaml.lines().collect();
    let spans = spans(&lines, parts.yaml_line, fields)?;
    let metadata = wanted.get("metadata").map(|entry| Mapping {
        entries: vec![entry.clone()],
    });
    let mut metadata = metadata.map(|mapping| yaml::emit(&mapping, 0));
    let unchanged = match (fields.get("metadata"), wanted.get("metadata")) {
        (Some(old), Some(new)) => same(&old.value, &new.value),
        _ => false,
    };
    let mut output = String::new();
    let mut at = 0;
    for (entry, span) in fields.entries.iter().zip(spans) {
        push_lines(&mut output, &lines[at..span.start]);
        if entry.key == "metadata" && !unchanged {
            output.push_str(&metadata.take().unwrap_or_default());
        } else if !MOVED.contains(&entry.key.as_str()) {
            push_lines(&mut output, &lines[span.clone()]);
        }
        at = span.end;
    }
    push_lines(&mut output, &lines[at..]);
    if !unchanged {
        output.push_str(&metadata.unwrap_or_default());
    }
    Some(output)
}

fn push_lines(output: &mut String, lines: &[&str]) {
    for line in lines {
        output.push_str(line);
        output.push('\n');
    }
}

/// The lines of each field: up to the next field, without blank lines and comments before that.
fn spans(lines: &[&str], first_line: u32, fields: &Mapping) -> Option<Vec<Range<usize>>> {
    let starts: Vec<usize> = fields
        .entries
        .iter()
        .map(|entry| usize::try_from(entry.line - first_line).ok())
        .collect::<Option<_>>()?;
    let in_block_style = starts.is_sorted_by(|a, b| a < b)
        && starts.iter().all(|start| {
            lines
                .get(*start)
                .is_some_and(|line| !line.starts_with([' ', '{']))
        });
    if !in_block_style {
        return None;
    }
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    let trimmed = starts.iter().zip(ends).map(|(start, end)| {
        let about_next = |line: &&&str| line.trim().is_empty() || line.starts_with('#');
        let loose = lines[start + 1..end]
            .iter()
            .rev()
            .take_while(about_next)
            .count();
        *start..end - loose
    });
    Some(trimmed.collect())
}

/// Whether the lines say what is wanted, in whatever order.
fn means(yaml: &str, wanted: &Mapping) -> bool {
    match yaml::parse(yaml, 1) {
        Ok(node) => same(
            &node,
            &Node {
                line: 0,
                value: Value::Mapping(wanted.clone()),
            },
        ),
        Err(_) => false,
    }
}

/// Equality without lines and order.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Scalar(a), Value::Scalar(b)) => a.text == b.text,
        (Value::Sequence(a), Value::Sequence(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Mapping(a), Value::Mapping(b)) => {
            let others: HashMap<&str, &Node> = b
                .entries
                .iter()
                .map(|entry| (entry.key.as_str(), &entry.value))
                .collect();
            let mut entries = a.entries.iter();
            a.entries.len() == others.len()
                && entries.all(|entry| {
                    let other = others.get(entry.key.as_str());
                    other.is_some_and(|other| same(&entry.value, other))
                })
        }
        _ => false,
    }
}

/// Puts new frontmatter before the body of the original bytes, with the original's line endings.
fn assemble(original: &[u8], yaml: &str, body_line: u32) -> String {
    let text = String::from_utf8_lossy(original);
    let newline = match text.split_once('\n') {
        Some((first, _)) if first.ends_with('\r') => "\r\n",
        _ => "\n",
    };
    let mut output = format!("---\n{yaml}---\n").replace('\n', newline);
    let before_body = usize::try_from(body_line - 1).unwrap_or(usize::MAX);
    let mut body = text.split_inclusive('\n').skip(before_body);
    output.extend(&mut body);
    output
}
