//! Blobs in a local folder. A blob appears by one rename of a complete, synced
//! file, so a reader sees all of it or nothing.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;
use skill_format::Sha256;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::{BlobBody, BlobEntry, BlobError, digest_of, key_of};

/// One read from disk: large enough to keep a disk busy, small enough that a
/// thousand slow downloads hold 64 MiB.
const CHUNK_BYTES: usize = 64 * 1024;

/// Unfinished files of a crashed process are removed at start when they are
/// older than any publish may take.
const UNFINISHED_AGE_MAX: std::time::Duration = std::time::Duration::from_secs(60 * 60);

pub(super) struct Folder {
    root: Arc<Path>,
}

impl Folder {
    pub(super) async fn open(root: PathBuf) -> Result<Self, BlobError> {
        let root: Arc<Path> = root.into();
        let folder = Self { root };
        let root = Arc::clone(&folder.root);
        run(move || {
            make_dirs(&root.join("tmp"))?;
            make_dirs(&root.join("sha256"))?;
            remove_unfinished(&root.join("tmp"))
        })
        .await?;
        Ok(folder)
    }

    fn path(&self, digest: Sha256) -> PathBuf {
        self.root.join(key_of(digest))
    }

    pub(super) async fn put(&self, digest: Sha256, bytes: Bytes) -> Result<(), BlobError> {
        let (root, path) = (Arc::clone(&self.root), self.path(digest));
        run(move || write_durably(&root, &path, &bytes)).await
    }

    pub(super) async fn read(
        &self,
        digest: Sha256,
        range: Range<u64>,
    ) -> Result<BlobBody, BlobError> {
        let path = self.path(digest);
        let mut file = match tokio::fs::File::open(&path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BlobError::Missing(digest));
            }
            Err(error) => return Err(at("open", &path)(error)),
        };
        if range.start > 0 {
            file.seek(io::SeekFrom::Start(range.start))
                .await
                .map_err(at("seek in", &path))?;
        }
        let part = file.take(range.end.saturating_sub(range.start));
        let stream = ReaderStream::with_capacity(part, CHUNK_BYTES)
            .map(move |chunk| chunk.map_err(at("read", &path)));
        Ok(BlobBody {
            stream: stream.boxed(),
        })
    }

    pub(super) async fn read_all(&self, digest: Sha256) -> Result<Bytes, BlobError> {
        let path = self.path(digest);
        match tokio::fs::read(&path).await {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(BlobError::Missing(digest))
            }
            Err(error) => Err(at("read", &path)(error)),
        }
    }

    pub(super) async fn check(&self) -> Result<(), BlobError> {
        let path = self.root.join("sha256");
        tokio::fs::metadata(&path)
            .await
            .map_err(at("look at", &path))?;
        Ok(())
    }

    pub(super) fn list(&self) -> BoxStream<'_, Result<BlobEntry, BlobError>> {
        let shards = (0..=u8::MAX).map(|shard| self.root.join(format!("sha256/{shard:02x}")));
        stream::iter(shards)
            .then(|shard| run(move || entries_of(&shard)))
            .flat_map(|outcome| match outcome {
                Ok(entries) => stream::iter(entries.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(error) => stream::iter(vec![Err(error)]),
            })
            .boxed()
    }

    pub(super) async fn modified(&self, digest: Sha256) -> Result<Option<Timestamp>, BlobError> {
        let path = self.path(digest);
        match tokio::fs::metadata(&path).await {
            Ok(metadata) => Ok(Some(modified_at(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at("look at", &path)(error)),
        }
    }

    pub(super) async fn delete(&self, digest: Sha256) -> Result<(), BlobError> {
        let path = self.path(digest);
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(at("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// File work blocks; it runs where that hurts nobody.
async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| BlobError::Stopped)?
}

fn write_durably(root: &Path, path: &Path, bytes: &[u8]) -> Result<(), BlobError> {
    let shard = path.parent().unwrap_or(root);
    make_dirs(shard)?;
    let mut unfinished = tempfile::Builder::new()
        .prefix("put-")
        .tempfile_in(root.join("tmp"))
        .map_err(at("make a file in", &root.join("tmp")))?;
    unfinished
        .write_all(bytes)
        .map_err(at("write", unfinished.path()))?;
    unfinished
        .as_file()
        .sync_all()
        .map_err(at("sync", unfinished.path()))?;
    unfinished
        .persist(path)
        .map_err(|error| at("move a blob to", path)(error.error))?;
    sync_dir(shard)
}

/// Makes a folder and its missing parents, each durable in its own parent.
fn make_dirs(path: &Path) -> Result<(), BlobError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_dirs(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(at("make the folder", path)(error));
        }
        _ => {}
    }
    sync_dir(parent.unwrap_or(Path::new(".")))
}

fn sync_dir(path: &Path) -> Result<(), BlobError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(at("sync the folder", path))
}

