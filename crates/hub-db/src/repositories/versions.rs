//! Published versions. A row is never removed: a number that was used stays used.

use hub_model::{
    About, ReleaseRecord, SkillDependency, SkillId, TenantId, VersionId, VersionKeys,
    VersionRecord, VersionState,
};
use jiff::Timestamp;

use super::skills;
use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::{DbError, Result};
use crate::sql::{Columns, composed, padded, placeholders, sql};

repository! {
    /// Published versions. Every change here also brings the skill's copy of its latest version up to date.
    Versions, versions
}

/// Most releases that are listed for one skill; the newest ones.
pub const RELEASES_MAX: u32 = 2_000;

const COLUMNS: &str = "v.id, v.tenant_id, v.skill_id, v.version, v.state, v.yank_reason, v.state_changed_at, v.about, \
     v.manifest, v.sha256, v.size, v.media_type, v.content_digest, v.signature, v.signer, v.published_by, \
     v.published_at, v.downloads";

const RELEASE_COLUMNS: &str = "v.id, v.skill_id, v.version, v.state, v.yank_reason, v.dependencies, v.sha256, v.size, \
     v.media_type, v.signer, v.published_at, v.downloads";

/// What is stored of a version beside its record.
#[derive(Debug, Clone, Copy)]
pub struct NewVersion<'a> {
    pub record: &'a VersionRecord,
    /// The skills it depends on, each name once.
    pub depends_on: &'a [SkillDependency],
    /// SKILL.md without its frontmatter, for the search index.
    pub body: &'a str,
}

fn read(row: &mut Columns<'_>) -> Result<VersionRecord> {
    Ok(VersionRecord {
        id: row.take()?,
        tenant: row.take()?,
        skill_id: row.take()?,
        version: row.take()?,
        state: row.parsed(VersionState::parse)?,
        yank_reason: row.take()?,
        state_changed_at: row.take()?,
        about: row.json()?,
        manifest: row.json()?,
        sha256: row.take()?,
        size: row.take()?,
        media_type: row.take()?,
        content_digest: row.take()?,
        signature: row.take()?,
        signer: row.take()?,
        published_by: row.take()?,
        published_at: row.take()?,
        downloads: row.take()?,
    })
}

fn read_release(row: &mut Columns<'_>) -> Result<ReleaseRecord> {
    Ok(ReleaseRecord {
        id: row.take()?,
        skill_id: row.take()?,
        version: row.take()?,
        state: row.parsed(VersionState::parse)?,
        yank_reason: row.take()?,
        dependencies: row.json()?,
        sha256: row.take()?,
        size: row.take()?,
        media_type: row.take()?,
        signer: row.take()?,
        published_at: row.take()?,
        downloads: row.take()?,
    })
}

impl<A: Access> Versions<A> {
    pub async fn by_id(&mut self, id: VersionId) -> Result<Option<VersionRecord>> {
        composed(format!("SELECT {COLUMNS} FROM versions v WHERE v.id = $1"))
            .bind(id)
            .optional(&mut *self.0.via().connect().await?, read)
            .await
    }

    /// By the version without its build metadata ([`VersionKeys::identity`]), in any state: a deleted one answers too, so that its number is known as
    /// used.
    pub async fn by_identity(
        &mut self,
        skill: SkillId,
        identity: &str,
    ) -> Result<Option<VersionRecord>> {
        composed(format!(
            "SELECT {COLUMNS} FROM versions v WHERE v.skill_id = $1 AND v.identity = $2"
        ))
        .bind(skill)
        .bind(identity)
        .optional(&mut *self.0.via().connect().await?, read)
        .await
    }

    /// The skill's releases that are not deleted, highest version first; at most [`RELEASES_MAX`].
    pub async fn releases(&mut self, skill: SkillId) -> Result<Vec<ReleaseRecord>> {
        composed(format!(
            "SELECT {RELEASE_COLUMNS} FROM versions v WHERE v.skill_id = $1 AND v.state <> 'deleted' \
             ORDER BY v.precedence DESC LIMIT $2"
        ))
        .bind(skill)
        .bind(RELEASES_MAX)
        .all(&mut *self.0.via().connect().await?, read_release)
        .await
    }

