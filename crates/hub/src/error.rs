//! Why a hub cannot start. Shown to the operator, so it names what to change;
//! it never shows a secret.

use crate::auth::AuthStartError;
use crate::blobs::BlobError;
use crate::config::ConfigError;
use crate::rate_limit::RateLimitError;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot make the data folder {path}: {source}")]
    DataFolder {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    /// The address is not shown: it may hold a password.
    #[error("cannot open the database: {0}")]
    Database(#[source] hub_db::DbError),
    #[error("cannot bring the database's schema up to date: {0}")]
    Migration(#[source] hub_db::MigrateError),
    #[error("cannot open the blob store: {0}")]
    Blobs(#[from] BlobError),
    #[error("cannot start authentication: {0}")]
    Auth(#[from] AuthStartError),
    #[error(transparent)]
    RateLimit(#[from] RateLimitError),
    #[error("cannot set up metrics: {0}")]
    Metrics(String),
    #[error("cannot set up the search index: {0}")]
    Search(#[from] tantivy::TantivyError),
}
