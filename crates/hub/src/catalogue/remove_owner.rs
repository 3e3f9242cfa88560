//! `DELETE /api/v1/skills/{name}/owners/{username}`.

use axum::extract::State;
use http::StatusCode;
use hub_db::{DbError, UnitOfWork};
use hub_model::ownership::{self, OwnershipRefused};
use hub_model::{Event, Scope, UserRecord};

use super::add_owner::NoUser;
use super::curate::{Change, CurateError, find_for};
use crate::App;
use crate::auth::Principal;
use crate::auth::account::login::normalized_username;
use crate::extract::Path;
use crate::problem::{Problem, ProblemBody, answers_with_problem};
use crate::transaction::{in_transaction, retries_with_database};

#[derive(Debug, thiserror::Error)]
pub enum RemoveOwnerError {
    #[error(transparent)]
    NoUser(#[from] NoUser),
    #[error(transparent)]
    Ownership(#[from] OwnershipRefused),
    #[error(transparent)]
    Curate(#[from] CurateError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<RemoveOwnerError> for Problem {
    fn from(error: RemoveOwnerError) -> Self {
        match error {
            RemoveOwnerError::NoUser(error) => error.into(),
            RemoveOwnerError::Ownership(refused) => Problem::explained(refused),
            RemoveOwnerError::Curate(error) => error.into(),
            RemoveOwnerError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(RemoveOwnerError);
retries_with_database!(RemoveOwnerError);

/// Takes a user's right to publish under a skill's name. The last owner stays.
#[utoipa::path(
    delete,
    path = "/api/v1/skills/{name}/owners/{username}",
    tag = "catalogue",
    params(
        ("name" = String, Path, description = "The skill's name"),
        ("username" = String, Path, description = "Who is no longer an owner"),
    ),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "The user is not an owner any more"),
        (status = 403, description = "`not-an-owner`, `scope-insufficient`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "`skill-not-found`, `user-not-found`, `owner-not-found`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`last-owner`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn remove_owner(
    State(app): State<App>,
    principal: Principal,
    Path((name, username)): Path<(String, String)>,
) -> Result<StatusCode, RemoveOwnerError> {
    let skill = find_for(&app, &principal, Scope::Owners, &name).await?;
    let user = app
        .db()
        .users()
        .by_username(app.tenant(), &normalized_username(&username))
        .await?;
    let user = user.ok_or_else(|| NoUser::new(&username))?;
    let change = Change::new(&app, &principal, &skill);
    in_transaction(&app, &(&change, &user), |unit, (change, user)| {
        Box::pin(remove(unit, change, user))
    })
    .await?;
    change.forget_old();
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(
    unit: &mut UnitOfWork,
    change: &Change<'_>,
    user: &UserRecord,
) -> Result<(), RemoveOwnerError> {
    let (_, owners) = change.lock(unit).await?;
    ownership::remove(&owners, change.actor(), user.id, &user.username)?;
    unit.owners().remove(change.skill.id, user.id).await?;
    let owner = user.username.clone();
    let (skill, agent_id) = (change.skill_ref(), change.agent_id());
    change.record(
        unit,
        Event::OwnerRemoved {
            skill,
            owner,
            agent_id,
        },
    );
    Ok(())
}
