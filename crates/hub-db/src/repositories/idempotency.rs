//! Idempotency keys: the same request sent twice is done once and answered the same.
//!
//! A key is claimed before the work. Claimed inside the work's own unit of work, a crash leaves no trace of either,
//! and a second request waits for the first one's commit. Claimed in a unit of work of its own, a second request sees
//! `InProgress` at once, and the claim of a crashed process lapses.

use hub_model::TenantId;
use jiff::{SignedDuration, Timestamp};

use super::users::exactly_one;
use crate::access::repository;
use crate::db::UnitOfWork;
use crate::error::Result;
use crate::sql::{composed, sql};

repository! {
    /// Idempotency keys, per tenant and principal.
    Idempotency, idempotency
}

/// How long a claim holds while its response is missing.
pub const CLAIM: SignedDuration = SignedDuration::from_mins(5);
/// How long a response is kept.
pub const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Whose key, and for which request.
#[derive(Debug, Clone, Copy)]
pub struct IdempotencyKey<'a> {
    pub tenant: TenantId,
    /// Who sent it: keys of different principals never meet.
    pub principal: &'a str,
    /// As sent in the header; at most 255 characters.
    pub key: &'a str,
    /// A digest over method, path and body.
    pub request_hash: &'a str,
}

/// The response as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    pub status: u16,
    /// Header fields that belong to the answer, e.g. `location`.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What a claim found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Do the work, then call [`Idempotency::complete`].
    Fresh,
    /// Another request with this key is being worked on.
    InProgress,
    /// It was done: answer this.
    Done(StoredResponse),
    /// The key was used for another request.
    Reused,
}

struct Found {
    request_hash: String,
    claimed_until: Timestamp,
    expires_at: Timestamp,
    response: Option<StoredResponse>,
}

impl Idempotency<&mut UnitOfWork> {
    /// Claims the key for this request.
    pub async fn claim(&mut self, key: IdempotencyKey<'_>, now: Timestamp) -> Result<Claim> {
        let inserted = sql("INSERT INTO idempotency_keys (tenant_id, principal, key, request_hash, claimed_until, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, principal, key) DO NOTHING")
            .bind(key.tenant)
            .bind(key.principal)
            .bind(key.key)
            .bind(key.request_hash)
            .bind(now + CLAIM)
            .bind(now + KEPT)
            .execute(self.0.connection())
            .await?;
        if inserted == 1 {
            return Ok(Claim::Fresh);
        }
        let found = self.find(key).await?;
        if found.expires_at <= now {
            return self.take_over(key, now).await;
        }
        if found.request_hash != key.request_hash {
            return Ok(Claim::Reused);
        }
        match found.response {
            Some(response) => Ok(Claim::Done(response)),
            None if found.claimed_until > now => Ok(Claim::InProgress),
            None => self.take_over(key, now).await,
        }
    }

    async fn find(&mut self, key: IdempotencyKey<'_>) -> Result<Found> {
        let lock = self.0.dialect().for_update();
        composed(format!(
            "SELECT request_hash, claimed_until, expires_at, status, headers, body FROM idempotency_keys \
             WHERE tenant_id = $1 AND principal = $2 AND key = $3{lock}"
        ))
        .bind(key.tenant)
        .bind(key.principal)
        .bind(key.key)
        .one(self.0.connection(), |row| {
            Ok(Found {
                request_hash: row.take()?,
                claimed_until: row.take()?,
                expires_at: row.take()?,
                response: read_response(row)?,
            })
        })
        .await
    }

    /// Begins anew on a key that has lapsed.
    async fn take_over(&mut self, key: IdempotencyKey<'_>, now: Timestamp) -> Result<Claim> {
        sql("UPDATE idempotency_keys SET request_hash = $4, claimed_until = $5, expires_at = $6, \
             status = NULL, headers = NULL, body = NULL WHERE tenant_id = $1 AND principal = $2 AND key = $3")
            .bind(key.tenant)
            .bind(key.principal)
            .bind(key.key)
            .bind(key.request_hash)
            .bind(now + CLAIM)
            .bind(now + KEPT)
            .execute(self.0.connection())
            .await
            .and_then(exactly_one)?;
        Ok(Claim::Fresh)
    }

    /// Stores the response, together with the work. Errors: `NotFound` if the claim has meanwhile gone to another
    /// request, in which case the work must not be committed.
    pub async fn complete(
        &mut self,
        key: IdempotencyKey<'_>,
        response: &StoredResponse,
    ) -> Result<()> {
        let headers = serde_json::json!(response.headers);
        sql("UPDATE idempotency_keys SET status = $5, headers = $6, body = $7 \
             WHERE tenant_id = $1 AND principal = $2 AND key = $3 AND request_hash = $4 AND status IS NULL")
            .bind(key.tenant)
            .bind(key.principal)
            .bind(key.key)
            .bind(key.request_hash)
            .bind(i64::from(response.status))
            .bind(&headers)
            .bind(&response.body)
            .execute(self.0.connection())
            .await
            .and_then(exactly_one)
    }

    /// Gives the key back without a response, so that the request can be sent again: after a failure that is not the
    /// request's own.
    pub async fn release(&mut self, key: IdempotencyKey<'_>) -> Result<()> {
        sql("DELETE FROM idempotency_keys WHERE tenant_id = $1 AND principal = $2 AND key = $3 AND request_hash = $4 \
             AND status IS NULL")
            .bind(key.tenant)
            .bind(key.principal)
            .bind(key.key)
            .bind(key.request_hash)
            .execute(self.0.connection())
            .await
            .map(|_| ())
    }
}

fn read_response(row: &mut crate::sql::Columns<'_>) -> Result<Option<StoredResponse>> {
    let (status, headers, body): (Option<i64>, Option<String>, Option<String>) =
        (row.take()?, row.take()?, row.take()?);
    let (Some(status), Some(headers), Some(body)) = (status, headers, body) else {
        return Ok(None);
    };
    Ok(Some(StoredResponse {
        status: u16::try_from(status).map_err(crate::DbError::corrupt)?,
        headers: serde_json::from_str(&headers).map_err(crate::DbError::corrupt)?,
        body,
    }))
}
