//! `GET /api/v1/invocations/{id}`: how an invocation stands.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use hub_db::DbError;
use hub_model::{InvocationId, InvocationRecord, Scope};

use super::answer;
use super::body::InvocationBody;
use super::store;
use crate::App;
use crate::auth::Principal;
use crate::extract::{Json, Path};
use crate::problem::{Problem, ProblemBody, answers_with_problem};

#[derive(Debug, thiserror::Error)]
pub enum FindInvocationError {
    /// The token does not reach.
    #[error(transparent)]
    Denied(Problem),
    #[error("there is no such invocation")]
    NotFound,
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<FindInvocationError> for Problem {
    fn from(error: FindInvocationError) -> Self {
        match error {
            FindInvocationError::Denied(problem) => problem,
            FindInvocationError::NotFound => Self::new(
                StatusCode::NOT_FOUND,
                "invocation-not-found",
                "There is no such invocation of yours here. They are kept for a while after their end.",
            ),
            FindInvocationError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(FindInvocationError);

/// The invocation, if it is the caller's own or the caller an administrator. To others it is not there.
pub(super) async fn find(
    app: &App,
    principal: &Principal,
    id: &str,
) -> Result<InvocationRecord, FindInvocationError> {
    let denied = FindInvocationError::Denied;
    if !principal.is_admin() {
        principal.require(Scope::Invoke).map_err(denied)?;
    }
    let id: InvocationId = id.parse().map_err(|_| FindInvocationError::NotFound)?;
    let found = store::find(app, id).await?;
    let found = found.ok_or(FindInvocationError::NotFound)?;
    if principal.is_admin() {
        return Ok(found);
    }
    if found.user_id != principal.user_id() {
        return Err(FindInvocationError::NotFound);
    }
    let reaches = principal.require_for(Scope::Invoke, &found.skill);
    reaches.map_err(denied)?;
    Ok(found)
}

/// An invocation: its status, and once it is over its output or what went wrong.
#[utoipa::path(
    get,
    path = "/api/v1/invocations/{id}",
    tag = "invocations",
    params(("id" = String, Path, description = "The invocation's id")),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The invocation", body = InvocationBody),
        (status = 403, description = "`scope-insufficient`, `skill-not-allowed`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "`invocation-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn get_invocation(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Response, FindInvocationError> {
    let record = find(&app, &principal, &id).await?;
    let body = Json(InvocationBody::from(&record));
    Ok(answer::located(body.into_response(), &record))
}
