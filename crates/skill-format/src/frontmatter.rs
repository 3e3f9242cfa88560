//! `SKILL.md` in two parts: the YAML between the first two `---` lines, and the body after them.
//!
//! Reading is lenient, as the Agent Skills client guide asks: a byte order mark, CRLF, blank lines
//! before the first `---`, tabs as indentation and values with unquoted colons are read and
//! remarked on. `---` counts only as a whole line. Knows no field's meaning.

mod repair;
mod rewrite;

use std::borrow::Cow;

use crate::diagnostic::Diagnostic;
use crate::explain::{Explain, Fault, Place};
use crate::tree::SKILL_MD;
use crate::yaml::{self, Mapping, Node, Value, YamlError};

pub use rewrite::{FrontmatterFields, skill_md_with_metadata, write_frontmatter};

/// Largest frontmatter, in bytes: 50,000 keys of 20 bytes. A description has 1 KiB at most.
const YAML_BYTES_MAX: usize = 1 << 20;

/// Why a `SKILL.md` cannot be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct FrontmatterError(#[from] Problem);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("the file is not UTF-8: byte {byte:#04x} on line {line} is not valid")]
    NotUtf8 { line: u32, byte: u8 },
    #[error("the file is UTF-16, not UTF-8")]
    Utf16,
    #[error("the file does not begin with frontmatter")]
    Missing { line: u32 },
    #[error("the frontmatter is not closed")]
    Unclosed { line: u32 },
    #[error("the frontmatter has {bytes} bytes, more than the {YAML_BYTES_MAX} that are allowed")]
    TooLarge { bytes: usize },
    #[error("the frontmatter is {kind}, not a map of fields")]
    NotAMap { line: u32, kind: &'static str },
    #[error(transparent)]
    Yaml(YamlError),
}

impl Problem {
    fn line(&self) -> Option<u32> {
        match self {
            Self::NotUtf8 { line, .. }
            | Self::Missing { line }
            | Self::Unclosed { line }
            | Self::NotAMap { line, .. } => Some(*line),
            Self::Yaml(error) => Some(error.line()),
            Self::Utf16 | Self::TooLarge { .. } => Some(1),
        }
    }
}

impl Explain for FrontmatterError {
    fn code(&self) -> &'static str {
        match &self.0 {
            Problem::NotUtf8 { .. } => "skill-md-not-utf8",
            Problem::Utf16 => "skill-md-utf16",
            Problem::Missing { .. } => "frontmatter-missing",
            Problem::Unclosed { .. } => "frontmatter-unclosed",
            Problem::TooLarge { .. } => "frontmatter-too-large",
            Problem::NotAMap { .. } => "frontmatter-not-a-map",
            Problem::Yaml(error) => error.code(),
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        let help = match &self.0 {
            Problem::NotUtf8 { .. } | Problem::Utf16 => "save the file as UTF-8",
            Problem::Missing { .. } => {
                "begin the file with a line `---`, then `name:` and `description:`, then a line `---`"
            }
            Problem::Unclosed { .. } => "put a line `---` after the last field",
            Problem::TooLarge { .. } => "move what is not a field into the body or another file",
            Problem::NotAMap { .. } => "write fields such as `name: my-skill`",
            Problem::Yaml(error) => return error.help(),
        };
        Some(help.into())
    }

    fn place(&self) -> Option<Place> {
        let field = match &self.0 {
            Problem::Yaml(error) => error.place().and_then(|place| place.field),
            _ => None,
        };
        Some(Place {
            file: Some(SKILL_MD.into()),
            line: self.0.line(),
            field,
        })
    }
}

/// A `SKILL.md` taken apart.
#[derive(Debug)]
pub(crate) struct Frontmatter {
    pub fields: Mapping,
    /// The text after the frontmatter, with `\n` as its only line ending.
    pub body: String,
    /// Number of the body's first line in the file.
    pub body_line: u32,
    /// What had to be overlooked.
    pub remarks: Vec<Diagnostic>,
}

/// Where the parts of a `SKILL.md` lie in its text.
#[derive(Debug, PartialEq, Eq)]
struct Split<'a> {
    yaml: &'a str,
    /// Number of the first line of `yaml`.
    yaml_line: u32,
    body: &'a str,
    /// Number of the first line of `body`.
    body_line: u32,
}

