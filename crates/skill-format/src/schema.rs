//! Checks the input of an entry point against its JSON Schema (draft 2020-12), before a script
//! sees it.
//!
//! All assertions are checked but those that need other documents or the result of their
//! neighbours (`$dynamicRef`, `unevaluatedProperties`, `unevaluatedItems`); `format` and
//! `content…` are annotations, as the draft has it. `$ref` leads only to places in the schema
//! itself. What is not checked, [`flaws`] says when the skill is linted. A library for all of
//! JSON Schema would be larger than the rest of this crate.

mod check;
mod flaws;
mod object;

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::explain::{Explain, Fault, Place};

pub(crate) use flaws::flaws;

/// Most problems that are reported at once.
const PROBLEMS_MAX: usize = 20;

/// One value that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InputProblem {
    /// JSON pointer (RFC 6901) to the value; empty for the input itself.
    pub pointer: String,
    /// One sentence without a full stop.
    pub message: String,
}

/// The input does not fit the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidInput {
    /// At least one; at most 20.
    pub problems: Vec<InputProblem>,
}

impl fmt::Display for InvalidInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the input does not fit the schema of the entry point")?;
        for (number, problem) in self.problems.iter().enumerate() {
            f.write_str(if number == 0 { ": " } else { "; " })?;
            if !problem.pointer.is_empty() {
                write!(f, "{} ", problem.pointer)?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidInput {}

impl Explain for InvalidInput {
    fn code(&self) -> &'static str {
        "input-invalid"
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        Some("`skills info` shows what the entry point takes".into())
    }

    fn place(&self) -> Option<Place> {
        let pointer = &self.problems.first()?.pointer;
        Some(Place {
            field: (!pointer.is_empty()).then(|| pointer.clone()),
            ..Place::default()
        })
    }
}

/// Checks `input` against the JSON Schema `schema`.
pub fn check_input(schema: &Value, input: &Value) -> Result<(), InvalidInput> {
    let problems = check::run(schema, input);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(InvalidInput { problems })
    }
}

/// A pattern as `regex` reads it, within bounds. ECMA-262's look-around and back-references,
/// which can take exponential time, are not supported.
fn pattern(text: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(text)
        .size_limit(1 << 20)
        .build()
        .map_err(|_| format!("the pattern `{text}` is not supported"))
}
