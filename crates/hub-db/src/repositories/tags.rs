//! Tags, and how many listed skills carry each.

use std::collections::BTreeSet;

use hub_model::{SkillId, TagCount, TenantId};

use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::Result;
use crate::sql::sql;

repository! {
    /// Tags, and how many listed skills carry each.
    Tags, tags
}

/// Most tags that one call lists.
pub const TAGS_PER_READ_MAX: u32 = 1_000;

impl<A: Access> Tags<A> {
    /// The most used first; at most [`TAGS_PER_READ_MAX`].
    pub async fn list(&mut self, tenant: TenantId, limit: u32) -> Result<Vec<TagCount>> {
        sql("SELECT tag, skills FROM tags WHERE tenant_id = $1 AND skills > 0 ORDER BY skills DESC, tag LIMIT $2")
            .bind(tenant)
            .bind(limit.min(TAGS_PER_READ_MAX))
            .all(&mut *self.0.via().connect().await?, |row| Ok(TagCount { name: row.take()?, count: row.take()? }))
            .await
    }
}

/// Gives the skill exactly these tags, and keeps the counts. The skill is locked; the counters are taken in
/// alphabetical order by everyone, so two skills that share tags do not deadlock.
pub(crate) async fn replace(
    unit: &mut UnitOfWork,
    tenant: TenantId,
    skill: SkillId,
    wanted: &BTreeSet<String>,
) -> Result<()> {
    let present: BTreeSet<String> = sql("SELECT tag FROM skill_tags WHERE skill_id = $1")
        .bind(skill)
        .all(unit.connection(), |row| row.take())
        .await?
        .into_iter()
        .collect();
    for tag in wanted.symmetric_difference(&present) {
        if wanted.contains(tag) {
            add(unit, tenant, skill, tag).await?;
        } else {
            remove(unit, tenant, skill, tag).await?;
        }
    }
    Ok(())
}

async fn add(unit: &mut UnitOfWork, tenant: TenantId, skill: SkillId, tag: &str) -> Result<()> {
    sql("INSERT INTO skill_tags (tenant_id, tag, skill_id) VALUES ($1, $2, $3)")
        .bind(tenant)
        .bind(tag)
        .bind(skill)
        .execute(unit.connection())
        .await?;
    sql(
        "INSERT INTO tags (tenant_id, tag, skills) VALUES ($1, $2, 1) \
         ON CONFLICT (tenant_id, tag) DO UPDATE SET skills = tags.skills + 1",
    )
    .bind(tenant)
    .bind(tag)
    .execute(unit.connection())
    .await
    .map(|_| ())
}

async fn remove(unit: &mut UnitOfWork, tenant: TenantId, skill: SkillId, tag: &str) -> Result<()> {
    sql("DELETE FROM skill_tags WHERE tenant_id = $1 AND tag = $2 AND skill_id = $3")
        .bind(tenant)
        .bind(tag)
        .bind(skill)
        .execute(unit.connection())
        .await?;
    sql("UPDATE tags SET skills = skills - 1 WHERE tenant_id = $1 AND tag = $2")
        .bind(tenant)
        .bind(tag)
        .execute(unit.connection())
        .await
        .map(|_| ())
}
