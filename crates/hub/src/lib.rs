//! The hub: registry, catalogue, accounts, behind HTTP.
//!
//! One operation, end to end: `routes.rs` names the URL → one file per endpoint
//! parses, authorises and maps errors to statuses → a rule of `hub-model` decides
//! → one transaction of `hub-db` writes the state and, last, the event → after
//! the commit `background.rs` follows the outbox and keeps caches and the search
//! index fresh. Nothing calls back up, and nothing here knows SQL.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! let config = hub::HubConfig::from_toml("require_signatures = true")?;
//! let listener = tokio::net::TcpListener::bind(config.bind).await?;
//! let app = hub::App::new(config, Arc::new(hub_model::SystemClock)).await?;
//! hub::serve(listener, app, std::future::pending()).await;
//! # Ok(())
//! # }
//! ```
//!
//! How to add an endpoint: see `catalogue`. How skills are run for callers: see `invoke`.

pub mod auth;
mod background;
mod blobs;
pub mod catalogue;
mod conditional;
mod config;
mod downloads;
mod error;
mod extract;
pub mod invoke;
mod metrics;
mod middleware;
mod openapi;
mod ops;
mod outbox;
pub mod packages;
mod problem;
pub mod rate_limit;
mod routes;
mod search;
mod server;
mod state;
mod transaction;
mod ui;

pub use blobs::{BlobError, BlobStore};
pub use config::{
    BlobConfig, ConfigError, DatabaseConfig, FolderConfig, GcsConfig, HubConfig, LimitsConfig,
    LogConfig, LogFormat, S3Config,
};
pub use error::StartError;
pub use openapi::{openapi, openapi_json};
pub use problem::{FieldError, Problem, ProblemBody};
pub use server::serve;
pub use state::App;
