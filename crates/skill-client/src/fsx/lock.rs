//! Locks that the kernel keeps: released when the process ends, however it ends. No time-to-live.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::{At as _, FsError};

/// Most bytes read from a lock file: who holds it, in words.
const HOLDER_BYTES_MAX: u64 = 200;

/// A held lock. The file stays when the lock is released: removing it would let two processes
/// hold "the" lock on two different files.
#[derive(Debug)]
pub struct FileLock {
    // Held for its lock; dropping it releases.
    _file: File,
}

impl FileLock {
    /// The exclusive lock, or who holds it now (`None` inside if they have not said).
    pub fn try_exclusive(
        path: &Path,
        purpose: &str,
    ) -> Result<Result<Self, Option<String>>, FsError> {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) => {
                announce(&mut file, purpose);
                Ok(Ok(Self { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(Err(holder(&mut file))),
            Err(TryLockError::Error(error)) => Err(error).at("lock", path),
        }
    }

    /// Waits for the exclusive lock. `on_wait` is called once, with whoever holds it, if it has to.
    ///
    /// The waiting happens on a thread of its own, so that two tasks of one process may contend.
    pub async fn exclusive(
        path: &Path,
        purpose: &str,
        on_wait: impl FnOnce(Option<&str>),
    ) -> Result<Self, FsError> {
        match Self::try_exclusive(path, purpose)? {
            Ok(lock) => Ok(lock),
            Err(holder) => {
                on_wait(holder.as_deref());
                let (path, purpose) = (path.to_owned(), purpose.to_owned());
                wait_elsewhere(path, move |file, path| {
                    file.lock().at("lock", path)?;
                    announce(file, &purpose);
                    Ok(())
                })
                .await
            }
        }
    }

    /// The exclusive lock, waiting on this thread. For code that runs without an I/O runtime.
    pub fn exclusive_blocking(
        path: &Path,
        purpose: &str,
        on_wait: impl FnOnce(Option<&str>),
    ) -> Result<Self, FsError> {
        match Self::try_exclusive(path, purpose)? {
            Ok(lock) => Ok(lock),
            Err(holder) => {
                on_wait(holder.as_deref());
                let mut file = open(path)?;
                file.lock().at("lock", path)?;
                announce(&mut file, purpose);
                Ok(Self { _file: file })
            }
        }
    }

    /// A share of the lock; `None` while another holds it exclusively.
    pub fn try_shared(path: &Path) -> Result<Option<Self>, FsError> {
        let file = open(path)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).at("lock", path),
        }
    }

    /// Waits for a share of the lock: many may hold one, none while another holds it exclusively.
    pub async fn shared(path: &Path, on_wait: impl FnOnce(Option<&str>)) -> Result<Self, FsError> {
        let mut file = open(path)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                on_wait(holder(&mut file).as_deref());
                wait_elsewhere(path.to_owned(), |file, path| {
                    file.lock_shared().at("lock", path)
                })
                .await
            }
            Err(TryLockError::Error(error)) => Err(error).at("lock", path),
        }
    }
}

async fn wait_elsewhere(
    path: PathBuf,
    lock: impl FnOnce(&mut File, &Path) -> Result<(), FsError> + Send + 'static,
) -> Result<FileLock, FsError> {
    let waited_for = path.clone();
    let waiting = tokio::task::spawn_blocking(move || {
        let mut file = open(&path)?;
        lock(&mut file, &path)?;
        Ok(FileLock { _file: file })
    });
    waiting.await.unwrap_or_else(|_| {
        Err(std::io::Error::from(std::io::ErrorKind::Interrupted)).at("lock", waited_for)
    })
}

fn open(path: &Path) -> Result<File, FsError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path).at("open", path)
}

/// Writes who holds the lock. Only a courtesy to those who wait: nothing depends on it, and on a
/// full disk it must not keep anybody from emptying the cache.
fn announce(file: &mut File, purpose: &str) {
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{purpose} (process {})", std::process::id())
    };
    if let Err(error) = write(file) {
        tracing::debug!(%error, "the lock's holder is not named");
    }
}

fn holder(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    let text = text.trim();
    (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_taker_learns_who_holds_the_lock() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join(".lock");
        let first = FileLock::try_exclusive(&path, "skills install")
            .expect("lock")
            .expect("free");
        let holder = FileLock::try_exclusive(&path, "skills update")
            .expect("lock")
            .expect_err("taken");
        assert_eq!(
            holder,
            Some(format!("skills install (process {})", std::process::id()))
        );
        drop(first);
        FileLock::try_exclusive(&path, "skills update")
            .expect("lock")
            .expect("free again");
    }

    #[tokio::test]
    async fn two_tasks_of_one_thread_take_turns() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join(".lock");
        let held = std::cell::Cell::new(0);
        let turn = || async {
            let lock = FileLock::exclusive(&path, "a turn", |_| {})
                .await
                .expect("lock");
            held.set(held.get() + 1);
            assert_eq!(held.get(), 1);
            tokio::task::yield_now().await;
            held.set(held.get() - 1);
            drop(lock);
        };
        tokio::join!(turn(), turn(), turn());
    }

    #[tokio::test]
    async fn shares_coexist_and_exclude_the_exclusive() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join(".lock");
        let one = FileLock::shared(&path, |_| {}).await.expect("share");
        let two = FileLock::shared(&path, |_| {}).await.expect("share");
        assert!(
            FileLock::try_exclusive(&path, "clear")
                .expect("try")
                .is_err()
        );
        drop((one, two));
        assert!(
            FileLock::try_exclusive(&path, "clear")
                .expect("try")
                .is_ok()
        );
    }
}
