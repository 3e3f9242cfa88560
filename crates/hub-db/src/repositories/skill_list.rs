//! The catalogue's lists: four orders, filtered by tags, page by page.
//!
//! Every order is an index, and a page is a range of it: the time for a page does not grow with the catalogue. A
//! cursor holds the last entry's place in the order, so a page is complete and free of repetitions whatever is
//! inserted meanwhile. How a page filtered by tags is found stands in `tag_filter.rs`. Text is searched in the search
//! index, not here.

use hub_model::{Cursor, Page, Place, SkillRecord, Sort, Start, TenantId};
use sqlx::AnyConnection;

use super::skills::{COLUMNS, Skills, read};
use super::tag_filter::TagFilter;
use crate::access::Access;
use crate::error::Result;
use crate::sql::{Composer, sql};

/// Which skills, in which order, from where.
#[derive(Debug, Clone, Default)]
pub struct SkillQuery {
    pub sort: Sort,
    /// Skills that carry all of these; at most [`TAGS_PER_QUERY_MAX`] are looked at.
    pub tags: Vec<String>,
    pub page: Page,
}

/// Most tags that one list filters by.
pub const TAGS_PER_QUERY_MAX: usize = 10;

#[derive(Debug, Clone)]
pub struct SkillPage {
    pub skills: Vec<SkillRecord>,
    /// How many there are on all pages.
    pub total: u64,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

impl<A: Access> Skills<A> {
    /// A page of the listed skills.
    pub async fn list(&mut self, tenant: TenantId, query: &SkillQuery) -> Result<SkillPage> {
        let mut connection = self.0.via().connect().await?;
        let listed = listed(&mut connection, tenant).await?;
        let (skills, total) = if query.tags.is_empty() {
            (walk(&mut connection, tenant, query).await?, listed)
        } else {
            TagFilter::load(&mut connection, tenant, query, listed)
                .await?
                .page(&mut connection)
                .await?
        };
        Ok(page_of(skills, total, query))
    }
}

/// How many skills the tenant lists: counted as it changes.
async fn listed(connection: &mut AnyConnection, tenant: TenantId) -> Result<u64> {
    let found = sql("SELECT skills FROM tenant_stats WHERE tenant_id = $1")
        .bind(tenant)
        .optional(connection, |row| row.take())
        .await?;
    Ok(found.unwrap_or_default())
}

async fn walk(
    connection: &mut AnyConnection,
    tenant: TenantId,
    query: &SkillQuery,
) -> Result<Vec<SkillRecord>> {
    let order = Order::of(query.sort);
    let mut statement = Composer::new(format!("SELECT {COLUMNS} FROM skills s"));
    push_range(&mut statement, tenant, query);
    statement.push(&format!(" ORDER BY {}", order.by("s")));
    push_limit(&mut statement, query);
    statement.finish().all(connection, read).await
}

/// The listed skills from the page's place on.
pub(super) fn push_range(statement: &mut Composer, tenant: TenantId, query: &SkillQuery) {
    statement.push(" WHERE s.tenant_id = ");
    statement.bind(tenant);
    statement.push(" AND s.listed = 1");
    let Start::After(cursor) = &query.page.start else {
        return;
    };
    let order = Order::of(query.sort);
    statement.push(&format!(" AND ({}) {} (", order.columns("s"), order.beyond));
    match &cursor.place {
        Place::Downloads(downloads) => statement.bind(*downloads),
        Place::Rating { rank, count } => {
            statement.bind(*rank);
            statement.push(", ");
            statement.bind(*count);
        }
        Place::Recent(millis) => statement.bind(*millis),
        Place::Name(name) => statement.bind(name),
    }
    statement.push(", ");
    statement.bind(cursor.id);
    statement.push(")");
}

/// One entry more than the page holds is asked for: it tells whether there is a next page.
pub(super) fn push_limit(statement: &mut Composer, query: &SkillQuery) {
    statement.push(" LIMIT ");
    statement.bind(query.page.limit() + 1);
    statement.push(" OFFSET ");
    statement.bind(query.page.offset());
}

fn page_of(mut skills: Vec<SkillRecord>, total: u64, query: &SkillQuery) -> SkillPage {
    let limit = query.page.limit() as usize;
    let more = skills.len() > limit;
    skills.truncate(limit);
    let next = skills
        .last()
        .filter(|_| more)
        .map(|last| place_of(last, query.sort));
    SkillPage {
        skills,
        total,
        next,
    }
}

fn place_of(skill: &SkillRecord, sort: Sort) -> Cursor {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let place = match sort {
        Sort::Downloads => Place::Downloads(number(skill.downloads)),
        Sort::Rating => Place::Rating {
            rank: hub_model::rating_rank(skill.rating.sum, skill.rating.count),
            count: number(skill.rating.count),
        },
        Sort::Recent => Place::Recent(skill.updated_at.as_millisecond()),
        Sort::Name => Place::Name(skill.name.clone()),
    };
    Cursor {
        place,
        id: skill.id,
    }
}

/// An order: its columns, and which way it goes. All columns go the same way, so that a place in it is one row
/// comparison, which both databases answer from the index.
pub(super) struct Order {
    columns: &'static [&'static str],
    direction: &'static str,
    beyond: char,
}

impl Order {
    pub fn of(sort: Sort) -> Self {
        let (columns, direction, beyond): (&[&str], _, _) = match sort {
            Sort::Downloads => (&["downloads", "id"], " DESC", '<'),
            Sort::Rating => (&["rating_rank", "rating_count", "id"], " DESC", '<'),
            Sort::Recent => (&["updated_at", "id"], " DESC", '<'),
            Sort::Name => (&["name", "id"], "", '>'),
        };
        Self {
            columns,
            direction,
            beyond,
        }
    }

    /// The columns of the table called `table`.
    pub fn columns(&self, table: &str) -> String {
        self.columns
            .iter()
            .map(|column| format!("{table}.{column}"))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The same as an `ORDER BY` takes them.
    pub fn by(&self, table: &str) -> String {
        let direction = self.direction;
        self.columns
            .iter()
            .map(|column| format!("{table}.{column}{direction}"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}
