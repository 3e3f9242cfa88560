//! Refresh tokens, in families that begin with a login.

use hub_model::{FamilyId, RefreshToken, RefreshTokenId, SecretHash, UserId};
use jiff::Timestamp;

use super::users::exactly_one;
use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::Result;
use crate::sql::{Columns, composed, sql};

repository! {
    /// Refresh tokens, by their hash. The rule for using one is `hub_model::refresh`.
    RefreshTokens, refresh_tokens
}

const COLUMNS: &str =
    "id, tenant_id, family_id, user_id, token_hash, issued_at, expires_at, used_at, revoked_at";

fn read(row: &mut Columns<'_>) -> Result<RefreshToken> {
    Ok(RefreshToken {
        id: row.take()?,
        tenant: row.take()?,
        family: row.take()?,
        user_id: row.take()?,
        hash: row.take()?,
        issued_at: row.take()?,
        expires_at: row.take()?,
        used_at: row.take()?,
        revoked_at: row.take()?,
    })
}

impl<A: Access> RefreshTokens<A> {
    pub async fn by_hash(&mut self, hash: &SecretHash) -> Result<Option<RefreshToken>> {
        composed(format!(
            "SELECT {COLUMNS} FROM refresh_tokens WHERE token_hash = $1"
        ))
        .bind(hash)
        .optional(&mut *self.0.via().connect().await?, read)
        .await
    }

    /// Whether the family still has a token that was not revoked: what an access token's session check asks.
    pub async fn family_is_alive(&mut self, family: FamilyId) -> Result<bool> {
        sql("SELECT 1 FROM refresh_tokens WHERE family_id = $1 AND revoked_at IS NULL LIMIT 1")
            .bind(family)
            .optional(&mut *self.0.via().connect().await?, |_| Ok(()))
            .await
            .map(|found| found.is_some())
    }
}

impl RefreshTokens<&mut UnitOfWork> {
    /// The token, locked: two exchanges of the same token happen one after the other.
    pub async fn lock_by_hash(&mut self, hash: &SecretHash) -> Result<Option<RefreshToken>> {
        let lock = self.0.dialect().for_update();
        composed(format!(
            "SELECT {COLUMNS} FROM refresh_tokens WHERE token_hash = $1{lock}"
        ))
        .bind(hash)
        .optional(self.0.connection(), read)
        .await
    }

    /// Errors: `Conflict::Secret`.
    pub async fn insert(&mut self, token: &RefreshToken) -> Result<()> {
        sql("INSERT INTO refresh_tokens \
             (id, tenant_id, family_id, user_id, token_hash, issued_at, expires_at, used_at, revoked_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(token.id)
            .bind(token.tenant)
            .bind(token.family)
            .bind(token.user_id)
            .bind(&token.hash)
            .bind(token.issued_at)
            .bind(token.expires_at)
            .bind(token.used_at)
            .bind(token.revoked_at)
            .execute(self.0.connection())
            .await
            .map(|_| ())
    }

    pub async fn mark_used(&mut self, id: RefreshTokenId, now: Timestamp) -> Result<()> {
        sql("UPDATE refresh_tokens SET used_at = $2 WHERE id = $1")
            .bind(id)
            .bind(now)
            .execute(self.0.connection())
            .await
            .and_then(exactly_one)
    }

    /// Ends one login: all tokens that came from it. How many were still good.
    pub async fn revoke_family(&mut self, family: FamilyId, now: Timestamp) -> Result<u64> {
        sql("UPDATE refresh_tokens SET revoked_at = $2 WHERE family_id = $1 AND revoked_at IS NULL")
            .bind(family)
            .bind(now)
            .execute(self.0.connection())
            .await
    }

    /// Ends all of a user's logins.
    pub async fn revoke_user(&mut self, user: UserId, now: Timestamp) -> Result<u64> {
        sql("UPDATE refresh_tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL")
            .bind(user)
            .bind(now)
            .execute(self.0.connection())
            .await
    }
}
