//! Publishers' public keys.

use hub_model::{KeyRecord, TenantId, UserId};
use jiff::Timestamp;

use super::users::exactly_one;
use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::Result;
use crate::sql::{Columns, composed, sql};

repository! {
    /// Publishers' public keys, by fingerprint (upper-case hex). A fingerprint belongs to one user of a tenant for ever.
    Keys, keys
}

/// Most keys that are listed for a user.
pub const KEYS_PER_USER_MAX: u32 = 100;

const COLUMNS: &str =
    "tenant_id, fingerprint, user_id, armored, registered_at, expires_at, revoked_at, removed_at";

fn read(row: &mut Columns<'_>) -> Result<KeyRecord> {
    Ok(KeyRecord {
        tenant: row.take()?,
        fingerprint: row.take()?,
        user_id: row.take()?,
        armored: row.take()?,
        registered_at: row.take()?,
        expires_at: row.take()?,
        revoked_at: row.take()?,
        removed_at: row.take()?,
    })
}

impl<A: Access> Keys<A> {
    /// Removed keys are found too: what they signed can still be verified.
    pub async fn by_fingerprint(
        &mut self,
        tenant: TenantId,
        fingerprint: &str,
    ) -> Result<Option<KeyRecord>> {
        composed(format!(
            "SELECT {COLUMNS} FROM keys WHERE tenant_id = $1 AND fingerprint = $2"
        ))
        .bind(tenant)
        .bind(fingerprint)
        .optional(&mut *self.0.via().connect().await?, read)
        .await
    }

    /// A user's keys that were not removed, oldest first; at most [`KEYS_PER_USER_MAX`].
    pub async fn of_user(&mut self, user: UserId) -> Result<Vec<KeyRecord>> {
        composed(format!(
            "SELECT {COLUMNS} FROM keys WHERE user_id = $1 AND removed_at IS NULL ORDER BY registered_at, fingerprint LIMIT $2"
        ))
        .bind(user)
        .bind(KEYS_PER_USER_MAX)
        .all(&mut *self.0.via().connect().await?, read)
        .await
    }
}

impl Keys<&mut UnitOfWork> {
    /// Errors: `Conflict::KeyFingerprint`, whoever has it.
    pub async fn insert(&mut self, key: &KeyRecord) -> Result<()> {
        sql("INSERT INTO keys (tenant_id, fingerprint, user_id, armored, registered_at, expires_at, revoked_at, removed_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(key.tenant)
            .bind(&key.fingerprint)
            .bind(key.user_id)
            .bind(&key.armored)
            .bind(key.registered_at)
            .bind(key.expires_at)
            .bind(key.revoked_at)
            .bind(key.removed_at)
            .execute(self.0.connection())
            .await
            .map(|_| ())
    }

    /// Writes a newer form of the same key: the armored text, expiry, revocation, removal.
    pub async fn update(&mut self, key: &KeyRecord) -> Result<()> {
        sql(
            "UPDATE keys SET armored = $3, expires_at = $4, revoked_at = $5, removed_at = $6 \
             WHERE tenant_id = $1 AND fingerprint = $2",
        )
        .bind(key.tenant)
        .bind(&key.fingerprint)
        .bind(&key.armored)
        .bind(key.expires_at)
        .bind(key.revoked_at)
        .bind(key.removed_at)
        .execute(self.0.connection())
        .await
        .and_then(exactly_one)
    }

    /// Marks a user's key as removed; `false` if there is none.
    pub async fn remove(
        &mut self,
        user: UserId,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<bool> {
        sql("UPDATE keys SET removed_at = $3 WHERE user_id = $1 AND fingerprint = $2 AND removed_at IS NULL")
            .bind(user)
            .bind(fingerprint)
            .bind(now)
            .execute(self.0.connection())
            .await
            .map(|rows| rows > 0)
    }
}
