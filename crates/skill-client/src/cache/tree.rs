//! Skills in the cache. What was published lies there unpacked, read-only, and stores link to it. What
//! came from a folder of this machine is kept as one file: no other store is likely to want it, and all
//! that is asked of it later is what it was, to tell somebody's changes from the folder's.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use skill_format::{Limits, Sha256, SkillTree};

use super::{Cache, CacheError, Unpacked};
use crate::fsx::{self, At as _, FsError, Placed, SyncBatch};
use crate::source::Origin;

/// What is larger is kept as a folder: linking to it is then worth more than making fewer files.
const PACKED_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Ends the names of packed trees.
const PACKED_SUFFIX: &str = ".spm";

/// A tree that is in the cache and was just found to be what its name says.
#[derive(Debug, Clone)]
pub struct CachedTree {
    kept: Kept,
    digest: Sha256,
    files: SkillTree,
}

/// How a tree lies in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// A folder.
    Unpacked(PathBuf),
    /// An archive.
    Packed(PathBuf),
}

impl CachedTree {
    /// Its `full_digest`.
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    fn is_linked(&self) -> bool {
        matches!(self.kept, Kept::Unpacked(_))
    }

    /// Its files.
    pub fn files(&self) -> &SkillTree {
        &self.files
    }

    /// Puts the tree into the new folder `dest`, by links where the file system can. What has to
    /// be durable before the folder is relied upon is added to `sync`.
    pub fn place(&self, dest: &Path, sync: &mut SyncBatch) -> Result<(), FsError> {
        let unpacked = match &self.kept {
            Kept::Unpacked(dir) => dir,
            Kept::Packed(_) => return write_tree(&self.files, dest, Writable::No, sync),
        };
        for dir in folders(&self.files, dest) {
            std::fs::create_dir(&dir).at("create", &dir)?;
            sync.push(dir);
        }
        for (path, _) in self.files.iter() {
            let to = dest.join(path);
            if fsx::place_file(&unpacked.join(path), &to)? != Placed::Linked {
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
        for kept in self.kept(digest) {
            if let Some(files) = kept.read(digest) {
                return Ok(Some(CachedTree {
                    kept,
                    digest: *digest,
                    files,
                }));
            }
            let path = kept.path();
            tracing::warn!(path = %path.display(), "removing a damaged tree from the cache");
            fsx::remove_tree(path)?;
        }
        Ok(None)
    }

    /// Where a tree lies, sound or not.
    pub(super) fn kept(&self, digest: &Sha256) -> Vec<Kept> {
        let unpacked = Kept::Unpacked(self.tree_path(digest));
        let packed = Kept::Packed(self.packed_path(digest));
        let mut kept = vec![unpacked, packed];
        kept.retain(|kept| kept.path().exists());
        kept
    }

    /// What an entry of `trees` is, and the digest that it states.
    pub(super) fn kept_as(&self, name: &str) -> Option<(Kept, Sha256)> {
        let path = self.dir.join("trees").join(name);
        match name.strip_suffix(PACKED_SUFFIX) {
            Some(digest) => Some((Kept::Packed(path), digest.parse().ok()?)),
            None => Some((Kept::Unpacked(path), name.parse().ok()?)),
        }
    }

    /// Keeps trees, with what is known of each. Those that stores link to are durable when this returns.
    pub fn put_trees(
        &self,
        trees: Vec<(Unpacked, SkillTree)>,
    ) -> Result<Vec<CachedTree>, CacheError> {
        if trees.is_empty() {
            return Ok(Vec::new());
        }
        let temporary = self.temporary()?;
        for folder in [
            &temporary,
            &self.dir.join("trees"),
            &self.dir.join("unpacked"),
        ] {
            fsx::create_dir_all(folder, true)?;
        }
        let mut sync = SyncBatch::default();
        let mut staged = Vec::new();
        let mut cached = Vec::with_capacity(trees.len());
        for (number, (record, files)) in trees.iter().enumerate() {
            let kept = self.place_for(record, files);
            if !kept.path().exists() {
                let written = temporary.join(number.to_string());
                kept.write(files, &written, &mut sync)?;
                staged.push((written, kept.path().to_owned()));
            }
            cached.push(CachedTree {
                kept,
                digest: record.tree,
                files: files.clone(),
            });
        }
        sync.flush(&self.dir)?;
        self.faults.reach("cache-trees-written");
        for (written, path) in staged {
            match std::fs::rename(&written, &path) {
                // Another process was faster, or two skills of this batch are alike.
                Err(_) if path.is_dir() => {}
                renamed => renamed.at("rename", &written)?,
            }
        }
        self.faults.reach("cache-trees-named");
        for (record, _) in &trees {
            self.note_unpacked(record, &temporary)?;
        }
        fsx::remove_tree(&temporary)?;
        if cached.iter().any(CachedTree::is_linked) {
            fsx::sync_dir(&self.dir.join("trees"))?;
        }
        Ok(cached)
    }

    fn place_for(&self, record: &Unpacked, files: &SkillTree) -> Kept {
        let is_packed =
            matches!(record.source, Origin::Dir(_)) && files.total_bytes() <= PACKED_BYTES_MAX;
        if is_packed {
            Kept::Packed(self.packed_path(&record.tree))
        } else {
            Kept::Unpacked(self.tree_path(&record.tree))
        }
    }

    fn tree_path(&self, digest: &Sha256) -> PathBuf {
        self.dir.join("trees").join(digest.hex())
    }

    fn packed_path(&self, digest: &Sha256) -> PathBuf {
        let name = format!("{}{PACKED_SUFFIX}", digest.hex());
        self.dir.join("trees").join(name)
    }
}

impl Kept {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Unpacked(path) | Self::Packed(path) => path,
        }
    }

    /// The tree, if it is what its name says.
    pub(super) fn read(&self, digest: &Sha256) -> Option<SkillTree> {
        let limits = Limits::default();
        let files = match self {
            Self::Unpacked(dir) => SkillTree::read_dir_exactly(dir, &limits).ok()?,
            Self::Packed(file) => {
                let bytes = fsx::read_start(file, limits.archive_bytes_max).ok()?;
                SkillTree::read_archive(&bytes, &limits).ok()?
            }
        };
        (files.full_digest() == *digest).then_some(files)
    }

    fn write(&self, files: &SkillTree, path: &Path, sync: &mut SyncBatch) -> Result<(), FsError> {
        match self {
            Self::Unpacked(_) => write_tree(files, path, Writable::No, sync),
            // Nothing links to it, and it is checked when it is read: it may be lost in a power failure.
            Self::Packed(_) => std::fs::write(path, files.pack_stored()).at("write", path),
        }
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
