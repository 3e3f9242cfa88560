//! The database handle and the unit of work.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use hub_model::{Event, TenantId};
use jiff::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Transaction};
use tokio::sync::watch;

use crate::dialect::{self, Dialect};
use crate::error::{DbError, Result, Source};
use crate::repositories::{events, stats};
use crate::sql::sql;

/// Where the database is, and how many connections it may take.
#[derive(Clone)]
pub struct DbConfig {
    /// `sqlite:<path>` or `postgres://…`. May hold a password, so it is never printed.
    pub url: String,
    /// PostgreSQL: the pool's size. SQLite: how many readers; there is always exactly one writer.
    pub max_connections: u32,
}

impl DbConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            max_connections: 8,
        }
    }
}

impl fmt::Debug for DbConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.split(':').next().unwrap_or_default();
        write!(
            f,
            "DbConfig {{ url: {scheme}:…, max_connections: {} }}",
            self.max_connections
        )
    }
}

/// The two pools behind a handle; with PostgreSQL they are one.
pub(crate) struct Pools {
    pub writer: AnyPool,
    pub readers: AnyPool,
}

/// A database. Cheap to clone.
///
/// Reads go straight through it, `db.skills().by_name(…)`; each is one statement with its own snapshot. Writes need a
/// [`UnitOfWork`]: the repositories of a unit of work have the writing methods, and all reading ones too.
#[derive(Clone)]
pub struct Db {
    dialect: Dialect,
    writer: AnyPool,
    readers: AnyPool,
    /// Bumped after every commit that recorded an event.
    committed: watch::Sender<i64>,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Db({:?})", self.dialect)
    }
}

/// How often [`Db::transact`] begins again before it gives up.
const ATTEMPTS_MAX: u32 = 5;

