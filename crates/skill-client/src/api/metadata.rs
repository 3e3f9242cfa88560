//! What registries said last: `.cache/registry-metadata.json` with an ETag per URL, and the answers
//! beside it. Serves conditional requests and offline work. Knows nothing of what the answers mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use skill_format::Sha256;

use crate::fsx::{self, At as _, FileLock, FsError};

/// Entries beyond this many are dropped, the least recently confirmed ones first. At some 200 bytes
/// each the file stays under a megabyte.
const ENTRIES_MAX: usize = 4096;

/// The answers of registries, shared by all stores of a user.
#[derive(Debug)]
pub struct MetadataCache {
    dir: PathBuf,
    state: Mutex<Option<State>>,
}

#[derive(Debug, Default)]
struct State {
    known: Document,
    /// What this process learned and has not written yet.
    learned: BTreeMap<String, Entry>,
    last_sync_time: Option<Timestamp>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_sync_time: Option<Timestamp>,
    /// By URL.
    #[serde(default)]
    entries: BTreeMap<String, Entry>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// When the registry last gave or confirmed the answer.
    fetched_at: Timestamp,
    /// Digest of the answer, which is also the name of its file: an answer that was damaged or
    /// replaced by another process is never taken for the one that the ETag confirms.
    body: Sha256,
}

/// An answer that was seen before.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub etag: Option<String>,
    pub body: Bytes,
}

impl MetadataCache {
    /// The cache in `dir`, which need not exist. Nothing is read yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            state: Mutex::new(None),
        }
    }

    /// Where the file lies.
    pub fn file(&self) -> PathBuf {
        self.dir.join("registry-metadata.json")
    }

    /// When a registry was last asked.
    pub fn last_sync_time(&self) -> Option<Timestamp> {
        let mut state = self.state();
        let state = self.loaded(&mut state);
        state.last_sync_time.or(state.known.last_sync_time)
    }

    pub(super) fn get(&self, url: &str) -> Option<Stored> {
        let mut state = self.state();
        let state = self.loaded(&mut state);
        let entry = state
            .learned
            .get(url)
            .or_else(|| state.known.entries.get(url))?;
        let body = std::fs::read(self.body_path(&entry.body)).ok()?;
        (Sha256::of(&body) == entry.body).then(|| Stored {
            etag: entry.etag.clone(),
            body: body.into(),
        })
    }

    /// Remembers an answer; [`MetadataCache::flush`] makes it known to others. A cache that cannot
    /// be written only means that the registry is asked again.
    pub(super) fn put(&self, url: &str, etag: Option<String>, body: &[u8], now: Timestamp) {
        let digest = Sha256::of(body);
        if let Err(error) = self.write_body(&digest, body) {
            tracing::debug!(%error, "cannot keep a registry's answer");
            return;
        }
        self.learn(
            url,
            Entry {
                etag,
                fetched_at: now,
                body: digest,
            },
            now,
        );
    }

    /// The registry said that the stored answer still holds.
    pub(super) fn confirm(&self, url: &str, now: Timestamp) {
        let entry = {
            let mut state = self.state();
            let state = self.loaded(&mut state);
            state
                .learned
                .get(url)
                .or_else(|| state.known.entries.get(url))
                .cloned()
        };
        if let Some(entry) = entry {
            self.learn(
                url,
                Entry {
                    fetched_at: now,
                    ..entry
                },
                now,
            );
        }
    }

    fn learn(&self, url: &str, entry: Entry, now: Timestamp) {
        let mut state = self.state();
        let state = self.loaded(&mut state);
        state.learned.insert(url.to_owned(), entry);
        state.last_sync_time = Some(now);
    }

    /// Writes what was learned into the file, beside what other processes wrote meanwhile.
    pub fn flush(&self) -> Result<(), FsError> {
        let (learned, last_sync_time) = match &mut *self.state() {
            Some(state) if !state.learned.is_empty() => {
                (std::mem::take(&mut state.learned), state.last_sync_time)
            }
            _ => return Ok(()),
        };
        fsx::create_dir_all(&self.dir, true)?;
        let lock = FileLock::exclusive_blocking(
            &self.dir.join(".metadata.lock"),
            "noting what a registry said",
            |_| {},
        )?;
        let mut document = self.read();
        let replaced: Vec<Sha256> = learned
            .iter()
            .filter_map(|(url, entry)| {
                document
                    .entries
                    .get(url)
                    .filter(|old| old.body != entry.body)
            })
            .map(|old| old.body)
            .collect();
        document.entries.extend(learned);
        document.last_sync_time = last_sync_time.or(document.last_sync_time);
        let dropped = drop_oldest(&mut document.entries);
        let mut text = serde_json::to_vec(&document)
            .map_err(std::io::Error::from)
            .at("write", self.file())?;
        text.push(b'\n');
        fsx::write_atomic(&self.file(), &text, 0o600)?;
        self.remove_bodies(&document, replaced.into_iter().chain(dropped));
        drop(lock);
        if let Some(state) = &mut *self.state() {
            state.known = document;
        }
        Ok(())
    }

    /// Forgets everything.
    pub fn clear(&self) -> Result<(), FsError> {
        *self.state() = None;
        fsx::remove_tree(&self.bodies_dir())?;
        fsx::remove_tree(&self.file())
    }

    fn remove_bodies(&self, document: &Document, digests: impl Iterator<Item = Sha256>) {
        for digest in digests {
            if !document.entries.values().any(|entry| entry.body == digest) {
                // Only space is lost if this fails.
                let _ = std::fs::remove_file(self.body_path(&digest));
            }
        }
    }

    fn write_body(&self, digest: &Sha256, body: &[u8]) -> Result<(), FsError> {
        let path = self.body_path(digest);
        if path.exists() {
            return Ok(());
        }
        fsx::create_dir_all(&self.bodies_dir(), true)?;
        // Not atomic: the digest is checked when it is read.
        std::fs::write(&path, body).at("write", &path)
    }

    fn bodies_dir(&self) -> PathBuf {
        self.dir.join("metadata")
    }

    fn body_path(&self, digest: &Sha256) -> PathBuf {
        self.bodies_dir().join(format!("{}.json", digest.hex()))
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loaded<'a>(&self, state: &'a mut Option<State>) -> &'a mut State {
        state.get_or_insert_with(|| State {
            known: self.read(),
            ..State::default()
        })
    }

    /// A file that is damaged counts as absent: the registry is asked again.
    fn read(&self) -> Document {
        read_document(&self.file()).unwrap_or_default()
    }
}

