//! Skills: one row each, with a copy of what the latest version says. The copy is kept here, by [`refresh`], whenever
//! a version changes; nobody else writes it.

use std::collections::BTreeSet;

use hub_model::{
    About, Deprecation, IndexEntry, Latest, RatingSummary, SkillId, SkillRecord, TenantId, UserId,
};
use jiff::Timestamp;

use super::users::exactly_one;
use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::{DbError, Result};
use crate::sql::{Columns, composed, padded, placeholders, sql};

repository! {
    /// Skills. To list them see also [`Skills::list`].
    Skills, skills
}

/// Most skills that one look-up by ids takes.
pub const SKILLS_PER_LOOKUP_MAX: usize = 256;

pub(crate) const COLUMNS: &str = "s.id, s.tenant_id, s.name, s.name_key, s.about, s.latest_id, s.latest_version, \
     s.latest_sha256, s.latest_size, s.latest_media_type, s.downloads, s.rating_sum, s.rating_count, s.deprecated, s.deprecated_at, \
     s.created_by, s.created_at, s.updated_at";

/// The values of a name not seen before.
#[derive(Debug, Clone)]
pub struct NewSkill {
    pub id: SkillId,
    pub tenant: TenantId,
    pub name: String,
    /// `SkillName::uniqueness_key`.
    pub name_key: String,
    pub created_by: UserId,
    pub created_at: Timestamp,
}

/// What [`Skills::claim`] found or made. The row is locked until the unit of work ends.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub skill: SkillRecord,
    /// Whether this unit of work made it; then `created_by` is its first owner already.
    pub created: bool,
}

pub(crate) fn read(row: &mut Columns<'_>) -> Result<SkillRecord> {
    Ok(SkillRecord {
        id: row.take()?,
        tenant: row.take()?,
        name: row.take()?,
        name_key: row.take()?,
        about: row.json()?,
        latest: read_latest(row)?,
        downloads: row.take()?,
        rating: RatingSummary {
            sum: row.take()?,
            count: row.take()?,
        },
        deprecated: read_deprecation(row)?,
        created_by: row.take()?,
        created_at: row.take()?,
        updated_at: row.take()?,
    })
}

fn read_latest(row: &mut Columns<'_>) -> Result<Option<Latest>> {
    let (id, version, sha256, size, media_type) = (
        row.take()?,
        row.take()?,
        row.take()?,
        row.take()?,
        row.take()?,
    );
    Ok(match (id, version, sha256, size, media_type) {
        (Some(id), Some(version), Some(sha256), Some(size), Some(media_type)) => Some(Latest {
            id,
            version,
            sha256,
            size,
            media_type,
        }),
        _ => None,
    })
}

fn read_deprecation(row: &mut Columns<'_>) -> Result<Option<Deprecation>> {
    let (message, at) = (row.take()?, row.take()?);
    Ok(match (message, at) {
        (Some(message), Some(at)) => Some(Deprecation { message, at }),
        _ => None,
    })
}

impl<A: Access> Skills<A> {
    /// By the exact name.
    pub async fn by_name(&mut self, tenant: TenantId, name: &str) -> Result<Option<SkillRecord>> {
        composed(format!(
            "SELECT {COLUMNS} FROM skills s WHERE s.tenant_id = $1 AND s.name = $2"
        ))
        .bind(tenant)
        .bind(name)
        .optional(&mut *self.0.via().connect().await?, read)
        .await
    }

    /// By the uniqueness key: finds every spelling that counts as the same name.
    pub async fn by_key(
        &mut self,
        tenant: TenantId,
        name_key: &str,
    ) -> Result<Option<SkillRecord>> {
        composed(format!(
            "SELECT {COLUMNS} FROM skills s WHERE s.tenant_id = $1 AND s.name_key = $2"
        ))
        .bind(tenant)
        .bind(name_key)
        .optional(&mut *self.0.via().connect().await?, read)
        .await
    }

