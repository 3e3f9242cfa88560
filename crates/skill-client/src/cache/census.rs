//! How much the cache holds, whether it is sound, and emptying it.

use std::path::{Path, PathBuf};

use serde::Serialize;
use skill_format::Sha256;
use walkdir::WalkDir;

use super::Cache;
use crate::fsx::{self, FileLock, FsError};

/// A number of things and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub count: u64,
    pub bytes: u64,
}

/// What the cache holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheSize {
    pub archives: Tally,
    /// Skills, not files. Stores that link to them use no space of their own.
    pub trees: Tally,
    /// Answers of registries.
    pub metadata: Tally,
    /// Python environments.
    pub environments: Tally,
    /// Downloads that are not complete, and what crashed processes left.
    pub unfinished: Tally,
    pub bytes: u64,
}

/// What a check of the cache found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheReport {
    /// Archives and trees.
    pub checked: u64,
    /// Damaged, and removed. Relative to the cache.
    pub dropped: Vec<PathBuf>,
}

impl Cache {
    /// Counts what the cache holds.
    pub fn size(&self) -> Result<CacheSize, FsError> {
        let tally = |folder: &str| {
            let dir = self.dir.join(folder);
            fsx::entry_names(&dir).map(|names| Tally {
                count: names.len() as u64,
                bytes: bytes_in(&dir),
            })
        };
        let (partial, temporary) = (tally("partial")?, tally("tmp")?);
        let mut size = CacheSize {
            archives: tally("blobs/sha256")?,
            trees: tally("trees")?,
            metadata: tally("metadata")?,
            environments: self.environments()?,
            unfinished: Tally {
                count: partial.count + temporary.count,
                bytes: partial.bytes + temporary.bytes,
            },
            bytes: 0,
        };
        size.bytes =
            size.archives.bytes + size.trees.bytes + size.metadata.bytes + size.unfinished.bytes;
        size.bytes += size.environments.bytes;
        Ok(size)
    }

    #[cfg(unix)]
    fn environments(&self) -> Result<Tally, FsError> {
        crate::python::size(&self.python_dir())
    }

    #[cfg(not(unix))]
    fn environments(&self) -> Result<Tally, FsError> {
        Ok(Tally::default())
    }

    /// Empties the cache; installed skills stay. Returns what was removed. Waits while other
    /// processes use it.
    pub async fn clear(&self, on_wait: impl FnOnce(Option<&str>)) -> Result<CacheSize, FsError> {
        self.make()?;
        let _lock = FileLock::exclusive(&self.lock_path(), "skills cache clear", on_wait).await?;
        let before = self.size()?;
        for name in fsx::entry_names(&self.dir)? {
            let path = self.dir.join(&name);
            #[cfg(unix)]
            if path == self.python_dir() {
                // A running worker starts programs out of there.
                crate::python::clear(&path)?;
                continue;
            }
            // Locks stay: another process may be waiting for them.
            if !name.ends_with("lock") {
                fsx::remove_tree(&path)?;
            }
        }
        let after = self.size()?;
        Ok(CacheSize {
            environments: Tally {
                count: before.environments.count - after.environments.count,
                bytes: before.environments.bytes - after.environments.bytes,
            },
            bytes: before.bytes - after.bytes,
            ..before
        })
    }

    /// Checks every archive and every tree against its digest and removes the damaged ones.
    pub async fn verify(&self, on_wait: impl FnOnce(Option<&str>)) -> Result<CacheReport, FsError> {
        self.make()?;
        let _lock = FileLock::exclusive(&self.lock_path(), "skills cache verify", on_wait).await?;
        let mut report = CacheReport::default();
        self.verify_folder("blobs/sha256", &mut report, |name| match name.parse() {
            Ok(digest) => Ok(self.blob(&digest)?.is_some()),
            Err(_) => Ok(false),
        })?;
        self.verify_folder("trees", &mut report, |name| {
            let kept = self.kept_as(name);
            Ok(kept.is_some_and(|(kept, digest)| kept.read(&digest).is_some()))
        })?;
        Ok(report)
    }

    /// What the cache holds of one archive and of its tree and is not what its name says. Unlike
    /// [`Cache::blob`] and [`Cache::tree`] this removes nothing.
    pub fn damaged(&self, archive: &Sha256, tree: Option<&Sha256>) -> Vec<PathBuf> {
        let mut damaged = Vec::new();
        let path = self.blob_path(archive);
        match fsx::read_optional(&path) {
            Ok(None) => {}
            Ok(Some(bytes)) if Sha256::of(&bytes) == *archive => {}
            Ok(Some(_)) | Err(_) => damaged.push(path),
        }
        if let Some(digest) = tree {
            let kept = self.kept(digest).into_iter();
            let unsound = kept.filter(|kept| kept.read(digest).is_none());
            damaged.extend(unsound.map(|kept| kept.path().to_owned()));
        }
        damaged
    }

    fn verify_folder(
        &self,
        folder: &str,
        report: &mut CacheReport,
        is_sound: impl Fn(&str) -> Result<bool, FsError>,
    ) -> Result<(), FsError> {
        for name in fsx::entry_names(&self.dir.join(folder))? {
            report.checked += 1;
            if !is_sound(&name)? {
                fsx::remove_tree(&self.dir.join(folder).join(&name))?;
                report.dropped.push(Path::new(folder).join(name));
            }
        }
        Ok(())
    }
}

/// Entries that vanish while they are counted are left out.
fn bytes_in(dir: &Path) -> u64 {
    let files = WalkDir::new(dir)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file());
    files
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}
