//! Writes a tree to disk so that its folder appears complete or not at all.
//!
//! The files are written into a temporary folder beside the target, which is then renamed. What
//! this promises:
//!
//! - Against a crash or `kill -9`: the target is absent (or the old one), or complete. This comes
//!   from the rename alone. A temporary folder may be left over; [`sweep_leftovers`] removes it.
//! - Against a power failure, with [`SkillTree::extract_to`]: the same. Every file and folder is
//!   synced before the rename, and the folder around the target after it. One `syncfs` would do
//!   too, but waits for whatever every other program has written.
//! - Against a power failure, with [`SkillTree::extract_fast`]: after a reboot files of the target
//!   may be empty. Compare [`SkillTree::full_digest`] before trusting it.
//!
//! Files are created with `O_EXCL` relative to an open folder that only this process can have
//! written to, so no link can lead a write elsewhere. Knows nothing of archives.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions};
use tempfile::TempDir;

use crate::explain::{Explain, Fault, Place};
use crate::tree::{SkillFile, SkillTree};

/// How the name of every temporary folder begins.
pub const TEMPORARY_PREFIX: &str = ".skills-tmp-";

/// Name of the tree inside its temporary folder. The temporary folder is closed to other users,
/// the tree in it has the permissions that the target shall have.
const STAGED: &str = "tree";

/// How often a temporary folder may vanish under a sweep that ran at the same moment.
const STAGE_ATTEMPTS_MAX: u32 = 16;

/// Threads that wait for the disk. Measured on ext4 with 20 files on a busy machine: one 116 ms, sixteen 16 ms.
const SYNCS_AT_ONCE_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Nothing is synced: the kernel writes when it likes.
    CrashSafe,
    /// Synced before it is visible.
    PowerSafe,
}

/// Why a tree could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    #[error("`{}` exists already", .path.display())]
    Exists { path: PathBuf },
    #[error("`{}` cannot be replaced, it is not a folder", .path.display())]
    NotAFolder { path: PathBuf },
    #[error("`{}` does not end in a name", .path.display())]
    NoName { path: PathBuf },
    #[error("cannot write `{}`: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Explain for ExtractError {
    fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "extract-target-exists",
            Self::NotAFolder { .. } => "extract-target-not-a-folder",
            Self::NoName { .. } => "extract-target-no-name",
            Self::Io { .. } => "extract-unwritable",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Exists { .. } | Self::NotAFolder { .. } => Fault::Conflict,
            Self::NoName { .. } => Fault::BadInput,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Fault::Denied
            }
            Self::Io { .. } => Fault::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Exists { .. } => {
                "name a folder that does not exist yet, or remove this one first"
            }
            Self::NotAFolder { .. } => "remove it first, or name another folder",
            Self::NoName { .. } => "name the new folder itself, for example `./my-skill`",
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free some space and try again"
            }
            Self::Io { .. } => "check that you may write there",
        };
        Some(help.into())
    }

    fn place(&self) -> Option<Place> {
        let (Self::Exists { path }
        | Self::NotAFolder { path }
        | Self::NoName { path }
        | Self::Io { path, .. }) = self;
        Some(Place {
            file: Some(path.display().to_string()),
            line: None,
            field: None,
        })
    }
}

impl SkillTree {
    /// Like [`SkillTree::extract_to`], without waiting for the disk: safe against a crash, not
    /// against a power failure. For copies that are checked before use or can be made again.
    pub fn extract_fast(&self, dest: &Path) -> Result<(), ExtractError> {
        extract(self, dest, Durability::CrashSafe)
    }

    /// Like [`SkillTree::extract_to`], and if `dest` is a folder already, the new one takes its
    /// place. On Linux the two are exchanged in one step; elsewhere there is a moment at which
    /// neither is there.
    pub fn extract_replacing(&self, dest: &Path) -> Result<(), ExtractError> {
        let target = Target::of(dest)?;
        match fs::symlink_metadata(dest) {
            Ok(metadata) if !metadata.is_dir() && !metadata.is_symlink() => {
                return Err(ExtractError::NotAFolder {
                    path: dest.to_owned(),
                });
            }
            Ok(_) => {}
            Err(_) => return extract(self, dest, Durability::PowerSafe),
        }
        let stage = Stage::fill(self, &target, Durability::PowerSafe)?;
        stage.exchange_with(dest).map_err(io_at(dest))?;
        sync_ambient(&target.parent)
    }
}

