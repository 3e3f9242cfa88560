//! `DELETE /api/v1/skills/{name}/rating`: takes one's rating back.

use axum::extract::State;
use http::StatusCode;
use hub_db::{DbError, UnitOfWork};
use hub_model::Scope;

use super::curate::{Change, CurateError, find_for};
use super::put_rating::rated;
use crate::App;
use crate::auth::Principal;
use crate::extract::Path;
use crate::problem::{Problem, ProblemBody, answers_with_problem};
use crate::transaction::{in_transaction, retries_with_database};

#[derive(Debug, thiserror::Error)]
pub enum UnrateError {
    #[error(transparent)]
    Curate(#[from] CurateError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<UnrateError> for Problem {
    fn from(error: UnrateError) -> Self {
        match error {
            UnrateError::Curate(error) => error.into(),
            UnrateError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(UnrateError);
retries_with_database!(UnrateError);

/// Takes one's rating back. Taking none back is no error.
#[utoipa::path(
    delete,
    path = "/api/v1/skills/{name}/rating",
    tag = "catalogue",
    params(("name" = String, Path, description = "The skill's name")),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "The user has no rating for the skill"),
        (status = 404, description = "`skill-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn delete_rating(
    State(app): State<App>,
    principal: Principal,
    Path(name): Path<String>,
) -> Result<StatusCode, UnrateError> {
    let skill = find_for(&app, &principal, Scope::Read, &name).await?;
    let change = Change::new(&app, &principal, &skill);
    in_transaction(&app, &change, |unit, change| {
        Box::pin(take_back(unit, change))
    })
    .await?;
    change.forget_old();
    Ok(StatusCode::NO_CONTENT)
}

async fn take_back(unit: &mut UnitOfWork, change: &Change<'_>) -> Result<(), UnrateError> {
    change.lock(unit).await?;
    let user = change.principal.user_id();
    if let Some(summary) = unit.ratings().remove(change.skill.id, user).await? {
        change.record(unit, rated(change, None, summary));
    }
    Ok(())
}
