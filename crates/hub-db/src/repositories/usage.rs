//! What accounts used the gateway for, per UTC day.

use hub_model::{DayUsage, TenantId, Usage as Sums, UserId, UserUsage};

use super::downloads::DAYS_PER_READ_MAX;
use super::users::USERS_PER_PAGE_MAX;
use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::Result;
use crate::sql::{Columns, composed, sql};

repository! {
    /// Usage per account and UTC day. It is added to in the unit of work that ends an invocation.
    Usage, usage
}

const SUMS: &str = "CAST(COALESCE(SUM(d.succeeded), 0) AS BIGINT), CAST(COALESCE(SUM(d.failed), 0) AS BIGINT), \
     CAST(COALESCE(SUM(d.unknown), 0) AS BIGINT), CAST(COALESCE(SUM(d.refused), 0) AS BIGINT), \
     CAST(COALESCE(SUM(d.duration_ms), 0) AS BIGINT), CAST(COALESCE(SUM(d.bytes_in), 0) AS BIGINT), \
     CAST(COALESCE(SUM(d.bytes_out), 0) AS BIGINT)";

fn read(row: &mut Columns<'_>) -> Result<Sums> {
    Ok(Sums {
        succeeded: row.take()?,
        failed: row.take()?,
        unknown: row.take()?,
        refused: row.take()?,
        duration_ms: row.take()?,
        bytes_in: row.take()?,
        bytes_out: row.take()?,
    })
}

impl<A: Access> Usage<A> {
    /// An account's days from `first` to `last`, ascending; days without any are left out. At most
    /// [`DAYS_PER_READ_MAX`].
    pub async fn days(&mut self, user: UserId, first: i64, last: i64) -> Result<Vec<DayUsage>> {
        sql(
            "SELECT day, succeeded, failed, unknown, refused, duration_ms, bytes_in, bytes_out FROM usage_days \
             WHERE user_id = $1 AND day BETWEEN $2 AND $3 ORDER BY day LIMIT $4",
        )
        .bind(user)
        .bind(first)
        .bind(last)
        .bind(DAYS_PER_READ_MAX)
        .all(&mut *self.0.via().connect().await?, |row| {
            Ok(DayUsage {
                day: row.take()?,
                usage: read(row)?,
            })
        })
        .await
    }

    /// All of a tenant, from day `first` to day `last`.
    pub async fn total(&mut self, tenant: TenantId, first: i64, last: i64) -> Result<Sums> {
        composed(format!(
            "SELECT {SUMS} FROM usage_days d WHERE d.tenant_id = $1 AND d.day BETWEEN $2 AND $3"
        ))
        .bind(tenant)
        .bind(first)
        .bind(last)
        .one(&mut *self.0.via().connect().await?, read)
        .await
    }

    /// The same per account, by username, after the username `after`; at most [`USERS_PER_PAGE_MAX`].
    pub async fn users(
        &mut self,
        tenant: TenantId,
        (first, last): (i64, i64),
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<UserUsage>> {
        composed(format!(
            "SELECT u.username, {SUMS} FROM usage_days d JOIN users u ON u.id = d.user_id \
             WHERE d.tenant_id = $1 AND d.day BETWEEN $2 AND $3 AND u.username > $4 \
             GROUP BY u.username ORDER BY u.username LIMIT $5"
        ))
        .bind(tenant)
        .bind(first)
        .bind(last)
        .bind(after.unwrap_or_default())
        .bind(limit.min(USERS_PER_PAGE_MAX))
        .all(&mut *self.0.via().connect().await?, |row| {
            Ok(UserUsage {
                username: row.take()?,
                usage: read(row)?,
            })
        })
        .await
    }
}

impl Usage<&mut UnitOfWork> {
    /// Adds to one account's day.
    pub async fn add(
        &mut self,
        tenant: TenantId,
        user: UserId,
        day: i64,
        more: &Sums,
    ) -> Result<()> {
        sql("INSERT INTO usage_days (tenant_id, user_id, day, succeeded, failed, unknown, refused, duration_ms, \
             bytes_in, bytes_out) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
             ON CONFLICT (user_id, day) DO UPDATE SET succeeded = usage_days.succeeded + excluded.succeeded, \
             failed = usage_days.failed + excluded.failed, unknown = usage_days.unknown + excluded.unknown, \
             refused = usage_days.refused + excluded.refused, \
             duration_ms = usage_days.duration_ms + excluded.duration_ms, \
             bytes_in = usage_days.bytes_in + excluded.bytes_in, \
             bytes_out = usage_days.bytes_out + excluded.bytes_out")
            .bind(tenant)
            .bind(user)
            .bind(day)
            .bind(more.succeeded)
            .bind(more.failed)
            .bind(more.unknown)
            .bind(more.refused)
            .bind(more.duration_ms)
            .bind(more.bytes_in)
            .bind(more.bytes_out)
            .execute(self.0.connection())
            .await
            .map(|_| ())
    }
}
