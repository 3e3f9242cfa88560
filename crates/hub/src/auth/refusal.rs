//! How the endpoints of authentication put their errors into problems.

use std::fmt::Display;

use http::StatusCode;

use crate::problem::{FieldError, Problem};

/// A problem whose detail is the error's own text, as a sentence.
pub fn refusal(status: StatusCode, code: &'static str, error: &impl Display) -> Problem {
    Problem::new(status, code, sentence(error))
}

/// 422 about one field.
pub fn invalid_field(code: &'static str, field: &str, error: &impl Display) -> Problem {
    refusal(StatusCode::UNPROCESSABLE_ENTITY, code, error)
        .with_error(FieldError::new(field, error.to_string()))
}

/// Errors are clauses without a full stop; a detail is made of sentences.
pub fn sentence(error: &impl Display) -> String {
    let mut text = error.to_string();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text + "."
}
