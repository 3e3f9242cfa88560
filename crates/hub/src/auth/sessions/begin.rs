//! Begins and continues sessions: makes the pair of tokens that a client holds.

use hub_db::{DbError, UnitOfWork};
use hub_model::{FamilyId, RefreshToken, RefreshTokenId, Role, UserRecord};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::api_tokens::hash_of;
use crate::auth::random;
use crate::auth::service::AuthService;
use crate::auth::signing::{Content, Purpose};

/// Lets secret scanners find a leaked refresh token.
const REFRESH_PREFIX: &str = "skr_";

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionTokens {
    /// For `Authorization: Bearer …`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Life of the access token, in seconds.
    #[schema(example = 900)]
    expires_in: u32,
    /// To be exchanged, once, for the next pair.
    #[schema(example = "skr_…")]
    refresh_token: String,
    #[schema(value_type = String, format = DateTime)]
    refresh_expires_at: Timestamp,
    username: String,
    #[schema(value_type = String, example = "publisher")]
    role: Role,
}

impl AuthService {
    /// Begins a session of `user`. The tokens are good once `unit` is committed.
    pub(in crate::auth) async fn begin_session(
        &self,
        unit: &mut UnitOfWork,
        user: &UserRecord,
    ) -> Result<SessionTokens, DbError> {
        let now = self.clock.now();
        let family = FamilyId::generate(now, &mut random::generator());
        self.continue_session(unit, user, family, now).await
    }

    /// The next pair of tokens of a session that began at `began_at`.
    pub(super) async fn continue_session(
        &self,
        unit: &mut UnitOfWork,
        user: &UserRecord,
        family: FamilyId,
        began_at: Timestamp,
    ) -> Result<SessionTokens, DbError> {
        let now = self.clock.now();
        let text = format!("{REFRESH_PREFIX}{}", random::text());
        let days = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
        let unused_until = now + days(self.config.refresh_token_days);
        let session_until = began_at + days(self.config.session_days_max);
        let refresh = RefreshToken {
            id: RefreshTokenId::generate(now, &mut random::generator()),
            tenant: user.tenant,
            family,
            user_id: user.id,
            hash: hash_of(&text),
            issued_at: now,
            expires_at: unused_until.min(session_until),
            used_at: None,
            revoked_at: None,
        };
        unit.refresh_tokens().insert(&refresh).await?;
        Ok(SessionTokens {
            access_token: self.access_token(user, family),
            token_type: "Bearer",
            expires_in: self.config.access_token_seconds,
            refresh_token: text,
            refresh_expires_at: refresh.expires_at,
            username: user.username.clone(),
            role: user.role,
        })
    }

    fn access_token(&self, user: &UserRecord, family: FamilyId) -> String {
        let content = Content {
            subject: user.id.to_string(),
            binding: family.to_string(),
        };
        let life = SignedDuration::from_secs(self.config.access_token_seconds.into());
        self.signer.seal(Purpose::Access, content, life)
    }
}

/// When a session began: its id is a UUID of version 7, which holds the time.
pub(super) fn began_at(family: FamilyId) -> Option<Timestamp> {
    let (seconds, nanos) = family.as_uuid().get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
}
