//! `PUT /api/v1/skills/{name}/owners/{username}`.

use axum::extract::State;
use http::StatusCode;
use hub_db::{DbError, UnitOfWork};
use hub_model::ownership::{self, OwnershipRefused};
use hub_model::{Event, Scope, UserRecord};
use skill_format::{Explain, Fault};

use super::curate::{Change, CurateError, find_for};
use super::find;
use crate::App;
use crate::auth::Principal;
use crate::auth::account::login::normalized_username;
use crate::extract::Path;
use crate::problem::{Problem, ProblemBody, answers_with_problem};
use crate::transaction::{in_transaction, retries_with_database};

#[derive(Debug, thiserror::Error)]
pub enum AddOwnerError {
    #[error(transparent)]
    NoUser(#[from] NoUser),
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
            AddOwnerError::NoUser(error) => error.into(),
            AddOwnerError::Ownership(refused) => Problem::explained(refused),
            AddOwnerError::Curate(error) => error.into(),
            AddOwnerError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(AddOwnerError);
retries_with_database!(AddOwnerError);

/// A name that no account has, or that a disabled one has.
#[derive(Debug, thiserror::Error)]
#[error("there is no user named `{username}` here")]
pub struct NoUser {
    username: String,
}

impl NoUser {
    pub(crate) fn new(username: &str) -> Self {
        Self {
            username: find::cut(username),
        }
    }
}

impl Explain for NoUser {
    fn code(&self) -> &'static str {
        "user-not-found"
    }

    fn fault(&self) -> Fault {
        Fault::NotFound
    }

    fn help(&self) -> Option<String> {
        Some("check the spelling; an account comes first: `skills login --register --username NAME`, or the first sign-in".to_owned())
    }
}

impl From<NoUser> for Problem {
    fn from(error: NoUser) -> Self {
        Self::explained(error)
    }
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
        .by_username(app.tenant(), &normalized_username(&username))
        .await?;
    let user = user
        .filter(|user| !user.disabled)
        .ok_or_else(|| NoUser::new(&username))?;
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
