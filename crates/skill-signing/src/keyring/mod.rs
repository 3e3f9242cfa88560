//! The keyring of a store: a folder with public keys, secret keys and whom the user trusts.
//!
//! ```text
//! <FINGERPRINT>.asc          public keys
//! secret/<FINGERPRINT>.asc   secret keys, mode 0600 in a folder of mode 0700
//! trust.json                 trusted fingerprints
//! .lock                      held while anything changes
//! ```
//!
//! What is imported is merged with what is known: a revocation that was seen once is never lost by
//! importing an older copy of a key. Files are replaced atomically, and two processes may work on
//! one keyring at once.

mod change;
mod error;
mod trust;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use change::{Change, Imported};
pub use error::KeyringError;

use crate::files::{self, Access};
use crate::fingerprint::{self, Fingerprint};
use crate::key::{KeyState, PublicKey, SecretKey};
use crate::signature::Detached;
use crate::verify::{SignatureInfo, VerifyError, verify};

const SUFFIX: &str = ".asc";
const SECRET_FOLDER: &str = "secret";
const LOCK_FILE: &str = ".lock";
const TRUST_FILE: &str = "trust.json";

/// Fewest digits by which a key is named: 32 bits, which a key owner's few keys do not share by
/// chance. Where a stranger could choose the key, use whole fingerprints.
const SELECTOR_DIGITS_MIN: usize = 8;

/// A folder of keys.
#[derive(Debug, Clone)]
pub struct Keyring {
    folder: PathBuf,
}

/// A key in the keyring.
#[derive(Debug, Clone)]
pub struct KeyEntry {
    pub key: PublicKey,
    pub trust: Trust,
}

/// How far a key is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// Known, and nothing more.
    Unknown,
    /// The user said so, by `skills key trust`.
    Trusted,
    /// Its secret key is here.
    Own,
}

impl Trust {
    /// One word, for lists and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Trusted => "trusted",
            Self::Own => "own",
        }
    }
}

