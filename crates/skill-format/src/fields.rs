//! Reads the fields of a map one by one, and at the end remarks on what nobody asked for.
//!
//! A field of the wrong kind gives an error with its line and counts as absent, so that one run
//! finds everything. Knows no field's meaning.

use crate::diagnostic::{Diagnostic, Severity};
use crate::explain::Explain;
use crate::suggest;
use crate::yaml::{Entry, Mapping, Node, Value};

/// Most remarks about one file: whoever has more has read enough.
const REMARKS_MAX: usize = 100;

/// Remarks about one file, in the order in which they were found.
#[derive(Debug)]
pub(crate) struct Remarks {
    file: &'static str,
    list: Vec<Diagnostic>,
    left_out: usize,
    /// How much a field of the wrong kind weighs.
    wrong_kind: Severity,
}

impl Remarks {
    pub fn new(file: &'static str, wrong_kind: Severity) -> Self {
        Self {
            file,
            list: Vec::new(),
            left_out: 0,
            wrong_kind,
        }
    }

    /// Whether further warnings would be left out.
    fn is_full(&self) -> bool {
        self.list.len() >= REMARKS_MAX
    }

    pub fn push(&mut self, remark: Diagnostic) {
        // The first error must get through: it decides whether the skill is valid.
        let has_error = self
            .list
            .iter()
            .rev()
            .take(REMARKS_MAX)
            .any(Diagnostic::is_error);
        if self.is_full() && (has_error || !remark.is_error()) {
            self.left_out += 1;
            return;
        }
        self.list.push(Diagnostic {
            file: Some(remark.file.unwrap_or_else(|| self.file.to_owned())),
            ..remark
        });
    }

    /// An error of another module, as a remark about `field` on `line`.
    pub fn push_error(&mut self, severity: Severity, error: &impl Explain, line: u32, field: &str) {
        let remark = Diagnostic::new(severity, error.code(), error.to_string());
        let remark = Diagnostic {
            help: error.help(),
            ..remark
        };
        self.push(remark.line(line).field(field));
    }

    pub fn wrong_kind(&mut self, node: &Node, path: &str, expected: &str) {
        let message = format!("`{path}` is {}, expected {expected}", node.kind());
        let remark = Diagnostic::new(self.wrong_kind, "field-type", message);
        self.push(remark.line(node.line).field(path));
    }

    pub fn into_list(mut self) -> Vec<Diagnostic> {
        if self.left_out > 0 {
            let message = format!(
                "{} more remarks about this file are left out",
                self.left_out
            );
            self.list
                .push(Diagnostic::info("remarks-left-out", message).file(self.file));
        }
        self.list
    }
}

/// A value and the line on which it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub value: T,
    pub line: u32,
}

