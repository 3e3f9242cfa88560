//! SQLite: one writer connection and several readers over a write-ahead log.
//!
//! Every acknowledged commit is on disk (`synchronous=FULL`): it survives `kill -9` and, where the disk keeps its
//! word, power loss.

use std::time::{Duration, Instant};

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, Connection, Executor, Row};

use super::super::db::Pools;
use crate::error::{Conflict, DbError, Kind, Result, Source};

/// A unit of work takes the write lock at once: a transaction that reads first and writes later could not be
/// continued if another one wrote in between.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";

/// The write lock covers everything.
pub(crate) const FOR_UPDATE: &str = "";

/// How long a connection waits for another *process* that writes; writers of this one queue at the pool.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What every connection sets. `cache_size` is in KiB when negative; `journal_size_limit` cuts the log after a
/// checkpoint so that one large transaction does not leave a large file behind.
const SETTINGS: &str = "PRAGMA busy_timeout = 10000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
    PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384; PRAGMA journal_size_limit = 67108864";

/// Opens the database, making the file if need be.
pub(crate) async fn connect(
    url: &str,
    readers_max: u32,
    acquire_timeout: Duration,
) -> Result<Pools> {
    let options = options(url)?;
    make_private(&options);
    use_write_ahead_log(&options).await?;
    let pool = |pool: AnyPoolOptions, connections_max: u32, settings: &'static str| {
        pool.max_connections(connections_max)
            .acquire_timeout(acquire_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    connection.execute(SETTINGS).await?;
                    connection.execute(settings).await?;
                    Ok(())
                })
            })
            .connect_with(options.clone())
    };
    let only_between_transactions = AnyPoolOptions::new().after_release(|connection, _| {
        Box::pin(async move {
            // The rollback of a dropped unit of work is done once this is answered.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    });
    // Where the disk is full, SQLite ends a transaction by itself; sqlx's rollback then fails and
    // leaves a connection that counts as inside a transaction for ever. It is closed instead.
    let writer: AnyPool = pool(only_between_transactions, 1, "PRAGMA query_only = OFF").await?;
    let readers = pool(
        AnyPoolOptions::new(),
        readers_max.max(1),
        "PRAGMA query_only = ON",
    )
    .await?;
    Ok(Pools { writer, readers })
}

fn options(url: &str) -> Result<AnyConnectOptions> {
    let refused = |why: &'static str| DbError::Unavailable(Source::new(why));
    let (path, parameters) = url.split_once('?').unwrap_or((url, ""));
    let path = path.trim_start_matches("sqlite:");
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.contains(":memory:") || parameters.contains("memory") {
        return Err(refused(
            "an SQLite URL names a file, as in sqlite:hub.db: the hub's connections must share it",
        ));
    }
    let mode = if parameters.contains("mode=") {
        parameters.to_owned()
    } else {
        join(parameters, "mode=rwc")
    };
    // The relative form must not have its first folder read as a host.
    format!("sqlite:{path}?{mode}")
        .parse()
        .map_err(DbError::from)
}

/// A new database is its owner's alone: it holds the hashes of passwords and tokens. SQLite gives
/// its log the same mode.
fn make_private(options: &AnyConnectOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let url = options.database_url.as_str();
    let (path, parameters) = url.split_once('?').unwrap_or((url, ""));
    let path = path.trim_start_matches("sqlite:");
    if !parameters.contains("mode=rwc") || path.contains('%') {
        return;
    }
    let mut new = std::fs::OpenOptions::new();
    // One that is there keeps its mode; whatever else is wrong SQLite says better.
    let _ = new.write(true).create_new(true).mode(0o600).open(path);
}

fn join(parameters: &str, one_more: &str) -> String {
    if parameters.is_empty() {
        one_more.to_owned()
    } else {
        format!("{parameters}&{one_more}")
    }
}

/// The journal mode is kept in the file, so this happens once. Two processes that start on a new file at once can
/// find it locked without the busy handler being asked, so it is tried again until the time is up.
async fn use_write_ahead_log(options: &AnyConnectOptions) -> Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match try_write_ahead_log(options).await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome.map_err(DbError::from),
        }
    }
}

