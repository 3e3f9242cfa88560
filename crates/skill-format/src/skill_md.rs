//! The fields of `SKILL.md` (Agent Skills specification), read leniently: what is wrong is
//! remarked on, and only a file without a description is refused. What a strict reader would say
//! is in `lint/`.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Severity};
use crate::fields::{Fields, Located, Remarks, split_list, text_of};
use crate::frontmatter;
use crate::tree::SKILL_MD;
use crate::yaml::{Entry, Mapping, Node, Value};

/// Fields that the specification puts elsewhere, but that are read where they stand.
const MISPLACED: [&str; 5] = ["version", "author", "tags", "homepage", "repository"];

/// Fields that single clients define for themselves.
const EXTENSIONS: [&str; 13] = [
    "agent",
    "argument-hint",
    "arguments",
    "context",
    "disable-model-invocation",
    "disallowed-tools",
    "effort",
    "hooks",
    "mode",
    "model",
    "paths",
    "user-invocable",
    "when-to-use",
];

/// What `SKILL.md` says.
#[derive(Debug, Default)]
pub(crate) struct SkillMd {
    pub name: Option<Located<String>>,
    pub description: Option<Located<String>>,
    pub license: Option<Located<String>>,
    /// Present even if empty.
    pub compatibility: Option<Located<String>>,
    pub allowed_tools: Vec<String>,
    pub metadata: BTreeMap<String, String>,
    /// These five from `metadata`, or from the top level of older files.
    pub version: Option<Located<String>>,
    pub author: Option<Located<String>>,
    pub homepage: Option<Located<String>>,
    pub repository: Option<Located<String>>,
    pub tags: Vec<Located<String>>,
    pub body: String,
    pub body_line: u32,
}

/// Reads `SKILL.md`. `None` if it cannot be taken apart, with the reason among the remarks.
pub(crate) fn read(bytes: &[u8]) -> (Option<SkillMd>, Vec<Diagnostic>) {
    let parts = match frontmatter::read(bytes) {
        Ok(parts) => parts,
        Err(error) => return (None, vec![Diagnostic::of_error(&error).file(SKILL_MD)]),
    };
    let mut remarks = Remarks::new(SKILL_MD, Severity::Warning);
    parts
        .remarks
        .into_iter()
        .for_each(|remark| remarks.push(remark));
    let mut skill_md = read_fields(&parts.fields, &mut remarks);
    skill_md.body = parts.body;
    skill_md.body_line = parts.body_line;
    (Some(skill_md), remarks.into_list())
}

fn read_fields(mapping: &Mapping, remarks: &mut Remarks) -> SkillMd {
    let mut fields = Fields::new(mapping, "");
    let metadata_entry = fields.entry("metadata", remarks);
    let nothing = Mapping::default();
    let metadata = match metadata_entry.map(|entry| &entry.value) {
        Some(Node {
            value: Value::Mapping(metadata),
            ..
        }) => metadata,
        Some(node) => {
            remarks.wrong_kind(node, "metadata", "a map of text");
            &nothing
        }
        None => &nothing,
    };
    let mut skill_md = SkillMd {
        name: fields.text("name", remarks),
        description: fields.text("description", remarks),
        license: fields.text("license", remarks),
        compatibility: compatibility(&mut fields, remarks),
        allowed_tools: allowed_tools(&mut fields, remarks),
        metadata: read_metadata(metadata, remarks),
        ..SkillMd::default()
    };
    let mut either = |key| either(&mut fields, metadata, key, remarks);
    skill_md.version = either("version");
    skill_md.author = either("author");
    skill_md.homepage = either("homepage");
    skill_md.repository = either("repository");
    skill_md.tags = tags(&mut fields, metadata, remarks);
    fields.also_known(&EXTENSIONS);
    remark_on_other_fields(&fields, mapping, remarks);
    skill_md
}

/// Kept even if empty, since an empty one breaks the specification.
fn compatibility(fields: &mut Fields<'_>, remarks: &mut Remarks) -> Option<Located<String>> {
    let line = fields.line_of("compatibility");
    let text = fields.text("compatibility", remarks);
    text.or(line.map(|line| Located {
        value: String::new(),
        line,
    }))
}

