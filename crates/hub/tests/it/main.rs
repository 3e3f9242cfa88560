//! The hub through HTTP: real requests to a real server, on SQLite and on
//! PostgreSQL. `TEST_POSTGRES_URL`, `TEST_S3_URL` and the like must name running
//! services; `cargo xtask test` sees to it.

mod auth;
mod concurrency;
mod curation;
mod discovery;
mod documents;
mod downloads;
mod drain;
mod files;
mod idempotency;
mod invoking;
mod listing;
mod pages;
mod private;
mod protocol;
mod publishing;
mod rate_limit;
mod ratings;
mod replicas;
mod searching;
mod signatures;
mod storage;
mod unpublishing;