    /// The version numbers of several skills (not deleted ones), per skill highest first, at most `per_skill` each.
    pub async fn numbers_of(
        &mut self,
        skills: &[SkillId],
        per_skill: u32,
    ) -> Result<Vec<(SkillId, String)>> {
        let skills = &skills[..skills.len().min(skills::SKILLS_PER_LOOKUP_MAX)];
        if skills.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = padded(skills);
        let list = placeholders(2, wanted.len());
        composed(format!(
            "SELECT skill_id, version FROM (\
               SELECT skill_id, version, precedence, \
                      ROW_NUMBER() OVER (PARTITION BY skill_id ORDER BY precedence DESC) AS place \
               FROM versions WHERE skill_id IN ({list}) AND state <> 'deleted') AS numbered \
             WHERE place <= $1 ORDER BY skill_id, precedence DESC"
        ))
        .bind(per_skill.min(RELEASES_MAX))
        .bind_all(wanted)
        .all(&mut *self.0.via().connect().await?, |row| {
            Ok((row.take()?, row.take()?))
        })
        .await
    }

    /// The version's instructions, as stored for the search index.
    pub async fn body(&mut self, id: VersionId) -> Result<Option<String>> {
        sql("SELECT body FROM versions WHERE id = $1")
            .bind(id)
            .optional(&mut *self.0.via().connect().await?, |row| row.take())
            .await
    }

    /// Whether any version that is not deleted, of any tenant, has this archive (hex SHA-256). If not, the blob may go.
    pub async fn archive_is_used(&mut self, sha256: &str) -> Result<bool> {
        sql("SELECT 1 FROM versions WHERE sha256 = $1 AND state <> 'deleted' LIMIT 1")
            .bind(sha256)
            .optional(&mut *self.0.via().connect().await?, |_| Ok(()))
            .await
            .map(|found| found.is_some())
    }

    /// The digests of all archives in use, ascending, after `after`; at most 1,000 at a time. For checking the blob
    /// store against the catalogue.
    pub async fn archives(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        sql("SELECT DISTINCT sha256 FROM versions WHERE sha256 > $1 AND state <> 'deleted' ORDER BY sha256 LIMIT $2")
            .bind(after.unwrap_or_default())
            .bind(limit.min(1_000))
            .all(&mut *self.0.via().connect().await?, |row| row.take())
            .await
    }
}

impl Versions<&mut UnitOfWork> {
    /// Stores a version and what hangs on it. The skill must be locked. Errors: `Conflict::Version`.
    pub async fn insert(&mut self, new: NewVersion<'_>) -> Result<()> {
        let version = new.record;
        self.insert_row(new).await?;
        for dependency in new.depends_on {
            sql("INSERT INTO dependencies (tenant_id, version_id, name_key, name, wanted) VALUES ($1, $2, $3, $4, $5)")
                .bind(version.tenant)
                .bind(version.id)
                .bind(&dependency.name_key)
                .bind(&dependency.name)
                .bind(&dependency.range)
                .execute(self.0.connection())
                .await?;
        }
        let first = sql("UPDATE users SET published = 1 WHERE id = $1 AND published = 0")
            .bind(version.published_by)
            .execute(self.0.connection())
            .await?;
        let stats = self.0.stats_of(version.tenant);
        stats.versions += 1;
        stats.publishers += i64::from(first == 1);
        skills::refresh(
            self.0,
            version.tenant,
            version.skill_id,
            version.published_at,
        )
        .await
    }