/// Takes a `SKILL.md` apart.
pub(crate) fn read(bytes: &[u8]) -> Result<Frontmatter, FrontmatterError> {
    let mut remarks = Vec::new();
    let text = decode(bytes, &mut remarks)?;
    let split = split(&text, &mut remarks)?;
    let node = match yaml::parse(split.yaml, split.yaml_line) {
        Ok(node) => node,
        Err(error) => repair::parse(split.yaml, split.yaml_line, error, &mut remarks)
            .map_err(Problem::Yaml)?,
    };
    let fields = match node {
        Node {
            value: Value::Mapping(fields),
            ..
        } => fields,
        node if node.is_null() => Mapping::default(),
        Node { line, .. } => {
            let kind = node.kind();
            return Err(Problem::NotAMap { line, kind }.into());
        }
    };
    Ok(Frontmatter {
        fields,
        body: split.body.to_owned(),
        body_line: split.body_line,
        remarks,
    })
}

/// UTF-8 without a byte order mark and with `\n` line endings.
fn decode<'a>(
    bytes: &'a [u8],
    remarks: &mut Vec<Diagnostic>,
) -> Result<Cow<'a, str>, FrontmatterError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Problem::Utf16.into());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = 1 + bytes[..at].iter().filter(|b| **b == b'\n').count();
        Problem::NotUtf8 {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            byte: bytes[at],
        }
    })?;
    let remark = |code, message: &str| Diagnostic::info(code, message).file(SKILL_MD).line(1);
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => {
            let message = "the file begins with a byte order mark";
            remarks.push(remark("byte-order-mark", message).help("save the file without one"));
            rest
        }
        None => text,
    };
    if !text.contains("\r\n") {
        return Ok(Cow::Borrowed(text));
    }
    let message = "the lines end with CRLF";
    remarks
        .push(remark("crlf", message).help("end lines with LF, so that every tool agrees on them"));
    Ok(Cow::Owned(text.replace("\r\n", "\n")))
}

fn split<'a>(text: &'a str, remarks: &mut Vec<Diagnostic>) -> Result<Split<'a>, FrontmatterError> {
    let mut lines = Lines {
        rest: text,
        line: 1,
    };
    let opening = loop {
        match lines.next() {
            Some((number, line)) if is_fence(line) => break number,
            Some((_, line)) if line.trim().is_empty() => {}
            Some((line, _)) => return Err(Problem::Missing { line }.into()),
            None => return Err(Problem::Missing { line: 1 }.into()),
        }
    };
    if opening > 1 {
        remarks.push(
            Diagnostic::warning(
                "frontmatter-not-first",
                "blank lines stand before the frontmatter",
            )
            .file(SKILL_MD)
            .line(1)
            .help("remove them: most readers look for `---` on the first line"),
        );
    }
    let yaml_line = lines.line;
    let after_opening = lines.rest;
    loop {
        let before = lines.rest;
        match lines.next() {
            Some((_, line)) if is_fence(line) => {
                let bytes = after_opening.len() - before.len();
                if bytes > YAML_BYTES_MAX {
                    return Err(Problem::TooLarge { bytes }.into());
                }
                return Ok(Split {
                    yaml: &after_opening[..bytes],
                    yaml_line,
                    body: lines.rest,
                    body_line: lines.line,
                });
            }
            Some(_) => {}
            None => return Err(Problem::Unclosed { line: opening }.into()),
        }
    }
}

/// A line that opens or closes the frontmatter: three hyphens and nothing else.
fn is_fence(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.trim_end_matches([' ', '\t']).is_empty())
}

/// Lines without their endings, with their numbers; `rest` is what has not been looked at.
struct Lines<'a> {
    rest: &'a str,
    line: u32,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (u32, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = match self.rest.split_once('\n') {
            Some((line, rest)) => (line, rest),
            None => (self.rest, ""),
        };
        let number = self.line;
        self.rest = rest;
        self.line = self.line.saturating_add(1);
        Some((number, line))
    }
}
