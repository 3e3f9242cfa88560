//! Bounds on a request before anything looks at it: the length of its URI, the
//! size of its headers, and the time it may take.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use crate::App;
use crate::problem::Problem;

/// Refuses what is longer than a request of ours can be.
pub async fn sizes(State(app): State<App>, request: Request, next: Next) -> Response {
    let limits = &app.config().limits;
    let uri = request.uri();
    let uri_bytes = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if uri_bytes > limits.uri_bytes_max {
        let detail = format!(
            "The path and query may take {} bytes.",
            limits.uri_bytes_max
        );
        return Problem::new(StatusCode::URI_TOO_LONG, "uri-too-long", detail).into_response();
    }
    if header_bytes(request.headers()) > limits.header_bytes_max {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let detail = format!("The headers may take {} bytes.", limits.header_bytes_max);
        return Problem::new(status, "headers-too-large", detail).into_response();
    }
    next.run(request).await
}

/// As sent: name, colon, space, value, line end.
fn header_bytes(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum()
}

/// Ends a request that takes too long. The bodies of answers are not meant: a
/// download may take its time as long as the client goes on reading.
pub async fn time(State(time_max): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(time_max, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timed-out",
            format!(
                "The hub could not answer within {} seconds.",
                time_max.as_secs()
            ),
        )
        .into_response(),
    }
}

/// 404 for a path that the hub does not have.
pub async fn no_route() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "There is nothing at this address. The API is described at /docs.",
    )
}

/// 405; axum adds `Allow`.
pub async fn no_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "This address takes other methods: see `Allow`.",
    )
}
