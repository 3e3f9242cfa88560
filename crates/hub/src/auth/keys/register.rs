//! `POST /api/v1/keys`: registers a key, or brings what its owner changed in it.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use hub_db::{Conflict, DbError, KEYS_PER_USER_MAX, UnitOfWork};
use hub_model::{Event, KeyRecord, Scope};
use serde::Deserialize;
use skill_signing::{KeyError, PublicKey, VerifyError};
use utoipa::ToSchema;

use super::KeyView;
use crate::auth::principal::Principal;
use crate::auth::refusal::{invalid_field, refusal};
use crate::auth::service::AuthService;
use crate::extract::Json;
use crate::problem::{Problem, ProblemBody};

/// A public key, and for a new one the proof that it is yours.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterKey {
    /// The public key in ASCII armor.
    armored: String,
    /// The text from `GET /api/v1/keys/challenge`. Not needed to update a registered key.
    challenge: Option<String>,
    /// A detached signature over the challenge by this key, in ASCII armor.
    signature: Option<String>,
}

/// Why the key was not taken.
#[derive(Debug, thiserror::Error)]
pub enum RegisterKeyError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("this key belongs to another account")]
    Taken,
    #[error(
        "send `challenge` and `signature` to prove that the key is yours; GET /api/v1/keys/challenge gives the challenge"
    )]
    ProofMissing,
    #[error("this challenge was not made for you, or has expired; get a new one")]
    Challenge,
    #[error(transparent)]
    Proof(#[from] VerifyError),
    #[error("an account has at most {KEYS_PER_USER_MAX} keys; remove one first")]
    TooMany,
    #[error(transparent)]
    Db(DbError),
}

impl From<DbError> for RegisterKeyError {
    fn from(error: DbError) -> Self {
        match error.conflict() {
            Some(Conflict::KeyFingerprint) => Self::Taken,
            _ => Self::Db(error),
        }
    }
}

impl From<RegisterKeyError> for Problem {
    fn from(error: RegisterKeyError) -> Self {
        match error {
            RegisterKeyError::Db(error) => error.into(),
            RegisterKeyError::Key(error) => {
                Problem::explained_as(StatusCode::UNPROCESSABLE_ENTITY, &error)
            }
            RegisterKeyError::Proof(_) => invalid_field("key-proof-invalid", "signature", &error),
            RegisterKeyError::ProofMissing => {
                invalid_field("key-proof-required", "challenge", &error)
            }
            RegisterKeyError::Challenge => {
                invalid_field("key-challenge-invalid", "challenge", &error)
            }
            RegisterKeyError::Taken => refusal(StatusCode::CONFLICT, "key-taken", &error),
            RegisterKeyError::TooMany => refusal(StatusCode::CONFLICT, "too-many-keys", &error),
        }
    }
}

/// Register or update a key
///
/// A new key needs a proof of possession. A registered key is merged with what is sent, which
/// its owner signed into it: a later expiry, another subkey, a revocation.
#[utoipa::path(
    post, path = "/api/v1/keys", tag = "keys", operation_id = "registerKey",
    request_body = RegisterKey, security(("bearer" = [])),
    responses(
        (status = 201, body = KeyView, description = "Registered"),
        (status = 200, body = KeyView, description = "Updated"),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`authentication-required`"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`role-insufficient`, `scope-insufficient`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`key-taken`, `too-many-keys`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`key-proof-required`, `key-challenge-invalid`, `key-proof-invalid`, and what is wrong with a key"),
    )
)]
pub async fn register(
    State(auth): State<Arc<AuthService>>,
    principal: Principal,
    Json(request): Json<RegisterKey>,
) -> Result<(StatusCode, Json<KeyView>), Problem> {
    principal.require(Scope::Keys)?;
    let (status, record) = auth.register_key(&principal, &request).await?;
    Ok((status, Json(KeyView::new(record, principal.username())?)))
}

