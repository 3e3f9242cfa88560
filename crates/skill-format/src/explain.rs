//! What an error must be able to say so that one place can render it: the command line as text
//! or JSON with an exit code, the registry as problem JSON with a status. Knows neither of them.

use serde::Serialize;

/// Whose turn it is after an error.
///
/// The command line exits with 2 for [`Fault::BadInput`] and with 1 for the others; the registry
/// chooses a status of the 400s or the 500s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The caller has to change what was given.
    BadInput,
    /// What was named does not exist.
    NotFound,
    /// The caller may not do this.
    Denied,
    /// The state of things forbids it, whoever asks.
    Conflict,
    /// Something outside did not answer; trying again may help.
    Unavailable,
    /// A defect of this program or of the machine it runs on.
    Internal,
}

/// Where in the input an error lies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Path inside the skill, or as the caller gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Dotted path of a field, such as `metadata.version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// An error that can be shown to a person and told apart by a program.
///
/// `Display` is one sentence without a full stop that names the offending value.
pub trait Explain: std::error::Error {
    /// Stable and kebab-case, such as `archive-path-traversal`.
    fn code(&self) -> &'static str;

    /// Whose turn it is.
    fn fault(&self) -> Fault;

    /// What to do next.
    fn help(&self) -> Option<String> {
        None
    }

    /// Where the input is wrong.
    fn place(&self) -> Option<Place> {
        None
    }
}
