//! One skill into one folder: look first, then link or copy in one step that an agent cannot see
//! half done.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use skill_format::Sha256;
use walkdir::WalkDir;

use super::inspect::{Found, copy_digest, inspect};
use super::ledger::{Ledger, Placement, relative, resolve};
use super::{Change, CopyDigest, Installed, LinkOptions, Mode};
use crate::fsx::{At as _, FsError, remove_tree};

/// Ending of what is being put in place; anything that ends so was left by a crash.
pub const TEMPORARY_SUFFIX: &str = ".skills-new";
/// In the store: what `--force` moved away.
const BACKUP_DIR: &str = ".backup";

/// Makes sure that the folder exists, and says where it really is.
pub(super) fn prepare(
    folder: &Path,
    ledger: &mut Ledger,
    store: &Path,
) -> Result<PathBuf, FsError> {
    if let Ok(real) = folder.canonicalize() {
        return if real.is_dir() {
            Ok(real)
        } else {
            Err(io::Error::from(io::ErrorKind::NotADirectory)).at("use", folder)
        };
    }
    let mut missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|ancestor| !ancestor.exists())
        .collect();
    fs::create_dir_all(folder).at("create", folder)?;
    let real = folder.canonicalize().at("read", folder)?;
    missing.reverse();
    for created in missing {
        let created = created.canonicalize().at("read", created)?;
        ledger.record_created(&created, store);
    }
    Ok(real)
}

/// What is to be done in one place.
pub(super) struct Job<'a> {
    pub store: &'a Path,
    pub skill: &'a Installed,
    /// Canonical.
    pub folder: &'a Path,
    /// What the ledger says of the place.
    pub known: Option<&'a Placement>,
    pub options: LinkOptions,
}

pub(super) enum Outcome {
    Placed {
        mode: Mode,
        change: Change,
        digest: CopyDigest,
        fallback: Option<String>,
    },
    Conflict(Found),
}

impl Job<'_> {
    pub fn run(&self) -> Result<Outcome, FsError> {
        if self.options.mode == Mode::Link && self.known.is_none() {
            // Mostly there is nothing, and one call then says so and does it.
            match self.symlink(&self.path()) {
                Ok(()) => return Ok(placed_link(Change::Created)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if links_impossible(&error) => {}
                Err(error) => return Err(error).at("link", self.path()),
            }
        }
        let found = inspect(
            &self.path(),
            self.store,
            self.known,
            Some(&self.skill.folder),
        );
        match (&found, self.options.mode) {
            (Found::WantedLink, Mode::Link) => Ok(placed_link(Change::Unchanged)),
            (Found::OwnCopy, Mode::Copy) => self.refresh_copy(),
            (Found::Nothing, _) => self.put(Change::Created),
            (Found::StoreLink { dangling: true, .. }, _) => self.put(Change::Repaired),
            (Found::ForeignLink { dangling: true, .. }, _) if self.known.is_some() => {
                self.put(Change::Repaired)
            }
            (Found::WantedLink | Found::StoreLink { .. } | Found::OwnCopy, _) => {
                self.put(Change::Updated)
            }
            (Found::ForeignFolder | Found::ChangedCopy, _) if self.is_same_as_ours() => {
                self.put(Change::Adopted)
            }
            _ if self.options.force => {
                let backup = back_up(self.store, &self.skill.name, &self.path())?;
                self.put(Change::Replaced(backup))
            }
            _ => Ok(Outcome::Conflict(found)),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(&self.skill.name)
    }

    fn is_same_as_ours(&self) -> bool {
        let theirs = copy_digest(&self.path());
        theirs.is_some() && theirs == copy_digest(&self.skill.folder)
    }

    fn refresh_copy(&self) -> Result<Outcome, FsError> {
        let digest = self.known.and_then(|known| known.digest);
        if digest.is_some() && digest == copy_digest(&self.skill.folder) {
            return Ok(Outcome::Placed {
                mode: Mode::Copy,
                change: Change::Unchanged,
                digest,
                fallback: None,
            });
        }
        self.put(Change::Updated)
    }

    /// Makes it beside its place under another name, then swaps it in.
    fn put(&self, change: Change) -> Result<Outcome, FsError> {
        let temporary = self
            .folder
            .join(format!(".{}{TEMPORARY_SUFFIX}", self.skill.name));
        remove_tree(&temporary)?;
        let mut fallback = None;
        if self.options.mode == Mode::Link {
            match self.symlink(&temporary) {
                Ok(()) => {
                    swap_in(&temporary, &self.path())?;
                    return Ok(placed_link(change));
                }
                Err(error) if links_impossible(&error) => fallback = Some(error.to_string()),
                Err(error) => return Err(error).at("link", &temporary),
            }
        }
        copy_tree(&self.skill.folder, &temporary)?;
        let digest: Option<Sha256> = copy_digest(&temporary);
        swap_in(&temporary, &self.path())?;
        Ok(Outcome::Placed {
            mode: Mode::Copy,
            change,
            digest,
            fallback,
        })
    }

    fn symlink(&self, at: &Path) -> io::Result<()> {
        let target = relative(self.folder, &self.skill.folder)
            .filter(|target| resolve(self.folder, target) == self.skill.folder)
            .unwrap_or_else(|| self.skill.folder.clone());
        symlink(&target, at)
    }
}

/// Moves what is at `path` to the store's backups, and says where it is now.
pub(super) fn back_up(store: &Path, skill: &str, path: &Path) -> Result<PathBuf, FsError> {
    let backups = store.join(BACKUP_DIR);
    fs::create_dir_all(&backups).at("create", &backups)?;
    let free = (1u32..)
        .map(|number| backups.join(format!("{skill}.{number}")))
        .find(|path| path.symlink_metadata().is_err());
    let backup = free.unwrap_or_else(|| backups.join(skill));
    match fs::rename(path, &backup) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy_tree(path, &backup)?;
            remove_tree(path)?;
        }
        Err(error) => return Err(error).at("move away", path),
    }
    Ok(backup)
}

