//! Whom the user trusts: a versioned JSON file that keeps fields of later versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Keyring, KeyringError, TRUST_FILE, Trust};
use crate::files::{self, Access, JsonError};
use crate::fingerprint::Fingerprint;

const VERSION: u64 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u64,
    trusted: BTreeMap<Fingerprint, Entry>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    since: Timestamp,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            version: VERSION,
            trusted: BTreeMap::new(),
            unknown: Map::new(),
        }
    }
}

impl Keyring {
    /// Trusts a key of the keyring, so that what it signs counts as its owner's.
    pub fn trust(&self, fingerprint: &Fingerprint, now: Timestamp) -> Result<(), KeyringError> {
        let _lock = self.lock()?;
        if self.get(fingerprint)?.is_none() {
            return Err(KeyringError::NotFound {
                selector: fingerprint.to_string(),
            });
        }
        let mut document = self.read_trust()?;
        let entry = Entry {
            since: now,
            unknown: Map::new(),
        };
        document.trusted.entry(fingerprint.clone()).or_insert(entry);
        self.write_trust(&document)
    }

    /// Takes the trust in a key back; the key stays.
    pub fn distrust(&self, fingerprint: &Fingerprint) -> Result<(), KeyringError> {
        let _lock = self.lock()?;
        self.forget_trust(fingerprint)
    }

    /// How far a key is trusted, whether it is in the keyring or not.
    pub fn trust_of(&self, fingerprint: &Fingerprint) -> Result<Trust, KeyringError> {
        if self.own()?.contains(fingerprint) {
            return Ok(Trust::Own);
        }
        let is_trusted = self.read_trust()?.trusted.contains_key(fingerprint);
        Ok(if is_trusted {
            Trust::Trusted
        } else {
            Trust::Unknown
        })
    }

    pub(super) fn trusted(&self) -> Result<Vec<Fingerprint>, KeyringError> {
        Ok(self.read_trust()?.trusted.into_keys().collect())
    }

    /// The caller holds the lock.
    pub(super) fn forget_trust(&self, fingerprint: &Fingerprint) -> Result<(), KeyringError> {
        let mut document = self.read_trust()?;
        if document.trusted.remove(fingerprint).is_some() {
            self.write_trust(&document)?;
        }
        Ok(())
    }

    fn read_trust(&self) -> Result<Document, KeyringError> {
        let path = self.folder.join(TRUST_FILE);
        files::read_json(&path, VERSION).map_err(|error| match error {
            JsonError::File(error) => KeyringError::File(error),
            JsonError::Malformed(detail) => KeyringError::BadTrust { path, detail },
            JsonError::Version(found) => KeyringError::BadTrust {
                path,
                detail: format!("format version {found}, this program knows {VERSION}"),
            },
        })
    }

    fn write_trust(&self, document: &Document) -> Result<(), KeyringError> {
        let path = self.folder.join(TRUST_FILE);
        files::write_json(&path, document, Access::Everyone).map_err(|error| match error {
            JsonError::File(error) => KeyringError::File(error),
            other => KeyringError::BadTrust {
                path,
                detail: other.to_string(),
            },
        })
    }
}
