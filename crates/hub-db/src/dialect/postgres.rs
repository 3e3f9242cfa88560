//! PostgreSQL 13 or newer: a pool, time-outs, row locks.

use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, Connection, Executor};

use super::super::db::Pools;
use crate::error::{Conflict, DbError, Kind, Result};

/// READ COMMITTED: each statement sees what is committed when it begins; what a decision rests on is locked first.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

pub(crate) const FOR_UPDATE: &str = " FOR UPDATE";

/// Taken for the length of a migration by whoever migrates; the number means nothing but must never change.
pub(crate) const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(7740521189)";

/// What every connection sets. A statement that takes longer than its time-out is a defect or an attack; JIT
/// compilation costs more than it gains on queries this short.
const SETTINGS: &str = "SET statement_timeout = '15s'; SET lock_timeout = '10s'; \
    SET idle_in_transaction_session_timeout = '30s'; SET client_min_messages = 'warning'; SET jit = off; \
    SET application_name = 'skills-hub'";

/// A migration may take as long as it needs.
pub(crate) const WITHOUT_TIMEOUTS: &str =
    "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";

pub(crate) async fn connect(
    url: &str,
    connections_max: u32,
    acquire_timeout: Duration,
) -> Result<Pools> {
    let options: AnyConnectOptions = url.parse().map_err(DbError::from)?;
    let pool = AnyPoolOptions::new()
        .max_connections(connections_max.max(2))
        .acquire_timeout(acquire_timeout)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(sqlx::raw_sql(SETTINGS)).await?;
                Ok(())
            })
        })
        .connect_with(options.clone())
        .await;
    let pool = match pool {
        // A pool waits for a server that is still starting, and in the end says only that time is
        // up; one more connection says why.
        Err(sqlx::Error::PoolTimedOut) => {
            let once = AnyConnection::connect_with(&options);
            let reason = tokio::time::timeout(acquire_timeout, once).await;
            return Err(match reason {
                Ok(Err(reason)) => reason,
                _ => sqlx::Error::PoolTimedOut,
            }
            .into());
        }
        pool => pool?,
    };
    Ok(Pools {
        writer: pool.clone(),
        readers: pool,
    })
}

/// Text is compared bytewise, as in SQLite, whatever the server's locale: orders and cursors agree on both.
pub(crate) fn ddl(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len() + 1024);
    for line in text.split_inclusive('\n') {
        let (code, comment) = line.split_at(line.find("--").unwrap_or(line.len()));
        let mut rest = code;
        while let Some(at) = rest.find("TEXT") {
            let after = &rest[at + 4..];
            let whole = !rest[..at].ends_with(is_word) && !after.starts_with(is_word);
            out.push_str(&rest[..at + 4]);
            if whole {
                out.push_str(" COLLATE \"C\"");
            }
            rest = after;
        }
        out.push_str(rest);
        out.push_str(comment);
    }
    out
}

/// SQLSTATE codes: PostgreSQL documentation, appendix A.
pub(crate) fn classify(code: &str, constraint: Option<&str>) -> Kind {
    match code {
        "23505" => Kind::Conflict(Conflict::of_constraint(constraint.unwrap_or_default())),
        "23503" => Kind::Missing,
        // character_not_in_repertoire, untranslatable_character: NUL in text
        "22021" | "22P05" => Kind::Unstorable("it holds a character that text cannot hold"),
        // program_limit_exceeded: longer than an index entry
        "54000" => Kind::Unstorable("too long"),
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => Kind::Retry,
        // query_canceled (time-out), lock_not_available, too_many_connections
        "57014" | "55P03" | "53300" => Kind::Unavailable,
        // read_only_sql_transaction: a replica that is not, or no longer, the primary
        "25006" => Kind::Unavailable,
        // connection exceptions, insufficient resources, operator intervention
        _ if code.starts_with("08") || code.starts_with("53") || code.starts_with("57") => {
            Kind::Unavailable
        }
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_column_gets_the_bytewise_collation_and_nothing_else_changes() {
        let text = "CREATE TABLE a (\n  b TEXT NOT NULL, -- TEXT here\n  c TEXTUAL, d_TEXT BIGINT,\n  e TEXT\n);\n";
        assert_eq!(
            ddl(text),
            "CREATE TABLE a (\n  b TEXT COLLATE \"C\" NOT NULL, -- TEXT here\n  c TEXTUAL, d_TEXT BIGINT,\n  e TEXT COLLATE \"C\"\n);\n"
        );
    }
}