impl Keyring {
    /// The keyring in this folder, which is made when the first key comes.
    pub fn open(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The folder of the keyring.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All keys, sorted by fingerprint.
    pub fn list(&self) -> Result<Vec<KeyEntry>, KeyringError> {
        let trusted = self.trusted()?;
        let own = self.own()?;
        let mut fingerprints = self.fingerprints(&self.folder)?;
        // A secret key alone is what a crash between two writes can leave.
        fingerprints.extend(own.iter().cloned());
        fingerprints.sort();
        fingerprints.dedup();
        let mut entries = Vec::with_capacity(fingerprints.len());
        for fingerprint in fingerprints {
            // Another process may have removed it meanwhile.
            let Some(key) = self.get(&fingerprint)? else {
                continue;
            };
            let trust = if own.contains(&fingerprint) {
                Trust::Own
            } else if trusted.contains(&fingerprint) {
                Trust::Trusted
            } else {
                Trust::Unknown
            };
            entries.push(KeyEntry { key, trust });
        }
        Ok(entries)
    }

    /// The public key with this primary fingerprint.
    pub fn get(&self, fingerprint: &Fingerprint) -> Result<Option<PublicKey>, KeyringError> {
        let path = self.public_path(fingerprint);
        match files::read(&path)? {
            Some(bytes) => {
                let key =
                    PublicKey::from_bytes(&bytes).map_err(|source| KeyringError::BadFile {
                        path: path.clone(),
                        source,
                    })?;
                check_name(&path, fingerprint, key.fingerprint())?;
                Ok(Some(key))
            }
            None => Ok(self
                .read_secret(fingerprint)?
                .map(|key| key.public().clone())),
        }
    }

    /// The key whose signatures name this issuer: the primary key or a signing subkey.
    pub fn find_issuer(&self, issuer: &Fingerprint) -> Result<Option<PublicKey>, KeyringError> {
        if let Some(key) = self.get(issuer)? {
            return Ok(Some(key));
        }
        let entries = self.list()?;
        let has_issuer = |key: &PublicKey| key.issuers().any(|it| it == *issuer);
        Ok(entries.into_iter().map(|entry| entry.key).find(has_issuer))
    }

    /// The key named by a fingerprint or the end of one, at least eight digits.
    pub fn select(&self, selector: &str) -> Result<KeyEntry, KeyringError> {
        self.select_among(selector, self.list()?)
    }

    /// The secret key with this primary fingerprint, up to date with its public key.
    pub fn secret(&self, fingerprint: &Fingerprint) -> Result<SecretKey, KeyringError> {
        let secret = self
            .read_secret(fingerprint)?
            .ok_or_else(|| KeyringError::NoSecret {
                fingerprint: fingerprint.clone(),
            })?;
        match self.get(fingerprint)? {
            Some(public) => Ok(secret.with_public(&public)?),
            None => Ok(secret),
        }
    }

    /// The secret key to sign with: the one that is named, else the only one that is neither
    /// revoked nor expired.
    pub fn signing_key(
        &self,
        selector: Option<&str>,
        now: Timestamp,
    ) -> Result<SecretKey, KeyringError> {
        let mut own = self.list()?;
        own.retain(|entry| entry.trust == Trust::Own);
        let key = match selector {
            Some(selector) => match self.select_among(selector, own) {
                // It may be a key of which only the public part is here.
                Err(KeyringError::NotFound { .. }) => self.select(selector)?,
                selected => selected?,
            },
            None => {
                let count = own.len();
                own.retain(|entry| entry.key.state(now) == KeyState::Valid);
                match own.len() {
                    0 if count > 0 => return Err(KeyringError::NoUsableKey),
                    0 => return Err(KeyringError::NoKey),
                    1 => own.swap_remove(0),
                    _ => {
                        return Err(KeyringError::SeveralKeys {
                            fingerprints: names(&own),
                        });
                    }
                }
            }
        };
        self.secret(key.key.fingerprint())
    }

    /// Verifies a signature with whichever key of the keyring made it.
    pub fn verify(
        &self,
        message: &[u8],
        armored_signature: &str,
        now: Timestamp,
    ) -> Result<(SignatureInfo, Trust), KeyringError> {
        let issuer = Detached::parse(armored_signature)?.issuer;
        let key = self
            .find_issuer(&issuer)?
            .ok_or_else(|| KeyringError::UnknownIssuer {
                issuer: issuer.clone(),
            })?;
        let info = verify(&key, message, armored_signature, now)?;
        let trust = self.trust_of(key.fingerprint())?;
        Ok((info, trust))
    }

    fn select_among(
        &self,
        selector: &str,
        mut entries: Vec<KeyEntry>,
    ) -> Result<KeyEntry, KeyringError> {
        let digits = fingerprint::hex_digits(selector)
            .filter(|digits| digits.len() >= SELECTOR_DIGITS_MIN)
            .ok_or_else(|| KeyringError::BadSelector {
                selector: selector.to_owned(),
            })?;
        entries.retain(|entry| entry.key.issuers().any(|it| it.as_str().ends_with(&digits)));
        match entries.len() {
            0 => Err(KeyringError::NotFound {
                selector: selector.to_owned(),
            }),
            1 => Ok(entries.swap_remove(0)),
            _ => Err(KeyringError::Ambiguous {
                selector: selector.to_owned(),
                fingerprints: names(&entries),
            }),
        }
    }

    fn read_secret(&self, fingerprint: &Fingerprint) -> Result<Option<SecretKey>, KeyringError> {
        let path = self.secret_path(fingerprint);
        let exposed = files::exposure(&path)?;
        if exposed != 0 {
            return Err(KeyringError::Exposed { path });
        }
        // The armored secret is overwritten after use.
        let Some(bytes) = files::read(&path)?.map(zeroize::Zeroizing::new) else {
            return Ok(None);
        };
        let key = SecretKey::from_bytes(&bytes).map_err(|source| KeyringError::BadFile {
            path: path.clone(),
            source,
        })?;
        check_name(&path, fingerprint, key.fingerprint())?;
        Ok(Some(key))
    }

    fn own(&self) -> Result<Vec<Fingerprint>, KeyringError> {
        self.fingerprints(&self.folder.join(SECRET_FOLDER))
    }

    /// The fingerprints by which files of this folder are named; others are not ours.
    fn fingerprints(&self, folder: &Path) -> Result<Vec<Fingerprint>, KeyringError> {
        let names = files::names(folder, SUFFIX)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn public_path(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.folder.join(format!("{fingerprint}{SUFFIX}"))
    }

    fn secret_path(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.folder
            .join(SECRET_FOLDER)
            .join(format!("{fingerprint}{SUFFIX}"))
    }

    fn lock(&self) -> Result<files::Lock, KeyringError> {
        Ok(files::lock(&self.folder.join(LOCK_FILE))?)
    }

    fn write_public(&self, key: &PublicKey) -> Result<(), KeyringError> {
        let path = self.public_path(key.fingerprint());
        Ok(files::write(
            &path,
            key.to_armored().as_bytes(),
            Access::Everyone,
        )?)
    }

    fn write_secret(&self, key: &SecretKey) -> Result<(), KeyringError> {
        let path = self.secret_path(key.fingerprint());
        Ok(files::write(
            &path,
            key.to_armored().expose().as_bytes(),
            Access::Owner,
        )?)
    }
}

fn check_name(path: &Path, named: &Fingerprint, found: &Fingerprint) -> Result<(), KeyringError> {
    if named == found {
        return Ok(());
    }
    Err(KeyringError::Misnamed {
        path: path.to_owned(),
        found: found.clone(),
    })
}

fn names(entries: &[KeyEntry]) -> Vec<Fingerprint> {
    entries
        .iter()
        .map(|entry| entry.key.fingerprint().clone())
        .collect()
}

impl From<VerifyError> for KeyringError {
    fn from(error: VerifyError) -> Self {
        Self::Verify(error)
    }
}
