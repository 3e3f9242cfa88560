//! Verifies an API token: by its check, then from the cache, then from the database.

use hub_db::{Db, DbError};
use hub_model::api_token::{self, TokenRefused};
use hub_model::{SecretHash, TokenId};
use jiff::{SignedDuration, Timestamp};

use super::ApiTokenText;
use crate::auth::credential::CredentialError;
use crate::auth::principal::{Principal, Via};
use crate::auth::revocation::VerdictCache;
use crate::auth::service::AuthService;
use crate::rate_limit::ClientAddress;

/// How exact the time of last use is.
const LAST_USE_STEP: SignedDuration = SignedDuration::from_mins(1);

/// Good tokens by id. Wrong ones are not kept: anybody can invent more than fit.
pub type ApiTokenCache = VerdictCache<TokenId, GoodToken>;

/// A token that was good when it was looked up.
#[derive(Clone)]
pub struct GoodToken {
    hash: SecretHash,
    expires_at: Option<Timestamp>,
    principal: Principal,
}

impl AuthService {
    /// Whose token this is.
    pub(in crate::auth) async fn principal_of_api_token(
        &self,
        token: &ApiTokenText,
        address: ClientAddress,
    ) -> Result<Principal, CredentialError> {
        let good = match self.api_tokens.get(&token.id()) {
            Ok(good) => good,
            Err(epoch) => {
                let good = self.look_up(token, address).await?;
                self.api_tokens.keep(token.id(), good.clone(), epoch);
                good
            }
        };
        if !token.matches(&good.hash) {
            return Err(CredentialError::Invalid);
        }
        match good.expires_at {
            Some(end) if end <= self.clock.now() => Err(CredentialError::Expired),
            _ => Ok(good.principal),
        }
    }

    async fn look_up(
        &self,
        token: &ApiTokenText,
        address: ClientAddress,
    ) -> Result<GoodToken, CredentialError> {
        let attempt = self
            .guesses
            .begin_anonymous(address)
            .map_err(CredentialError::TooMany)?;
        let found = self.db.api_tokens().by_hash(&token.hash()).await?;
        let (record, user) = found.ok_or(CredentialError::Invalid)?;
        // It existed once: whoever holds it does not guess.
        attempt.succeeded();
        let now = self.clock.now();
        let grant = match api_token::admit(&record, &user, now) {
            Ok(grant) => grant,
            Err(TokenRefused::Expired) => return Err(CredentialError::Expired),
            Err(TokenRefused::Revoked | TokenRefused::AccountDisabled) => {
                return Err(CredentialError::Invalid);
            }
        };
        self.note_use(record.id, record.last_used_at, now);
        let via = Via::ApiToken(record.id);
        Ok(GoodToken {
            hash: record.hash,
            expires_at: record.expires_at,
            principal: Principal::new(user.id, user.username, user.tenant, grant, via),
        })
    }

    /// Writes when the token was last used, to the minute, behind the request's back: a read
    /// must not wait for the database's writer.
    fn note_use(&self, id: TokenId, last: Option<Timestamp>, now: Timestamp) {
        if last.is_some_and(|last| now.duration_since(last) < LAST_USE_STEP) {
            return;
        }
        let db = self.db.clone();
        tokio::spawn(async move {
            if let Err(error) = touch(&db, id, now).await {
                tracing::warn!(%error, token = %id, "cannot note the use of an API token");
            }
        });
    }
}

async fn touch(db: &Db, id: TokenId, now: Timestamp) -> Result<(), DbError> {
    let mut unit = db.begin().await?;
    unit.api_tokens().touch(id, now).await?;
    unit.commit().await
}
