//! YAML as a tree in which every value keeps its line and every scalar its text: `1.10` stays
//! `1.10` and `no` stays `no`, until someone asks for a number or a boolean.
//!
//! A document is one block of data: a second document, a directive, a duplicate key and a key
//! that is no scalar are refused. Aliases are copied, and everything that is built counts against
//! one budget, so that a small text cannot become a large tree. Knows no field's meaning.
//!
//! The parser's events are read directly instead of through `serde`, since only they carry the
//! line of each key and the text of each scalar.

mod build;
mod emit;
mod json;
mod quote;

use crate::explain::{Explain, Fault, Place};

pub(crate) use emit::emit;
pub(crate) use quote::quote;

/// Most nodes (scalars, sequences, mappings) of a document, after copying aliases: four times the
/// 50,000 keys of the largest file that the tests read in time.
const NODES_MAX: usize = 400_000;
/// Most bytes of text in a document, after copying aliases.
const TEXT_BYTES_MAX: usize = 4 << 20;
/// Deepest nesting. The deepest file in practice is a JSON Schema, whose nesting stays below 30.
const DEPTH_MAX: usize = 64;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Counted from 1.
    pub line: u32,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Mapping),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    pub text: String,
    /// Written without quotes, so that YAML gives it a type.
    pub plain: bool,
}

/// Entries in the order in which they were written, without duplicates.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Mapping {
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub line: u32,
    pub value: Node,
}

impl Mapping {
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Node {
    /// An empty value, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_null() => "nothing",
            Value::Scalar(_) => "text",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a map",
        }
    }
}

impl Scalar {
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The boolean of the YAML 1.2 core schema, which knows no `yes` and `no`.
    pub fn as_bool(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => Some(true),
            "false" | "False" | "FALSE" if self.plain => Some(false),
            _ => None,
        }
    }
}

/// Why a text could not be read as YAML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum YamlError {
    #[error("this is not valid YAML: {reason}")]
    Syntax { line: u32, reason: String },
    #[error("the key `{key}` appears twice, first on line {first_line}")]
    DuplicateKey {
        line: u32,
        key: String,
        first_line: u32,
    },
    #[error("a key must be text, not {kind}")]
    KeyKind { line: u32, kind: &'static str },
    #[error("there is more than one YAML document")]
    SecondDocument { line: u32 },
    #[error("the YAML has more than {max} {what}, aliases counted as often as they are used")]
    Budget {
        line: u32,
        what: &'static str,
        max: usize,
    },
}

impl YamlError {
    pub fn line(&self) -> u32 {
        match self {
            Self::Syntax { line, .. }
            | Self::DuplicateKey { line, .. }
            | Self::KeyKind { line, .. }
            | Self::SecondDocument { line }
            | Self::Budget { line, .. } => *line,
        }
    }
}

impl Explain for YamlError {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "yaml-syntax",
            Self::DuplicateKey { .. } => "yaml-duplicate-key",
            Self::KeyKind { .. } => "yaml-key-kind",
            Self::SecondDocument { .. } => "yaml-second-document",
            Self::Budget { .. } => "yaml-too-large",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        Some(
            match self {
                Self::Syntax { .. } => {
                    "put values that contain `: `, `#`, quotes or brackets into double quotes"
                }
                Self::DuplicateKey { .. } => "keep one of them",
                Self::KeyKind { .. } => "write `key: value`",
                Self::SecondDocument { .. } => "remove the line `---` and what belongs to it",
                Self::Budget { .. } => "move data into a file of its own",
            }
            .into(),
        )
    }

    fn place(&self) -> Option<Place> {
        Some(Place {
            line: Some(self.line()),
            field: match self {
                Self::DuplicateKey { key, .. } => Some(key.clone()),
                _ => None,
            },
            ..Place::default()
        })
    }
}

/// Reads one document whose first line has the number `first_line` in its file.
///
/// An empty text is a null scalar.
pub(crate) fn parse(text: &str, first_line: u32) -> Result<Node, YamlError> {
    build::document(text, first_line)
}
