//! Who depends on a skill.

use hub_model::{Dependent, SkillId, TenantId, VersionId};

use crate::access::{Access, repository};
use crate::error::Result;
use crate::sql::{Columns, sql};

repository! {
    /// Who depends on a skill, by its name key. A dependency may name a skill that does not exist.
    Dependents, dependents
}

/// Most dependents that one call reads.
pub const DEPENDENTS_PER_READ_MAX: u32 = 1_000;

fn read(row: &mut Columns<'_>) -> Result<Dependent> {
    Ok(Dependent {
        skill_id: row.take()?,
        name: row.take()?,
        version_id: row.take()?,
        version: row.take()?,
        range: row.take()?,
    })
}

impl<A: Access> Dependents<A> {
    /// Skills whose latest version depends on it, after the version `after`: what a person asks for.
    pub async fn current(
        &mut self,
        tenant: TenantId,
        name_key: &str,
        after: Option<VersionId>,
        limit: u32,
    ) -> Result<Vec<Dependent>> {
        sql("SELECT s.id, s.name, s.latest_id, s.latest_version, d.wanted \
             FROM dependencies d JOIN versions v ON v.id = d.version_id \
             JOIN skills s ON s.id = v.skill_id AND s.latest_id = d.version_id \
             WHERE d.tenant_id = $1 AND d.name_key = $2 AND d.version_id > $3 ORDER BY d.version_id LIMIT $4")
            .bind(tenant)
            .bind(name_key)
            .bind(&after.map_or_else(String::new, |id| id.to_string()))
            .bind(limit.min(DEPENDENTS_PER_READ_MAX))
            .all(&mut *self.0.via().connect().await?, read)
            .await
    }

    /// Every version of another skill that depends on it and is not deleted, after the version `after`: what a
    /// deletion must not break.
    pub async fn of_any_version(
        &mut self,
        tenant: TenantId,
        name_key: &str,
        except: SkillId,
        after: Option<VersionId>,
        limit: u32,
    ) -> Result<Vec<Dependent>> {
        sql("SELECT s.id, s.name, v.id, v.version, d.wanted \
             FROM dependencies d JOIN versions v ON v.id = d.version_id JOIN skills s ON s.id = v.skill_id \
             WHERE d.tenant_id = $1 AND d.name_key = $2 AND d.version_id > $3 \
               AND v.skill_id <> $4 AND v.state <> 'deleted' \
             ORDER BY d.version_id LIMIT $5")
            .bind(tenant)
            .bind(name_key)
            .bind(&after.map_or_else(String::new, |id| id.to_string()))
            .bind(except)
            .bind(limit.min(DEPENDENTS_PER_READ_MAX))
            .all(&mut *self.0.via().connect().await?, read)
            .await
    }
}
