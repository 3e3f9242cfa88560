//! An answer of the hub, read whole, with assertions that show it when they fail.

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// Status, headers and body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Answer {
    /// Reads the body to its end.
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.expect("the body arrives whole");
        Self {
            status,
            headers,
            bytes,
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text()))
    }

    /// A header, empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Fails unless the status is this one.
    #[track_caller]
    pub fn assert_status(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// Fails unless this is a problem with this status and code, complete as
    /// RFC 9457 and the hub's own rules have it.
    #[track_caller]
    pub fn assert_problem(self, status: u16, code: &str) -> Self {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text()
        );
        let body = self.json();
        assert_eq!(
            (self.status.as_u16(), body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.text()
        );
        assert_eq!(body["status"], status, "the body repeats the status");
        assert_eq!(body["type"], format!("/docs#{code}"));
        for field in ["title", "detail"] {
            let text = body[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{field} is empty: {body}");
        }
        assert_eq!(
            body["requestId"],
            self.header("x-request-id"),
            "the id is in both places"
        );
        self
    }

    /// Fails unless some entry of the problem's `errors` names this field.
    #[track_caller]
    pub fn assert_names(self, field: &str) -> Self {
        let body = self.json();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        let names_it = errors.iter().any(|error| {
            error["field"]
                .as_str()
                .is_some_and(|named| named.contains(field))
        });
        assert!(names_it, "no error names {field}: {body}");
        self
    }
}