fn placed_link(change: Change) -> Outcome {
    Outcome::Placed {
        mode: Mode::Link,
        change,
        digest: None,
        fallback: None,
    }
}

/// The file system or the system's policy has no symbolic links, whatever we do.
fn links_impossible(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
    ) && (error.kind() == io::ErrorKind::Unsupported || not_permitted(error))
}

/// `EPERM` is how Linux says that a file system has no links; `EACCES` is about permissions.
#[cfg(unix)]
fn not_permitted(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPERM)
}

/// `ERROR_PRIVILEGE_NOT_HELD`: links need developer mode or an administrator.
#[cfg(windows)]
fn not_permitted(error: &io::Error) -> bool {
    error.raw_os_error() == Some(1314)
}

/// Puts `new` at `path`. What was there is ours, and goes.
fn swap_in(new: &Path, path: &Path) -> Result<(), FsError> {
    match fs::rename(new, path) {
        Ok(()) => return Ok(()),
        // A folder is in the place: a link or a file cannot be renamed over it, nor a folder over
        // one that is not empty, nor over a link.
        Err(_) if path.symlink_metadata().is_ok() => {}
        Err(error) => return Err(error).at("rename", new),
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        if renameat_with(CWD, new, CWD, path, RenameFlags::EXCHANGE).is_ok() {
            return remove_tree(new);
        }
    }
    remove_tree(path)?;
    fs::rename(new, path).at("rename", new)
}

/// Whatever `from` is; links stay links.
fn copy_tree(from: &Path, to: &Path) -> Result<(), FsError> {
    for entry in WalkDir::new(from).follow_links(false).sort_by_file_name() {
        let entry = entry.map_err(io::Error::from).at("read", from)?;
        let Ok(inside) = entry.path().strip_prefix(from) else {
            continue;
        };
        let target = to.join(inside);
        if entry.file_type().is_dir() {
            fs::create_dir(&target).at("create", &target)?;
        } else if entry.file_type().is_symlink() {
            let to = fs::read_link(entry.path()).at("read", entry.path())?;
            symlink(&to, &target).at("link", &target)?;
        } else {
            fs::copy(entry.path(), &target).at("copy", entry.path())?;
        }
    }
    Ok(())
}

fn symlink(to: &Path, at: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(to, at);
    #[cfg(windows)]
    return std::os::windows::fs::symlink_dir(to, at);
}
