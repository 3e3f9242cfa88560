//! A folder of installed skills: `<name>/<version>/` and `index.json`, changed by one process at a
//! time and only in whole transactions. Knows no network and no agents.
//!
//! How a change is made: everything new is written beside the store (`.staging/`), made durable,
//! and described in a journal; from then on the change is decided, and whoever comes next
//! finishes it. The folders are swapped in by renames, and the index is written last.

mod drift;
mod journal;
mod repair;
mod transaction;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use skill_format::{Explain, Fault, Place};

pub use drift::{Drift, FileChange, FileChangeKind, changes};
pub use repair::{Repair, RepairReport};
pub use transaction::{Committed, Transaction};

use crate::cache::CacheError;
use crate::fsx::{self, FaultPoint, FileLock, FsError, NoFaults};
use crate::index::{Index, IndexError, InstalledSkill};

/// What is being written. Owned by whoever holds the lock.
const STAGING: &str = ".staging";
/// Where folders go that are taken out of use but may hold somebody's work.
const BACKUP: &str = ".backup";

/// A store in its folder.
#[derive(Clone)]
pub struct Store {
    dir: PathBuf,
    faults: Arc<dyn FaultPoint>,
}

/// Why a store cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    File(#[from] FsError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A journal that no version of this program has written.
    #[error("{} is not a valid journal: {source}", .path.display())]
    Journal {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// A journal that would reach outside the store.
    #[error("{} was not written by this program", .path.display())]
    ForeignJournal { path: PathBuf },
}

impl Explain for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Index(error) => error.code(),
            Self::File(error) => error.code(),
            Self::Cache(error) => error.code(),
            Self::Journal { .. } | Self::ForeignJournal { .. } => "journal-invalid",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Index(error) => error.fault(),
            Self::File(error) => error.fault(),
            Self::Cache(error) => error.fault(),
            Self::Journal { .. } | Self::ForeignJournal { .. } => Fault::Denied,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Index(error) => error.help(),
            Self::File(error) => error.help(),
            Self::Cache(error) => error.help(),
            Self::Journal { path, .. } | Self::ForeignJournal { path } => Some(format!(
                "an interrupted change cannot be finished; remove {} and install again",
                path.display()
            )),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Index(error) => error.place(),
            Self::File(error) => error.place(),
            Self::Cache(error) => error.place(),
            Self::Journal { path, .. } | Self::ForeignJournal { path } => Some(Place {
                file: Some(path.display().to_string()),
                line: None,
                field: None,
            }),
        }
    }
}

impl Store {
    /// The store in `dir`, which need not exist.
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

    /// Where `index.json` lies.
    pub fn index_path(&self) -> PathBuf {
        self.dir.join("index.json")
    }

    /// What is installed. Needs no lock: the file is replaced as a whole.
    pub fn index(&self) -> Result<Index, StoreError> {
        Ok(Index::read(&self.index_path())?)
    }

    /// The folder of an installed skill.
    pub fn skill_dir(&self, skill: &InstalledSkill) -> PathBuf {
        self.dir.join(skill.folder())
    }

    /// The exclusive right to change the store. Waits while another process has it, and then calls
    /// `on_wait` with who that is. `purpose` is what others are told who wait for this one.
    pub async fn lock(
        &self,
        purpose: &str,
        on_wait: impl FnOnce(Option<&str>),
    ) -> Result<StoreGuard<'_>, StoreError> {
        // A store of one's own is nobody else's business; one in a project is shared with it.
        fsx::create_dir_all(&self.dir, self.dir.join("config.json").exists())?;
        let lock = FileLock::exclusive(&self.dir.join(".lock"), purpose, on_wait).await?;
        let index = self.index()?;
        Ok(StoreGuard {
            store: self,
            index,
            _lock: lock,
        })
    }

    fn staging(&self) -> PathBuf {
        self.dir.join(STAGING)
    }

    fn write_index(&self, index: &Index) -> Result<(), StoreError> {
        let path = self.index_path();
        let text = index.to_bytes().map_err(|source| IndexError::Invalid {
            path: path.clone(),
            source,
        })?;
        fsx::write_atomic(&path, &text, 0o644)?;
        Ok(())
    }
}

/// The exclusive right to change a store, with its index as it is now.
pub struct StoreGuard<'s> {
    store: &'s Store,
    index: Index,
    _lock: FileLock,
}

impl<'s> StoreGuard<'s> {
    /// The store.
    pub fn store(&self) -> &'s Store {
        self.store
    }

    /// What is installed.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Changes entries of the index without touching folders.
    pub fn edit_index(&mut self, change: impl FnOnce(&mut Index)) -> Result<(), StoreError> {
        let mut index = self.index.clone();
        change(&mut index);
        if index != self.index {
            self.store.write_index(&index)?;
            self.index = index;
        }
        Ok(())
    }
}
