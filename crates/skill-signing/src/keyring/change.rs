//! What changes a keyring: making, importing, revoking, exporting and removing keys.

use std::time::Duration;

use jiff::Timestamp;
use rand::CryptoRng;

use super::{Keyring, KeyringError};
use crate::files;
use crate::fingerprint::Fingerprint;
use crate::key::{self, Parsed, PublicKey, RevocationReason, SecretKey};
use crate::secret::SecretText;

/// What an import did.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The key as the keyring holds it now.
    pub key: PublicKey,
    pub change: Change,
    /// Whether a secret key was imported.
    pub secret: bool,
}

/// How an import changed the public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    New,
    /// Something was added: an expiry, a user id, a subkey, a revocation.
    Updated,
    Unchanged,
}

impl Change {
    /// One word, for lists and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

impl Keyring {
    /// Makes a key and keeps it, under a passphrase if one is given.
    pub fn generate(
        &self,
        user_id: &str,
        valid_for: Option<Duration>,
        passphrase: Option<&str>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<PublicKey, KeyringError> {
        let mut secret = SecretKey::generate(user_id, valid_for, now, rng)?;
        if passphrase.is_some() {
            secret = secret.with_passphrase(None, passphrase, rng)?;
        }
        let _lock = self.lock()?;
        // The secret first: what a crash leaves then is still a whole key.
        self.write_secret(&secret)?;
        self.write_public(secret.public())?;
        Ok(secret.public().clone())
    }

    /// Imports a public key, a secret key or a revocation, armored or binary. What is known about
    /// the key already stays known.
    pub fn import(&self, bytes: &[u8]) -> Result<Imported, KeyringError> {
        match key::read(bytes)? {
            Parsed::Public(packets) => self.add(&PublicKey::from_packets(*packets)?, None),
            Parsed::Secret(packets) => {
                let secret = SecretKey::from_packets(*packets)?;
                self.add(&secret.public().clone(), Some(secret))
            }
            Parsed::Revocation(revocation) => {
                for entry in self.list()? {
                    if let Some(revoked) = entry.key.with_revocation(revocation.clone())? {
                        return self.add(&revoked, None);
                    }
                }
                Err(KeyringError::RevocationOfUnknown)
            }
        }
    }

    fn add(&self, key: &PublicKey, secret: Option<SecretKey>) -> Result<Imported, KeyringError> {
        let _lock = self.lock()?;
        let known = self.get(key.fingerprint())?;
        let merged = match &known {
            Some(known) => known.merge(key)?,
            None => key.clone(),
        };
        let change = match &known {
            None => Change::New,
            Some(known) if *known == merged => Change::Unchanged,
            Some(_) => Change::Updated,
        };
        let is_secret = secret.is_some();
        if let Some(secret) = secret {
            self.write_secret(&secret.with_public(&merged)?)?;
        }
        self.write_public(&merged)?;
        Ok(Imported {
            key: merged,
            change,
            secret: is_secret,
        })
    }

    /// The armored public key.
    pub fn export(&self, fingerprint: &Fingerprint) -> Result<String, KeyringError> {
        let key = self.get(fingerprint)?;
        let key = key.ok_or_else(|| KeyringError::NotFound {
            selector: fingerprint.to_string(),
        })?;
        Ok(key.to_armored())
    }

    /// The armored secret key, protected if it is protected.
    pub fn export_secret(&self, fingerprint: &Fingerprint) -> Result<SecretText, KeyringError> {
        Ok(self.secret(fingerprint)?.to_armored())
    }

    /// Revokes a key of which the secret key is here, for good. The result is to be published.
    pub fn revoke(
        &self,
        fingerprint: &Fingerprint,
        passphrase: Option<&str>,
        reason: RevocationReason,
        text: &str,
        now: Timestamp,
    ) -> Result<PublicKey, KeyringError> {
        let secret = self.secret(fingerprint)?;
        let revoked = secret.revoke(passphrase, reason, text, now)?;
        Ok(self.add(&revoked, Some(secret))?.key)
    }

    /// Removes a key and whether it is trusted. If its secret key is here, that is removed too,
    /// but only `with_secret`.
    pub fn remove(&self, fingerprint: &Fingerprint, with_secret: bool) -> Result<(), KeyringError> {
        let _lock = self.lock()?;
        let has_secret = self.own()?.contains(fingerprint);
        if has_secret && !with_secret {
            return Err(KeyringError::HasSecret {
                fingerprint: fingerprint.clone(),
            });
        }
        self.forget_trust(fingerprint)?;
        let had_public = files::remove(&self.public_path(fingerprint))?;
        let had_secret = files::remove(&self.secret_path(fingerprint))?;
        if had_public || had_secret {
            Ok(())
        } else {
            Err(KeyringError::NotFound {
                selector: fingerprint.to_string(),
            })
        }
    }
}
