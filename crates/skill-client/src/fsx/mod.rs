//! Files that survive: atomic writes, kernel locks, hard links with fallbacks, and one error that
//! names the path. Knows nothing of skills.

mod durable;
mod fault;
mod link;
mod lock;

use std::io;
use std::path::{Path, PathBuf};

use skill_format::{Explain, Fault, Place};

pub use durable::{SyncBatch, sync_dir, write_atomic};
pub use fault::{FaultPoint, NoFaults};
pub use link::{Placed, place_file, remove_tree};
pub use lock::FileLock;

/// An operation on a file that failed, with the file's name.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", .path.display())]
pub struct FsError {
    /// What was tried, as a verb: `read`, `create`, `rename`.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

impl FsError {
    /// Whether the file or folder does not exist.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

impl Explain for FsError {
    fn code(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::NotFound => "file-not-found",
            io::ErrorKind::PermissionDenied => "permission-denied",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk-full",
            io::ErrorKind::ReadOnlyFilesystem => "read-only-filesystem",
            _ => "file-error",
        }
    }

    fn fault(&self) -> Fault {
        match self.source.kind() {
            io::ErrorKind::NotFound => Fault::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Fault::Denied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::Unavailable,
            _ => Fault::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self.source.kind() {
            io::ErrorKind::NotFound => Some("check the path".into()),
            io::ErrorKind::NotADirectory => {
                Some("a link or a file is in its place: move it away".into())
            }
            io::ErrorKind::IsADirectory => {
                Some("a folder is in its place: move it away, or name a file".into())
            }
            io::ErrorKind::PermissionDenied => Some("check who owns it and its permissions".into()),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
                "free some space (`skills cache clear` may), then run the command again: what was begun is finished or undone"
                    .into(),
            ),
            _ => None,
        }
    }

    fn place(&self) -> Option<Place> {
        Some(Place {
            file: Some(self.path.display().to_string()),
            line: None,
            field: None,
        })
    }
}

/// Adds the path to an [`io::Error`], which does not know it.
pub trait At<T> {
    /// `action` is a verb in the infinitive: `read`, `create`, `rename`.
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, FsError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, FsError> {
        self.map_err(|source| FsError {
            action,
            path: path.as_ref().to_owned(),
            source,
        })
    }
}

/// The content of a file, or `None` if there is no such file.
pub fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, FsError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", path),
    }
}

/// The beginning of a file, at most one byte more than `bytes_max`: whoever gets that much knows
/// that there is more. A device or a pipe has no length to ask for, and need not end.
pub fn read_start(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes a folder and its parents. A folder that is made here can be entered by its owner only if
/// `private`.
pub fn create_dir_all(path: &Path, private: bool) -> Result<(), FsError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(if private { 0o700 } else { 0o777 });
    }
    builder.create(path).at("create", path)
}

/// Whether this is a folder itself, and not a link to one.
pub fn is_real_dir(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir())
}

/// Fails if something else than a folder, such as a link to one, is in its place: what is written
/// into it would land elsewhere.
pub fn check_real_dir(path: &Path) -> Result<(), FsError> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(io::ErrorKind::NotADirectory.into()).at("use as a folder", path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).at("read", path),
    }
}

/// Makes a folder if there is none, and fails as [`check_real_dir`] does.
pub fn ensure_real_dir(path: &Path) -> Result<(), FsError> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_real_dir(path),
        made => made.at("create", path),
    }
}

/// Names of the entries of a folder, in ascending order; nothing if there is no such folder.
/// Names that are not UTF-8 are left out: nothing of ours has one.
pub fn entry_names(dir: &Path) -> Result<Vec<String>, FsError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).at("list", dir),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry.at("list", dir)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
