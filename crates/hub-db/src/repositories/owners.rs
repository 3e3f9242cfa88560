//! Who may publish under a skill's name.

use hub_model::{OwnerRecord, SkillId, TenantId, UserId};
use jiff::Timestamp;

use super::skills::SKILLS_PER_LOOKUP_MAX;
use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::Result;
use crate::sql::{Columns, composed, padded, placeholders, sql};

repository! {
    /// Who may publish under a skill's name.
    Owners, owners
}

fn read(row: &mut Columns<'_>) -> Result<OwnerRecord> {
    Ok(OwnerRecord {
        skill_id: row.take()?,
        user_id: row.take()?,
        username: row.take()?,
        added_at: row.take()?,
    })
}

impl<A: Access> Owners<A> {
    /// The owners of several skills, per skill the longest-standing first.
    pub async fn of(&mut self, skills: &[SkillId]) -> Result<Vec<OwnerRecord>> {
        let skills = &skills[..skills.len().min(SKILLS_PER_LOOKUP_MAX)];
        if skills.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = padded(skills);
        let list = placeholders(1, wanted.len());
        composed(format!(
            "SELECT o.skill_id, o.user_id, u.username, o.added_at FROM skill_owners o JOIN users u ON u.id = o.user_id \
             WHERE o.skill_id IN ({list}) ORDER BY o.skill_id, o.added_at, o.user_id"
        ))
        .bind_all(wanted)
        .all(&mut *self.0.via().connect().await?, read)
        .await
    }

    pub async fn is_owner(&mut self, skill: SkillId, user: UserId) -> Result<bool> {
        sql("SELECT 1 FROM skill_owners WHERE skill_id = $1 AND user_id = $2")
            .bind(skill)
            .bind(user)
            .optional(&mut *self.0.via().connect().await?, |_| Ok(()))
            .await
            .map(|found| found.is_some())
    }

    /// The ids of the skills that a user owns, ascending, after `after`; at most 1,000 at a time.
    pub async fn skills_of(
        &mut self,
        user: UserId,
        after: Option<SkillId>,
        limit: u32,
    ) -> Result<Vec<SkillId>> {
        sql("SELECT skill_id FROM skill_owners WHERE user_id = $1 AND skill_id > $2 ORDER BY skill_id LIMIT $3")
            .bind(user)
            .bind(&after.map_or_else(String::new, |id| id.to_string()))
            .bind(limit.min(1_000))
            .all(&mut *self.0.via().connect().await?, |row| row.take())
            .await
    }
}

impl Owners<&mut UnitOfWork> {
    /// Adds an owner; `false` if the user is one already. The skill must be locked.
    pub async fn add(
        &mut self,
        tenant: TenantId,
        skill: SkillId,
        user: UserId,
        added_by: UserId,
        now: Timestamp,
    ) -> Result<bool> {
        sql("INSERT INTO skill_owners (tenant_id, skill_id, user_id, added_by, added_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (skill_id, user_id) DO NOTHING")
            .bind(tenant)
            .bind(skill)
            .bind(user)
            .bind(added_by)
            .bind(now)
            .execute(self.0.connection())
            .await
            .map(|rows| rows == 1)
    }

    /// Removes an owner; `false` if the user is none. The skill must be locked, and
    /// `hub_model::ownership` asked before: the last owner stays.
    pub async fn remove(&mut self, skill: SkillId, user: UserId) -> Result<bool> {
        sql("DELETE FROM skill_owners WHERE skill_id = $1 AND user_id = $2")
            .bind(skill)
            .bind(user)
            .execute(self.0.connection())
            .await
            .map(|rows| rows == 1)
    }
}
