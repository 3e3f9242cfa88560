//! One remark about a skill, with its place and what to do about it. Knows nothing of how remarks
//! are shown or which of them stop a publication.

use std::fmt;

use serde::Serialize;

use crate::explain::Explain;

/// How much a remark weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Info,
    /// Works, but breaks a recommendation or was read differently from how it was written.
    Warning,
    /// Breaks the specification.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One remark about a skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Stable and kebab-case. A release may add codes; it does not change their meaning.
    pub code: &'static str,
    pub severity: Severity,
    /// Path inside the skill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line of `file`, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Dotted path of the field, such as `entrypoints.run.command`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// One sentence without a full stop.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Diagnostic {
    /// A remark without a place; the builder methods add one.
    pub fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            file: None,
            line: None,
            field: None,
            message: message.into(),
            help: None,
        }
    }

    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    pub fn info(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Info, code, message)
    }

    /// An error of a library, with its code, place and help.
    pub fn of_error(error: &impl Explain) -> Self {
        let place = error.place().unwrap_or_default();
        Self {
            file: place.file,
            line: place.line,
            field: place.field,
            help: error.help(),
            ..Self::error(error.code(), error.to_string())
        }
    }

    pub fn file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// `line` counts from 1; 0 stands for an unknown line.
    pub fn line(mut self, line: u32) -> Self {
        self.line = (line > 0).then_some(line);
        self
    }

    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// `SKILL.md:3: error[description-missing]: …`, as compilers print it, so that editors can jump.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            f.write_str(file)?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}[{}]: {}", self.severity, self.code, self.message)?;
        if let Some(help) = &self.help {
            write!(f, " (help: {help})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_leads_with_a_place_that_editors_understand() {
        let remark = Diagnostic::error("name-missing", "there is no `name`")
            .file("SKILL.md")
            .line(2)
            .help("add one");
        assert_eq!(
            remark.to_string(),
            "SKILL.md:2: error[name-missing]: there is no `name` (help: add one)"
        );
        assert_eq!(
            Diagnostic::info("x", "y").line(0).to_string(),
            "info[x]: y",
            "an unknown line is left out"
        );
    }

    #[test]
    fn severities_are_ordered_by_weight() {
        assert!(Severity::Error > Severity::Warning && Severity::Warning > Severity::Info);
    }
}
