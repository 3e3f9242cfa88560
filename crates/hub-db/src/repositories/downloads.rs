//! Download counts: per version and day, and as running totals. They come in batches, from memory: a download is
//! never kept waiting for its count.

use std::collections::BTreeMap;

use hub_model::{DayCount, Downloads as Count, SkillId, TenantId, VersionId};

use crate::access::{Access, repository};
use crate::db::{Db, UnitOfWork};
use crate::error::{DbError, Result};
use crate::sql::{composed, sql};

repository! {
    /// Download counts per version and UTC day.
    Downloads, downloads
}

/// Most days that one call reads.
pub const DAYS_PER_READ_MAX: u32 = 366;

impl Db {
    /// Adds a batch of counts, in one transaction. Counts for what does not exist are dropped.
    pub async fn record_downloads(&self, batch: &[Count]) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let batch = batch.to_vec();
        self.transact::<_, DbError>(move |unit| {
            let batch = batch.clone();
            Box::pin(async move { unit.downloads().record(&batch).await })
        })
        .await
    }
}

impl<A: Access> Downloads<A> {
    /// The skill's downloads per day, all versions together, from `first_day` on, ascending; days without any are left
    /// out. At most [`DAYS_PER_READ_MAX`].
    pub async fn days(&mut self, skill: SkillId, first_day: i64) -> Result<Vec<DayCount>> {
        sql("SELECT day, CAST(SUM(downloads) AS BIGINT) FROM download_days WHERE skill_id = $1 AND day >= $2 \
             GROUP BY day ORDER BY day LIMIT $3")
            .bind(skill)
            .bind(first_day)
            .bind(DAYS_PER_READ_MAX)
            .all(&mut *self.0.via().connect().await?, |row| Ok(DayCount { day: row.take()?, downloads: row.take()? }))
            .await
    }
}

/// Counts by skill, then version, then day: everyone takes the rows' locks in this order.
type Sorted = BTreeMap<SkillId, BTreeMap<VersionId, BTreeMap<i64, u64>>>;

impl Downloads<&mut UnitOfWork> {
    /// Adds a batch of counts. Counts for what does not exist are dropped.
    pub async fn record(&mut self, batch: &[Count]) -> Result<()> {
        let mut sorted = Sorted::new();
        for count in batch {
            let days = sorted
                .entry(count.skill_id)
                .or_default()
                .entry(count.version_id)
                .or_default();
            *days.entry(count.day).or_default() += count.count;
        }
        for (skill, versions) in sorted {
            self.record_skill(skill, versions).await?;
        }
        Ok(())
    }

    async fn record_skill(
        &mut self,
        skill: SkillId,
        versions: BTreeMap<VersionId, BTreeMap<i64, u64>>,
    ) -> Result<()> {
        let lock = self.0.dialect().for_update();
        let tenant: Option<TenantId> =
            composed(format!("SELECT tenant_id FROM skills WHERE id = $1{lock}"))
                .bind(skill)
                .optional(self.0.connection(), |row| row.take())
                .await?;
        let Some(tenant) = tenant else { return Ok(()) };
        let mut sum = 0;
        for (version, days) in versions {
            sum += self.record_version(tenant, skill, version, days).await?;
        }
        sql("UPDATE skills SET downloads = downloads + $2 WHERE id = $1")
            .bind(skill)
            .bind(sum)
            .execute(self.0.connection())
            .await?;
        self.0.stats_of(tenant).downloads += i64::try_from(sum).map_err(DbError::corrupt)?;
        Ok(())
    }

    /// The sum that was added: 0 if the version does not exist.
    async fn record_version(
        &mut self,
        tenant: TenantId,
        skill: SkillId,
        version: VersionId,
        days: BTreeMap<i64, u64>,
    ) -> Result<u64> {
        let sum: u64 = days.values().sum();
        let found =
            sql("UPDATE versions SET downloads = downloads + $3 WHERE id = $1 AND skill_id = $2")
                .bind(version)
                .bind(skill)
                .bind(sum)
                .execute(self.0.connection())
                .await?;
        if found == 0 {
            return Ok(0);
        }
        for (day, count) in days {
            sql("INSERT INTO download_days (tenant_id, skill_id, version_id, day, downloads) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (skill_id, day, version_id) DO UPDATE SET downloads = download_days.downloads + excluded.downloads")
                .bind(tenant)
                .bind(skill)
                .bind(version)
                .bind(day)
                .bind(count)
                .execute(self.0.connection())
                .await?;
        }
        Ok(sum)
    }
}
