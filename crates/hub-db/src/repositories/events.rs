//! The outbox. An event's number grows in the order of commits: whoever has read up to a number has missed nothing.

use hub_model::{Event, StoredEvent, TenantId};
use jiff::Timestamp;
use sqlx::AnyConnection;

use crate::access::{Access, repository};
use crate::error::{DbError, Result};
use crate::sql::{Columns, sql};

repository! {
    /// The outbox: what was committed, in order. Events are added by `UnitOfWork::record`.
    Events, events
}

/// Most events that one call reads.
pub const EVENTS_PER_READ_MAX: u32 = 1_000;

fn read(row: &mut Columns<'_>) -> Result<StoredEvent> {
    Ok(StoredEvent {
        seq: row.take()?,
        tenant: row.take()?,
        at: row.take()?,
        kind: row.take()?,
        payload: row.json()?,
    })
}

impl<A: Access> Events<A> {
    /// Events after `seq`, in order, at most [`EVENTS_PER_READ_MAX`]. An event with a smaller number never appears
    /// later. Old events are purged: where the first one is not `seq + 1`, the reader has missed some.
    pub async fn after(&mut self, seq: i64, limit: u32) -> Result<Vec<StoredEvent>> {
        sql("SELECT seq, tenant_id, created_at, kind, payload FROM events WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(seq)
            .bind(limit.min(EVENTS_PER_READ_MAX))
            .all(&mut *self.0.via().connect().await?, read)
            .await
    }

    /// The number of the last event; 0 before the first.
    pub async fn last_seq(&mut self) -> Result<i64> {
        sql("SELECT value FROM counters WHERE name = 'events'")
            .one(&mut *self.0.via().connect().await?, |row| row.take())
            .await
    }
}

/// Numbers and writes the events of one unit of work; the last number, if there were any. The counter's row stays
/// locked until the commit, so the next transaction's numbers are greater *and* become visible later.
pub(crate) async fn append(
    connection: &mut AnyConnection,
    events: &[(TenantId, Timestamp, Event)],
) -> Result<Option<i64>> {
    if events.is_empty() {
        return Ok(None);
    }
    let count = i64::try_from(events.len()).map_err(DbError::corrupt)?;
    let last: i64 =
        sql("UPDATE counters SET value = value + $1 WHERE name = 'events' RETURNING value")
            .bind(count)
            .one(connection, |row| row.take())
            .await?;
    for (seq, (tenant, at, event)) in (last - count + 1..).zip(events) {
        let payload = serde_json::to_value(event).map_err(DbError::corrupt)?;
        sql("INSERT INTO events (seq, tenant_id, kind, payload, created_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(seq)
            .bind(*tenant)
            .bind(event.kind())
            .bind(&payload)
            .bind(*at)
            .execute(connection)
            .await?;
    }
    Ok(Some(last))
}