fn read_document(path: &Path) -> Option<Document> {
    serde_json::from_slice(&fsx::read_optional(path).ok()??).ok()
}

fn drop_oldest(entries: &mut BTreeMap<String, Entry>) -> Vec<Sha256> {
    let excess = entries.len().saturating_sub(ENTRIES_MAX);
    if excess == 0 {
        return Vec::new();
    }
    let mut by_age: Vec<(Timestamp, String)> = entries
        .iter()
        .map(|(url, entry)| (entry.fetched_at, url.clone()))
        .collect();
    by_age.sort();
    by_age
        .iter()
        .take(excess)
        .filter_map(|(_, url)| entries.remove(url))
        .map(|entry| entry.body)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn answers_are_found_again_by_another_process() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let first = MetadataCache::new(dir.path());
        first.put("https://example.org/a", Some("\"1\"".into()), b"{}", at(1));
        first.flush().expect("flush");
        let second = MetadataCache::new(dir.path());
        let stored = second.get("https://example.org/a").expect("known");
        assert_eq!(
            (stored.etag.as_deref(), stored.body.as_ref()),
            (Some("\"1\""), &b"{}"[..])
        );
        assert_eq!(second.last_sync_time(), Some(at(1)));
        assert!(second.get("https://example.org/b").is_none());
    }

    #[test]
    fn what_two_processes_learn_is_kept_together() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (first, second) = (
            MetadataCache::new(dir.path()),
            MetadataCache::new(dir.path()),
        );
        first.put("https://example.org/a", None, b"a", at(1));
        second.put("https://example.org/b", None, b"b", at(2));
        first.flush().expect("flush");
        second.flush().expect("flush");
        let third = MetadataCache::new(dir.path());
        assert!(
            third.get("https://example.org/a").is_some()
                && third.get("https://example.org/b").is_some()
        );
    }

    #[test]
    fn a_damaged_answer_is_not_used() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let cache = MetadataCache::new(dir.path());
        cache.put("https://example.org/a", Some("\"1\"".into()), b"{}", at(1));
        std::fs::write(cache.body_path(&Sha256::of(b"{}")), "{ evil }").expect("write");
        assert!(cache.get("https://example.org/a").is_none());
    }

    #[test]
    fn a_replaced_answer_leaves_no_file_behind() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let cache = MetadataCache::new(dir.path());
        for (second, body) in [(1, "one"), (2, "two")] {
            cache.put("https://example.org/a", None, body.as_bytes(), at(second));
            cache.flush().expect("flush");
        }
        assert_eq!(
            fsx::entry_names(&cache.bodies_dir()).expect("list").len(),
            1
        );
        assert_eq!(
            cache.get("https://example.org/a").expect("known").body,
            "two"
        );
        cache.clear().expect("clear");
        assert!(cache.get("https://example.org/a").is_none());
    }

    #[test]
    fn the_oldest_entries_make_room() {
        let entry = |second| Entry {
            etag: None,
            fetched_at: at(second),
            body: Sha256::of(b"x"),
        };
        let mut entries: BTreeMap<String, Entry> = (0..ENTRIES_MAX as i64 + 2)
            .map(|second| (format!("u{second:05}"), entry(second)))
            .collect();
        assert_eq!(drop_oldest(&mut entries).len(), 2);
        assert!(!entries.contains_key("u00001") && entries.contains_key("u00002"));
    }
}
