//! The user's content-addressed cache: archives by their SHA-256, and trees by their digest, from which every store is served by links. Everything is checked against its name when
//! it is used, so a damaged cache costs time and never correctness. Knows no network.
//!
//! ```text
//! .cache/blobs/sha256/<hex>     an archive
//! .cache/trees/<hex>/…          an unpacked skill, read-only
//! .cache/trees/<hex>.spm        a skill that was installed from a folder of this machine
//! .cache/unpacked/<hex>.json    which tree an archive gave, and where it came from
//! .cache/partial/<hex>          a download that is not complete
//! .cache/tmp/…                  what is being written
//! .cache/python/…               environments with skills' Python packages, see [`crate::python`]
//! ```

mod census;
mod partial;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use skill_format::{Explain, Fault, Place, Sha256, SkillName, TreeError, Version};

pub use census::{CacheReport, CacheSize, Tally};
pub use partial::PartialFile;
pub use tree::CachedTree;
pub(crate) use tree::{Writable, write_tree};

use crate::fsx::{self, At as _, FaultPoint, FileLock, FsError, NoFaults};
use crate::source::Origin;

/// The cache in its folder.
#[derive(Clone)]
pub struct Cache {
    dir: PathBuf,
    faults: Arc<dyn FaultPoint>,
}

/// Keeps the cache from being cleared while it is in use.
#[derive(Debug)]
pub struct CacheShare {
    _lock: FileLock,
}

/// Which tree an archive gave, and how it was come by: enough to take an installed folder back
/// into an index that was lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unpacked {
    /// `full_digest` of the tree.
    pub tree: Sha256,
    /// Of the archive.
    pub checksum: Sha256,
    pub name: SkillName,
    pub version: Version,
    pub source: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
}

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error(transparent)]
    File(#[from] FsError),
    /// A tree that was just written does not read back as what it was.
    #[error("what was written to {} does not read back: {source}", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: TreeError,
    },
}

impl Explain for CacheError {
    fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Unreadable { .. } => "cache-unreadable",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::File(error) => error.fault(),
            Self::Unreadable { .. } => Fault::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::File(error) => error.help(),
            Self::Unreadable { .. } => {
                Some("check the disk; `skills cache verify` drops what is damaged".into())
            }
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::File(error) => error.place(),
            Self::Unreadable { path, .. } => Some(Place {
                file: Some(path.display().to_string()),
                line: None,
                field: None,
            }),
        }
    }
}

