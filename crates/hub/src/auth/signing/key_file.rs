//! The file that keeps the hub's signing secrets: JSON, mode 0600, replaced atomically, rotated
//! under a lock so that two processes on one data folder do not overwrite each other's key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys::{KeyRing, SigningKey};
use crate::auth::random;

/// How long a replaced key still verifies: longer than any token that the hub signs.
const KEPT_AFTER_ROTATION: SignedDuration = SignedDuration::from_hours(24);

/// Where the keys live and how old they may get.
pub struct KeyFile {
    path: PathBuf,
    age_max: SignedDuration,
}

/// Why the key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("cannot {action} the signing keys in {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "{path} holds no signing keys that this version understands; move it away to start with new ones, which signs everybody out"
    )]
    Content { path: PathBuf },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    /// Newest first.
    keys: Vec<StoredKey>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredKey {
    kid: String,
    /// 32 bytes, base64url.
    secret: String,
    created_at: Timestamp,
}

impl KeyFile {
    pub fn new(path: PathBuf, age_days_max: u32) -> Self {
        Self {
            path,
            age_max: SignedDuration::from_hours(24 * i64::from(age_days_max.max(1))),
        }
    }

    /// Reads the keys.
    pub fn load(&self) -> Result<KeyRing, KeyFileError> {
        let stored = self.read()?;
        self.ring(&stored)
    }

    /// Reads the keys, making the first one or a new one if that is due.
    pub fn load_and_rotate(&self, now: Timestamp) -> Result<KeyRing, KeyFileError> {
        self.change(now, |newest| {
            newest.is_none_or(|key| self.is_old(key.created_at, now))
        })
    }

    /// Makes a new key whatever the age of the newest.
    pub fn rotate(&self, now: Timestamp) -> Result<KeyRing, KeyFileError> {
        self.change(now, |_| true)
    }

    /// Whether the newest key, whose name holds the time it was made, has reached its age.
    pub fn is_due(&self, ring: &KeyRing, now: Timestamp) -> bool {
        let made = ring
            .newest()
            .kid()
            .split('-')
            .next()
            .and_then(|ms| ms.parse().ok());
        made.and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .is_some_and(|made| self.is_old(made, now))
    }

    fn is_old(&self, made: Timestamp, now: Timestamp) -> bool {
        now.duration_since(made) >= self.age_max
    }

    fn change(
        &self,
        now: Timestamp,
        wants_new: impl FnOnce(Option<&StoredKey>) -> bool,
    ) -> Result<KeyRing, KeyFileError> {
        let _lock = self.lock()?;
        let mut stored = match self.read() {
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Stored { keys: Vec::new() }
            }
            other => other?,
        };
        if !stored.keys.is_empty() {
            // A key that cannot be read is not pushed aside.
            self.ring(&stored)?;
        }
        if wants_new(stored.keys.first()) {
            stored.keys = successors(stored.keys, now);
            self.write(&stored)?;
        }
        self.ring(&stored)
    }

    fn ring(&self, stored: &Stored) -> Result<KeyRing, KeyFileError> {
        let key = |key: &StoredKey| {
            let secret = URL_SAFE_NO_PAD.decode(&key.secret).ok()?;
            SigningKey::new(key.kid.clone(), &secret)
        };
        let keys: Option<Vec<_>> = stored.keys.iter().map(key).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Ok(KeyRing::new(keys)),
            _ => Err(KeyFileError::Content {
                path: self.path.clone(),
            }),
        }
    }

    fn read(&self) -> Result<Stored, KeyFileError> {
        let bytes = fs::read(&self.path).map_err(|source| self.failed("read", source))?;
        // The parser's message could quote the file, so it is dropped.
        serde_json::from_slice(&bytes).map_err(|_| KeyFileError::Content {
            path: self.path.clone(),
        })
    }

    fn write(&self, stored: &Stored) -> Result<(), KeyFileError> {
        let attempt = || -> io::Result<()> {
            let folder = self.folder();
            let mut file = tempfile::Builder::new()
                .prefix(".signing-keys-")
                .tempfile_in(folder)?;
            file.write_all(&serde_json::to_vec_pretty(stored)?)?;
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            File::open(folder)?.sync_all()
        };
        attempt().map_err(|source| self.failed("write", source))
    }

    /// Held until the returned file is dropped.
    fn lock(&self) -> Result<File, KeyFileError> {
        let attempt = || -> io::Result<File> {
            fs::create_dir_all(self.folder())?;
            let path = self.path.with_extension("lock");
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)?;
            file.lock()?;
            Ok(file)
        };
        attempt().map_err(|source| self.failed("lock", source))
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> KeyFileError {
        KeyFileError::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

/// A new key in front, and of the old ones those that may still have tokens about.
fn successors(mut old: Vec<StoredKey>, now: Timestamp) -> Vec<StoredKey> {
    // A key was replaced when the one before it in the list was made; the newest is now.
    let mut replaced_at = now;
    old.retain(|key| {
        let kept = now.duration_since(replaced_at) < KEPT_AFTER_ROTATION;
        replaced_at = key.created_at;
        kept
    });
    let fresh = StoredKey {
        kid: format!(
            "{}-{}",
            now.as_millisecond(),
            hex::encode(random::bytes::<4>())
        ),
        secret: random::text(),
        created_at: now,
    };
    old.insert(0, fresh);
    old
}
