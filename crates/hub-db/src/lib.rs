//! The hub's database: the only crate with SQL. SQLite and PostgreSQL from the same texts.
//!
//! ```no_run
//! # async fn example(clock: &dyn hub_model::Clock) -> Result<(), Box<dyn std::error::Error>> {
//! use hub_db::{Db, DbConfig};
//! use hub_model::TenantId;
//!
//! let db = Db::connect(&DbConfig::new("sqlite:hub.db")).await?;
//! db.migrate().await?;
//!
//! // Reading: straight through the handle.
//! let skill = db.skills().by_name(TenantId::DEFAULT, "csv-analyzer").await?;
//!
//! // Writing: in a unit of work; state and events together, or nothing.
//! let mut unit = db.begin().await?;
//! if let Some(skill) = unit.skills().lock(TenantId::DEFAULT, "csv-analyzer").await? {
//!     unit.skills().set_deprecation(skill.id, None, clock.now()).await?;
//! }
//! unit.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! How to add a repository: a migration with its table (with `tenant_id`), a record in `hub-model`, a file in
//! `repositories/` that begins with `repository! { … }`, its reading methods in `impl<A: Access>`, its writing methods
//! in `impl Nouns<&mut UnitOfWork>`, and a test in `tests/it`, which runs on both databases.
//!
//! Rules that hold everywhere:
//! - A query is written once. Only text and 64-bit integers are bound and read; see `sql.rs`.
//! - What differs between the databases stands in `dialect/`.
//! - Locks are taken in one order: skill, versions, tags by name, invocation, usage, statistics, event counter.
//! - Whatever a caller can ask for has a bound.

mod access;
mod db;
mod dialect;
mod error;
mod migrate;
mod repositories;
mod sql;

pub use access::Access;
pub use db::{Db, DbConfig, MaybeRetryable, PoolState, UnitOfWork};
pub use dialect::Dialect;
pub use error::{Conflict, DbError, Result, Source};
pub use migrate::{MigrateError, Migrated, MigrationStatus};
pub use repositories::api_tokens::{ApiTokens, TOKENS_PER_USER_MAX};
pub use repositories::dependents::{DEPENDENTS_PER_READ_MAX, Dependents};
pub use repositories::device_codes::DeviceCodes;
pub use repositories::downloads::{DAYS_PER_READ_MAX, Downloads};
pub use repositories::events::{EVENTS_PER_READ_MAX, Events};
pub use repositories::housekeeping::{KeptSince, Purged};
pub use repositories::idempotency::{Claim, Idempotency, IdempotencyKey, StoredResponse};
pub use repositories::invocations::{INVOCATIONS_PER_READ_MAX, Invocations, NewInvocation};
pub use repositories::keys::{KEYS_PER_USER_MAX, Keys};
pub use repositories::oidc::Oidc;
pub use repositories::owners::Owners;
pub use repositories::ratings::{RATINGS_OFFSET_MAX, RATINGS_PER_READ_MAX, Ratings};
pub use repositories::refresh_tokens::RefreshTokens;
pub use repositories::settings::Settings;
pub use repositories::skill_list::{SkillPage, SkillQuery, TAGS_PER_QUERY_MAX};
pub use repositories::skills::{Claimed, NewSkill, SKILLS_PER_LOOKUP_MAX, Skills};
pub use repositories::stats::Stats;
pub use repositories::tags::{TAGS_PER_READ_MAX, Tags};
pub use repositories::tenants::Tenants;
pub use repositories::usage::Usage;
pub use repositories::users::{USERS_PER_PAGE_MAX, Users};
pub use repositories::versions::{NewVersion, RELEASES_MAX, Versions};
