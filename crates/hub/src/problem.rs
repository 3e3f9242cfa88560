//! The one form in which the hub says no: problem details (RFC 9457) with a
//! stable `code`. Knows no endpoint; endpoints turn their own errors into a
//! [`Problem`] and the outermost layer adds the request id and logs the cause.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use hub_db::DbError;
use serde::{Deserialize, Serialize};
use skill_format::{Diagnostic, Explain, Fault, Severity};
use utoipa::ToSchema;

use crate::blobs::BlobError;

/// `application/problem+json`, RFC 9457 §3.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Why a request was refused, ready to be sent.
#[derive(Clone)]
pub struct Problem(Box<Parts>);

#[derive(Clone)]
struct Parts {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    errors: Vec<FieldError>,
    headers: HeaderMap,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// One thing that is wrong with the input, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    /// The field, parameter or file that is meant, such as `rating` or `skill.yaml`.
    pub field: String,
    /// The line in that file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The rule that was broken, kebab-case, where it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl FieldError {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            line: None,
            code: None,
            message: message.into(),
            help: None,
        }
    }
}

/// The body of every answer that is not a success (RFC 9457 §3.1, with
/// extension members).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemBody {
    /// Identifies the kind of problem; a reference into this hub's API page.
    #[schema(example = "/docs#skill-not-found")]
    pub r#type: String,
    /// The kind of problem in words; the same for every occurrence.
    #[schema(example = "Skill not found")]
    pub title: String,
    #[schema(example = 404)]
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The stable name to program against.
    #[schema(example = "skill-not-found")]
    pub code: String,
    /// What is wrong with which field, where the input is at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Also in the `X-Request-Id` header; ask the operator with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// `code` is kebab-case and never changes once published; `detail` is shown
    /// to the client, so it holds nothing of the hub's inside.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self(Box::new(Parts {
            status,
            code: code.into(),
            detail: detail.into(),
            errors: Vec::new(),
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// Something of ours failed. The cause goes to the log, never to the client.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        let mut problem = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal-error",
            "The hub failed to answer this request. Its log holds the reason under the request id.",
        );
        problem.0.cause = Some(Arc::new(cause));
        problem
    }

    /// Something that the hub needs is out of reach or busy; the client may try again.
    pub fn unavailable(detail: impl Into<String>, retry_after_seconds: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .with_header(RETRY_AFTER, HeaderValue::from(retry_after_seconds))
    }

    /// The usual form of a library's error. What is `Internal` or `Unavailable`
    /// keeps its text to the log.
    pub fn explained(error: impl Explain + Send + Sync + 'static) -> Self {
        let status = match error.fault() {
            Fault::BadInput => StatusCode::BAD_REQUEST,
            Fault::NotFound => StatusCode::NOT_FOUND,
            Fault::Denied => StatusCode::FORBIDDEN,
            Fault::Conflict => StatusCode::CONFLICT,
            Fault::Unavailable => {
                return Self::unavailable("A part of the hub is out of reach; try again.", 5)
                    .caused_by(error);
            }
            Fault::Internal => return Self::internal(error),
        };
        Self::explained_as(status, &error)
    }

    /// As [`Problem::explained`], where the endpoint knows the status better.
    /// For errors that speak about the client's input only.
    pub fn explained_as(status: StatusCode, error: &(impl Explain + ?Sized)) -> Self {
        let detail = match error.help() {
            Some(help) => format!("{} {}", sentence(&error.to_string()), sentence(&help)),
            None => sentence(&error.to_string()),
        };
        let problem = Self::new(status, error.code(), detail);
        match error.place() {
            Some(place) => problem.with_error(FieldError {
                field: place.field.or(place.file).unwrap_or_default(),
                line: place.line,
                code: Some(error.code().to_owned()),
                message: error.to_string(),
                help: error.help(),
            }),
            None => problem,
        }
    }

    #[must_use]
    pub fn with_error(mut self, error: FieldError) -> Self {
        self.0.errors.push(error);
        self
    }

    /// Adds what the reader or linter of skills found; errors only, for a
    /// warning refuses nothing.
    #[must_use]
    pub fn with_diagnostics(mut self, diagnostics: &[Diagnostic]) -> Self {
        let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error);
        self.0.errors.extend(errors.map(|diagnostic| FieldError {
            field: match (&diagnostic.file, &diagnostic.field) {
                (Some(file), Some(field)) => format!("{file}:{field}"),
                (Some(only), None) | (None, Some(only)) => only.clone(),
                (None, None) => "archive".to_owned(),
            },
            line: diagnostic.line,
            code: Some(diagnostic.code.to_owned()),
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
        }));
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Arc::new(cause));
        self
    }

    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What happened, as the client sees it.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub fn code(&self) -> &str {
        &self.0.code
    }

    pub(crate) fn cause(&self) -> Option<&(dyn Error + Send + Sync)> {
        self.0.cause.as_deref()
    }

    /// The JSON that is sent.
    pub(crate) fn body(&self, request_id: Option<&str>) -> Vec<u8> {
        let parts = &self.0;
        let body = ProblemBody {
            r#type: format!("/docs#{}", parts.code),
            title: title_of(&parts.code),
            status: parts.status.as_u16(),
            detail: parts.detail.clone(),
            code: parts.code.clone().into_owned(),
            errors: parts.errors.clone(),
            request_id: request_id.map(str::to_owned),
        };
        // Strings and numbers only: serialising them has no way to fail.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

/// `skill-not-found` → `Skill not found`.
fn title_of(code: &str) -> String {
    let mut title = code.replace('-', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

/// Library errors are clauses without a full stop; a detail is made of sentences.
fn sentence(clause: &str) -> String {
    let mut text = clause.trim_end().to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("status", &self.0.status)
            .field("code", &self.0.code)
            .field("detail", &self.0.detail)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {}",
            self.0.status.as_u16(),
            self.0.code,
            self.0.detail
        )
    }
}

impl Error for Problem {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0
            .cause
            .as_deref()
            .map(|cause| cause as &(dyn Error + 'static))
    }
}

/// What the database says, where an endpoint expects no particular answer of it.
impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unstorable(why) => Self::new(
                StatusCode::BAD_REQUEST,
                "unstorable-text",
                format!("A part of the request cannot be stored: {why}."),
            ),
            DbError::Retry(_) | DbError::Unavailable(_) => {
                Self::unavailable("The database is out of reach or busy; try again.", 2)
                    .caused_by(error)
            }
            DbError::Conflict(_) | DbError::NotFound | DbError::Internal(_) => {
                Self::internal(error)
            }
        }
    }
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Io { ref source, .. } if is_full(source) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "storage-full",
                "The hub has no space left for this; nothing was published. Its operator has to make some.",
            )
            .caused_by(error),
            BlobError::Missing(_) | BlobError::Io { .. } | BlobError::Stopped => {
                Self::internal(error)
            }
            BlobError::Bucket(_) => {
                Self::unavailable("The package store is out of reach; try again.", 5)
                    .caused_by(error)
            }
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// Lets an endpoint's error enum be its handler's `Err`: the exhaustive match
/// that gives each variant its status is its `From<…> for Problem`.
macro_rules! answers_with_problem {
    ($error:ty) => {
        impl axum::response::IntoResponse for $error {
            fn into_response(self) -> axum::response::Response {
                $crate::problem::Problem::from(self).into_response()
            }
        }
    };
}

pub(crate) use answers_with_problem;

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, self.body(None)).into_response();
        response.headers_mut().extend(self.0.headers.clone());
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        // `middleware::observe` renders the body again with the request id.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_is_the_code_in_words() {
        assert_eq!(title_of("skill-not-found"), "Skill not found");
        assert_eq!(title_of(""), "");
    }

    #[test]
    fn an_internal_cause_stays_inside() {
        let cause = std::io::Error::other("disk /dev/sda on fire");
        let problem = Problem::internal(cause);
        let body = String::from_utf8(problem.body(Some("r-1"))).expect("text");
        assert!(!body.contains("sda"), "{body}");
        assert!(body.contains("\"requestId\":\"r-1\""), "{body}");
        assert!(
            problem
                .cause()
                .is_some_and(|cause| cause.to_string().contains("sda"))
        );
    }

    #[test]
    fn a_detail_is_a_sentence() {
        assert_eq!(sentence("a thing broke"), "A thing broke.");
        assert_eq!(sentence("Why?"), "Why?");
        assert_eq!(sentence("é"), "é.");
    }
}