/// What a crash left behind. Young files may belong to another process that is
/// at work in the same folder.
fn remove_unfinished(tmp: &Path) -> Result<(), BlobError> {
    for entry in fs::read_dir(tmp).map_err(at("list", tmp))? {
        let entry = entry.map_err(at("list", tmp))?;
        let age = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .map(|at| at.elapsed());
        if matches!(age, Ok(Ok(age)) if age > UNFINISHED_AGE_MAX) {
            fs::remove_file(entry.path()).map_err(at("remove", &entry.path()))?;
        }
    }
    Ok(())
}

fn entries_of(shard: &Path) -> Result<Vec<BlobEntry>, BlobError> {
    let entries = match fs::read_dir(shard) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at("list", shard)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at("list", shard))?;
        let Some(digest) = entry.file_name().to_str().and_then(digest_of) else {
            continue;
        };
        // Deleted by another process since it was listed: nothing to report.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        found.push(BlobEntry {
            digest,
            modified: modified_at(&metadata),
        });
    }
    Ok(found)
}

fn modified_at(metadata: &fs::Metadata) -> Timestamp {
    metadata
        .modified()
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok())
        // Unknown counts as young, so that the sweep leaves it alone.
        .unwrap_or(Timestamp::MAX)
}

fn at(action: &'static str, path: &Path) -> impl Fn(io::Error) -> BlobError + Send + 'static {
    let path: OsString = path.as_os_str().to_owned();
    move |source| BlobError::Io {
        action,
        path: PathBuf::from(&path),
        source,
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    async fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(dir.path().join("deep/blobs"))
            .await
            .expect("opens");
        (dir, folder)
    }

    async fn collect(body: BlobBody) -> Vec<u8> {
        let chunks: Vec<Bytes> = body.stream.try_collect().await.expect("reads");
        chunks.concat()
    }

    #[tokio::test]
    async fn what_was_put_is_read_whole_and_in_part() {
        let (_dir, folder) = folder().await;
        let bytes = Bytes::from_static(b"0123456789");
        let digest = Sha256::of(&bytes);
        folder.put(digest, bytes.clone()).await.expect("put");
        folder.put(digest, bytes.clone()).await.expect("put again");
        assert_eq!(
            collect(folder.read(digest, 0..10).await.expect("read")).await,
            b"0123456789"
        );
        assert_eq!(
            collect(folder.read(digest, 3..5).await.expect("read")).await,
            b"34"
        );
        assert_eq!(folder.read_all(digest).await.expect("read"), bytes);
        let listed: Vec<BlobEntry> = folder.list().try_collect().await.expect("list");
        assert_eq!(
            listed.iter().map(|entry| entry.digest).collect::<Vec<_>>(),
            [digest]
        );
    }

    #[tokio::test]
    async fn a_missing_blob_is_told_apart_from_a_broken_store() {
        let (_dir, folder) = folder().await;
        let digest = Sha256::of(b"never put");
        assert!(matches!(
            folder.read(digest, 0..1).await,
            Err(BlobError::Missing(_))
        ));
        assert!(matches!(
            folder.read_all(digest).await,
            Err(BlobError::Missing(_))
        ));
        assert_eq!(folder.modified(digest).await.expect("looks"), None);
        folder
            .delete(digest)
            .await
            .expect("deleting nothing is fine");
    }

    #[tokio::test]
    async fn a_put_leaves_no_unfinished_file() {
        let (dir, folder) = folder().await;
        folder
            .put(Sha256::of(b"x"), Bytes::from_static(b"x"))
            .await
            .expect("put");
        let left = fs::read_dir(dir.path().join("deep/blobs/tmp"))
            .expect("list")
            .count();
        assert_eq!(left, 0);
    }
}
