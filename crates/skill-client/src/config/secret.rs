//! A text that cannot be printed by accident.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A token. `Debug` hides it and there is no `Display`; it is serialised as itself, since
/// `config.json` and request bodies are where it belongs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a token; space around it, such as the end of a line, is removed.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().to_owned())
    }

    /// The token itself, to be sent and to be shown once when it is made.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