pub(crate) fn extract(
    tree: &SkillTree,
    dest: &Path,
    durability: Durability,
) -> Result<(), ExtractError> {
    let target = Target::of(dest)?;
    if fs::symlink_metadata(dest).is_ok() {
        return Err(ExtractError::Exists {
            path: dest.to_owned(),
        });
    }
    let stage = Stage::fill(tree, &target, durability)?;
    fs::rename(stage.tree(), dest).map_err(|source| match source.kind() {
        // Someone else was quicker. (An empty folder is replaced; nothing is lost by that.)
        io::ErrorKind::DirectoryNotEmpty
        | io::ErrorKind::AlreadyExists
        | io::ErrorKind::NotADirectory => ExtractError::Exists {
            path: dest.to_owned(),
        },
        _ => ExtractError::Io {
            path: dest.to_owned(),
            source,
        },
    })?;
    if durability == Durability::PowerSafe {
        sync_ambient(&target.parent)?;
    }
    Ok(())
}

/// Removes the temporary folders in `dir` that killed runs left behind, and says how many. Those
/// of running processes are locked by them and stay.
pub fn sweep_leftovers(dir: &Path) -> Result<usize, ExtractError> {
    let mut removed = 0;
    for entry in fs::read_dir(dir).map_err(io_at(dir))? {
        let entry = entry.map_err(io_at(dir))?;
        let is_ours = entry
            .file_name()
            .to_string_lossy()
            .starts_with(TEMPORARY_PREFIX);
        // A link is not ours, and what it points to even less.
        if is_ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            removed += usize::from(remove_if_abandoned(&path).map_err(io_at(&path))?);
        }
    }
    Ok(removed)
}

fn remove_if_abandoned(folder: &Path) -> io::Result<bool> {
    let removed = fs::File::open(folder).and_then(|lock| {
        let abandoned = lock.try_lock().is_ok();
        if abandoned {
            fs::remove_dir_all(folder)?;
        }
        Ok(abandoned)
    });
    removed.or_else(|error| match error.kind() {
        // Its owner or another sweep was quicker, or it is another user's.
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Ok(false),
        _ => Err(error),
    })
}

/// Where the tree goes.
struct Target {
    parent: PathBuf,
}

impl Target {
    /// Splits `dest` and makes the folders above it.
    fn of(dest: &Path) -> Result<Self, ExtractError> {
        if dest.file_name().is_none() {
            return Err(ExtractError::NoName {
                path: dest.to_owned(),
            });
        }
        let parent = match dest.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&parent).map_err(io_at(&parent))?;
        Ok(Self { parent })
    }
}

/// A temporary folder with a complete tree in it. Dropping it removes what is left in it.
struct Stage {
    folder: TempDir,
    /// Held until the end: tells a sweep that this folder is in use. Released by the kernel when
    /// the process dies, however it dies.
    _lock: Option<fs::File>,
}

impl Stage {
    fn fill(
        tree: &SkillTree,
        target: &Target,
        durability: Durability,
    ) -> Result<Self, ExtractError> {
        let stage = Self::new_in(&target.parent).map_err(io_at(&target.parent))?;
        let root = stage.tree();
        fs::create_dir(&root).map_err(io_at(&root))?;
        let dir = Dir::open_ambient_dir(&root, ambient_authority()).map_err(io_at(&root))?;
        let folders = write_files(tree, &dir)?;
        if durability == Durability::PowerSafe {
            sync_tree(tree, &folders, &dir)?;
        }
        Ok(stage)
    }

