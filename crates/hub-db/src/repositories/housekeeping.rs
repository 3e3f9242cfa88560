//! Removes what has expired, a little at a time, so that no writer waits long.

use jiff::Timestamp;

use crate::db::Db;
use crate::error::Result;
use crate::sql::sql;

/// How many rows each kind lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    pub refresh_tokens: u64,
    pub device_codes: u64,
    pub oidc_logins: u64,
    pub idempotency_keys: u64,
    pub events: u64,
    pub invocations: u64,
}

/// From when on what is kept for a while is kept.
#[derive(Debug, Clone, Copy)]
pub struct KeptSince {
    pub events: Timestamp,
    /// By their end: what is not over stays.
    pub invocations: Timestamp,
}

/// Rows removed per statement and commit.
const PER_STEP: i64 = 500;

impl Db {
    /// Removes what expired before `now`, and what is older than `kept`. Safe to run on several replicas.
    pub async fn purge_expired(&self, now: Timestamp, kept: KeptSince) -> Result<Purged> {
        Ok(Purged {
            refresh_tokens: self
                .purge(
                    "DELETE FROM refresh_tokens WHERE id IN \
                     (SELECT id FROM refresh_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
                    now,
                )
                .await?,
            device_codes: self
                .purge(
                    "DELETE FROM device_codes WHERE id IN \
                     (SELECT id FROM device_codes WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
                    now,
                )
                .await?,
            oidc_logins: self
                .purge(
                    "DELETE FROM oidc_logins WHERE state_hash IN \
                     (SELECT state_hash FROM oidc_logins WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
                    now,
                )
                .await?,
            idempotency_keys: self
                .purge(
                    "DELETE FROM idempotency_keys WHERE (tenant_id, principal, key) IN \
                     (SELECT tenant_id, principal, key FROM idempotency_keys WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
                    now,
                )
                .await?,
            events: self
                .purge(
                    "DELETE FROM events WHERE seq IN \
                     (SELECT seq FROM events WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
                    kept.events,
                )
                .await?,
            invocations: self
                .purge(
                    "DELETE FROM invocations WHERE id IN \
                     (SELECT id FROM invocations WHERE finished_at < $1 ORDER BY finished_at LIMIT $2)",
                    kept.invocations,
                )
                .await?,
        })
    }

    async fn purge(&self, text: &'static str, before: Timestamp) -> Result<u64> {
        let mut total = 0;
        loop {
            let mut unit = self.begin().await?;
            let removed = sql(text)
                .bind(before)
                .bind(PER_STEP)
                .execute(unit.connection())
                .await?;
            unit.commit().await?;
            total += removed;
            if removed < PER_STEP as u64 {
                return Ok(total);
            }
        }
    }
}
