//! What a command reports when it cannot do what it was asked: one shape for every library's error.

use serde::Serialize;
use skill_format::{Explain, Fault, Place};

/// Exit code for input that the user has to change.
pub const BAD_INPUT: u8 = 2;

/// Why a command failed, ready to be shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Stable, kebab-case.
    pub code: String,
    pub message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip)]
    exit_code: u8,
    /// The command has printed its own account; only the exit code is left to say.
    #[serde(skip)]
    silent: bool,
}

impl Failure {
    /// The user has to change the input: exit code 2.
    pub fn bad_input(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::with_exit(code.into(), message.into(), BAD_INPUT)
    }

    /// Something else went wrong: exit code 1.
    pub fn failed(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::with_exit(code.into(), message.into(), 1)
    }

    /// What a library's error says.
    pub fn of(error: &impl Explain) -> Self {
        let exit_code = match error.fault() {
            Fault::BadInput => BAD_INPUT,
            Fault::NotFound
            | Fault::Denied
            | Fault::Conflict
            | Fault::Unavailable
            | Fault::Internal => 1,
        };
        let mut failure = Self::with_exit(error.code().to_owned(), error.to_string(), exit_code);
        failure.help = error.help();
        if let Some(Place { file, line, field }) = error.place() {
            (failure.file, failure.line, failure.field) = (file, line, field);
        }
        let mut source = error.source();
        while let Some(cause) = source {
            failure.add_cause(cause.to_string());
            source = cause.source();
        }
        failure
    }

    /// The command has said everything itself and ends with this code.
    pub fn reported(exit_code: u8) -> Self {
        Self {
            silent: true,
            ..Self::with_exit(String::new(), String::new(), exit_code)
        }
    }

    fn with_exit(code: String, message: String, exit_code: u8) -> Self {
        Self {
            code,
            message,
            causes: Vec::new(),
            file: None,
            line: None,
            field: None,
            help: None,
            exit_code,
            silent: false,
        }
    }

    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn at_file(mut self, file: impl AsRef<std::path::Path>) -> Self {
        self.file = Some(file.as_ref().display().to_string());
        self
    }

    /// Adds a cause, unless the message says it already.
    pub fn add_cause(&mut self, cause: String) {
        // Many libraries repeat the cause in their own message; once is enough.
        if !self.message.contains(&cause) && !self.causes.contains(&cause) {
            self.causes.push(cause);
        }
    }

    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    pub fn is_silent(&self) -> bool {
        self.silent
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::of(&error)
    }
}

/// Puts a path to an I/O error, which names none itself.
pub fn io_failure(
    path: impl AsRef<std::path::Path>,
    what: &str,
    error: &std::io::Error,
) -> Failure {
    let path = path.as_ref();
    let exit = if error.kind() == std::io::ErrorKind::NotFound {
        BAD_INPUT
    } else {
        1
    };
    Failure {
        help: match error.kind() {
            std::io::ErrorKind::NotFound => Some("check the path".to_owned()),
            std::io::ErrorKind::PermissionDenied => {
                Some("check who owns it and its permissions".to_owned())
            }
            std::io::ErrorKind::StorageFull => {
                Some("free some space; nothing was changed".to_owned())
            }
            _ => None,
        },
        ..Failure::with_exit(
            "io".to_owned(),
            format!("cannot {what} {}: {error}", path.display()),
            exit,
        )
    }
}
