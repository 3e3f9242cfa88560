//! What differs between the two databases, and nothing else: connecting, locking, DDL spelling, error codes.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use crate::error::Kind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// The dialect of a URL, by its scheme.
    pub(crate) fn of_url(url: &str) -> Option<Self> {
        match url.split_once(':')?.0 {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            _ => None,
        }
    }

    /// How a unit of work begins.
    pub(crate) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => sqlite::BEGIN,
            Self::Postgres => postgres::BEGIN,
        }
    }

    /// What is appended to a `SELECT` whose rows the unit of work is about to change.
    pub(crate) fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => sqlite::FOR_UPDATE,
            Self::Postgres => postgres::FOR_UPDATE,
        }
    }

    /// A migration's text as this database takes it.
    pub(crate) fn ddl(self, text: &str) -> String {
        match self {
            Self::Sqlite => text.to_owned(),
            Self::Postgres => postgres::ddl(text),
        }
    }
}

/// Reads a driver's error. The two drivers' codes do not overlap: SQLSTATE has five characters, SQLite's are numbers
/// of at most four digits.
pub(crate) fn classify(error: &dyn sqlx::error::DatabaseError) -> Kind {
    let code = error.code().unwrap_or_default();
    match code.len() {
        5 => postgres::classify(&code, error.constraint()),
        _ => sqlite::classify(&code, error.message()),
    }
}
