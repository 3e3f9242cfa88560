//! The first administrator of a new hub.

use hub_db::{Conflict, DbError, UnitOfWork};
use hub_model::{Role, ScopeSet, UserId, UserRecord};
use jiff::SignedDuration;

use super::account::register::registered;
use super::api_tokens::ApiTokenText;
use super::api_tokens::create::{NewApiToken, insert};
use super::credential::CredentialError;
use super::random;
use super::service::AuthService;
use super::username;
use crate::rate_limit::ClientAddress;

/// The administrator that was just made, and the only copy of its token. `Debug` hides it.
pub struct BootstrapAdmin {
    username: String,
    token: ApiTokenText,
}

impl BootstrapAdmin {
    pub fn username(&self) -> &str {
        &self.username
    }

    /// An API token with every scope. Print it or store it, and never log it.
    pub fn expose_token(&self) -> &str {
        self.token.expose()
    }
}

impl std::fmt::Debug for BootstrapAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BootstrapAdmin")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Why there is no first administrator.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    #[error(transparent)]
    Username(#[from] username::UsernameRule),
    #[error("cannot make the first administrator")]
    Db(#[from] DbError),
}

impl AuthService {
    /// Makes an administrator on a hub that has no account yet, else answers `None`. Of several
    /// processes that start at once, one makes it.
    ///
    /// The account has no password; its owner sets one with `PUT /api/v1/auth/password` and the
    /// token, which lasts for `auth.api_token_days_default`.
    pub async fn bootstrap_admin(
        &self,
        username: &str,
    ) -> Result<Option<BootstrapAdmin>, BootstrapError> {
        username::check(username)?;
        match self.insert_first_admin(username).await {
            // Another process was quicker.
            Err(error) if error.conflict() == Some(Conflict::Username) => Ok(None),
            other => Ok(other?),
        }
    }

    /// Whether this API token still opens anything.
    pub async fn is_good_token(&self, token: &str) -> Result<bool, BootstrapError> {
        let Some(token) = ApiTokenText::parse(token) else {
            return Ok(false);
        };
        match self
            .principal_of_api_token(&token, ClientAddress(None))
            .await
        {
            Ok(_) => Ok(true),
            Err(CredentialError::Db(error)) => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    /// Another token for an administrator whose own has ended, for whoever holds the hub's data.
    /// `None` if there is no such administrator.
    pub async fn renew_admin(
        &self,
        username: &str,
    ) -> Result<Option<BootstrapAdmin>, BootstrapError> {
        let found = self
            .db
            .users()
            .by_username(self.tenant(), username)
            .await?
            .filter(|user| user.role == Role::Admin && !user.disabled);
        let Some(user) = found else { return Ok(None) };
        let mut unit = self.db.begin().await.map_err(BootstrapError::Db)?;
        let token = self.insert_admin_token(&mut unit, &user).await?;
        unit.commit().await?;
        Ok(Some(BootstrapAdmin {
            username: user.username,
            token,
        }))
    }

    async fn insert_admin_token(
        &self,
        unit: &mut UnitOfWork,
        user: &UserRecord,
    ) -> Result<ApiTokenText, DbError> {
        let now = self.clock.now();
        let life = SignedDuration::from_hours(24 * i64::from(self.config.api_token_days_default));
        let wanted = NewApiToken {
            user_id: user.id,
            name: "first administrator".to_owned(),
            scopes: ScopeSet::ALL,
            skills: None,
            expires_at: now + life,
        };
        Ok(insert(unit, wanted, user.tenant, now).await?.1)
    }

    async fn insert_first_admin(&self, username: &str) -> Result<Option<BootstrapAdmin>, DbError> {
        let now = self.clock.now();
        let mut unit = self.db.begin().await?;
        if unit.users().any(self.tenant()).await? {
            return Ok(None);
        }
        let user = UserRecord {
            id: UserId::generate(now, &mut random::generator()),
            tenant: self.tenant(),
            username: username.to_owned(),
            email: None,
            password: None,
            role: Role::Admin,
            disabled: false,
            created_at: now,
            updated_at: now,
        };
        unit.users().insert(&user).await?;
        unit.record(user.tenant, now, registered(&user));
        let token = self.insert_admin_token(&mut unit, &user).await?;
        unit.commit().await?;
        Ok(Some(BootstrapAdmin {
            username: user.username,
            token,
        }))
    }
}
