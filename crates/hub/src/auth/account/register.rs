//! `POST /api/v1/auth/register`: makes an account.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use hub_db::{Conflict, DbError};
use hub_model::{Event, UserId, UserRecord, UserRef};
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::UserView;
use crate::auth::config::Registration;
use crate::auth::password::{self, PasswordError, PasswordRule};
use crate::auth::principal::MaybePrincipal;
use crate::auth::random;
use crate::auth::refusal::{invalid_field, refusal};
use crate::auth::service::AuthService;
use crate::auth::username::{self, UsernameRule};
use crate::extract::Json;
use crate::problem::{Problem, ProblemBody};

/// The longest address that mail servers carry (RFC 5321 §4.5.3.1.3).
const EMAIL_LENGTH_MAX: usize = 254;

/// The account to make.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterRequest {
    /// 2 to 39 of `a-z`, `0-9` and single hyphens.
    #[schema(example = "alice")]
    username: String,
    /// 10 to 256 characters.
    #[schema(format = Password)]
    password: String,
    #[schema(format = Email)]
    email: Option<String>,
}

/// Why there is no new account.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error("this hub makes no accounts by itself; ask its administrator")]
    Closed,
    #[error(transparent)]
    Username(#[from] UsernameRule),
    #[error(transparent)]
    Password(#[from] PasswordRule),
    #[error("this is not an e-mail address")]
    Email,
    #[error("this username is taken")]
    Taken,
    #[error(transparent)]
    Hash(#[from] PasswordError),
    #[error(transparent)]
    Db(DbError),
}

impl From<DbError> for RegisterError {
    fn from(error: DbError) -> Self {
        match error.conflict() {
            Some(Conflict::Username) => Self::Taken,
            _ => Self::Db(error),
        }
    }
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Db(error) => error.into(),
            RegisterError::Hash(error) => error.into(),
            RegisterError::Closed => refusal(StatusCode::FORBIDDEN, "registration-closed", &error),
            RegisterError::Taken => refusal(StatusCode::CONFLICT, "username-taken", &error),
            RegisterError::Username(_) => invalid_field("invalid-username", "username", &error),
            RegisterError::Password(_) => invalid_field("weak-password", "password", &error),
            RegisterError::Email => invalid_field("invalid-email", "email", &error),
        }
    }
}

/// Make an account
///
/// On a hub whose registration is closed only an administrator may.
#[utoipa::path(
    post, path = "/api/v1/auth/register", tag = "auth", operation_id = "register",
    request_body = RegisterRequest, security((), ("bearer" = [])),
    responses(
        (status = 201, body = UserView),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`registration-closed`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`username-taken`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid-username`, `weak-password`, `invalid-email`"),
        (status = 503, body = ProblemBody, content_type = "application/problem+json", description = "`unavailable`: too many at once"),
    )
)]
pub async fn register(
    State(auth): State<Arc<AuthService>>,
    MaybePrincipal(principal): MaybePrincipal,
    Json(request): Json<RegisterRequest>,
) -> Result<(StatusCode, Json<UserView>), Problem> {
    let by_admin = principal.is_some_and(|principal| principal.is_admin());
    let user = auth.register(request, by_admin).await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

impl AuthService {
    async fn register(
        &self,
        request: RegisterRequest,
        by_admin: bool,
    ) -> Result<UserRecord, RegisterError> {
        if self.config.registration() == Registration::Closed && !by_admin {
            return Err(RegisterError::Closed);
        }
        let RegisterRequest {
            username,
            password,
            email,
        } = request;
        username::check_chosen(&username)?;
        password::check_rules(&password, &username)?;
        if email.as_deref().is_some_and(|email| !is_email(email)) {
            return Err(RegisterError::Email);
        }
        // Before the hash, which costs; the database has the last word.
        if self
            .db
            .users()
            .by_username(self.tenant(), &username)
            .await?
            .is_some()
        {
            return Err(RegisterError::Taken);
        }
        let hash = self.passwords.hash(&password).await?;
        let now = self.clock.now();
        let user = UserRecord {
            id: UserId::generate(now, &mut random::generator()),
            tenant: self.tenant(),
            username,
            email,
            password: Some(hash),
            role: self.config.default_role,
            disabled: false,
            created_at: now,
            updated_at: now,
        };
        self.insert_account(&user).await?;
        Ok(user)
    }

    async fn insert_account(&self, user: &UserRecord) -> Result<(), DbError> {
        let mut unit = self.db.begin().await?;
        unit.users().insert(user).await?;
        unit.record(user.tenant, user.created_at, registered(user));
        unit.commit().await
    }
}

/// The event of a new account.
pub(in crate::auth) fn registered(user: &UserRecord) -> Event {
    Event::UserRegistered {
        user: UserRef {
            id: user.id,
            username: user.username.clone(),
        },
    }
}

/// Only the obvious is refused: the address is not proven, and RFC 5322 allows nearly anything.
fn is_email(text: &str) -> bool {
    let plain = text.len() <= EMAIL_LENGTH_MAX
        && text.chars().all(|c| !c.is_control() && !c.is_whitespace());
    let parts = text.rsplit_once('@');
    plain && parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}