async fn try_write_ahead_log(options: &AnyConnectOptions) -> sqlx::Result<()> {
    let mut connection = <AnyConnection as Connection>::connect_with(options).await?;
    let mode: String = connection
        .fetch_one("PRAGMA journal_mode")
        .await?
        .try_get(0)?;
    if !mode.eq_ignore_ascii_case("wal") {
        connection.execute("PRAGMA journal_mode = WAL").await?;
    }
    connection.close().await
}

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(|database| database.code());
    code.is_some_and(|code| primary(&code) == Some(5))
}

/// The primary result code: the low byte of the extended one.
fn primary(code: &str) -> Option<u32> {
    code.parse::<u32>().ok().map(|extended| extended & 0xff)
}

/// Result codes: <https://www.sqlite.org/rescode.html>.
pub(crate) fn classify(code: &str, message: &str) -> Kind {
    match code {
        // SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE: the message names the columns.
        "1555" | "2067" => {
            let columns = message
                .rsplit_once("failed: ")
                .map_or("", |(_, columns)| columns);
            Kind::Conflict(Conflict::of_constraint(columns))
        }
        // SQLITE_CONSTRAINT_FOREIGNKEY
        "787" => Kind::Missing,
        _ => match primary(code) {
            // BUSY, LOCKED: another process holds the write lock longer than the time-out.
            Some(5 | 6) => Kind::Unavailable,
            // READONLY, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB
            Some(8 | 10 | 11 | 13 | 14 | 15 | 26) => Kind::Unavailable,
            // TOOBIG
            Some(18) => Kind::Unstorable("too long"),
            _ => Kind::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pragma(pool: &AnyPool, name: &'static str) -> String {
        let row = sqlx::query(name).fetch_one(pool).await.expect("answers");
        row.try_get::<i64, _>(0)
            .map_or_else(|_| row.get::<String, _>(0), |number| number.to_string())
    }

    /// The promises of this crate rest on these: durable commits, foreign keys, waiting instead of failing.
    #[tokio::test]
    async fn every_connection_has_the_settings() {
        sqlx::any::install_default_drivers();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite:{}", folder.path().join("a b.db").display());
        let pools = connect(&url, 3, Duration::from_secs(5))
            .await
            .expect("connects");
        for (pool, query_only) in [(&pools.writer, "0"), (&pools.readers, "1")] {
            for (name, expected) in [
                ("PRAGMA journal_mode", "wal"),
                ("PRAGMA synchronous", "2"),
                ("PRAGMA foreign_keys", "1"),
                ("PRAGMA busy_timeout", "10000"),
                ("PRAGMA query_only", query_only),
            ] {
                assert_eq!(pragma(pool, name).await, expected, "{name}");
            }
        }
        assert!(
            folder.path().join("a b.db").exists(),
            "the file has the name given"
        );
    }

    #[test]
    fn a_file_of_the_caller_s_choice_and_nothing_else() {
        for url in [
            "sqlite:",
            "sqlite://",
            "sqlite::memory:",
            "sqlite:a.db?mode=memory",
        ] {
            assert!(
                matches!(options(url), Err(DbError::Unavailable(_))),
                "{url}"
            );
        }
        for (url, expected) in [
            ("sqlite:a.db", "sqlite:a.db?mode=rwc"),
            ("sqlite://a.db", "sqlite:a.db?mode=rwc"),
            (
                "sqlite:///var/lib/hub.db",
                "sqlite:/var/lib/hub.db?mode=rwc",
            ),
            (
                "sqlite:/var/lib/hub.db?cache=private",
                "sqlite:/var/lib/hub.db?cache=private&mode=rwc",
            ),
            ("sqlite:a.db?mode=rw", "sqlite:a.db?mode=rw"),
        ] {
            let options = options(url).expect("a URL");
            assert_eq!(options.database_url.as_str(), expected, "{url}");
        }
    }
}
