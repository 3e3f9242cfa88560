//! Unpacked skills in the cache: written once, read-only, linked into stores.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use skill_format::{Limits, Sha256, SkillTree};

use super::{Cache, CacheError, Unpacked};
use crate::fsx::{self, At as _, FsError, Placed, SyncBatch};

/// A tree that is in the cache and was just found to be what its name says.
#[derive(Debug, Clone)]
pub struct CachedTree {
    dir: PathBuf,
    digest: Sha256,
    files: SkillTree,
}

impl CachedTree {
    /// Its `full_digest`.
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// Its files.
    pub fn files(&self) -> &SkillTree {
        &self.files
    }

    /// Puts the tree into the new folder `dest`, by links where the file system can. What has to
    /// be durable before the folder is relied upon is added to `sync`.
    pub fn place(&self, dest: &Path, sync: &mut SyncBatch) -> Result<(), FsError> {
        for dir in folders(&self.files, dest) {
            std::fs::create_dir(&dir).at("create", &dir)?;
            sync.push(dir);
        }
        for (path, _) in self.files.iter() {
            let to = dest.join(path);
            if fsx::place_file(&self.dir.join(path), &to)? != Placed::Linked {
                sync.push(to);
            }
        }
        Ok(())
    }
}

impl Cache {
    /// The tree with this digest, after reading all of it. One that is damaged is removed and
    /// counts as absent.
    pub fn tree(&self, digest: &Sha256) -> Result<Option<CachedTree>, FsError> {
        let dir = self.tree_path(digest);
        if !dir.is_dir() {
            return Ok(None);
        }
        match SkillTree::read_dir_exactly(&dir, &Limits::default()) {
            Ok(files) if files.full_digest() == *digest => Ok(Some(CachedTree {
                dir,
                digest: *digest,
                files,
            })),
            _ => {
                tracing::warn!(path = %dir.display(), "removing a damaged tree from the cache");
                fsx::remove_tree(&dir)?;
                Ok(None)
            }
        }
    }

    /// Keeps trees, with what is known of each. All of them are durable when this returns.
    pub fn put_trees(
        &self,
        trees: Vec<(Unpacked, SkillTree)>,
    ) -> Result<Vec<CachedTree>, CacheError> {
        if trees.is_empty() {
            return Ok(Vec::new());
        }
        let mut staged = Vec::new();
        let mut sync = SyncBatch::default();
        let temporary = self.temporary()?;
        fsx::create_dir_all(&temporary, true)?;
        for (number, (record, files)) in trees.iter().enumerate() {
            if !self.tree_path(&record.tree).is_dir() {
                let written = temporary.join(number.to_string());
                write_tree(files, &written, Writable::No, &mut sync)?;
                staged.push((written, self.tree_path(&record.tree)));
            }
        }
        for folder in ["trees", "unpacked"] {
            fsx::create_dir_all(&self.dir.join(folder), true)?;
        }
        sync.flush(&self.dir)?;
        self.faults.reach("cache-trees-written");
        for (written, dir) in staged {
            match std::fs::rename(&written, &dir) {
                // Another process was faster, or two skills of this batch are alike.
                Err(_) if dir.is_dir() => {}
                renamed => renamed.at("rename", &written)?,
            }
        }
        self.faults.reach("cache-trees-named");
        let mut cached = Vec::with_capacity(trees.len());
        for (record, files) in trees {
            self.note_unpacked(&record, &temporary)?;
            cached.push(CachedTree {
                dir: self.tree_path(&record.tree),
                digest: record.tree,
                files,
            });
        }
        fsx::remove_tree(&temporary)?;
        fsx::sync_dir(&self.dir.join("trees"))?;
        Ok(cached)
    }
}

/// Whether the owner may change the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writable {
    Yes,
    No,
}

/// Writes a tree into the new folder `dest` and adds all of it to `sync`. The paths of a tree are
/// relative and checked, and `dest` is new: nothing can lead out of it.
pub(crate) fn write_tree(
    tree: &SkillTree,
    dest: &Path,
    writable: Writable,
    sync: &mut SyncBatch,
) -> Result<(), FsError> {
    for dir in folders(tree, dest) {
        std::fs::create_dir(&dir).at("create", &dir)?;
        sync.push(dir);
    }
    for (path, file) in tree.iter() {
        let path = dest.join(path);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(mode(file.executable, writable));
        }
        let mut written = options.open(&path).at("create", &path)?;
        written.write_all(&file.bytes).at("write", &path)?;
        sync.push(path);
    }
    Ok(())
}

/// The file is written through the descriptor that makes it, so that it may be read-only at once.
#[cfg(unix)]
fn mode(executable: bool, writable: Writable) -> u32 {
    match (executable, writable) {
        (false, Writable::No) => 0o444,
        (true, Writable::No) => 0o555,
        (false, Writable::Yes) => 0o644,
        (true, Writable::Yes) => 0o755,
    }
}

/// `dest` and every folder of the tree in it, parents first.
fn folders(tree: &SkillTree, dest: &Path) -> Vec<PathBuf> {
    let mut folders = BTreeSet::new();
    for (path, _) in tree.iter() {
        for (at, _) in path.match_indices('/') {
            folders.insert(&path[..at]);
        }
    }
    std::iter::once(dest.to_owned())
        .chain(folders.into_iter().map(|folder| dest.join(folder)))
        .collect()
}
