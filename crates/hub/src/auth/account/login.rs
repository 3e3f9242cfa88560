//! `POST /api/v1/auth/login`: signs in by password.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use http::StatusCode;
use hub_db::DbError;
use hub_model::UserRecord;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::credential::too_many_attempts;
use crate::auth::password::{LENGTH_MAX, PasswordError};
use crate::auth::refusal::refusal;
use crate::auth::service::AuthService;
use crate::auth::sessions::SessionTokens;
use crate::auth::throttle::TooManyFailures;
use crate::extract::Json;
use crate::problem::{Problem, ProblemBody};
use crate::rate_limit::ClientAddress;

/// A username and its password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginRequest {
    #[schema(example = "alice")]
    username: String,
    #[schema(format = Password)]
    password: String,
}

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// One answer for an unknown user, a wrong password and a user without one.
    #[error("the username or the password is wrong")]
    Credentials,
    /// Told only to who knows the password.
    #[error("this account is disabled; ask the hub's administrator")]
    Disabled,
    #[error("too many failed attempts")]
    TooMany(TooManyFailures),
    #[error(transparent)]
    Hash(#[from] PasswordError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Db(error) => error.into(),
            SignInError::Hash(error) => error.into(),
            SignInError::TooMany(failures) => too_many_attempts(failures),
            SignInError::Credentials => {
                refusal(StatusCode::UNAUTHORIZED, "invalid-credentials", &error)
            }
            SignInError::Disabled => refusal(StatusCode::FORBIDDEN, "account-disabled", &error),
        }
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => {
                Problem::unavailable("Too many passwords are being checked. Try again.", 1)
            }
            PasswordError::Hash(_) | PasswordError::Interrupted(_) => Problem::internal(error),
        }
    }
}

/// Sign in
#[utoipa::path(
    post, path = "/api/v1/auth/login", tag = "auth", operation_id = "login",
    request_body = LoginRequest,
    responses(
        (status = 200, body = SessionTokens),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`invalid-credentials`"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`account-disabled`"),
        (status = 429, body = ProblemBody, content_type = "application/problem+json", description = "`too-many-attempts`, `rate-limited`"),
        (status = 503, body = ProblemBody, content_type = "application/problem+json", description = "`unavailable`: too many at once"),
    )
)]
pub async fn login(
    State(auth): State<Arc<AuthService>>,
    Extension(address): Extension<ClientAddress>,
    Json(request): Json<LoginRequest>,
) -> Result<Json<SessionTokens>, Problem> {
    let user = auth
        .sign_in(&request.username, &request.password, address)
        .await?;
    Ok(Json(auth.new_session(&user).await?))
}

impl AuthService {
    /// The user whose password this is. An unknown user takes the same path as a known one:
    /// throttle, one database read, one hash.
    pub(in crate::auth) async fn sign_in(
        &self,
        username: &str,
        password: &str,
        address: ClientAddress,
    ) -> Result<UserRecord, SignInError> {
        let name = normalized_username(username);
        let attempt = self
            .sign_ins
            .begin(&name, address)
            .map_err(SignInError::TooMany)?;
        let user = self.db.users().by_username(self.tenant(), &name).await?;
        let stored = user.as_ref().and_then(|user| user.password.as_ref());
        // A longer password than any account has would only cost time to normalise.
        let possible = password.len() <= LENGTH_MAX * 4;
        let password = if possible { password } else { "" };
        let right = self.passwords.verify(stored, password).await?;
        let user = user
            .filter(|_| right && possible)
            .ok_or(SignInError::Credentials)?;
        attempt.succeeded();
        if user.disabled {
            return Err(SignInError::Disabled);
        }
        Ok(user)
    }

    /// Begins a session, if the account is still what it was when its user proved who they are:
    /// a password that is changed meanwhile must not leave a session of the old one behind.
    pub(in crate::auth) async fn new_session(
        &self,
        proven: &UserRecord,
    ) -> Result<SessionTokens, SignInError> {
        let mut unit = self.db.begin().await?;
        let user = unit
            .users()
            .lock(proven.id)
            .await?
            .ok_or(SignInError::Credentials)?;
        if user.disabled {
            return Err(SignInError::Disabled);
        }
        if user.password != proven.password {
            return Err(SignInError::Credentials);
        }
        let tokens = self.begin_session(&mut unit, &user).await?;
        unit.commit().await?;
        Ok(tokens)
    }
}

/// A username as it is looked up: no name is longer than 64 bytes, so neither is what is hashed
/// and asked for.
pub(crate) fn normalized_username(username: &str) -> String {
    username
        .trim()
        .chars()
        .take(64)
        .flat_map(char::to_lowercase)
        .filter(|c| *c != '\0')
        .collect()
}
