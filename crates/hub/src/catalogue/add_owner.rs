//! `PUT /api/v1/skills/{name}/owners/{username}`.

use axum::extract::State;
use http::StatusCode;
use hub_db::{DbError, UnitOfWork};
use hub_model::ownership::{self, OwnershipRefused};
use hub_model::{Event, Scope, UserRecord};

use super::curate::{Change, CurateError, find_for};
use crate::App;
use crate::auth::Principal;
use crate::extract::Path;
use crate::problem::{Problem, ProblemBody, answers_with_problem};
use crate::transaction::{in_transaction, retries_with_database};

#[derive(Debug, thiserror::Error)]
pub enum AddOwnerError {
    #[error("there is no such user")]
    NoUser,
    #[error(transparent)]
    Ownership(#[from] OwnershipRefused),
    #[error(transparent)]
    Curate(#[from] CurateError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<AddOwnerError> for Problem {
    fn from(error: AddOwnerError) -> Self {
        match error {
            AddOwnerError::NoUser => no_user(),
            AddOwnerError::Ownership(refused) => Problem::explained(refused),
            AddOwnerError::Curate(error) => error.into(),
            AddOwnerError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(AddOwnerError);
retries_with_database!(AddOwnerError);

pub(crate) fn no_user() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "user-not-found",
        "There is no user of this name.",
    )
}

/// Lets a user publish under a skill's name. Adding an owner again is no error.
#[utoipa::path(
    put,
    path = "/api/v1/skills/{name}/owners/{username}",
    tag = "catalogue",
    params(
        ("name" = String, Path, description = "The skill's name"),
        ("username" = String, Path, description = "Who becomes an owner"),
    ),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "The user is an owner"),
        (status = 403, description = "`not-an-owner`, `scope-insufficient`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "`skill-not-found`, `user-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "`too-many-owners`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn add_owner(
    State(app): State<App>,
    principal: Principal,
    Path((name, username)): Path<(String, String)>,
) -> Result<StatusCode, AddOwnerError> {
    let skill = find_for(&app, &principal, Scope::Owners, &name).await?;
    let user = app
        .db()
        .users()
        .by_username(app.tenant(), &username)
        .await?;
    let user = user
        .filter(|user| !user.disabled)
        .ok_or(AddOwnerError::NoUser)?;
    let change = Change::new(&app, &principal, &skill);
    in_transaction(&app, &(&change, &user), |unit, (change, user)| {
        Box::pin(add(unit, change, user))
    })
    .await?;
    change.forget_old();
    Ok(StatusCode::NO_CONTENT)
}

async fn add(
    unit: &mut UnitOfWork,
    change: &Change<'_>,
    user: &UserRecord,
) -> Result<(), AddOwnerError> {
    let (_, owners) = change.lock(unit).await?;
    ownership::add(&owners, change.actor(), user.id)?;
    let (tenant, by) = (change.app.tenant(), change.principal.user_id());
    if unit
        .owners()
        .add(tenant, change.skill.id, user.id, by, change.now)
        .await?
    {
        let owner = user.username.clone();
        let (skill, agent_id) = (change.skill_ref(), change.agent_id());
        change.record(
            unit,
            Event::OwnerAdded {
                skill,
                owner,
                agent_id,
            },
        );
    }
    Ok(())
}
