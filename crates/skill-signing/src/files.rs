//! Files that survive crashes and other processes: atomic replacement, a lock, versioned JSON.
//!
//! A file is replaced by writing a temporary one beside it, syncing it and renaming it, then syncing
//! the folder. So a reader sees the old or the new content, also after a power failure. Who changes
//! files of a folder holds its lock meanwhile, which the kernel releases when the process ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Largest file that is read whole: a pin takes 200 bytes, so there is room for 80,000.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Who may read a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// 0644 and 0755, less what the process's mask takes away.
    Everyone,
    /// 0600 and 0700.
    Owner,
}

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FileError {
    pub(crate) action: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

impl FileError {
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// The file concerned.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn help(&self) -> Option<String> {
        let help = match self.source.kind() {
            io::ErrorKind::PermissionDenied => "check who owns it and its permissions",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some space; what was there before is unchanged"
            }
            io::ErrorKind::ReadOnlyFilesystem => "choose a store on a writable file system",
            _ => return None,
        };
        Some(help.into())
    }
}

/// Held while files of a folder change; released when dropped, or by the kernel.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "dropping the file releases the lock")] File);

/// Waits until no other process changes files under this lock. The folder is made if necessary.
pub(crate) fn lock(path: &Path) -> Result<Lock, FileError> {
    if let Some(folder) = path.parent() {
        make_folder(folder, Access::Everyone)?;
    }
    let open = || {
        // Never deleted: another process may wait on it.
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        file.lock()?;
        Ok(file)
    };
    open()
        .map(Lock)
        .map_err(|error| FileError::new("lock", path, error))
}

/// The file's content; `None` if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let read = || -> io::Result<Option<Vec<u8>>> {
        let size = match fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if size > BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the file is too large",
            ));
        }
        fs::read(path).map(Some)
    };
    read().map_err(|error| FileError::new("read", path, error))
}

/// Replaces the file's content, all of it or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder, access)?;
    let write = || -> io::Result<()> {
        // Made with mode 0600.
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        if access == Access::Everyone {
            open_to_everyone(file.as_file())?;
        }
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync_folder(folder)
    };
    write().map_err(|error| FileError::new("write", path, error))
}

/// Removes the file; `false` if there was none.
pub(crate) fn remove(path: &Path) -> Result<bool, FileError> {
    let remove = || match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    };
    remove().map_err(|error| FileError::new("remove", path, error))
}

/// The names of the files in a folder that end in `suffix`, without it; none if there is no folder.
pub(crate) fn names(folder: &Path, suffix: &str) -> Result<Vec<String>, FileError> {
    let names = || -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            names.extend(
                name.to_str()
                    .and_then(|name| name.strip_suffix(suffix))
                    .map(str::to_owned),
            );
        }
        names.sort();
        Ok(names)
    };
    names().map_err(|error| FileError::new("list", folder, error))
}

/// Makes the folder and those above it. A folder for the owner is closed to others even if it was
/// there before.
pub(crate) fn make_folder(folder: &Path, access: Access) -> Result<(), FileError> {
    let make = || -> io::Result<()> {
        if access == Access::Everyone {
            return fs::create_dir_all(folder);
        }
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent)?;
        }
        close_to_others(folder)
    };
    make().map_err(|error| FileError::new("make", folder, error))
}

/// The permission bits by which others than the owner may reach the file; 0 where there are none.
#[cfg(unix)]
pub(crate) fn exposure(path: &Path) -> Result<u32, FileError> {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.permissions().mode() & 0o077),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(FileError::new("read", path, error)),
    }
}

#[cfg(not(unix))]
pub(crate) fn exposure(_: &Path) -> Result<u32, FileError> {
    Ok(0)
}

#[cfg(unix)]
fn open_to_everyone(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn open_to_everyone(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn close_to_others(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
        }
        made => made,
    }
}

#[cfg(not(unix))]
fn close_to_others(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Why a JSON file of ours cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{0}")]
    Malformed(String),
    /// Written by a later release, which may know what we would lose.
    #[error("version {0}")]
    Version(u64),
}

/// Reads a JSON file that says its `version`; the default if there is no file.
pub(crate) fn read_json<T: DeserializeOwned + Default>(
    path: &Path,
    version: u64,
) -> Result<T, JsonError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let Some(bytes) = read(path)? else {
        return Ok(T::default());
    };
    let malformed = |error: serde_json::Error| JsonError::Malformed(error.to_string());
    // First the version alone: what else a later version holds may not fit.
    let found: Versioned = serde_json::from_slice(&bytes).map_err(malformed)?;
    if found.version != version {
        return Err(JsonError::Version(found.version));
    }
    serde_json::from_slice(&bytes).map_err(malformed)
}

pub(crate) fn write_json(
    path: &Path,
    value: &impl Serialize,
    access: Access,
) -> Result<(), JsonError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| JsonError::Malformed(error.to_string()))?;
    bytes.push(b'\n');
    write(path, &bytes, access)?;
    Ok(())
}