    fn new_in(parent: &Path) -> io::Result<Self> {
        for _ in 0..STAGE_ATTEMPTS_MAX {
            let folder = tempfile::Builder::new()
                .prefix(TEMPORARY_PREFIX)
                .tempdir_in(parent)?;
            let lock = lock_folder(folder.path());
            // Between its creation and its lock a sweep may have taken it for a leftover.
            if folder.path().exists() {
                return Ok(Self {
                    folder,
                    _lock: lock,
                });
            }
        }
        Err(io::Error::other(
            "the temporary folder was removed each time",
        ))
    }

    fn tree(&self) -> PathBuf {
        self.folder.path().join(STAGED)
    }

    /// Puts the staged tree at `dest` and what was there into the stage.
    fn exchange_with(&self, dest: &Path) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            use rustix::io::Errno;
            match renameat_with(CWD, self.tree(), CWD, dest, RenameFlags::EXCHANGE) {
                Ok(()) => return Ok(()),
                // A file system or kernel that cannot exchange.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let old = self.folder.path().join("old");
        fs::rename(dest, &old)?;
        fs::rename(self.tree(), dest).inspect_err(|_| {
            // Best effort: the first error is the one to report.
            let _ = fs::rename(&old, dest);
        })
    }
}

/// `None` where folders cannot be locked; a sweep cannot lock there either, and removes nothing.
fn lock_folder(folder: &Path) -> Option<fs::File> {
    let file = fs::File::open(folder).ok()?;
    file.lock().ok()?;
    Some(file)
}

/// Writes every file and gives back the folders that this took, outermost first.
fn write_files<'a>(tree: &'a SkillTree, root: &Dir) -> Result<BTreeSet<&'a str>, ExtractError> {
    let mut folders = BTreeSet::new();
    for (path, file) in tree.iter() {
        for (at, _) in path.match_indices('/') {
            let folder = &path[..at];
            if folders.insert(folder) {
                root.create_dir(folder).map_err(io_at(folder.as_ref()))?;
            }
        }
        write_file(root, path, file).map_err(io_at(path.as_ref()))?;
    }
    Ok(folders)
}

fn write_file(root: &Dir, path: &str, file: &SkillFile) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use cap_std::fs::OpenOptionsExt as _;
        options.mode(if file.executable { 0o755 } else { 0o644 });
    }
    root.open_with(path, &options)?.write_all(&file.bytes)
}

/// Syncs every file and folder, many at a time: a file system with a journal commits all that wait
/// together, so twenty files cost little more than one. Each is opened again for that, since a
/// skill may have more files than a process may have open.
fn sync_tree(tree: &SkillTree, folders: &BTreeSet<&str>, root: &Dir) -> Result<(), ExtractError> {
    let files = tree.iter().map(|(path, _)| (path, true));
    let folders = folders.iter().map(|folder| (*folder, false));
    let all: Vec<_> = files.chain(folders).chain([(".", false)]).collect();
    let share = all.len().div_ceil(SYNCS_AT_ONCE_MAX);
    std::thread::scope(|scope| {
        let workers: Vec<_> = all
            .chunks(share)
            .map(|chunk| scope.spawn(|| sync_all(chunk, root)))
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

/// Syncs these paths, each with whether it is a file, one after the other.
fn sync_all(paths: &[(&str, bool)], root: &Dir) -> Result<(), ExtractError> {
    paths.iter().try_for_each(|(path, is_file)| {
        let synced = match is_file {
            true => root.open(path).and_then(|file| file.sync_all()),
            false => sync_folder(|| root.open(path)),
        };
        synced.map_err(io_at(path.as_ref()))
    })
}

fn sync_ambient(folder: &Path) -> Result<(), ExtractError> {
    sync_folder(|| Ok(File::from_std(fs::File::open(folder)?))).map_err(io_at(folder))
}

#[cfg(unix)]
fn sync_folder(open: impl FnOnce() -> io::Result<File>) -> io::Result<()> {
    open()?.sync_all()
}

/// Folders cannot be synced here; the file system orders its own records.
#[cfg(not(unix))]
fn sync_folder(_: impl FnOnce() -> io::Result<File>) -> io::Result<()> {
    Ok(())
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> ExtractError {
    let path = path.to_owned();
    move |source| ExtractError::Io { path, source }
}