/// The fields of one map.
pub(crate) struct Fields<'a> {
    mapping: &'a Mapping,
    /// Dotted path of the map, with a trailing dot where it is not empty.
    prefix: String,
    /// Every field that was asked for.
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// `path` is the dotted path of the map in its file, empty for the file itself.
    pub fn new(mapping: &'a Mapping, path: &str) -> Self {
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}.")
        };
        Self {
            mapping,
            prefix,
            known: Vec::new(),
        }
    }

    /// Dotted path of a field.
    pub fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The entry of a field that is there and not null.
    pub fn entry(&mut self, key: &'static str, remarks: &mut Remarks) -> Option<&'a Entry> {
        self.known.push(key);
        let entry = self
            .mapping
            .get(key)
            .or_else(|| self.other_spelling(key, remarks))?;
        (!entry.value.is_null()).then_some(entry)
    }

    /// Whether the field is there, be it null.
    pub fn line_of(&self, key: &str) -> Option<u32> {
        self.mapping.get(key).map(|entry| entry.line)
    }

    fn other_spelling(&self, key: &'static str, remarks: &mut Remarks) -> Option<&'a Entry> {
        let mut entries = self.mapping.entries.iter();
        let entry = entries.find(|entry| suggest::same_word(&entry.key, key))?;
        let message = format!("`{}` was read as `{key}`", entry.key);
        remarks.push(
            Diagnostic::warning("field-spelling", message)
                .line(entry.line)
                .field(self.path(&entry.key))
                .help(format!("write `{key}`")),
        );
        Some(entry)
    }

    /// Text, without white space around it. Empty text counts as absent.
    pub fn text(&mut self, key: &'static str, remarks: &mut Remarks) -> Option<Located<String>> {
        let entry = self.entry(key, remarks)?;
        let text = text_of(&entry.value, &self.path(key), remarks)?;
        (!text.value.is_empty()).then_some(text)
    }

    /// A list of texts. One text is split at its commas, with a remark.
    pub fn texts(&mut self, key: &'static str, remarks: &mut Remarks) -> Vec<Located<String>> {
        let Some(entry) = self.entry(key, remarks) else {
            return Vec::new();
        };
        let path = self.path(key);
        match &entry.value.value {
            Value::Sequence(items) => {
                let items = items.iter().enumerate();
                let texts =
                    items.filter_map(|(i, item)| text_of(item, &format!("{path}[{i}]"), remarks));
                let (texts, empty): (Vec<_>, Vec<_>) =
                    texts.partition(|text| !text.value.is_empty());
                for Located { line, .. } in empty {
                    let message = format!("an entry of `{key}` is empty");
                    remarks.push(
                        Diagnostic::warning("list-entry-empty", message)
                            .line(line)
                            .field(path.clone())
                            .help("remove it"),
                    );
                }
                texts
            }
            Value::Scalar(scalar) => {
                let message = format!("`{key}` is one text; it was split at commas");
                remarks.push(
                    Diagnostic::warning("field-not-a-list", message)
                        .line(entry.value.line)
                        .field(path)
                        .help(format!("write a list: `{key}: [one, two]`")),
                );
                split_list(&scalar.text, entry.value.line)
            }
            Value::Mapping(_) => {
                remarks.wrong_kind(&entry.value, &path, "a list of texts");
                Vec::new()
            }
        }
    }

    pub fn boolean(&mut self, key: &'static str, remarks: &mut Remarks) -> Option<bool> {
        let entry = self.entry(key, remarks)?;
        let boolean = match &entry.value.value {
            Value::Scalar(scalar) => scalar.as_bool(),
            _ => None,
        };
        if boolean.is_none() {
            remarks.wrong_kind(&entry.value, &self.path(key), "`true` or `false`");
        }
        boolean
    }

    /// A whole number that is not negative.
    pub fn number(&mut self, key: &'static str, remarks: &mut Remarks) -> Option<Located<u64>> {
        let entry = self.entry(key, remarks)?;
        let number = match &entry.value.value {
            Value::Scalar(scalar) => scalar.text.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            remarks.wrong_kind(&entry.value, &self.path(key), "a whole number");
        }
        let line = entry.value.line;
        number.map(|value| Located { value, line })
    }

    pub fn mapping(&mut self, key: &'static str, remarks: &mut Remarks) -> Option<&'a Mapping> {
        let entry = self.entry(key, remarks)?;
        match &entry.value.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => {
                remarks.wrong_kind(&entry.value, &self.path(key), "a map");
                None
            }
        }
    }

    /// Declares fields that are read elsewhere.
    pub fn also_known(&mut self, keys: &[&'static str]) {
        self.known.extend_from_slice(keys);
    }

    /// The entries that nobody asked for.
    pub fn unknown(&self) -> impl Iterator<Item = &'a Entry> {
        let entries = self.mapping.entries.iter();
        entries.filter(|entry| {
            !self
                .known
                .iter()
                .any(|known| suggest::same_word(known, &entry.key))
        })
    }

    /// Warns of fields that nobody asked for, with the nearest that exists.
    pub fn warn_of_unknown(&self, remarks: &mut Remarks) {
        for entry in self.unknown() {
            if remarks.is_full() {
                remarks.left_out += 1;
            } else {
                remarks.push(self.unknown_field(entry, Severity::Warning));
            }
        }
    }

    pub fn unknown_field(&self, entry: &Entry, severity: Severity) -> Diagnostic {
        let path = self.path(&entry.key);
        let message = format!("there is no field `{path}`");
        let remark = Diagnostic::new(severity, "field-unknown", message)
            .line(entry.line)
            .field(path);
        match suggest::nearest(&entry.key, self.known.iter().copied()) {
            Some(known) => remark.help(format!("did you mean `{known}`?")),
            None => remark.help("remove it, or move it under `metadata`"),
        }
    }
}

/// The text of a scalar without white space around it; a remark for anything else.
pub(crate) fn text_of(node: &Node, path: &str, remarks: &mut Remarks) -> Option<Located<String>> {
    match &node.value {
        Value::Scalar(scalar) => Some(Located {
            value: scalar.text.trim().to_owned(),
            line: node.line,
        }),
        _ => {
            remarks.wrong_kind(node, path, "text");
            None
        }
    }
}

/// The parts of a text that should have been a list.
pub(crate) fn split_list(text: &str, line: u32) -> Vec<Located<String>> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts
        .map(|part| Located {
            value: part.to_owned(),
            line,
        })
        .collect()
}