    async fn insert_row(&mut self, new: NewVersion<'_>) -> Result<()> {
        let version = new.record;
        let keys = VersionKeys::parse(&version.version).map_err(DbError::corrupt)?;
        sql("INSERT INTO versions (id, tenant_id, skill_id, version, identity, precedence, prerelease, state, \
             yank_reason, state_changed_at, sha256, size, media_type, content_digest, signer, published_by, published_at, \
             downloads, dependencies, about, signature, manifest, body) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)")
            .bind(version.id)
            .bind(version.tenant)
            .bind(version.skill_id)
            .bind(&version.version)
            .bind(&keys.identity)
            .bind(&keys.precedence)
            .bind(keys.prerelease)
            .bind(version.state.as_str())
            .bind(version.yank_reason.as_ref())
            .bind(version.state_changed_at)
            .bind(&version.sha256)
            .bind(version.size)
            .bind(&version.media_type)
            .bind(&version.content_digest)
            .bind(version.signer.as_ref())
            .bind(version.published_by)
            .bind(version.published_at)
            .bind(version.downloads)
            .bind(&version.about.dependencies)
            .bind(&serde_json::to_value(&version.about).map_err(DbError::corrupt)?)
            .bind(version.signature.as_ref())
            .bind(&version.manifest)
            .bind(new.body)
            .execute(self.0.connection())
            .await
            .map(|_| ())
    }

    /// Yanks: no new install chooses it. The skill must be locked.
    pub async fn yank(
        &mut self,
        version: &VersionRecord,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        self.set_state(version, VersionState::Yanked, reason, now)
            .await
    }

    /// Takes a yank back. The skill must be locked.
    pub async fn restore(&mut self, version: &VersionRecord, now: Timestamp) -> Result<()> {
        self.set_state(version, VersionState::Active, None, now)
            .await
    }

    async fn set_state(
        &mut self,
        version: &VersionRecord,
        state: VersionState,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        let rows = sql(
            "UPDATE versions SET state = $2, yank_reason = $3, state_changed_at = $4 \
                        WHERE id = $1 AND state <> 'deleted'",
        )
        .bind(version.id)
        .bind(state.as_str())
        .bind(reason)
        .bind(now)
        .execute(self.0.connection())
        .await?;
        super::users::exactly_one(rows)?;
        skills::refresh(self.0, version.tenant, version.skill_id, now).await
    }

    /// Deletes what the version says, and keeps its number as used. The skill must be locked.
    pub async fn delete(&mut self, version: &VersionRecord, now: Timestamp) -> Result<()> {
        let rows = sql("UPDATE versions SET state = 'deleted', yank_reason = NULL, state_changed_at = $2, \
                        dependencies = '{}', about = $3, signature = NULL, manifest = 'null', body = '' \
                        WHERE id = $1 AND state <> 'deleted'")
            .bind(version.id)
            .bind(now)
            .bind(&serde_json::to_value(About::default()).map_err(DbError::corrupt)?)
            .execute(self.0.connection())
            .await?;
        super::users::exactly_one(rows)?;
        sql("DELETE FROM dependencies WHERE version_id = $1")
            .bind(version.id)
            .execute(self.0.connection())
            .await?;
        self.0.stats_of(version.tenant).versions -= 1;
        skills::refresh(self.0, version.tenant, version.skill_id, now).await
    }
}

impl<A: Access> Versions<A> {
    /// Versions that one key signed and that are not deleted, newest first; at most `limit` of 1,000.
    pub async fn signed_by(
        &mut self,
        tenant: TenantId,
        fingerprint: &str,
        limit: u32,
    ) -> Result<Vec<ReleaseRecord>> {
        composed(format!(
            "SELECT {RELEASE_COLUMNS} FROM versions v WHERE v.tenant_id = $1 AND v.signer = $2 AND v.state <> 'deleted' \
             ORDER BY v.published_at DESC LIMIT $3"
        ))
        .bind(tenant)
        .bind(fingerprint)
        .bind(limit.min(1_000))
        .all(&mut *self.0.via().connect().await?, read_release)
        .await
    }
}
