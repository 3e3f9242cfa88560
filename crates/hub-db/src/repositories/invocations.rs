//! Invocations: skills run through the gateway.
//!
//! Whoever works on one holds a lease on it, which it extends while it lives. A lease that has lapsed may be taken over
//! by any replica, once; so nothing that was accepted is lost with a process.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hub_model::{
    Ending, InvocationError, InvocationFault, InvocationId, InvocationRecord, InvocationStatus,
    TenantId, Usage, UserId, day_of,
};
use jiff::Timestamp;

use super::users::exactly_one;
use crate::access::{Access, repository};
use crate::db::{Db, UnitOfWork};
use crate::error::{DbError, Result};
use crate::sql::{Columns, composed, padded, placeholders, sql};

repository! {
    /// Invocations, with their input while they run and their output afterwards.
    Invocations, invocations
}

/// Most invocations that one call lists.
pub const INVOCATIONS_PER_READ_MAX: u32 = 100;

/// Ids in one statement that extends leases.
const LEASES_PER_STATEMENT: usize = 256;

const COLUMNS: &str = "i.id, i.tenant_id, i.user_id, u.username, i.skill_id, i.skill, i.version, i.entry, i.status, \
     i.timeout_ms, i.input_sha256, i.input_bytes, i.output_bytes, i.error_code, i.error, i.attempts, i.created_at, \
     i.started_at, i.finished_at";

/// An invocation that is being accepted.
#[derive(Debug, Clone, Copy)]
pub struct NewInvocation<'a> {
    pub record: &'a InvocationRecord,
    pub input: &'a [u8],
    /// As sent in the header; at most 255 characters. One account uses a key for one request.
    pub idempotency_key: Option<&'a str>,
    /// A digest over what makes two requests the same.
    pub request_hash: &'a str,
    pub lease_until: Timestamp,
}

fn read(row: &mut Columns<'_>) -> Result<InvocationRecord> {
    Ok(InvocationRecord {
        id: row.take()?,
        tenant: row.take()?,
        user_id: row.take()?,
        username: row.take()?,
        skill_id: row.take()?,
        skill: row.take()?,
        version: row.take()?,
        entry: row.take()?,
        status: row.parsed(InvocationStatus::parse)?,
        timeout_ms: row.take()?,
        input_sha256: row.take()?,
        input_bytes: row.take()?,
        output: None,
        output_bytes: row.take()?,
        error: read_error(row)?,
        attempts: row.take()?,
        created_at: row.take()?,
        started_at: row.take()?,
        finished_at: row.take()?,
    })
}

fn read_error(row: &mut Columns<'_>) -> Result<Option<InvocationError>> {
    let (code, message): (Option<String>, Option<String>) = (row.take()?, row.take()?);
    let (Some(code), Some(message)) = (code, message) else {
        return Ok(None);
    };
    let fault = InvocationFault::parse(&code)
        .ok_or_else(|| DbError::corrupt("a fault that this program does not know"))?;
    Ok(Some(InvocationError { fault, message }))
}

/// Bytes as a text column takes them.
fn stored(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => format!("t{text}"),
        _ => format!("b{}", BASE64.encode(bytes)),
    }
}

fn restored(column: &str) -> Result<Vec<u8>> {
    match column.split_at_checked(1) {
        Some(("t", text)) => Ok(text.as_bytes().to_vec()),
        Some(("b", text)) => BASE64.decode(text).map_err(DbError::corrupt),
        _ => Err(DbError::corrupt("bytes in a form that is not known")),
    }
}

impl<A: Access> Invocations<A> {
    /// With its output.
    pub async fn by_id(
        &mut self,
        tenant: TenantId,
        id: InvocationId,
    ) -> Result<Option<InvocationRecord>> {
        composed(format!(
            "SELECT {COLUMNS}, i.output FROM invocations i JOIN users u ON u.id = i.user_id \
             WHERE i.id = $1 AND i.tenant_id = $2"
        ))
        .bind(id)
        .bind(tenant)
        .optional(&mut *self.0.via().connect().await?, |row| {
            let mut record = read(row)?;
            let output: Option<String> = row.take()?;
            record.output = output.as_deref().map(restored).transpose()?;
            Ok(record)
        })
        .await
    }

