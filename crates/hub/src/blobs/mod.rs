//! Package archives by their SHA-256, in a local folder or in a bucket. Knows
//! neither skills nor the database; what refers to a blob is asked elsewhere.
//!
//! A blob, once put, is complete and never changes: its name is its digest.
//! *Against a crash of the hub* (`kill -9`) and *against power loss*: `put`
//! returns only after file and folder are on disk (or the bucket said so).

mod bucket;
mod folder;
pub(crate) mod sweep;

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use skill_format::Sha256;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use url::Url;

use crate::config::{BlobConfig, HubConfig};
use bucket::Bucket;
use folder::Folder;

/// Cheap to clone.
#[derive(Clone)]
pub struct BlobStore(Arc<Inner>);

struct Inner {
    place: Place,
    /// Held for reading from a put until its transaction ended, and for writing
    /// while the sweep decides on one blob: a sweep never takes away a blob that
    /// a publish of this process is about to refer to.
    publishing: RwLock<()>,
}

enum Place {
    Folder(Folder),
    Bucket(Bucket),
}

/// Why a blob cannot be had. For the log; clients see a 5xx.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("blob {0} is missing from the store")]
    Missing(Sha256),
    #[error("cannot {action} {path}: {source}")]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the object store refused: {0}")]
    Bucket(#[from] object_store::Error),
    #[error("a task of the blob store was stopped")]
    Stopped,
}

/// A blob, or a part of it, on its way out.
pub struct BlobBody {
    pub stream: BoxStream<'static, Result<Bytes, BlobError>>,
}

/// What the sweep needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlobEntry {
    pub digest: Sha256,
    pub modified: Timestamp,
}

impl BlobStore {
    pub(crate) async fn open(config: &HubConfig) -> Result<Self, BlobError> {
        let place = match &config.blobs {
            BlobConfig::Folder(folder) => {
                Place::Folder(Folder::open(config.blob_folder(folder.path.as_deref())).await?)
            }
            BlobConfig::S3(s3) => Place::Bucket(Bucket::s3(s3)?),
            BlobConfig::Gcs(gcs) => Place::Bucket(Bucket::gcs(gcs)?),
        };
        Ok(Self(Arc::new(Inner {
            place,
            publishing: RwLock::new(()),
        })))
    }

    /// Stores `bytes` under their digest, durably. Storing the same bytes again
    /// is allowed and makes the blob young again.
    pub async fn put(&self, digest: Sha256, bytes: Bytes) -> Result<(), BlobError> {
        match &self.0.place {
            Place::Folder(folder) => folder.put(digest, bytes).await,
            Place::Bucket(bucket) => bucket.put(digest, bytes).await,
        }
    }

    /// The bytes of `range` (or all), as a stream.
    pub async fn read(&self, digest: Sha256, range: Range<u64>) -> Result<BlobBody, BlobError> {
        match &self.0.place {
            Place::Folder(folder) => folder.read(digest, range).await,
            Place::Bucket(bucket) => bucket.read(digest, range).await,
        }
    }

    /// The whole blob. Archives are bounded when they are published.
    pub async fn read_all(&self, digest: Sha256) -> Result<Bytes, BlobError> {
        match &self.0.place {
            Place::Folder(folder) => folder.read_all(digest).await,
            Place::Bucket(bucket) => bucket.read_all(digest).await,
        }
    }

    /// Whether the blob is there.
    pub async fn contains(&self, digest: Sha256) -> Result<bool, BlobError> {
        Ok(self.modified(digest).await?.is_some())
    }

    /// A URL that gives the blob to whoever has it, for a while; `None` where the
    /// hub must serve the bytes itself.
    pub async fn presigned(
        &self,
        digest: Sha256,
        media_type: &str,
        file_name: &str,
    ) -> Result<Option<Url>, BlobError> {
        match &self.0.place {
            Place::Folder(_) => Ok(None),
            Place::Bucket(bucket) => bucket
                .presigned(digest, media_type, file_name)
                .await
                .map(Some),
        }
    }

    /// Whether the store answers at all, for `/readyz`.
    pub(crate) async fn check(&self) -> Result<(), BlobError> {
        match &self.0.place {
            Place::Folder(folder) => folder.check().await,
            Place::Bucket(bucket) => bucket.check().await,
        }
    }

    /// Keeps the sweep off until the guard is dropped.
    pub(crate) async fn hold_sweep(&self) -> RwLockReadGuard<'_, ()> {
        self.0.publishing.read().await
    }

    pub(crate) async fn hold_publishes(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.publishing.write().await
    }

    pub(crate) fn list(&self) -> BoxStream<'_, Result<BlobEntry, BlobError>> {
        match &self.0.place {
            Place::Folder(folder) => folder.list(),
            Place::Bucket(bucket) => bucket.list(),
        }
    }

    /// When the blob was last put; `None` if there is none.
    pub(crate) async fn modified(&self, digest: Sha256) -> Result<Option<Timestamp>, BlobError> {
        match &self.0.place {
            Place::Folder(folder) => folder.modified(digest).await,
            Place::Bucket(bucket) => bucket.modified(digest).await,
        }
    }

    pub(crate) async fn delete(&self, digest: Sha256) -> Result<(), BlobError> {
        match &self.0.place {
            Place::Folder(folder) => folder.delete(digest).await,
            Place::Bucket(bucket) => bucket.delete(digest).await,
        }
    }
}

/// `sha256/ab/abcdef…`: 256 folders, so that none grows too large to list.
fn key_of(digest: Sha256) -> String {
    let hex = digest.hex();
    format!("sha256/{}/{hex}", &hex[..2])
}

/// The digest that a key's last part names; `None` for a file of someone else.
fn digest_of(file_name: &str) -> Option<Sha256> {
    (file_name.len() == 64).then(|| file_name.parse().ok())?
}