    pub async fn by_id(&mut self, id: SkillId) -> Result<Option<SkillRecord>> {
        composed(format!("SELECT {COLUMNS} FROM skills s WHERE s.id = $1"))
            .bind(id)
            .optional(&mut *self.0.via().connect().await?, read)
            .await
    }

    /// Those of `ids` that exist, in the order of `ids`; the first [`SKILLS_PER_LOOKUP_MAX`] are looked up.
    pub async fn by_ids(&mut self, ids: &[SkillId]) -> Result<Vec<SkillRecord>> {
        let ids = &ids[..ids.len().min(SKILLS_PER_LOOKUP_MAX)];
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = padded(ids);
        let list = placeholders(1, wanted.len());
        let mut found = composed(format!(
            "SELECT {COLUMNS} FROM skills s WHERE s.id IN ({list})"
        ))
        .bind_all(wanted)
        .all(&mut *self.0.via().connect().await?, read)
        .await?;
        found.sort_by_key(|skill| ids.iter().position(|id| *id == skill.id));
        Ok(found)
    }

    /// Every skill of every tenant, listed or not, by ascending id, after `after`: for filling a search index.
    /// At most [`SKILLS_PER_LOOKUP_MAX`] at a time.
    pub async fn all_for_index(
        &mut self,
        after: Option<SkillId>,
        limit: u32,
    ) -> Result<Vec<IndexEntry>> {
        let after = after.map_or_else(String::new, |id| id.to_string());
        composed(format!(
            "SELECT {COLUMNS}, COALESCE(v.body, '') FROM skills s LEFT JOIN versions v ON v.id = s.latest_id \
             WHERE s.id > $1 ORDER BY s.id LIMIT $2"
        ))
        .bind(&after)
        .bind(u64::from(limit).min(SKILLS_PER_LOOKUP_MAX as u64))
        .all(&mut *self.0.via().connect().await?, |row| Ok(IndexEntry { skill: read(row)?, body: row.take()? }))
        .await
    }

    /// One skill as the index takes it in.
    pub async fn for_index(&mut self, id: SkillId) -> Result<Option<IndexEntry>> {
        composed(format!(
            "SELECT {COLUMNS}, COALESCE(v.body, '') FROM skills s LEFT JOIN versions v ON v.id = s.latest_id WHERE s.id = $1"
        ))
        .bind(id)
        .optional(&mut *self.0.via().connect().await?, |row| Ok(IndexEntry { skill: read(row)?, body: row.take()? }))
        .await
    }
}

impl Skills<&mut UnitOfWork> {
    /// Finds the skill of this name key, or makes it with `created_by` as its first owner; locks it either way. Of
    /// several that claim a new name at once, one makes it, and the others wait and then find it.
    pub async fn claim(&mut self, new: &NewSkill) -> Result<Claimed> {
        let about = serde_json::to_value(About::default()).map_err(DbError::corrupt)?;
        let made = sql("INSERT INTO skills (id, tenant_id, name, name_key, created_by, created_at, updated_at, about) \
             VALUES ($1, $2, $3, $4, $5, $6, $6, $7) ON CONFLICT (tenant_id, name_key) DO NOTHING")
            .bind(new.id)
            .bind(new.tenant)
            .bind(&new.name)
            .bind(&new.name_key)
            .bind(new.created_by)
            .bind(new.created_at)
            .bind(&about)
            .execute(self.0.connection())
            .await?;
        let created = made == 1;
        if created {
            self.0
                .owners()
                .add(
                    new.tenant,
                    new.id,
                    new.created_by,
                    new.created_by,
                    new.created_at,
                )
                .await?;
        }
        let skill = self
            .lock(new.tenant, &new.name_key)
            .await?
            .ok_or(DbError::NotFound)?;
        Ok(Claimed { skill, created })
    }

