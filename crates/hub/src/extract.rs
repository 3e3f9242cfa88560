//! Extractors whose rejections are problems that name the field. Handlers use
//! these and never axum's own. Knows no endpoint.

use std::fmt::Display;

use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::{FieldError, Problem};

/// A JSON body, both ways.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// The query string's parameters. Unknown parameters are ignored, so that a
/// newer client can talk to an older hub.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// The path's parameters, percent-decoded.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "This endpoint reads `Content-Type: application/json`.",
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(body_problem)?;
        parse_json(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        // Written anew only where it must be.
        let joined = joined_lists(query);
        let query = joined.as_deref().unwrap_or(query);
        let pairs = form_urlencoded::parse(query.as_bytes());
        let reader = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(reader)
            .map(Self)
            .map_err(|error| {
                let field = error.path().to_string();
                let message = in_own_words(&field, &error.inner().to_string());
                bad_field(
                    StatusCode::BAD_REQUEST,
                    "invalid-query",
                    "A query parameter",
                    &field,
                    &message,
                )
            })
    }
}

/// Parameters that are lists: what is repeated means the same as what is separated by commas.
const LISTS: [&str; 1] = ["tags"];

/// The query with every list in one parameter, if any stands there more than once.
fn joined_lists(query: &str) -> Option<String> {
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let values = |list: &str| -> Vec<&str> {
        let named = pairs.iter().filter(|(name, _)| name == list);
        named.map(|(_, value)| value.as_ref()).collect()
    };
    if LISTS.iter().all(|list| values(list).len() < 2) {
        return None;
    }
    let mut written = form_urlencoded::Serializer::new(String::new());
    for (name, value) in &pairs {
        if !LISTS.contains(&name.as_ref()) {
            written.append_pair(name, value);
        }
    }
    for list in LISTS {
        let values = values(list);
        if !values.is_empty() {
            written.append_pair(list, &values.join(","));
        }
    }
    Some(written.finish())
}

/// What the standard library says of numbers is about its parser.
fn in_own_words(field: &str, message: &str) -> String {
    match message {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            format!("`{field}` is a whole number, such as 20")
        }
        "number too large to fit in target type" | "number too small to fit in target type" => {
            format!("`{field}` is a number out of bounds")
        }
        other => other.to_owned(),
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(value) = axum::extract::Path::from_request_parts(parts, state)
            .await
            .map_err(path_problem)?;
        Ok(Self(value))
    }
}

/// Reads a JSON text; what is wrong with it is a 400 (not JSON) or a 422 (JSON
/// of another shape).
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let inner = error.inner();
        if inner.is_data() {
            bad_field(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-body",
                "The body",
                &error.path().to_string(),
                inner,
            )
        } else {
            not_json(inner)
        }
    })?;
    reader.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "invalid-json",
        format!("The body is not JSON: {error}."),
    )
}

fn bad_field(
    status: StatusCode,
    code: &'static str,
    what: &str,
    path: &str,
    error: &dyn Display,
) -> Problem {
    let message = error.to_string();
    // A missing field has no path of its own; serde's message names it.
    let field = match path {
        "." | "" | "?" => named_in(&message).unwrap_or("body"),
        path => path,
    };
    Problem::new(
        status,
        code,
        format!("{what} is not as it should be: {message}."),
    )
    .with_error(FieldError::new(field, message.clone()))
}

/// The name in serde's "missing field `name`" and "unknown field `name`".
fn named_in(message: &str) -> Option<&str> {
    let (before, rest) = message.split_once('`')?;
    before
        .trim_end()
        .ends_with("field")
        .then(|| rest.split('`').next())?
}

/// Characters of an `Idempotency-Key`.
const KEY_CHARS_MAX: usize = 255;

/// The request's `Idempotency-Key`, if it has one.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default().trim();
    let is_fit =
        (1..=KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if is_fit {
        return Ok(Some(key.to_owned()));
    }
    let message = format!("Idempotency-Key has 1 to {KEY_CHARS_MAX} visible ASCII characters");
    Err(Problem::new(
        StatusCode::BAD_REQUEST,
        "invalid-header",
        format!("{message}."),
    )
    .with_error(FieldError::new("Idempotency-Key", message)))
}

/// What a body that could not be read means: too large, or cut off.
pub fn body_problem(rejection: BytesRejection) -> Problem {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            too_large("The body is larger than this endpoint reads.")
        }
        BytesRejection::FailedToBufferBody(_) => body_cut_off(),
        other => Problem::internal(other),
    }
}

pub(crate) fn too_large(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large", detail)
}

pub(crate) fn body_cut_off() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "incomplete-body",
        "The body ended before it was complete, or came too slowly.",
    )
}

fn path_problem(rejection: PathRejection) -> Problem {
    let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
        return Problem::internal(rejection);
    };
    let field = match failed.kind() {
        ErrorKind::InvalidUtf8InPathParam { key }
        | ErrorKind::ParseErrorAtKey { key, .. }
        | ErrorKind::DeserializeError { key, .. } => key.clone(),
        _ => "path".to_owned(),
    };
    let message = failed.body_text();
    Problem::new(
        StatusCode::BAD_REQUEST,
        "invalid-path",
        format!("A part of the path is not as it should be: {message}."),
    )
    .with_error(FieldError::new(field, message))
}

fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media_type| {
        media_type == "application/json"
            || (media_type.starts_with("application/") && media_type.ends_with("+json"))
    })
}

/// The body's media type in lower case, without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default().trim();
    Some(essence.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Rating {
        #[serde(rename = "rating")]
        _rating: u8,
    }

    fn first_field(problem: &Problem) -> String {
        let body: serde_json::Value = serde_json::from_slice(&problem.body(None)).expect("json");
        body["errors"][0]["field"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        let problem = parse_json::<Rating>(b"{\"rating\": \"five\"}").expect_err("a string");
        assert_eq!(
            (problem.status().as_u16(), first_field(&problem).as_str()),
            (422, "rating")
        );
    }

    #[test]
    fn a_missing_field_is_named() {
        let problem = parse_json::<Rating>(b"{}").expect_err("nothing");
        assert_eq!(
            (problem.code(), first_field(&problem).as_str()),
            ("invalid-body", "rating")
        );
    }

    #[test]
    fn what_follows_the_json_is_refused() {
        let problem = parse_json::<Rating>(b"{\"rating\": 5} {}").expect_err("two values");
        assert_eq!(problem.code(), "invalid-json");
        assert_eq!(
            parse_json::<Rating>(b"\xff").expect_err("bytes").code(),
            "invalid-json"
        );
    }
}
