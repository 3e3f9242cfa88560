//! `GET /api/v1/invocations/{id}/events`: an invocation as server-sent events.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use super::get_invocation::{self, FindInvocationError};
use super::invoke_skill::too_many_streams;
use super::stream::{self, Watch};
use crate::App;
use crate::auth::Principal;
use crate::extract::Path;
use crate::problem::{Problem, ProblemBody, answers_with_problem};

#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error(transparent)]
    Find(#[from] FindInvocationError),
    #[error("nobody can listen now")]
    TooMany,
}

impl From<StreamError> for Problem {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Find(error) => error.into(),
            StreamError::TooMany => too_many_streams(),
        }
    }
}

answers_with_problem!(StreamError);

/// Progress while it runs, then the result; of one that is over the result at once. Ends without a result when the hub
/// stops: ask again.
#[utoipa::path(
    get,
    path = "/api/v1/invocations/{id}/events",
    tag = "invocations",
    params(
        ("id" = String, Path, description = "The invocation's id"),
        ("Last-Event-ID" = Option<String>, Header,
            description = "The last progress that was seen: only later events come"),
    ),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "`progress` with `{chunk}`, `result` with the invocation", body = String,
            content_type = "text/event-stream"),
        (status = 403, description = "`scope-insufficient`, `skill-not-allowed`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "`invocation-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, description = "`too-many-streams`, `unavailable`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn stream_events(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, StreamError> {
    let record = get_invocation::find(&app, &principal, &id).await?;
    let place = app.gateway().stream().ok_or(StreamError::TooMany)?;
    let last_seen = headers.get("last-event-id");
    let last_seen = last_seen.and_then(|value| value.to_str().ok()?.parse().ok());
    let watch = Watch::new(&app, record.id);
    Ok(stream::events(
        &app,
        &record,
        watch,
        last_seen.unwrap_or(0),
        place,
    ))
}
