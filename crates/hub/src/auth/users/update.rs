//! `PATCH /api/v1/users/{username}`: changes an account's role, or disables it, at once.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use hub_db::{DbError, UnitOfWork};
use hub_model::user::{self as user_rule, UserChangeRefused};
use hub_model::{Event, Role, Scope, TenantId, UserRecord, UserRef};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::account::login::normalized_username;
use crate::auth::account::view::UserView;
use crate::auth::principal::Principal;
use crate::auth::refusal::refusal;
use crate::auth::service::AuthService;
use crate::extract::{Json, Path};
use crate::problem::{Problem, ProblemBody};

/// What to change; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateUser {
    /// `reader`, `publisher` or `admin`.
    #[schema(value_type = Option<String>, example = "publisher")]
    role: Option<Role>,
    /// A disabled account cannot sign in, and none of its tokens works.
    disabled: Option<bool>,
}

/// Why an account stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum UpdateUserError {
    #[error("there is no account of this name")]
    NotFound,
    #[error(transparent)]
    Refused(#[from] UserChangeRefused),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<UpdateUserError> for Problem {
    fn from(error: UpdateUserError) -> Self {
        match error {
            UpdateUserError::Db(error) => error.into(),
            UpdateUserError::NotFound => refusal(StatusCode::NOT_FOUND, "user-not-found", &error),
            UpdateUserError::Refused(refused) => Problem::explained(refused),
        }
    }
}

/// Change an account
#[utoipa::path(
    patch, path = "/api/v1/users/{username}", tag = "users", operation_id = "updateUser",
    params(("username" = String, Path)), request_body = UpdateUser, security(("bearer" = [])),
    responses(
        (status = 200, body = UserView),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`authentication-required`"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`role-insufficient`, `scope-insufficient`"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`user-not-found`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`last-admin`"),
    )
)]
pub async fn update(
    State(auth): State<Arc<AuthService>>,
    principal: Principal,
    Path(username): Path<String>,
    Json(request): Json<UpdateUser>,
) -> Result<Json<UserView>, Problem> {
    principal.require(Scope::Admin)?;
    let user = auth.update_user(&principal, &username, request).await?;
    Ok(Json(user.into()))
}

impl AuthService {
    async fn update_user(
        &self,
        admin: &Principal,
        username: &str,
        request: UpdateUser,
    ) -> Result<UserRecord, UpdateUserError> {
        let now = self.clock.now();
        let name = normalized_username(username);
        let mut unit = self.db.begin().await?;
        let found = unit.users().by_username(admin.tenant(), &name).await?;
        let id = found.ok_or(UpdateUserError::NotFound)?.id;
        let before = unit
            .users()
            .lock(id)
            .await?
            .ok_or(UpdateUserError::NotFound)?;
        let mut after = before.clone();
        after.role = request.role.unwrap_or(before.role);
        after.disabled = request.disabled.unwrap_or(before.disabled);
        let admins = count_admins(&mut unit, admin.tenant(), now).await?;
        user_rule::change(&before, after.role, after.disabled, admins)?;
        change(&mut unit, &before, &after, admin.username(), now).await?;
        unit.commit().await?;
        // Role and state are part of every cached verdict of this account.
        self.sessions.forget_all();
        self.api_tokens.forget_all();
        Ok(after)
    }
}

/// Counts the administrators that can sign in. Writing one row that all such changes write makes
/// them happen one after the other: two administrators who step down at once would otherwise each
/// still see the other.
async fn count_admins(
    unit: &mut UnitOfWork,
    tenant: TenantId,
    now: Timestamp,
) -> Result<u64, DbError> {
    unit.settings()
        .put(tenant, "accounts-changed-at", &now.to_string())
        .await?;
    unit.users().enabled_admins_up_to_two(tenant).await
}

async fn change(
    unit: &mut UnitOfWork,
    before: &UserRecord,
    after: &UserRecord,
    by: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    let user = || UserRef {
        id: after.id,
        username: after.username.clone(),
    };
    let agent_id = by.to_owned();
    if after.role != before.role {
        unit.users().set_role(after.id, after.role, now).await?;
        let event = Event::UserRoleChanged {
            user: user(),
            role: after.role,
            agent_id: agent_id.clone(),
        };
        unit.record(after.tenant, now, event);
    }
    if after.disabled != before.disabled {
        unit.users()
            .set_disabled(after.id, after.disabled, now)
            .await?;
        let event = if after.disabled {
            // Enabling the account later must not bring its old sessions back.
            unit.refresh_tokens().revoke_user(after.id, now).await?;
            Event::UserDisabled {
                user: user(),
                agent_id,
            }
        } else {
            Event::UserEnabled {
                user: user(),
                agent_id,
            }
        };
        unit.record(after.tenant, now, event);
    }
    Ok(())
}
