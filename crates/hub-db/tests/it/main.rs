//! The contract of the database: every body runs on SQLite and on PostgreSQL.
//!
//! The PostgreSQL half needs a server: `TEST_POSTGRES_URL`, the URL of a superuser.

mod accounts;
mod catalogue;
mod concurrency;
mod counts;
mod credentials;
mod events;
mod fixture;
mod harness;
mod idempotency;
mod invocations;
mod listing;
mod migrations;
mod relations;
mod values;
