//! What a tenant holds, counted as it changes: nobody counts 100,000 rows to answer a health check.

use hub_model::{Stats as Counts, TenantId};
use sqlx::AnyConnection;

use crate::access::{Access, repository};
use crate::error::Result;
use crate::sql::sql;

repository! {
    /// A tenant's statistics.
    Stats, stats
}

/// What one unit of work changes; written at its end, so that the counter's row is locked only for a moment.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Delta {
    pub skills: i64,
    pub versions: i64,
    pub downloads: i64,
    pub publishers: i64,
}

impl<A: Access> Stats<A> {
    pub async fn of(&mut self, tenant: TenantId) -> Result<Counts> {
        let counts = sql(
            "SELECT skills, versions, downloads, publishers FROM tenant_stats WHERE tenant_id = $1",
        )
        .bind(tenant)
        .optional(&mut *self.0.via().connect().await?, |row| {
            Ok(Counts {
                skills: row.take()?,
                versions: row.take()?,
                downloads: row.take()?,
                publishers: row.take()?,
            })
        })
        .await?;
        Ok(counts.unwrap_or_default())
    }
}

pub(crate) async fn apply(
    connection: &mut AnyConnection,
    tenant: TenantId,
    delta: Delta,
) -> Result<()> {
    sql("INSERT INTO tenant_stats (tenant_id, skills, versions, downloads, publishers) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (tenant_id) DO UPDATE SET \
           skills = tenant_stats.skills + excluded.skills, \
           versions = tenant_stats.versions + excluded.versions, \
           downloads = tenant_stats.downloads + excluded.downloads, \
           publishers = tenant_stats.publishers + excluded.publishers")
        .bind(tenant)
        .bind(delta.skills)
        .bind(delta.versions)
        .bind(delta.downloads)
        .bind(delta.publishers)
        .execute(connection)
        .await
        .map(|_| ())
}
