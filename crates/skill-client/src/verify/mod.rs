//! Whether an archive is what its publisher signed, and whether it is the same publisher as before.
//! The registry is asked for keys and is trusted for nothing: the statement is written here, the
//! key is the one whose fingerprint is pinned, and the lockfile outranks both.

mod error;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use skill_format::{Sha256, SkillName};
use skill_signing::{
    Fingerprint, KeyError, Keyring, Pin, PinCheck, Pins, PublicKey, Statement, issuer_fingerprint,
    verify_statement,
};

pub use error::{SignerChange, TrustError};

use crate::api::{ApiError, Client};

/// The keys and pins of a user.
pub struct Verifier {
    keyring: Keyring,
    pins: Pins,
    /// Keys as they were found in this run, so that a publisher's key is asked for once.
    found: Mutex<HashMap<Fingerprint, PublicKey>>,
}

/// What is to be verified.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    /// The registry's address: pins are per registry and skill.
    pub registry: &'a str,
    /// What must have been signed.
    pub statement: Statement,
    /// Armored and detached.
    pub signature: Option<&'a str>,
    /// Fingerprint of the publisher's primary key, as the registry says: a hint where to find it.
    pub signer_hint: Option<&'a str>,
    /// What the lockfile says of this version.
    pub locked: Option<&'a Locked>,
    /// Whether a missing signature is acceptable, where nothing says that there was one.
    pub allow_unsigned: bool,
}

/// What a lockfile says of one version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locked {
    /// Of the archive.
    pub sha256: Option<Sha256>,
    /// Fingerprint of the signer.
    pub signer: Option<String>,
}

/// What was found to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Signed by this key.
    Signed {
        signer: Fingerprint,
        /// Nothing was known of the skill's signer before: to be pinned when it is installed.
        first: bool,
    },
    /// Not signed, and that is accepted.
    Unsigned,
}

impl Verdict {
    /// The signer's fingerprint.
    pub fn signer(&self) -> Option<&Fingerprint> {
        match self {
            Self::Signed { signer, .. } => Some(signer),
            Self::Unsigned => None,
        }
    }
}

impl Verifier {
    /// For the keys and pins of a user.
    pub fn new(keyring: Keyring, pins: Pins) -> Self {
        Self {
            keyring,
            pins,
            found: Mutex::default(),
        }
    }

    /// Checks a claim. `client` is asked for the publisher's key; without it only the keyring is.
    /// Pins nothing: see [`Verifier::pin`].
    pub async fn verify(
        &self,
        claim: &Claim<'_>,
        client: Option<&Client>,
        now: Timestamp,
    ) -> Result<Verdict, TrustError> {
        let what = what(&claim.statement);
        if let Some(locked) = claim.locked.and_then(|locked| locked.sha256)
            && locked != claim.statement.sha256()
        {
            return Err(TrustError::LockedChecksum {
                what,
                locked,
                found: claim.statement.sha256(),
            });
        }
        let Some(signature) = claim.signature else {
            return self.accept_unsigned(claim, what);
        };
        let refused = |source| TrustError::Signature {
            what: what.clone(),
            source,
        };
        let issuer = issuer_fingerprint(signature).map_err(refused)?;
        let key = self.key(claim, &issuer, client).await?;
        let signer = key.fingerprint();
        self.check_lock(claim, &what, signer)?;
        let first = self.check_pin(claim, signer)?;
        verify_statement(&key, &claim.statement, signature, now).map_err(refused)?;
        Ok(Verdict::Signed {
            signer: signer.clone(),
            first,
        })
    }

    /// Remembers who signed a skill, if that is not known yet. To be called when it is installed.
    pub fn pin(
        &self,
        registry: &str,
        name: &SkillName,
        signer: &Fingerprint,
        now: Timestamp,
    ) -> Result<(), TrustError> {
        match self
            .pins
            .check_or_pin(registry, name.as_str(), signer, now)?
        {
            PinCheck::New | PinCheck::Matches => Ok(()),
            PinCheck::Changed { old } => Err(changed(old, registry, name, signer)),
        }
    }

