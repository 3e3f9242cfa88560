//! Scoped API tokens.

use hub_model::{ApiToken, SecretHash, TenantId, TokenId, UserId, UserRecord};
use jiff::{SignedDuration, Timestamp};

use super::users;
use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::{DbError, Result};
use crate::sql::{Columns, composed, sql};

repository! {
    /// Scoped API tokens, by their hash.
    ApiTokens, api_tokens
}

/// Most tokens that a user may have; what is listed at once.
pub const TOKENS_PER_USER_MAX: u32 = 200;

const COLUMNS: &str = "t.id, t.tenant_id, t.user_id, t.name, t.token_hash, t.scopes, t.skills, t.created_at, \
                       t.expires_at, t.last_used_at, t.revoked_at";

fn read(row: &mut Columns<'_>) -> Result<ApiToken> {
    Ok(ApiToken {
        id: row.take()?,
        tenant: row.take()?,
        user_id: row.take()?,
        name: row.take()?,
        hash: row.take()?,
        scopes: row.parsed(|text| text.parse().ok())?,
        skills: row
            .take::<Option<String>>()?
            .map(|json| serde_json::from_str(&json).map_err(DbError::corrupt))
            .transpose()?,
        created_at: row.take()?,
        expires_at: row.take()?,
        last_used_at: row.take()?,
        revoked_at: row.take()?,
    })
}

impl<A: Access> ApiTokens<A> {
    /// The token and its user: all that a request with an API token needs to know.
    pub async fn by_hash(&mut self, hash: &SecretHash) -> Result<Option<(ApiToken, UserRecord)>> {
        composed(format!(
            "SELECT {COLUMNS}, u.id, u.tenant_id, u.username, u.email, u.password, u.role, u.disabled, u.created_at, u.updated_at \
             FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE t.token_hash = $1"
        ))
        .bind(hash)
        .optional(&mut *self.0.via().connect().await?, |row| Ok((read(row)?, users::read(row)?)))
        .await
    }

    /// A user's tokens that were not revoked, newest first; at most [`TOKENS_PER_USER_MAX`].
    pub async fn of_user(&mut self, user: UserId) -> Result<Vec<ApiToken>> {
        composed(format!(
            "SELECT {COLUMNS} FROM api_tokens t WHERE t.user_id = $1 AND t.revoked_at IS NULL ORDER BY t.id DESC LIMIT $2"
        ))
        .bind(user)
        .bind(TOKENS_PER_USER_MAX)
        .all(&mut *self.0.via().connect().await?, read)
        .await
    }

    pub async fn by_id(&mut self, tenant: TenantId, id: TokenId) -> Result<Option<ApiToken>> {
        composed(format!(
            "SELECT {COLUMNS} FROM api_tokens t WHERE t.id = $1 AND t.tenant_id = $2"
        ))
        .bind(id)
        .bind(tenant)
        .optional(&mut *self.0.via().connect().await?, read)
        .await
    }
}

impl ApiTokens<&mut UnitOfWork> {
    /// Errors: `Conflict::Secret`.
    pub async fn insert(&mut self, token: &ApiToken) -> Result<()> {
        let skills = token
            .skills
            .as_ref()
            .map(serde_json::to_string)
            .transpose()
            .map_err(DbError::corrupt)?;
        sql("INSERT INTO api_tokens \
             (id, tenant_id, user_id, name, token_hash, scopes, skills, created_at, expires_at, last_used_at, revoked_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
            .bind(token.id)
            .bind(token.tenant)
            .bind(token.user_id)
            .bind(&token.name)
            .bind(&token.hash)
            .bind(&token.scopes.to_string())
            .bind(skills.as_ref())
            .bind(token.created_at)
            .bind(token.expires_at)
            .bind(token.last_used_at)
            .bind(token.revoked_at)
            .execute(self.0.connection())
            .await
            .map(|_| ())
    }

    /// Revokes a token of `user`; `false` if there is no such token that is still good.
    pub async fn revoke(&mut self, user: UserId, id: TokenId, now: Timestamp) -> Result<bool> {
        sql("UPDATE api_tokens SET revoked_at = $3 WHERE id = $2 AND user_id = $1 AND revoked_at IS NULL")
            .bind(user)
            .bind(id)
            .bind(now)
            .execute(self.0.connection())
            .await
            .map(|rows| rows > 0)
    }

    /// Revokes all tokens of `user`; how many.
    pub async fn revoke_user(&mut self, user: UserId, now: Timestamp) -> Result<u64> {
        sql("UPDATE api_tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL")
            .bind(user)
            .bind(now)
            .execute(self.0.connection())
            .await
    }

    /// Notes the use of a token, at most once a minute: most calls change nothing.
    pub async fn touch(&mut self, id: TokenId, now: Timestamp) -> Result<()> {
        sql("UPDATE api_tokens SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)")
            .bind(id)
            .bind(now)
            .bind(now - SignedDuration::from_mins(1))
            .execute(self.0.connection())
            .await
            .map(|_| ())
    }
}