/// One text, separated by spaces; lists are read too.
fn allowed_tools(fields: &mut Fields<'_>, remarks: &mut Remarks) -> Vec<String> {
    let Some(entry) = fields.entry("allowed-tools", remarks) else {
        return Vec::new();
    };
    match &entry.value.value {
        Value::Scalar(scalar) => split_tools(&scalar.text),
        Value::Sequence(items) => {
            remarks.push(
                Diagnostic::warning(
                    "allowed-tools-not-text",
                    "`allowed-tools` is a list, expected text",
                )
                .line(entry.line)
                .field("allowed-tools")
                .help("write one text, separated by spaces: `allowed-tools: Read Grep`"),
            );
            let texts = items
                .iter()
                .filter_map(|item| text_of(item, "allowed-tools", remarks));
            texts
                .map(|text| text.value)
                .filter(|tool| !tool.is_empty())
                .collect()
        }
        Value::Mapping(_) => {
            remarks.wrong_kind(&entry.value, "allowed-tools", "text");
            Vec::new()
        }
    }
}

/// Splits at spaces and commas outside of parentheses: `Bash(git add:*), Read` has two tools.
pub(crate) fn split_tools(text: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let separates = |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && (c.is_whitespace() || c == ',')
    };
    text.split(separates)
        .filter(|tool| !tool.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The specification has text as values; anything else is kept as JSON.
fn read_metadata(metadata: &Mapping, remarks: &mut Remarks) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for entry in &metadata.entries {
        let value = match &entry.value.value {
            Value::Scalar(scalar) if scalar.is_null() => String::new(),
            Value::Scalar(scalar) => scalar.text.trim().to_owned(),
            _ => {
                remarks.push(not_text(entry));
                entry.value.to_json().to_string()
            }
        };
        texts.insert(entry.key.clone(), value);
    }
    texts
}

fn not_text(entry: &Entry) -> Diagnostic {
    let path = format!("metadata.{}", entry.key);
    let message = format!(
        "`{path}` is {}; it was kept as JSON text",
        entry.value.kind()
    );
    Diagnostic::warning("metadata-not-text", message)
        .line(entry.line)
        .field(path)
        .help("values of `metadata` are text")
}

/// A field of `metadata`, or else of the top level.
fn either(
    fields: &mut Fields<'_>,
    metadata: &Mapping,
    key: &'static str,
    remarks: &mut Remarks,
) -> Option<Located<String>> {
    let top = fields.text(key, remarks);
    let below = metadata
        .get(key)
        .and_then(|entry| match &entry.value.value {
            Value::Scalar(scalar) if !scalar.is_null() => Some(Located {
                value: scalar.text.trim().to_owned(),
                line: entry.line,
            }),
            _ => None,
        });
    below.filter(|text| !text.value.is_empty()).or(top)
}

fn tags(
    fields: &mut Fields<'_>,
    metadata: &Mapping,
    remarks: &mut Remarks,
) -> Vec<Located<String>> {
    let top = fields.texts("tags", remarks);
    let below = match metadata.get("tags").map(|entry| &entry.value) {
        Some(Node {
            value: Value::Scalar(scalar),
            line,
        }) if !scalar.is_null() => split_list(&scalar.text, *line),
        Some(Node {
            value: Value::Sequence(items),
            ..
        }) => items
            .iter()
            .filter_map(|item| text_of(item, "metadata.tags", remarks))
            .collect(),
        _ => Vec::new(),
    };
    if below.is_empty() { top } else { below }
}

fn remark_on_other_fields(fields: &Fields<'_>, mapping: &Mapping, remarks: &mut Remarks) {
    for entry in &mapping.entries {
        let key = entry.key.as_str();
        if MISPLACED.contains(&key) {
            let message = format!("`{key}` is no field of SKILL.md; it was read nevertheless");
            let help = format!("move it under `metadata`: `metadata.{key}`");
            remarks.push(
                Diagnostic::warning("field-misplaced", message)
                    .line(entry.line)
                    .field(key)
                    .help(help),
            );
        } else if EXTENSIONS.contains(&key) || key == "when_to_use" {
            let message = format!("`{key}` is a field of single clients, not of the specification");
            remarks.push(
                Diagnostic::info("field-of-one-client", message)
                    .line(entry.line)
                    .field(key),
            );
        }
    }
    fields.warn_of_unknown(remarks);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_split_outside_of_parentheses() {
        assert_eq!(
            split_tools("Bash(git add:*), Read  Grep"),
            ["Bash(git add:*)", "Read", "Grep"]
        );
        assert_eq!(split_tools(" , "), Vec::<String>::new());
        assert_eq!(split_tools("a) b"), ["a)", "b"]);
    }
}
