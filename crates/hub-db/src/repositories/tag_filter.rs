//! A page of the skills that carry all of some tags.
//!
//! There are two ways to it, and neither is good for every tag. Walking the order and asking each skill for its tags
//! ends soon where many skills carry them. Collecting the skills of the rarest tag and sorting them is quick where few
//! do. How many do is known (the tags are counted), so the cheaper one is chosen; the walk is cut off where it should
//! have ended long ago, in case the tag lies far down in this order, and then the skills are collected after all.

use hub_model::{SkillRecord, TenantId};
use sqlx::AnyConnection;

use super::skill_list::{Order, SkillQuery, TAGS_PER_QUERY_MAX, push_limit, push_range};
use super::skills::{COLUMNS, read};
use crate::error::Result;
use crate::sql::Composer;

/// How many times its expected length a walk may take: over the few entries of a page it varies much, over the many
/// that are skipped before little.
const PATIENCE: u64 = 8;
const PATIENCE_SKIPPING: u64 = 2;

/// A query, and what is known about its tags.
pub(super) struct TagFilter<'q> {
    tenant: TenantId,
    query: &'q SkillQuery,
    /// The rarest first.
    tags: Vec<String>,
    /// Skills that carry the rarest tag.
    rarest: u64,
    /// Skills that carry all of them.
    total: u64,
    /// Skills in the whole list.
    listed: u64,
}

impl<'q> TagFilter<'q> {
    pub async fn load(
        connection: &mut AnyConnection,
        tenant: TenantId,
        query: &'q SkillQuery,
        listed: u64,
    ) -> Result<Self> {
        let mut wanted: Vec<&str> = query
            .tags
            .iter()
            .map(String::as_str)
            .take(TAGS_PER_QUERY_MAX)
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let counts = counts(connection, tenant, &wanted).await?;
        // A tag that nobody carries is not among the counted ones.
        let rarest = if counts.len() == wanted.len() {
            counts[0].1
        } else {
            0
        };
        let tags = counts.into_iter().map(|(tag, _)| tag).collect();
        let mut filter = Self {
            tenant,
            query,
            tags,
            rarest,
            total: rarest,
            listed,
        };
        if rarest > 0 && filter.tags.len() > 1 {
            filter.total = filter.count(connection).await?;
        }
        Ok(filter)
    }

    /// The page's skills, one more if there are more, and how many there are on all pages.
    pub async fn page(&self, connection: &mut AnyConnection) -> Result<(Vec<SkillRecord>, u64)> {
        if self.total == 0 {
            return Ok((Vec::new(), 0));
        }
        let needed = u64::from(self.query.page.limit()) + 1;
        let skipped = u64::from(self.query.page.offset());
        let steps =
            (PATIENCE * needed + PATIENCE_SKIPPING * skipped) * self.listed.div_ceil(self.total);
        if steps < self.rarest {
            let found = self.walk(steps).finish().all(connection, read).await?;
            if found.len() as u64 == needed {
                return Ok((found, self.total));
            }
        }
        let found = self.collect().finish().all(connection, read).await?;
        Ok((found, self.total))
    }

    async fn count(&self, connection: &mut AnyConnection) -> Result<u64> {
        let mut statement =
            Composer::new("SELECT COUNT(*) FROM skill_tags t WHERE t.tenant_id = ".to_owned());
        statement.bind(self.tenant);
        statement.push(" AND t.tag = ");
        statement.bind(&self.tags[0]);
        self.push_tags(&mut statement, " AND ", &self.tags[1..], "t.skill_id");
        statement.finish().one(connection, |row| row.take()).await
    }

    /// The first `steps` of the order, and of those the ones that carry the tags.
    fn walk(&self, steps: u64) -> Composer {
        let order = Order::of(self.query.sort);
        let mut statement = self.page_by_ids();
        statement.push(&format!(
            "SELECT c.id FROM (SELECT {} FROM skills s",
            order.columns("s")
        ));
        push_range(&mut statement, self.tenant, self.query);
        statement.push(&format!(" ORDER BY {} LIMIT ", order.by("s")));
        statement.bind(steps);
        statement.push(") c");
        self.push_tags(&mut statement, " WHERE ", &self.tags, "c.id");
        self.finish_page(statement, &order, "c")
    }

    /// All skills of the rarest tag, and of those the ones that carry the others. `CROSS JOIN` makes SQLite begin with
    /// the tag; PostgreSQL decides by itself.
    fn collect(&self) -> Composer {
        let order = Order::of(self.query.sort);
        let mut statement = self.page_by_ids();
        statement.push("SELECT s.id FROM skill_tags t CROSS JOIN skills s");
        push_range(&mut statement, self.tenant, self.query);
        statement.push(" AND s.id = t.skill_id AND t.tenant_id = ");
        statement.bind(self.tenant);
        statement.push(" AND t.tag = ");
        statement.bind(&self.tags[0]);
        self.push_tags(&mut statement, " AND ", &self.tags[1..], "t.skill_id");
        self.finish_page(statement, &order, "s")
    }

    /// Only the page's ids are sorted out; the rows are read afterwards.
    fn page_by_ids(&self) -> Composer {
        Composer::new(format!("SELECT {COLUMNS} FROM ("))
    }

    fn finish_page(&self, mut statement: Composer, order: &Order, table: &str) -> Composer {
        statement.push(&format!(" ORDER BY {}", order.by(table)));
        push_limit(&mut statement, self.query);
        statement.push(&format!(
            ") p CROSS JOIN skills s WHERE s.id = p.id ORDER BY {}",
            order.by("s")
        ));
        statement
    }

    /// The condition that the skill carries all of `tags`, begun with `first`.
    fn push_tags(&self, statement: &mut Composer, first: &str, tags: &[String], skill: &str) {
        let mut before = first;
        for tag in tags {
            statement.push(before);
            statement.push("EXISTS (SELECT 1 FROM skill_tags x WHERE x.tenant_id = ");
            statement.bind(self.tenant);
            statement.push(" AND x.tag = ");
            statement.bind(tag);
            statement.push(&format!(" AND x.skill_id = {skill})"));
            before = " AND ";
        }
    }
}

/// Those of the tags that any skill carries, with how many, the rarest first.
async fn counts(
    connection: &mut AnyConnection,
    tenant: TenantId,
    tags: &[&str],
) -> Result<Vec<(String, u64)>> {
    let mut statement = Composer::new("SELECT tag, skills FROM tags WHERE tenant_id = ".to_owned());
    statement.bind(tenant);
    statement.push(" AND skills > 0 AND tag IN (");
    for (n, tag) in tags.iter().enumerate() {
        statement.push(if n == 0 { "" } else { ", " });
        statement.bind(*tag);
    }
    statement.push(") ORDER BY skills, tag");
    statement
        .finish()
        .all(connection, |row| Ok((row.take()?, row.take()?)))
        .await
}
