//! Ratings: one per user and skill.

use hub_model::{RatingRecord, RatingSummary, SkillId, TenantId, UserId, rating_rank};
use jiff::Timestamp;

use super::users::exactly_one;
use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::{DbError, Result};
use crate::sql::sql;

repository! {
    /// Ratings: one per user and skill. The skill keeps their sum and count.
    Ratings, ratings
}

/// Most ratings that one call lists, and the most that it skips.
pub const RATINGS_PER_READ_MAX: u32 = 100;
pub const RATINGS_OFFSET_MAX: u32 = 10_000;

impl<A: Access> Ratings<A> {
    /// Newest first.
    pub async fn of(
        &mut self,
        skill: SkillId,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<RatingRecord>> {
        sql(
            "SELECT r.skill_id, r.user_id, u.username, r.rating, r.updated_at \
             FROM ratings r JOIN users u ON u.id = r.user_id WHERE r.skill_id = $1 \
             ORDER BY r.updated_at DESC, r.user_id DESC LIMIT $2 OFFSET $3",
        )
        .bind(skill)
        .bind(limit.min(RATINGS_PER_READ_MAX))
        .bind(offset.min(RATINGS_OFFSET_MAX))
        .all(&mut *self.0.via().connect().await?, |row| {
            Ok(RatingRecord {
                skill_id: row.take()?,
                user_id: row.take()?,
                username: row.take()?,
                rating: row.take()?,
                updated_at: row.take()?,
            })
        })
        .await
    }

    /// What the user gave, 1 to 5.
    pub async fn by_user(&mut self, skill: SkillId, user: UserId) -> Result<Option<u8>> {
        sql("SELECT rating FROM ratings WHERE skill_id = $1 AND user_id = $2")
            .bind(skill)
            .bind(user)
            .optional(&mut *self.0.via().connect().await?, |row| row.take())
            .await
    }
}

impl Ratings<&mut UnitOfWork> {
    /// Gives or changes a rating; the skill's summary from now on. The skill must be locked.
    pub async fn put(
        &mut self,
        tenant: TenantId,
        skill: SkillId,
        user: UserId,
        rating: u8,
        now: Timestamp,
    ) -> Result<RatingSummary> {
        let before = self.by_user(skill, user).await?;
        sql("INSERT INTO ratings (tenant_id, skill_id, user_id, rating, updated_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (skill_id, user_id) DO UPDATE SET rating = excluded.rating, updated_at = excluded.updated_at")
            .bind(tenant)
            .bind(skill)
            .bind(user)
            .bind(rating)
            .bind(now)
            .execute(self.0.connection())
            .await?;
        let sum = i64::from(rating) - i64::from(before.unwrap_or(0));
        self.adjust(skill, sum, i64::from(before.is_none())).await
    }

    /// Takes a rating back; the skill's summary from now on, or `None` if the user had given none. The skill must be
    /// locked.
    pub async fn remove(&mut self, skill: SkillId, user: UserId) -> Result<Option<RatingSummary>> {
        let Some(before) = self.by_user(skill, user).await? else {
            return Ok(None);
        };
        sql("DELETE FROM ratings WHERE skill_id = $1 AND user_id = $2")
            .bind(skill)
            .bind(user)
            .execute(self.0.connection())
            .await?;
        self.adjust(skill, -i64::from(before), -1).await.map(Some)
    }

    async fn adjust(&mut self, skill: SkillId, sum: i64, count: i64) -> Result<RatingSummary> {
        let (old_sum, old_count) = sql("SELECT rating_sum, rating_count FROM skills WHERE id = $1")
            .bind(skill)
            .one(self.0.connection(), |row| {
                Ok((row.take::<i64>()?, row.take::<i64>()?))
            })
            .await?;
        let unsigned =
            |value: i64| u64::try_from(value).map_err(|_| DbError::corrupt("a negative rating"));
        let summary = RatingSummary {
            sum: unsigned(old_sum + sum)?,
            count: unsigned(old_count + count)?,
        };
        sql("UPDATE skills SET rating_sum = $2, rating_count = $3, rating_rank = $4 WHERE id = $1")
            .bind(skill)
            .bind(summary.sum)
            .bind(summary.count)
            .bind(rating_rank(summary.sum, summary.count))
            .execute(self.0.connection())
            .await
            .and_then(exactly_one)?;
        Ok(summary)
    }
}