impl Cache {
    /// The cache in `dir`, which need not exist.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self::with_faults(dir, Arc::new(NoFaults))
    }

    /// The same, with a witness of each step.
    pub fn with_faults(dir: impl Into<PathBuf>, faults: Arc<dyn FaultPoint>) -> Self {
        Self {
            dir: dir.into(),
            faults,
        }
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Environments with skills' Python packages. A folder of its own for those who want to keep it elsewhere.
    pub fn python_dir(&self) -> PathBuf {
        self.dir.join("python")
    }

    /// To be held while the cache is used. Waits only while another process clears or checks it,
    /// and then calls `on_wait` with who that is.
    pub async fn share(&self, on_wait: impl FnOnce(Option<&str>)) -> Result<CacheShare, FsError> {
        self.make()?;
        Ok(CacheShare {
            _lock: FileLock::shared(&self.lock_path(), on_wait).await?,
        })
    }

    /// The archive with this digest. One that is damaged is removed and counts as absent.
    pub fn blob(&self, digest: &Sha256) -> Result<Option<Bytes>, FsError> {
        let path = self.blob_path(digest);
        let Some(bytes) = fsx::read_optional(&path)? else {
            return Ok(None);
        };
        if Sha256::of(&bytes) != *digest {
            tracing::warn!(path = %path.display(), "removing a damaged archive from the cache");
            fsx::remove_tree(&path)?;
            return Ok(None);
        }
        Ok(Some(bytes.into()))
    }

    /// Bytes of the archive with this digest, if it is here.
    pub fn blob_size(&self, digest: &Sha256) -> Option<u64> {
        let file = std::fs::metadata(self.blob_path(digest));
        file.ok().map(|file| file.len())
    }

    /// Keeps an archive.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Sha256, FsError> {
        let digest = Sha256::of(bytes);
        let path = self.blob_path(&digest);
        if !path.exists() {
            let temporary = self.temporary()?;
            std::fs::write(&temporary, bytes).at("write", &temporary)?;
            self.take_in_blob(&temporary, &digest)?;
        }
        Ok(digest)
    }

    /// Gives a complete file its final name.
    fn take_in_blob(&self, file: &Path, digest: &Sha256) -> Result<(), FsError> {
        let path = self.blob_path(digest);
        if let Some(dir) = path.parent() {
            fsx::create_dir_all(dir, true)?;
        }
        self.faults.reach("cache-blob");
        std::fs::rename(file, &path).at("rename", file)
    }

    /// What is known of an archive that was unpacked before.
    pub fn unpacked(&self, archive: &Sha256) -> Result<Option<Unpacked>, FsError> {
        let record = fsx::read_optional(&self.unpacked_path(archive))?;
        let record: Option<Unpacked> = record.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(record.filter(|record| record.checksum == *archive))
    }

    /// What is known of a tree, whichever archive gave it.
    pub fn provenance(&self, tree: &Sha256) -> Result<Option<Unpacked>, FsError> {
        self.find_unpacked(|record| record.tree == *tree)
    }

    /// What was fetched before from just there. Of use where the place names the content, as a
    /// commit does.
    pub fn fetched_from(
        &self,
        source: &Origin,
        name: &SkillName,
    ) -> Result<Option<Unpacked>, FsError> {
        self.find_unpacked(|record| record.source == *source && record.name == *name)
    }

    fn find_unpacked(
        &self,
        is_it: impl Fn(&Unpacked) -> bool,
    ) -> Result<Option<Unpacked>, FsError> {
        for name in fsx::entry_names(&self.dir.join("unpacked"))? {
            let archive = name.strip_suffix(".json").and_then(|hex| hex.parse().ok());
            let Some(archive) = archive else { continue };
            if let Some(record) = self.unpacked(&archive)?.filter(|record| is_it(record)) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Written in `temporary`, a folder of the cache that nobody else uses.
    fn note_unpacked(&self, record: &Unpacked, temporary: &Path) -> Result<(), FsError> {
        let path = self.unpacked_path(&record.checksum);
        let text = serde_json::to_vec(record)
            .map_err(std::io::Error::from)
            .at("write", &path)?;
        let written = temporary.join("record.json");
        std::fs::write(&written, text).at("write", &written)?;
        std::fs::rename(&written, &path).at("rename", &written)
    }

    fn blob_path(&self, digest: &Sha256) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    fn unpacked_path(&self, archive: &Sha256) -> PathBuf {
        self.dir
            .join("unpacked")
            .join(format!("{}.json", archive.hex()))
    }

    fn lock_path(&self) -> PathBuf {
        self.dir.join(".lock")
    }

    fn make(&self) -> Result<(), FsError> {
        fsx::create_dir_all(&self.dir, true)
    }

    /// A path that nobody else uses. What a crash leaves there is swept by [`Cache::sweep`].
    fn temporary(&self) -> Result<PathBuf, FsError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let dir = self.dir.join("tmp");
        fsx::create_dir_all(&dir, true)?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("{}-{number}", std::process::id()));
        // A process of this number may have crashed before.
        fsx::remove_tree(&path)?;
        Ok(path)
    }

    /// Removes what crashed processes left, unless another process uses the cache right now.
    pub fn sweep(&self) -> Result<(), FsError> {
        let tmp = self.dir.join("tmp");
        if fsx::entry_names(&tmp)?.is_empty() {
            return Ok(());
        }
        if let Ok(_lock) = FileLock::try_exclusive(&self.lock_path(), "sweeping the cache")? {
            fsx::remove_tree(&tmp)?;
        }
        Ok(())
    }
}
