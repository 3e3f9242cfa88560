//! Writes that are there completely or not at all, also after a power failure.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{At as _, FsError};

/// Above this many files one `syncfs` costs less than a call per file. It also writes what other
/// programs have left unwritten, so it is not used for a few files.
const FILES_SYNCED_ONE_BY_ONE_MAX: usize = 12;

/// Writes a file so that a reader, or a crash, sees the old content or the new one.
///
/// The temporary file has a fixed name beside the target: callers hold the lock that guards the
/// target, and what a crash leaves is overwritten by the next write. `mode` holds the permission
/// bits on Unix.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FsError> {
    let (dir, name) = match (path.parent(), path.file_name()) {
        (Some(dir), Some(name)) => (dir, name),
        _ => {
            return Err(std::io::Error::from(std::io::ErrorKind::InvalidFilename))
                .at("write", path);
        }
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    let temporary = dir.join(temporary);
    // Removed first: a file left by a crash may have other permissions, and opening keeps them.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).at("replace", &temporary);
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(mode);
    }
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(&temporary).at("create", &temporary)?;
    file.write_all(bytes).at("write", &temporary)?;
    file.sync_all().at("sync", &temporary)?;
    drop(file);
    std::fs::rename(&temporary, path).at("rename", &temporary)?;
    sync_dir(dir)
}

/// Makes the names in a folder durable.
pub fn sync_dir(dir: &Path) -> Result<(), FsError> {
    // Windows cannot open a folder for this and needs no such call.
    if cfg!(unix) {
        File::open(dir)
            .at("open", dir)?
            .sync_all()
            .at("sync", dir)?;
    }
    Ok(())
}

/// Files and folders that were written and must be durable before the next step.
#[derive(Debug, Default)]
pub struct SyncBatch {
    paths: Vec<PathBuf>,
}

impl SyncBatch {
    /// Adds a file or a folder.
    pub fn push(&mut self, path: PathBuf) {
        self.paths.push(path);
    }

    /// Makes everything durable that was added. All of it must lie on the file system of `dir`.
    pub fn flush(&mut self, dir: &Path) -> Result<(), FsError> {
        let paths = std::mem::take(&mut self.paths);
        if paths.len() > FILES_SYNCED_ONE_BY_ONE_MAX && sync_file_system(dir)? {
            return Ok(());
        }
        for path in paths {
            sync_dir_or_file(&path)?;
        }
        Ok(())
    }
}

fn sync_dir_or_file(path: &Path) -> Result<(), FsError> {
    if cfg!(unix) {
        File::open(path)
            .at("open", path)?
            .sync_all()
            .at("sync", path)?;
    }
    Ok(())
}

/// One call for the whole file system; `false` where the system has none.
fn sync_file_system(dir: &Path) -> Result<bool, FsError> {
    #[cfg(target_os = "linux")]
    {
        let folder = File::open(dir).at("open", dir)?;
        rustix::fs::syncfs(&folder)
            .map_err(std::io::Error::from)
            .at("sync", dir)?;
        Ok(true)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = dir;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_leftover_of_a_crash_lends_no_permissions_to_the_new_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a temporary folder");
        let leftover = dir.path().join(".secret.json.new");
        std::fs::write(&leftover, "half").expect("write");
        std::fs::set_permissions(&leftover, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        let path = dir.path().join("secret.json");
        write_atomic(&path, b"{}", 0o600).expect("write");
        assert_eq!(std::fs::read(&path).expect("read"), b"{}");
        assert_eq!(
            path.metadata().expect("metadata").permissions().mode() & 0o777,
            0o600
        );
        assert!(!leftover.exists());
    }

    #[test]
    fn a_batch_syncs_files_and_folders_one_by_one_and_all_at_once() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for count in [3, FILES_SYNCED_ONE_BY_ONE_MAX + 1] {
            let mut batch = SyncBatch::default();
            batch.push(dir.path().to_owned());
            for number in 0..count {
                let file = dir.path().join(number.to_string());
                std::fs::write(&file, "x").expect("write");
                batch.push(file);
            }
            batch.flush(dir.path()).expect("sync");
            assert!(batch.paths.is_empty());
        }
        let mut batch = SyncBatch::default();
        batch.push(dir.path().join("missing"));
        assert!(
            batch
                .flush(dir.path())
                .expect_err("no such file")
                .is_not_found()
        );
    }
}