    /// An account's, newest first, older than `before`; at most [`INVOCATIONS_PER_READ_MAX`], without outputs.
    pub async fn of_user(
        &mut self,
        user: UserId,
        before: Option<InvocationId>,
        limit: u32,
    ) -> Result<Vec<InvocationRecord>> {
        // `g` sorts after every hex digit: a bound that every id is below.
        let before = before.map_or_else(|| "g".to_owned(), |id| id.to_string());
        composed(format!(
            "SELECT {COLUMNS} FROM invocations i JOIN users u ON u.id = i.user_id \
             WHERE i.user_id = $1 AND i.id < $2 ORDER BY i.id DESC LIMIT $3"
        ))
        .bind(user)
        .bind(&before)
        .bind(limit.min(INVOCATIONS_PER_READ_MAX))
        .all(&mut *self.0.via().connect().await?, read)
        .await
    }

    /// What an account used a key for: the invocation, and the digest of its request.
    pub async fn by_key(
        &mut self,
        tenant: TenantId,
        user: UserId,
        key: &str,
    ) -> Result<Option<(InvocationId, String)>> {
        sql("SELECT id, request_hash FROM invocations WHERE tenant_id = $1 AND user_id = $2 AND idempotency_key = $3")
            .bind(tenant)
            .bind(user)
            .bind(key)
            .optional(&mut *self.0.via().connect().await?, |row| Ok((row.take()?, row.take()?)))
            .await
    }

    /// Invocations that nobody works on any more, the oldest lease first.
    pub async fn abandoned(&mut self, now: Timestamp, limit: u32) -> Result<Vec<InvocationId>> {
        sql("SELECT id FROM invocations WHERE lease_until <= $1 ORDER BY lease_until, id LIMIT $2")
            .bind(now)
            .bind(limit.min(INVOCATIONS_PER_READ_MAX))
            .all(&mut *self.0.via().connect().await?, |row| row.take())
            .await
    }
}