impl Db {
    /// Connects. A missing SQLite file is made; migrations are not run, see [`Db::migrate`].
    pub async fn connect(config: &DbConfig) -> Result<Self> {
        // A caller that waited this long gets `Unavailable` instead of hanging on.
        const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
        sqlx::any::install_default_drivers();
        let dialect = Dialect::of_url(&config.url).ok_or_else(|| {
            DbError::Unavailable(Source::new(
                "a database URL begins with sqlite: or postgres:",
            ))
        })?;
        let pools = match dialect {
            Dialect::Sqlite => {
                dialect::sqlite::connect(&config.url, config.max_connections, ACQUIRE_TIMEOUT)
                    .await?
            }
            Dialect::Postgres => {
                dialect::postgres::connect(&config.url, config.max_connections, ACQUIRE_TIMEOUT)
                    .await?
            }
        };
        Ok(Self {
            dialect,
            writer: pools.writer,
            readers: pools.readers,
            committed: watch::Sender::new(0),
        })
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Answers whether the database answers: what a readiness probe asks.
    pub async fn ping(&self) -> Result<()> {
        let mut connection = self.read().await?;
        sql("SELECT 1")
            .one(&mut connection, |row| row.take::<i64>())
            .await
            .map(|_| ())
    }

    /// Begins a unit of work. On SQLite this waits for the one before it to end.
    pub async fn begin(&self) -> Result<UnitOfWork> {
        let transaction = self.writer.begin_with(self.dialect.begin()).await?;
        Ok(UnitOfWork {
            transaction,
            dialect: self.dialect,
            events: Vec::new(),
            stats: BTreeMap::new(),
            committed: self.committed.clone(),
        })
    }

    /// Runs `work` in a unit of work and commits; when the database asks to try again (deadlock, serialisation
    /// failure), begins again. `work` may therefore run more than once and must have no other effect.
    pub async fn transact<T, E>(
        &self,
        work: impl for<'u> Fn(&'u mut UnitOfWork) -> BoxFuture<'u, std::result::Result<T, E>>,
    ) -> std::result::Result<T, E>
    where
        E: From<DbError> + MaybeRetryable,
    {
        let mut attempt = 1;
        loop {
            let outcome = self.attempt(&work).await;
            match outcome {
                Err(error) if error.is_retryable() && attempt < ATTEMPTS_MAX => {
                    tracing::debug!(
                        attempt,
                        "transaction lost against another one, trying again"
                    );
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn attempt<T, E: From<DbError>>(
        &self,
        work: &impl for<'u> Fn(&'u mut UnitOfWork) -> BoxFuture<'u, std::result::Result<T, E>>,
    ) -> std::result::Result<T, E> {
        let mut unit = self.begin().await?;
        let value = work(&mut unit).await?;
        unit.commit().await?;
        Ok(value)
    }

    /// Resolves when a commit *of this process* has recorded events since the last look. Other replicas' commits
    /// are found by asking [`events_after`](crate::Events::after) now and then.
    pub fn watch_commits(&self) -> watch::Receiver<i64> {
        self.committed.subscribe()
    }

    /// Waits for running operations and closes all connections.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// How many connections are open, and how many of them are idle: for metrics.
    pub fn pool(&self) -> PoolState {
        let count = |idle: usize| u32::try_from(idle).unwrap_or(u32::MAX);
        let readers = PoolState {
            open: self.readers.size(),
            idle: count(self.readers.num_idle()),
        };
        match self.dialect {
            Dialect::Postgres => readers,
            Dialect::Sqlite => PoolState {
                open: readers.open + self.writer.size(),
                idle: readers.idle + count(self.writer.num_idle()),
            },
        }
    }

    pub(crate) async fn read(&self) -> Result<PoolConnection<Any>> {
        Ok(self.readers.acquire().await?)
    }

    pub(crate) fn writer(&self) -> &AnyPool {
        &self.writer
    }
}

/// A snapshot of the connection pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    pub open: u32,
    pub idle: u32,
}

/// An error that may carry the database's wish to try again.
pub trait MaybeRetryable {
    fn is_retryable(&self) -> bool;
}

impl MaybeRetryable for DbError {
    fn is_retryable(&self) -> bool {
        DbError::is_retryable(self)
    }
}

/// One transaction: state and events together, or nothing. Dropped without [`commit`](Self::commit), it is rolled back.
pub struct UnitOfWork {
    transaction: Transaction<'static, Any>,
    dialect: Dialect,
    events: Vec<(TenantId, Timestamp, Event)>,
    stats: BTreeMap<TenantId, stats::Delta>,
    committed: watch::Sender<i64>,
}

impl fmt::Debug for UnitOfWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "UnitOfWork({:?}, {} events)",
            self.dialect,
            self.events.len()
        )
    }
}

impl UnitOfWork {
    /// Notes an event for the outbox. It is written by [`commit`](Self::commit), after everything else.
    pub fn record(&mut self, tenant: TenantId, at: Timestamp, event: Event) {
        self.events.push((tenant, at, event));
    }

    /// Makes everything durable and visible at once. When this returns `Ok`, it is; when it returns an error, it is
    /// not, except that a connection lost at this very moment leaves it unknown (`Unavailable`).
    pub async fn commit(mut self) -> Result<()> {
        // Counters last, and always in this order: every transaction takes these locks in the same sequence.
        for (tenant, delta) in std::mem::take(&mut self.stats) {
            stats::apply(&mut self.transaction, tenant, delta).await?;
        }
        let recorded = std::mem::take(&mut self.events);
        let last_seq = events::append(&mut self.transaction, &recorded).await?;
        self.transaction.commit().await?;
        if let Some(seq) = last_seq {
            self.committed.send_replace(seq);
        }
        Ok(())
    }

    /// Undoes everything now, instead of when the value is dropped.
    pub async fn rollback(self) -> Result<()> {
        Ok(self.transaction.rollback().await?)
    }

    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What [`commit`](Self::commit) adds to the tenant's statistics.
    pub(crate) fn stats_of(&mut self, tenant: TenantId) -> &mut stats::Delta {
        self.stats.entry(tenant).or_default()
    }
}