impl AuthService {
    async fn register_key(
        &self,
        owner: &Principal,
        request: &RegisterKey,
    ) -> Result<(StatusCode, KeyRecord), RegisterKeyError> {
        let sent = PublicKey::from_armored(&request.armored)?;
        let mut unit = self.db.begin().await?;
        // Locking the account makes two requests of one user happen one after the other.
        unit.users()
            .lock(owner.user_id())
            .await?
            .ok_or(DbError::NotFound)?;
        let fingerprint = sent.fingerprint().to_string();
        let known = unit
            .keys()
            .by_fingerprint(owner.tenant(), &fingerprint)
            .await?;
        let (status, record) = match known {
            Some(known) if known.user_id != owner.user_id() => return Err(RegisterKeyError::Taken),
            Some(known) => (
                StatusCode::OK,
                self.update_key(&mut unit, owner, request, known, &sent)
                    .await?,
            ),
            None => (
                StatusCode::CREATED,
                self.add_key(&mut unit, owner, request, &sent).await?,
            ),
        };
        unit.commit().await?;
        Ok((status, record))
    }

    async fn add_key(
        &self,
        unit: &mut UnitOfWork,
        owner: &Principal,
        request: &RegisterKey,
        key: &PublicKey,
    ) -> Result<KeyRecord, RegisterKeyError> {
        self.check_proof(owner, request, key)?;
        if unit.keys().of_user(owner.user_id()).await?.len() >= KEYS_PER_USER_MAX as usize {
            return Err(RegisterKeyError::TooMany);
        }
        let now = self.clock.now();
        let record = KeyRecord {
            tenant: owner.tenant(),
            fingerprint: key.fingerprint().to_string(),
            user_id: owner.user_id(),
            armored: key.to_armored(),
            registered_at: now,
            expires_at: key.expires_at(),
            revoked_at: None,
            removed_at: None,
        };
        unit.keys().insert(&record).await?;
        let event = Event::KeyRegistered {
            fingerprint: record.fingerprint.clone(),
            agent_id: owner.username().to_owned(),
        };
        unit.record(owner.tenant(), now, event);
        Ok(record)
    }

    async fn update_key(
        &self,
        unit: &mut UnitOfWork,
        owner: &Principal,
        request: &RegisterKey,
        known: KeyRecord,
        sent: &PublicKey,
    ) -> Result<KeyRecord, RegisterKeyError> {
        // What was revoked stays so, whatever is sent now: a merge takes nothing away.
        let merged = PublicKey::from_armored(&known.armored)?.merge(sent)?;
        if known.removed_at.is_some() && !merged.is_revoked() {
            self.check_proof(owner, request, &merged)?;
        }
        let now = self.clock.now();
        let mut record = KeyRecord {
            armored: merged.to_armored(),
            expires_at: merged.expires_at(),
            revoked_at: merged.revocation().map(|revocation| revocation.revoked_at),
            ..known.clone()
        };
        if record.revoked_at.is_none() {
            record.removed_at = None;
        }
        unit.keys().update(&record).await?;
        if let Some(event) = change_of(&known, &record, owner) {
            unit.record(owner.tenant(), now, event);
        }
        Ok(record)
    }

    fn check_proof(
        &self,
        owner: &Principal,
        request: &RegisterKey,
        key: &PublicKey,
    ) -> Result<(), RegisterKeyError> {
        let (Some(challenge), Some(signature)) = (&request.challenge, &request.signature) else {
            return Err(RegisterKeyError::ProofMissing);
        };
        if !self.is_own_challenge(challenge, owner) {
            return Err(RegisterKeyError::Challenge);
        }
        let now = self.clock.now();
        skill_signing::verify(key, challenge.as_bytes(), signature, now)?;
        Ok(())
    }
}

fn change_of(before: &KeyRecord, after: &KeyRecord, owner: &Principal) -> Option<Event> {
    let fingerprint = after.fingerprint.clone();
    let agent_id = owner.username().to_owned();
    if before.revoked_at.is_none() && after.revoked_at.is_some() {
        Some(Event::KeyRevoked {
            fingerprint,
            agent_id,
        })
    } else if before.removed_at.is_some() && after.removed_at.is_none() {
        Some(Event::KeyRegistered {
            fingerprint,
            agent_id,
        })
    } else {
        None
    }
}