    fn accept_unsigned(&self, claim: &Claim<'_>, what: String) -> Result<Verdict, TrustError> {
        let name = claim.statement.name();
        let registry = claim.registry.trim_end_matches('/');
        let pins = self.pins.list()?;
        if let Some(pin) = pins
            .into_iter()
            .find(|pin| pin.registry == registry && pin.skill == name.as_str())
        {
            return Err(TrustError::SignatureMissing {
                what,
                name: name.clone(),
                pinned: pin.fingerprint,
            });
        }
        if let Some(locked) = claim.locked.and_then(|locked| locked.signer.clone()) {
            return Err(TrustError::LockedSigner {
                what,
                locked,
                found: None,
            });
        }
        match claim.allow_unsigned {
            true => Ok(Verdict::Unsigned),
            false => Err(TrustError::Unsigned { what }),
        }
    }

    fn check_lock(
        &self,
        claim: &Claim<'_>,
        what: &str,
        signer: &Fingerprint,
    ) -> Result<(), TrustError> {
        match claim.locked.and_then(|locked| locked.signer.as_deref()) {
            Some(locked) if !locked.eq_ignore_ascii_case(signer.as_str()) => {
                Err(TrustError::LockedSigner {
                    what: what.to_owned(),
                    locked: locked.to_owned(),
                    found: Some(signer.to_string()),
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether this is the first signer that is seen.
    fn check_pin(&self, claim: &Claim<'_>, signer: &Fingerprint) -> Result<bool, TrustError> {
        let name = claim.statement.name();
        match self.pins.check(claim.registry, name.as_str(), signer)? {
            PinCheck::New => Ok(true),
            PinCheck::Matches => Ok(false),
            PinCheck::Changed { old } => Err(changed(old, claim.registry, name, signer)),
        }
    }

    /// The key that issued a signature. The registry's copy and the local one are merged: a
    /// revocation counts, whichever of them has it.
    async fn key(
        &self,
        claim: &Claim<'_>,
        issuer: &Fingerprint,
        client: Option<&Client>,
    ) -> Result<PublicKey, TrustError> {
        if let Some(key) = self.found().get(issuer) {
            return Ok(key.clone());
        }
        let local = self.keyring.find_issuer(issuer)?;
        let remote = match client {
            Some(client) => {
                self.registered_key(claim, issuer, client, local.is_some())
                    .await?
            }
            None => None,
        };
        let unusable = |error: KeyError| TrustError::KeyUnusable {
            issuer: issuer.clone(),
            registry: claim.registry.to_owned(),
            reason: error.to_string(),
        };
        let key = match (local, remote) {
            (Some(local), Some(remote)) => local.merge(&remote).map_err(unusable)?,
            (Some(key), None) | (None, Some(key)) => key,
            (None, None) => {
                return Err(TrustError::KeyUnknown {
                    what: what(&claim.statement),
                    issuer: issuer.clone(),
                    registry: claim.registry.to_owned(),
                });
            }
        };
        self.found().insert(issuer.clone(), key.clone());
        Ok(key)
    }

    async fn registered_key(
        &self,
        claim: &Claim<'_>,
        issuer: &Fingerprint,
        client: &Client,
        have_local: bool,
    ) -> Result<Option<PublicKey>, TrustError> {
        let hinted = claim.signer_hint.and_then(|hint| hint.parse().ok());
        let asked: &Fingerprint = hinted.as_ref().unwrap_or(issuer);
        let registered = match client.key(asked).await {
            Ok(registered) => registered,
            Err(error) if error.is_not_found() || have_local => return Ok(None),
            Err(ApiError::Offline { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let unusable = |reason: String| TrustError::KeyUnusable {
            issuer: issuer.clone(),
            registry: claim.registry.to_owned(),
            reason,
        };
        let key = PublicKey::from_armored(&registered.armored)
            .map_err(|error| unusable(error.to_string()))?;
        // The registry names the key; the key itself says whose signatures it may check.
        let fits = key.issuers().any(|fingerprint| fingerprint == *issuer);
        if fits {
            Ok(Some(key))
        } else {
            Err(unusable("it is another key".into()))
        }
    }

    fn found(&self) -> std::sync::MutexGuard<'_, HashMap<Fingerprint, PublicKey>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn changed(old: Pin, registry: &str, name: &SkillName, found: &Fingerprint) -> TrustError {
    TrustError::SignerChanged(Box::new(SignerChange {
        name: name.clone(),
        registry: registry.to_owned(),
        pinned: old.fingerprint,
        since: old.first_seen,
        found: found.clone(),
    }))
}

fn what(statement: &Statement) -> String {
    format!("{}@{}", statement.name(), statement.version())
}
