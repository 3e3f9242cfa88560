//! Reads TOML so that every complaint names its file, line and field. Knows none of the files.

use std::ops::Range;

use skill_format::{Explain as _, NameError, SkillName};
use toml_edit::{Document, Item, TableLike};

use crate::near::{did_you_mean, nearest};

/// What is wrong in a TOML file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TomlProblem {
    pub file: String,
    /// Counted from 1.
    pub line: Option<u32>,
    /// Dotted, as in `skills.charts.version`.
    pub field: Option<String>,
    pub message: String,
    pub help: Option<String>,
}

impl TomlProblem {
    pub fn place(&self) -> skill_format::Place {
        skill_format::Place {
            file: Some(self.file.clone()),
            line: self.line,
            field: self.field.clone(),
        }
    }
}

/// A TOML text and the name of its file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'t> {
    pub file: &'t str,
    pub text: &'t str,
}

impl<'t> Source<'t> {
    pub fn parse(self) -> Result<Document<&'t str>, TomlProblem> {
        Document::parse(self.text).map_err(|error| TomlProblem {
            file: self.file.to_owned(),
            line: error.span().map(|span| self.line(span)),
            field: None,
            message: format!(
                "this is not valid TOML: {}",
                error.message().replace('\n', "; ")
            ),
            help: None,
        })
    }

    /// Of the start of `span`, counted from 1.
    pub fn line(self, span: Range<usize>) -> u32 {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX)
    }
}

/// A table of a file and the way to it.
#[derive(Clone)]
pub(crate) struct Fields<'a> {
    source: Source<'a>,
    path: String,
    table: &'a dyn TableLike,
    line: Option<u32>,
}

/// A value of a table and the way to it.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a, 'f> {
    owner: &'f Fields<'a>,
    pub key: &'a str,
    pub item: &'a Item,
}

impl<'a> Fields<'a> {
    pub fn root(source: Source<'a>, table: &'a dyn TableLike) -> Self {
        Self {
            source,
            path: String::new(),
            table,
            line: None,
        }
    }

    /// Refuses every key that is not in `known`: it is probably misspelt.
    pub fn allow(&self, known: &[&str]) -> Result<(), TomlProblem> {
        for field in self.iter() {
            if !known.contains(&field.key) {
                let help = did_you_mean(&nearest(field.key, known.iter().copied(), 1))
                    .unwrap_or_else(|| format!("known here: {}", known.join(", ")));
                return Err(field.problem("there is no such setting").helped(help));
            }
        }
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = Field<'a, '_>> {
        self.table.iter().map(|(key, item)| Field {
            owner: self,
            key,
            item,
        })
    }

    pub fn get(&self, key: &str) -> Option<Field<'a, '_>> {
        self.iter().find(|field| field.key == key)
    }

    pub fn text(&self, key: &str) -> Result<Option<&'a str>, TomlProblem> {
        self.get(key).map(|field| field.text()).transpose()
    }

    /// Like [`Fields::parsed`], of a key that must be there.
    pub fn required<T>(&self, key: &str) -> Result<T, TomlProblem>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        self.parsed(key)?
            .ok_or_else(|| self.problem(format!("`{key}` is missing")))
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>, TomlProblem> {
        let field = self.get(key);
        field
            .map(|field| {
                let value = field.item.as_bool();
                value.ok_or_else(|| field.problem("this must be true or false"))
            })
            .transpose()
    }

    /// A list of texts; a single text is a list of one.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<String>>, TomlProblem> {
        self.get(key).map(|field| field.texts()).transpose()
    }

    pub fn table(&self, key: &str) -> Result<Option<Fields<'a>>, TomlProblem> {
        self.get(key).map(|field| field.table()).transpose()
    }

    /// `[[key]]`, or a list of inline tables.
    pub fn tables(&self, key: &str) -> Result<Vec<Fields<'a>>, TomlProblem> {
        let Some(field) = self.get(key) else {
            return Ok(Vec::new());
        };
        if let Some(tables) = field.item.as_array_of_tables() {
            return Ok((1..)
                .zip(tables.iter())
                .map(|(number, table)| field.nested(number, table, table.span()))
                .collect());
        }
        let list = field.item.as_array();
        let list = list.ok_or_else(|| field.problem("this must be a list of tables"))?;
        (1..)
            .zip(list.iter())
            .map(|(number, value)| {
                let table = value.as_inline_table();
                let table = table.ok_or_else(|| field.problem("this must be a list of tables"))?;
                Ok(field.nested(number, table, value.span()))
            })
            .collect()
    }

    /// Parses a text with its own parser, whose error becomes the problem.
    pub fn parsed<T>(&self, key: &str) -> Result<Option<T>, TomlProblem>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        self.get(key).map(|field| field.parsed()).transpose()
    }

    pub fn problem(&self, message: impl Into<String>) -> TomlProblem {
        TomlProblem {
            file: self.source.file.to_owned(),
            line: self.line,
            field: (!self.path.is_empty()).then(|| self.path.clone()),
            message: message.into(),
            help: None,
        }
    }
}

impl<'a> Field<'a, '_> {
    pub fn text(&self) -> Result<&'a str, TomlProblem> {
        let text = self.item.as_str();
        text.ok_or_else(|| self.problem("this must be a text in quotes"))
    }

    pub fn texts(&self) -> Result<Vec<String>, TomlProblem> {
        if let Some(text) = self.item.as_str() {
            return Ok(vec![text.to_owned()]);
        }
        let wrong = || self.problem("this must be a list of texts");
        let list = self.item.as_array().ok_or_else(wrong)?;
        list.iter()
            .map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect()
    }

    pub fn parsed<T>(&self) -> Result<T, TomlProblem>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.text()?;
        text.parse().map_err(|error: T::Err| {
            let error = error.to_string();
            // Some parsers name what they were given, some do not.
            self.problem(if error.contains(text) {
                error
            } else {
                format!("`{text}` does not fit here: {error}")
            })
        })
    }

    /// The key as the name of a skill.
    pub fn name(&self) -> Result<SkillName, TomlProblem> {
        self.key.parse().map_err(|error: NameError| TomlProblem {
            help: error.help(),
            ..self.problem(error.to_string())
        })
    }

    pub fn table(&self) -> Result<Fields<'a>, TomlProblem> {
        let table = self.item.as_table_like();
        let table = table.ok_or_else(|| self.problem("this must be a table"))?;
        Ok(Fields {
            source: self.owner.source,
            path: self.path(),
            table,
            line: self.line(),
        })
    }

    pub fn problem(&self, message: impl Into<String>) -> TomlProblem {
        TomlProblem {
            file: self.owner.source.file.to_owned(),
            line: self.line(),
            field: Some(self.path()),
            message: message.into(),
            help: None,
        }
    }

    fn nested(
        &self,
        number: usize,
        table: &'a dyn TableLike,
        span: Option<Range<usize>>,
    ) -> Fields<'a> {
        Fields {
            source: self.owner.source,
            path: format!("{}.{number}", self.path()),
            table,
            line: span.map(|span| self.owner.source.line(span)),
        }
    }

    fn line(&self) -> Option<u32> {
        let key = self
            .owner
            .table
            .key(self.key)
            .and_then(toml_edit::Key::span);
        let span = key.or_else(|| self.item.span());
        span.map(|span| self.owner.source.line(span))
            .or(self.owner.line)
    }

    fn path(&self) -> String {
        match self.owner.path.as_str() {
            "" => self.key.to_owned(),
            path => format!("{path}.{}", self.key),
        }
    }
}

impl TomlProblem {
    pub(crate) fn helped(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
