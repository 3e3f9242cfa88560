//! Whether an access token's session is still good.

use hub_db::DbError;
use hub_model::{FamilyId, Grant, UserId};

use crate::auth::credential::CredentialError;
use crate::auth::principal::{Principal, Via};
use crate::auth::revocation::VerdictCache;
use crate::auth::service::AuthService;
use crate::auth::signing::{Purpose, TokenError};

/// Whose session it is, or `None` if it has ended. Only sessions that this hub signed a token
/// for get here, so ended ones may be kept too.
pub type SessionCache = VerdictCache<FamilyId, Option<Principal>>;

impl AuthService {
    /// Whose access token this is.
    pub(in crate::auth) async fn principal_of_access_token(
        &self,
        token: &str,
    ) -> Result<Principal, CredentialError> {
        let content = self.signer.open(Purpose::Access, token)?;
        let user: UserId = content.subject.parse().map_err(|_| TokenError::Invalid)?;
        let family: FamilyId = content.binding.parse().map_err(|_| TokenError::Invalid)?;
        let verdict = match self.sessions.get(&family) {
            Ok(verdict) => verdict,
            Err(epoch) => {
                let verdict = self.look_up_session(user, family).await?;
                self.sessions.keep(family, verdict.clone(), epoch);
                verdict
            }
        };
        verdict.ok_or(CredentialError::SessionEnded)
    }

    async fn look_up_session(
        &self,
        user: UserId,
        family: FamilyId,
    ) -> Result<Option<Principal>, DbError> {
        if !self.db.refresh_tokens().family_is_alive(family).await? {
            return Ok(None);
        }
        let user = self
            .db
            .users()
            .by_id(user)
            .await?
            .filter(|user| !user.disabled);
        Ok(user.map(|user| {
            let grant = Grant::full(user.role);
            Principal::new(
                user.id,
                user.username,
                user.tenant,
                grant,
                Via::Session(family),
            )
        }))
    }
}