    /// The skill of this name key, locked until the unit of work ends. Whoever changes a skill or anything of it
    /// (versions, owners, ratings) locks it first; so two changes of one skill happen one after the other.
    pub async fn lock(&mut self, tenant: TenantId, name_key: &str) -> Result<Option<SkillRecord>> {
        let lock = self.0.dialect().for_update();
        composed(format!(
            "SELECT {COLUMNS} FROM skills s WHERE s.tenant_id = $1 AND s.name_key = $2{lock}"
        ))
        .bind(tenant)
        .bind(name_key)
        .optional(self.0.connection(), read)
        .await
    }

    /// As [`lock`](Self::lock), by id.
    pub async fn lock_by_id(&mut self, id: SkillId) -> Result<Option<SkillRecord>> {
        let lock = self.0.dialect().for_update();
        composed(format!(
            "SELECT {COLUMNS} FROM skills s WHERE s.id = $1{lock}"
        ))
        .bind(id)
        .optional(self.0.connection(), read)
        .await
    }

    /// Sets or lifts the deprecation.
    pub async fn set_deprecation(
        &mut self,
        id: SkillId,
        deprecation: Option<&Deprecation>,
        now: Timestamp,
    ) -> Result<()> {
        sql("UPDATE skills SET deprecated = $2, deprecated_at = $3, updated_at = $4 WHERE id = $1")
            .bind(id)
            .bind(deprecation.map(|d| &d.message))
            .bind(deprecation.map(|d| d.at))
            .bind(now)
            .execute(self.0.connection())
            .await
            .and_then(exactly_one)
    }
}

/// Makes the skill's copy of its latest version true again, and with it the lists, the tags and the counts.
pub(crate) async fn refresh(
    unit: &mut UnitOfWork,
    tenant: TenantId,
    id: SkillId,
    now: Timestamp,
) -> Result<()> {
    let was_listed: bool = sql("SELECT listed FROM skills WHERE id = $1")
        .bind(id)
        .one(unit.connection(), |row| row.take())
        .await?;
    let latest = sql("SELECT id, version, sha256, size, media_type, about FROM versions WHERE skill_id = $1 AND state = 'active' \
                      ORDER BY prerelease, precedence DESC LIMIT 1")
        .bind(id)
        .optional(unit.connection(), |row| {
            let latest = Latest {
                id: row.take()?,
                version: row.take()?,
                sha256: row.take()?,
                size: row.take()?,
                media_type: row.take()?,
            };
            Ok((latest, row.json::<About>()?))
        })
        .await?;
    let tags = match &latest {
        Some((latest, about)) => {
            copy_latest(unit, id, latest, about, now).await?;
            about.tags.iter().cloned().collect()
        }
        None => {
            forget_latest(unit, id, now).await?;
            BTreeSet::new()
        }
    };
    unit.stats_of(tenant).skills += i64::from(latest.is_some()) - i64::from(was_listed);
    super::tags::replace(unit, tenant, id, &tags).await
}

async fn copy_latest(
    unit: &mut UnitOfWork,
    id: SkillId,
    latest: &Latest,
    about: &About,
    now: Timestamp,
) -> Result<()> {
    sql("UPDATE skills SET listed = 1, latest_id = $2, latest_version = $3, latest_sha256 = $4, latest_size = $5, \
         latest_media_type = $6, about = $7, updated_at = $8 WHERE id = $1")
        .bind(id)
        .bind(latest.id)
        .bind(&latest.version)
        .bind(&latest.sha256)
        .bind(latest.size)
        .bind(&latest.media_type)
        .bind(&serde_json::to_value(about).map_err(DbError::corrupt)?)
        .bind(now)
        .execute(unit.connection())
        .await
        .and_then(exactly_one)
}

/// Nothing is left to install. What the last version said about the skill stays readable.
async fn forget_latest(unit: &mut UnitOfWork, id: SkillId, now: Timestamp) -> Result<()> {
    sql("UPDATE skills SET listed = 0, latest_id = NULL, latest_version = NULL, latest_sha256 = NULL, \
         latest_size = NULL, latest_media_type = NULL, updated_at = $2 WHERE id = $1")
        .bind(id)
        .bind(now)
        .execute(unit.connection())
        .await
        .and_then(exactly_one)
}
