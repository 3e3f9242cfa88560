//! `PUT /api/v1/auth/password`: changes the password and ends every session.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use http::StatusCode;
use hub_db::DbError;
use hub_model::{Scope, UserRecord};
use serde::Deserialize;
use utoipa::ToSchema;

use super::login::SignInError;
use crate::auth::password::{self, PasswordError, PasswordRule};
use crate::auth::principal::{Principal, Via};
use crate::auth::refusal::{invalid_field, refusal};
use crate::auth::service::AuthService;
use crate::auth::sessions::SessionTokens;
use crate::extract::Json;
use crate::problem::{Problem, ProblemBody};
use crate::rate_limit::ClientAddress;

/// The old password and the new one.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePassword {
    /// May be absent only if the account has no password yet.
    #[schema(format = Password)]
    current_password: Option<String>,
    /// 10 to 256 characters.
    #[schema(format = Password)]
    new_password: String,
}

/// Why the password stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    #[error("the current password is needed")]
    CurrentMissing,
    #[error("this token may not set a password; sign in with `skills login`")]
    NotByThisToken,
    #[error(transparent)]
    Current(#[from] SignInError),
    #[error(transparent)]
    New(#[from] PasswordRule),
    #[error(transparent)]
    Hash(#[from] PasswordError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<ChangePasswordError> for Problem {
    fn from(error: ChangePasswordError) -> Self {
        match error {
            ChangePasswordError::Db(error) => error.into(),
            ChangePasswordError::Hash(error) => error.into(),
            ChangePasswordError::Current(error) => error.into(),
            ChangePasswordError::CurrentMissing => {
                invalid_field("current-password-required", "currentPassword", &error)
            }
            ChangePasswordError::New(_) => invalid_field("weak-password", "newPassword", &error),
            ChangePasswordError::NotByThisToken => {
                refusal(StatusCode::FORBIDDEN, "session-required", &error)
            }
        }
    }
}

/// Change your password
///
/// Every session of the account ends, this one too; the answer begins a new one. API tokens stay
/// good: revoke them one by one.
#[utoipa::path(
    put, path = "/api/v1/auth/password", tag = "auth", operation_id = "changePassword",
    request_body = ChangePassword, security(("bearer" = [])),
    responses(
        (status = 200, body = SessionTokens),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`authentication-required`, `invalid-credentials`: the current password is wrong"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`session-required`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`weak-password`, `current-password-required`"),
        (status = 429, body = ProblemBody, content_type = "application/problem+json", description = "`too-many-attempts`"),
    )
)]
pub async fn change_password(
    State(auth): State<Arc<AuthService>>,
    Extension(address): Extension<ClientAddress>,
    principal: Principal,
    Json(request): Json<ChangePassword>,
) -> Result<Json<SessionTokens>, Problem> {
    Ok(Json(
        auth.change_password(&principal, request, address).await?,
    ))
}

impl AuthService {
    async fn change_password(
        &self,
        principal: &Principal,
        request: ChangePassword,
        address: ClientAddress,
    ) -> Result<SessionTokens, ChangePasswordError> {
        let user = self
            .db
            .users()
            .by_id(principal.user_id())
            .await?
            .ok_or(DbError::NotFound)?;
        self.check_current(principal, &user, request.current_password, address)
            .await?;
        password::check_rules(&request.new_password, &user.username)?;
        let hash = self.passwords.hash(&request.new_password).await?;

        let now = self.clock.now();
        let mut unit = self.db.begin().await?;
        unit.users().set_password(user.id, &hash, now).await?;
        unit.refresh_tokens().revoke_user(user.id, now).await?;
        let tokens = self.begin_session(&mut unit, &user).await?;
        unit.commit().await?;
        self.sessions.forget_all();
        Ok(tokens)
    }

    /// The current password; or, for an account that has none yet (made by the bootstrap or by
    /// the identity provider), a session or an administrator's token.
    async fn check_current(
        &self,
        principal: &Principal,
        user: &UserRecord,
        current: Option<String>,
        address: ClientAddress,
    ) -> Result<(), ChangePasswordError> {
        let is_session = matches!(principal.via(), Via::Session(_));
        if user.password.is_none() {
            let allowed = is_session || principal.grant().require(Scope::Admin).is_ok();
            return allowed
                .then_some(())
                .ok_or(ChangePasswordError::NotByThisToken);
        }
        if !is_session {
            return Err(ChangePasswordError::NotByThisToken);
        }
        let current = current.ok_or(ChangePasswordError::CurrentMissing)?;
        self.sign_in(&user.username, &current, address).await?;
        Ok(())
    }
}
