//! A second try at frontmatter that is not YAML: about one in forty real files has a value such
//! as `description: Use this: now`, which a person reads without trouble.
//!
//! Each field whose text is not YAML by itself is put into quotes, and tabs that indent become
//! spaces. Line numbers stay as they are.

use std::fmt::Write as _;

use crate::diagnostic::Diagnostic;
use crate::tree::SKILL_MD;
use crate::yaml::{self, Node, YamlError};

/// Parses `text` after repairing it; gives `error` back where that does not help.
pub(super) fn parse(
    text: &str,
    first_line: u32,
    error: YamlError,
    remarks: &mut Vec<Diagnostic>,
) -> Result<Node, YamlError> {
    if !matches!(error, YamlError::Syntax { .. }) {
        return Err(error);
    }
    let mut repair = Repair::new(first_line);
    repair.run(text);
    match yaml::parse(&repair.output, first_line) {
        Ok(node) => {
            remarks.append(&mut repair.remarks);
            Ok(node)
        }
        // The repair may have uncovered what is really wrong.
        Err(found) if !matches!(found, YamlError::Syntax { .. }) => Err(found),
        Err(_) => Err(error),
    }
}

struct Repair {
    first_line: u32,
    output: String,
    remarks: Vec<Diagnostic>,
}

/// A line that begins a value: `key: value` or `- value`.
struct Field<'a> {
    indent: usize,
    /// Indentation, and the key with its colon or the hyphen.
    head: &'a str,
    key: &'a str,
    value: &'a str,
}

impl Repair {
    fn new(first_line: u32) -> Self {
        Self {
            first_line,
            output: String::new(),
            remarks: Vec::new(),
        }
    }

    fn run(&mut self, text: &str) {
        let lines = self.without_tabs(text);
        let mut at = 0;
        while at < lines.len() {
            let line = &lines[at];
            let Some(field) = field(line) else {
                self.keep(&lines[at..=at]);
                at += 1;
                continue;
            };
            let end = end_of_value(&lines, at, field.indent);
            let chunk = &lines[at..end];
            if field.value.starts_with(['|', '>']) || is_yaml(chunk) {
                self.keep(chunk);
            } else {
                self.quote(&field, at, chunk);
            }
            at = end;
        }
    }

    fn without_tabs(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let content = line.trim_start_matches([' ', '\t']);
            let indent = &line[..line.len() - content.len()];
            if indent.contains('\t') && !content.is_empty() {
                let message = "a tab indents this line, which YAML does not allow";
                self.remark("yaml-tab", number, message, "indent with spaces");
                lines.push(indent.replace('\t', "  ") + content);
            } else {
                lines.push(line.to_owned());
            }
        }
        lines
    }

    fn keep(&mut self, lines: &[String]) {
        for line in lines {
            self.output.push_str(line);
            self.output.push('\n');
        }
    }

    /// Writes the value as one quoted line, and as many empty ones as it had more.
    fn quote(&mut self, field: &Field<'_>, at: usize, chunk: &[String]) {
        let continuation = chunk[1..].iter().map(|line| line.trim());
        let words = continuation.filter(|line| !line.is_empty());
        let value = std::iter::once(field.value.trim_end())
            .chain(words)
            .collect::<Vec<_>>()
            .join(" ");
        // Writing to a String cannot fail.
        let _ = writeln!(self.output, "{} {}", field.head, yaml::quote(&value));
        self.output.push_str(&"\n".repeat(chunk.len() - 1));
        let message = format!(
            "the value of `{}` is not valid YAML; it was read as plain text",
            field.key
        );
        self.remark(
            "yaml-unquoted",
            at,
            message,
            "put the value into double quotes",
        );
        if let Some(last) = self.remarks.last_mut() {
            last.field = Some(field.key.to_owned());
        }
    }

    fn remark(&mut self, code: &'static str, index: usize, message: impl Into<String>, help: &str) {
        let offset = u32::try_from(index).unwrap_or(u32::MAX);
        let line = self.first_line.saturating_add(offset);
        self.remarks.push(
            Diagnostic::warning(code, message)
                .file(SKILL_MD)
                .line(line)
                .help(help),
        );
    }
}

fn field(line: &str) -> Option<Field<'_>> {
    let content = line.trim_start_matches(' ');
    let indent = line.len() - content.len();
    if let Some(value) = content.strip_prefix("- ") {
        return Some(Field {
            indent,
            head: &line[..=indent],
            key: "-",
            value: value.trim_start(),
        });
    }
    let (key, value) = content.split_once(':')?;
    let is_key = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || "_-.".contains(c));
    if !is_key || !value.starts_with([' ', '\t']) || value.trim().is_empty() {
        return None;
    }
    Some(Field {
        indent,
        head: &line[..=indent + key.len()],
        key,
        value: value.trim_start(),
    })
}

/// Where the lines end that continue the value which begins at `at`: blank ones, and those with
/// more indentation.
fn end_of_value(lines: &[String], at: usize, indent: usize) -> usize {
    let continues = |line: &String| {
        let content = line.trim_start_matches(' ');
        content.is_empty() || line.len() - content.len() > indent
    };
    let more = lines[at + 1..]
        .iter()
        .take_while(|line| continues(line))
        .count();
    // Blank lines at the end belong to nothing.
    let blank = lines[at + 1..at + 1 + more]
        .iter()
        .rev()
        .take_while(|line| line.trim().is_empty());
    at + 1 + more - blank.count()
}

fn is_yaml(chunk: &[String]) -> bool {
    yaml::parse(&chunk.join("\n"), 1).is_ok()
}
