//! `DELETE /api/v1/skills/{name}/deprecation`.

use axum::extract::State;
use http::StatusCode;

use super::curate::CurateError;
use super::deprecate::set;
use crate::App;
use crate::auth::Principal;
use crate::extract::Path;
use crate::problem::{Problem, ProblemBody, answers_with_problem};

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct UndeprecateError(#[from] CurateError);

impl From<UndeprecateError> for Problem {
    fn from(UndeprecateError(error): UndeprecateError) -> Self {
        error.into()
    }
}

answers_with_problem!(UndeprecateError);

/// Lifts a deprecation. Lifting none is no error.
#[utoipa::path(
    delete,
    path = "/api/v1/skills/{name}/deprecation",
    tag = "catalogue",
    params(("name" = String, Path, description = "The skill's name")),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "The skill is not deprecated"),
        (status = 403, description = "`not-an-owner`, `scope-insufficient`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "`skill-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn undeprecate(
    State(app): State<App>,
    principal: Principal,
    Path(name): Path<String>,
) -> Result<StatusCode, UndeprecateError> {
    set(&app, &principal, &name, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
