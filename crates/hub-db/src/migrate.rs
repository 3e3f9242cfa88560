//! Migrations: embedded texts, run once each and in order, under a lock, in one transaction; checked against what an
//! earlier program ran.
//!
//! How to add one: a new file in `migrations/` with the next number, a line in [`MIGRATIONS`]. A published text is
//! never changed again: its checksum is in every database that ran it. Keep to the types named in the first one.

use std::fmt;

use hub_model::{Explain, Fault};
use sha2::{Digest, Sha256};
use sqlx::{AnyConnection, Executor};

use crate::db::Db;
use crate::dialect::{Dialect, postgres};
use crate::error::{DbError, Result};
use crate::sql::sql;

struct Migration {
    version: i64,
    name: &'static str,
    text: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "catalogue",
        text: include_str!("../migrations/0001_catalogue.sql"),
    },
    Migration {
        version: 2,
        name: "invocations",
        text: include_str!("../migrations/0002_invocations.sql"),
    },
];

/// Where a database stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationStatus {
    /// The database's version; 0 before the first migration.
    pub database: i64,
    /// The version that this program needs.
    pub program: i64,
}

impl MigrationStatus {
    pub fn is_current(self) -> bool {
        self.database == self.program
    }
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The names of the migrations that were run now, in order.
    pub applied: Vec<&'static str>,
    pub version: i64,
}

/// Why a database cannot be brought to this program's version.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A newer program has migrated it. Going on could destroy what that program wrote.
    #[error(
        "the database has version {database}, but this program knows versions up to {program}: use a newer program"
    )]
    TooNew { database: i64, program: i64 },
    /// A migration that ran has another text than the one in this program.
    #[error(
        "migration {version} ({name}) was run from another text than this program holds: the database belongs to another build"
    )]
    Changed { version: i64, name: String },
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Explain for MigrateError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooNew { .. } => "database-too-new",
            Self::Changed { .. } => "migration-changed",
            Self::Db(error) => error.code(),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::TooNew { .. } | Self::Changed { .. } => Fault::Conflict,
            Self::Db(error) => error.fault(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::TooNew { .. } => Some(
                "start the program that migrated it, or restore a backup from before".to_owned(),
            ),
            Self::Changed { .. } => Some(
                "start the build that made this database, or begin with an empty one".to_owned(),
            ),
            Self::Db(_) => None,
        }
    }
}

impl Db {
    /// Brings the database to this program's version. Safe when several replicas start at once: one migrates, the
    /// others wait and find it done.
    pub async fn migrate(&self) -> std::result::Result<Migrated, MigrateError> {
        let mut transaction = self
            .writer()
            .begin_with(self.dialect().begin())
            .await
            .map_err(DbError::from)?;
        lock(&mut transaction, self.dialect()).await?;
        sql("CREATE TABLE IF NOT EXISTS schema_migrations \
             (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)")
        .execute(&mut transaction)
        .await?;
        let known = check(&mut transaction).await?;
        let mut applied = Vec::new();
        for migration in MIGRATIONS
            .iter()
            .filter(|migration| migration.version > known)
        {
            run(&mut transaction, self.dialect(), migration).await?;
            applied.push(migration.name);
        }
        transaction.commit().await.map_err(DbError::from)?;
        Ok(Migrated {
            applied,
            version: newest(),
        })
    }

    /// Where the database stands. Errors as [`Db::migrate`].
    pub async fn migration_status(&self) -> std::result::Result<MigrationStatus, MigrateError> {
        let mut connection = self.read().await?;
        let present = sql(match self.dialect() {
            Dialect::Sqlite => "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'",
            Dialect::Postgres => "SELECT 1 FROM pg_tables WHERE schemaname = ANY (current_schemas(false)) AND tablename = 'schema_migrations'",
        })
        .optional(&mut connection, |_| Ok(()))
        .await?;
        let database = match present {
            Some(()) => check(&mut connection).await?,
            None => 0,
        };
        Ok(MigrationStatus {
            database,
            program: newest(),
        })
    }
}

fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

async fn lock(connection: &mut AnyConnection, dialect: Dialect) -> Result<()> {
    // SQLite: BEGIN IMMEDIATE is the lock.
    if dialect == Dialect::Postgres {
        sqlx::raw_sql(postgres::WITHOUT_TIMEOUTS)
            .execute(&mut *connection)
            .await?;
        sqlx::raw_sql(postgres::MIGRATION_LOCK)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The database's version, when everything that it ran is what this program would have run.
async fn check(connection: &mut AnyConnection) -> std::result::Result<i64, MigrateError> {
    let ran: Vec<(i64, String, String)> =
        sql("SELECT version, name, checksum FROM schema_migrations ORDER BY version")
            .all(connection, |row| {
                Ok((row.take()?, row.take()?, row.take()?))
            })
            .await?;
    let database = ran.last().map_or(0, |(version, _, _)| *version);
    if database > newest() {
        return Err(MigrateError::TooNew {
            database,
            program: newest(),
        });
    }
    for (version, name, checksum) in ran {
        let same = MIGRATIONS.iter().any(|migration| {
            migration.version == version && Checksum::of(migration.text).to_string() == checksum
        });
        if !same {
            return Err(MigrateError::Changed { version, name });
        }
    }
    Ok(database)
}

async fn run(
    connection: &mut AnyConnection,
    dialect: Dialect,
    migration: &Migration,
) -> Result<()> {
    tracing::info!(
        version = migration.version,
        name = migration.name,
        "running database migration"
    );
    connection
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(
            dialect.ddl(migration.text),
        )))
        .await?;
    sql("INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(&Checksum::of(migration.text).to_string())
        .execute(connection)
        .await
        .map(|_| ())
}

/// SHA-256 of a migration's text, in hex.
struct Checksum([u8; 32]);

impl Checksum {
    fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
