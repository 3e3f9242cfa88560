//! A download that is under way: one process at a time, resumed by the next.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use skill_format::Sha256;

use super::Cache;
use crate::fsx::{self, At as _, FsError};

/// The file that a download is written to, locked for this process.
#[derive(Debug)]
pub struct PartialFile {
    file: File,
    path: PathBuf,
    digest: Sha256,
}

impl PartialFile {
    /// To be written to.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Cache {
    /// The file to download this archive into. Waits while another process downloads the same one,
    /// and calls `on_wait` before; afterwards the archive may be there already, and this is `None`.
    pub async fn partial(
        &self,
        digest: &Sha256,
        on_wait: impl FnOnce(),
    ) -> Result<Option<PartialFile>, FsError> {
        let path = self.dir.join("partial").join(digest.hex());
        fsx::create_dir_all(&self.dir.join("partial"), true)?;
        let mut on_wait = Some(on_wait);
        loop {
            let file = open(&path)?;
            let file = match file.try_lock() {
                Ok(()) => file,
                Err(std::fs::TryLockError::Error(error)) => return Err(error).at("lock", &path),
                Err(std::fs::TryLockError::WouldBlock) => {
                    if let Some(on_wait) = on_wait.take() {
                        on_wait();
                    }
                    lock_elsewhere(file, &path).await?
                }
            };
            if self.blob_path(digest).exists() {
                return Ok(None);
            }
            // Whoever held the lock may have removed the file, and then the lock guards nothing.
            if is_same_file(&file, &path) {
                return Ok(Some(PartialFile {
                    file,
                    path,
                    digest: *digest,
                }));
            }
        }
    }

    /// Takes in a download that is complete and checked.
    pub fn keep(&self, partial: PartialFile) -> Result<(), FsError> {
        self.take_in_blob(&partial.path, &partial.digest)
    }
}

fn open(path: &Path) -> Result<File, FsError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .at("open", path)
}

async fn lock_elsewhere(file: File, path: &Path) -> Result<File, FsError> {
    let waiting = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    waiting
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into()))
        .at("lock", path)
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), path.metadata()) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// An open file cannot be removed or replaced there.
#[cfg(not(unix))]
fn is_same_file(_file: &File, path: &Path) -> bool {
    path.exists()
}