impl Invocations<&mut UnitOfWork> {
    /// Accepts an invocation; `false`, and nothing is written, if the account has used the key already.
    pub async fn insert(&mut self, new: NewInvocation<'_>) -> Result<bool> {
        let record = new.record;
        sql("INSERT INTO invocations (id, tenant_id, user_id, skill_id, skill, entry, status, timeout_ms, input_sha256, \
             input_bytes, input, attempts, idempotency_key, request_hash, lease_until, created_at, started_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
             ON CONFLICT (tenant_id, user_id, idempotency_key) DO NOTHING")
            .bind(record.id)
            .bind(record.tenant)
            .bind(record.user_id)
            .bind(record.skill_id)
            .bind(&record.skill)
            .bind(record.entry.as_ref())
            .bind(record.status.as_str())
            .bind(record.timeout_ms)
            .bind(&record.input_sha256)
            .bind(record.input_bytes)
            .bind(&stored(new.input))
            .bind(record.attempts)
            .bind(new.idempotency_key)
            .bind(new.request_hash)
            .bind(new.lease_until)
            .bind(record.created_at)
            .bind(record.started_at)
            .execute(self.0.connection())
            .await
            .map(|rows| rows == 1)
    }

    /// As [`Invocations::by_id`], locked until the unit of work ends.
    pub async fn lock(
        &mut self,
        tenant: TenantId,
        id: InvocationId,
    ) -> Result<Option<InvocationRecord>> {
        let lock = self.0.dialect().for_update();
        let found = composed(format!("SELECT id FROM invocations WHERE id = $1{lock}"))
            .bind(id)
            .optional(self.0.connection(), |row| row.take::<InvocationId>())
            .await?;
        match found {
            Some(_) => self.by_id(tenant, id).await,
            None => Ok(None),
        }
    }

    /// A queued invocation begins to run: its input, or `None` if it is no longer queued.
    pub async fn start(
        &mut self,
        id: InvocationId,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<Vec<u8>>> {
        let input: Option<String> = sql(
            "UPDATE invocations SET status = 'running', attempts = attempts + 1, started_at = $2, lease_until = $3 \
             WHERE id = $1 AND status = 'queued' RETURNING input",
        )
        .bind(id)
        .bind(now)
        .bind(lease_until)
        .optional(self.0.connection(), |row| row.take())
        .await?;
        input.as_deref().map(restored).transpose()
    }

    /// Takes over what nobody works on any more: it is queued again. `false` if somebody does after all.
    pub async fn take_over(
        &mut self,
        id: InvocationId,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<bool> {
        sql("UPDATE invocations SET status = 'queued', lease_until = $3 WHERE id = $1 AND lease_until <= $2")
            .bind(id)
            .bind(now)
            .bind(lease_until)
            .execute(self.0.connection())
            .await
            .map(|rows| rows == 1)
    }

    /// Ends an invocation and meters it; the input goes. The row must be locked, and `before` be what it holds.
    pub async fn finish(
        &mut self,
        before: InvocationRecord,
        ending: &Ending,
    ) -> Result<InvocationRecord> {
        let record = before.ended(ending);
        let free_key = ending.nothing_ran();
        sql("UPDATE invocations SET status = $2, version = $3, output = $4, output_bytes = $5, error_code = $6, \
             error = $7, finished_at = $8, input = NULL, lease_until = NULL, \
             idempotency_key = CASE WHEN $9 = 1 THEN NULL ELSE idempotency_key END \
             WHERE id = $1 AND lease_until IS NOT NULL")
            .bind(record.id)
            .bind(record.status.as_str())
            .bind(record.version.as_ref())
            .bind(record.output.as_deref().map(stored).as_ref())
            .bind(record.output_bytes)
            .bind(record.error.as_ref().map(|error| error.fault.as_str()))
            .bind(record.error.as_ref().map(|error| &error.message))
            .bind(ending.at())
            .bind(free_key)
            .execute(self.0.connection())
            .await
            .and_then(exactly_one)?;
        let usage = Usage::of(&record);
        self.0
            .usage()
            .add(record.tenant, record.user_id, day_of(ending.at()), &usage)
            .await?;
        Ok(record)
    }
}

impl Db {
    /// Extends the leases of invocations that are not over.
    pub async fn extend_leases(&self, ids: &[InvocationId], until: Timestamp) -> Result<()> {
        self.set_leases(ids, until).await
    }

    /// Gives leases up: any replica may take these over at once.
    pub async fn release_leases(&self, ids: &[InvocationId]) -> Result<()> {
        self.set_leases(ids, Timestamp::UNIX_EPOCH).await
    }

    async fn set_leases(&self, ids: &[InvocationId], until: Timestamp) -> Result<()> {
        // Everyone locks the rows in this order.
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        for chunk in sorted.chunks(LEASES_PER_STATEMENT) {
            let chunk = padded(chunk);
            let mut unit = self.begin().await?;
            composed(format!(
                "UPDATE invocations SET lease_until = $1 WHERE lease_until IS NOT NULL AND id IN ({})",
                placeholders(2, chunk.len())
            ))
            .bind(until)
            .bind_all(chunk)
            .execute(unit.connection())
            .await?;
            unit.commit().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_whatever_they_are() {
        for bytes in [
            b"".as_slice(),
            b"text",
            "größe".as_bytes(),
            b"a\0b",
            b"\xff\xfe",
        ] {
            assert_eq!(restored(&stored(bytes)).expect("reads"), bytes);
        }
        assert!(restored("").is_err());
        assert!(restored("x").is_err());
    }
}
