//! `DELETE /api/v1/invocations/{id}`: calls an invocation back, as long as nothing has run.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use hub_db::DbError;
use hub_model::{Ending, InvocationStatus};

use super::answer;
use super::body::InvocationBody;
use super::get_invocation::{self, FindInvocationError};
use super::live::End;
use super::store::{self, Ended};
use crate::App;
use crate::auth::Principal;
use crate::extract::{Json, Path};
use crate::problem::{Problem, ProblemBody, answers_with_problem};

#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    #[error(transparent)]
    Find(#[from] FindInvocationError),
    #[error("the invocation runs")]
    Running,
    #[error("the invocation is over")]
    Over,
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::Find(error) => error.into(),
            CancelError::Running => Self::new(
                StatusCode::CONFLICT,
                "invocation-running",
                "The skill runs already and cannot be called back. It ends within its time, and its result is kept.",
            ),
            CancelError::Over => Self::new(
                StatusCode::CONFLICT,
                "invocation-over",
                "The invocation is over; there is nothing to call back.",
            ),
            CancelError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(CancelError);

/// Calls an invocation back that has not begun to run. One that was called back already is no error.
#[utoipa::path(
    delete,
    path = "/api/v1/invocations/{id}",
    tag = "invocations",
    operation_id = "cancel_invocation",
    params(("id" = String, Path, description = "The invocation's id")),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "It is cancelled; nothing ran", body = InvocationBody),
        (status = 403, description = "`scope-insufficient`, `skill-not-allowed`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "`invocation-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "`invocation-running`, `invocation-over`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn cancel(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Response, CancelError> {
    let found = get_invocation::find(&app, &principal, &id).await?;
    let ending = Ending::cancelled(app.now());
    let queued = Some(InvocationStatus::Queued);
    let ended = store::finish(&app, found.id, &ending, queued).await?;
    let Ended { record, by_us } = ended.ok_or(FindInvocationError::NotFound)?;
    match record.status {
        InvocationStatus::Cancelled => {}
        InvocationStatus::Queued | InvocationStatus::Running => return Err(CancelError::Running),
        _ => return Err(CancelError::Over),
    }
    if by_us {
        app.metrics().invocation_ended(&record, None);
        // Who waits here is told at once; its task sees it when its turn comes.
        if let Some(live) = app.gateway().live(record.id) {
            live.end(End::Over(Arc::new(record.clone())));
        }
    }
    let body = Json(InvocationBody::from(&record));
    Ok(answer::located(body.into_response(), &record))
}
