//! Unpacked archives in memory, for looking into them: a page of files costs one
//! unpacking, not one per file.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use skill_format::{ArchiveError, Limits, Sha256, SkillTree};
use tokio::sync::Semaphore;

use crate::blobs::{BlobError, BlobStore};
use crate::problem::Problem;

/// All trees together; one may be as large as the largest skill.
const BYTES_MAX: u64 = 128 * 1024 * 1024;

const TIME_TO_IDLE: Duration = Duration::from_secs(300);

/// Cheap to clone.
#[derive(Clone)]
pub struct TreeCache {
    blobs: BlobStore,
    limits: Limits,
    trees: Cache<Sha256, Arc<SkillTree>>,
    /// Unpackings at the same time: each may take as much memory as a publish.
    places: Arc<Semaphore>,
}

#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// It was read when it was published; now it cannot be.
    #[error("a stored archive cannot be read: {0}")]
    Archive(#[from] ArchiveError),
    #[error("unpacking was stopped")]
    Stopped,
}

impl From<TreeError> for Problem {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Blob(error) => error.into(),
            TreeError::Archive(_) | TreeError::Stopped => Self::internal(error),
        }
    }
}

impl TreeCache {
    pub(crate) fn new(blobs: BlobStore, limits: Limits, unpackings_at_once_max: usize) -> Self {
        let weight = |_: &Sha256, tree: &Arc<SkillTree>| {
            let names: u64 = tree.iter().map(|(path, _)| path.len() as u64 + 128).sum();
            u32::try_from(tree.total_bytes() + names).unwrap_or(u32::MAX)
        };
        let trees = Cache::builder()
            .max_capacity(BYTES_MAX)
            .weigher(weight)
            .time_to_idle(TIME_TO_IDLE)
            .build();
        Self {
            blobs,
            limits,
            trees,
            places: Arc::new(Semaphore::new(unpackings_at_once_max)),
        }
    }

    /// The files of the archive with this digest.
    pub async fn get(&self, digest: Sha256) -> Result<Arc<SkillTree>, TreeError> {
        if let Some(tree) = self.trees.get(&digest) {
            return Ok(tree);
        }
        let _place = self
            .places
            .acquire()
            .await
            .map_err(|_| TreeError::Stopped)?;
        // Unpacked by another request while this one waited.
        if let Some(tree) = self.trees.get(&digest) {
            return Ok(tree);
        }
        let archive = self.blobs.read_all(digest).await?;
        let limits = self.limits.clone();
        let unpacked =
            tokio::task::spawn_blocking(move || SkillTree::read_archive(&archive, &limits)).await;
        let tree = Arc::new(unpacked.map_err(|_| TreeError::Stopped)??);
        self.trees.insert(digest, Arc::clone(&tree));
        Ok(tree)
    }
}
