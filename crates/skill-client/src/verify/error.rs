//! Why an archive is not trusted.

use std::fmt;

use jiff::Timestamp;
use skill_format::{Explain, Fault, Place, Sha256, SkillName};
use skill_signing::{Fingerprint, KeyringError, PinError, VerifyError};

use crate::api::ApiError;

/// Somebody else signed a skill than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerChange {
    pub name: SkillName,
    pub registry: String,
    /// Who signed it before.
    pub pinned: Fingerprint,
    /// When that was seen first.
    pub since: Timestamp,
    /// Who signs it now.
    pub found: Fingerprint,
}

impl fmt::Display for SignerChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            pinned,
            since,
            found,
            ..
        } = self;
        write!(
            f,
            "{name} is signed by {found}, but was signed by {pinned} since {}",
            since.strftime("%Y-%m-%d")
        )
    }
}

/// Why an archive is not trusted. No flag overrides any of these, except [`TrustError::Unsigned`].
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The registry serves, or the store holds, other bytes than were locked.
    #[error("{what} has the digest {found}, but {locked} in the lockfile")]
    LockedChecksum {
        what: String,
        locked: Sha256,
        found: Sha256,
    },
    /// Another key than the one that was locked.
    #[error("{what} is signed by {}, but the lockfile says {locked}", found.as_deref().unwrap_or("nobody"))]
    LockedSigner {
        what: String,
        locked: String,
        found: Option<String>,
    },
    /// Nobody signed it.
    #[error("{what} is not signed")]
    Unsigned { what: String },
    /// Nobody signed it, though somebody did before.
    #[error("{what} is not signed, but {name} was signed by {pinned} before")]
    SignatureMissing {
        what: String,
        name: SkillName,
        pinned: Fingerprint,
    },
    /// Somebody else signed it.
    #[error("{0}")]
    SignerChanged(Box<SignerChange>),
    /// The key is neither here nor at the registry.
    #[error("the key {issuer} that signed {what} is not known, neither here nor to {registry}")]
    KeyUnknown {
        what: String,
        issuer: Fingerprint,
        registry: String,
    },
    /// The registry gave another key than was asked for, or no key.
    #[error("{registry} gave a key that cannot be used for {issuer}: {reason}")]
    KeyUnusable {
        issuer: Fingerprint,
        registry: String,
        reason: String,
    },
    /// The signature is bad, or its key is expired or revoked.
    #[error("the signature of {what} does not count: {source}")]
    Signature {
        what: String,
        #[source]
        source: VerifyError,
    },
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error(transparent)]
    Pins(#[from] PinError),
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl Explain for TrustError {
    fn code(&self) -> &'static str {
        match self {
            Self::LockedChecksum { .. } => "lock-checksum-mismatch",
            Self::LockedSigner { .. } => "lock-signer-mismatch",
            Self::Unsigned { .. } => "unsigned",
            Self::SignatureMissing { .. } => "signature-missing",
            Self::SignerChanged(_) => "signer-changed",
            Self::KeyUnknown { .. } => "key-unknown",
            Self::KeyUnusable { .. } => "key-unusable",
            Self::Signature { source, .. } => source.code(),
            Self::Keyring(error) => error.code(),
            Self::Pins(error) => error.code(),
            Self::Api(error) => error.code(),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Keyring(error) => error.fault(),
            Self::Pins(error) => error.fault(),
            Self::Api(error) => error.fault(),
            _ => Fault::Denied,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::LockedChecksum { .. } | Self::LockedSigner { .. } => {
                "nothing was installed; if the change is right, write the lock anew: skills lock --update NAME".into()
            }
            Self::Unsigned { .. } => "ask its publisher to sign it, or accept it once: --allow-unsigned".into(),
            Self::SignatureMissing { .. } => {
                "nothing was installed; a signature does not get lost: ask the publisher, not the registry".into()
            }
            Self::SignerChanged(change) => format!(
                "nothing was installed; ask the publisher, not the registry, whether the key is theirs, \
                 then: skills key trust {} --skill {} --registry {}",
                change.found, change.name, change.registry
            ),
            Self::KeyUnknown { .. } | Self::KeyUnusable { .. } => {
                "get the key from its publisher, then: skills key import FILE".into()
            }
            Self::Signature { source, .. } => return source.help(),
            Self::Keyring(error) => return error.help(),
            Self::Pins(error) => return error.help(),
            Self::Api(error) => return error.help(),
        })
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Keyring(error) => error.place(),
            Self::Pins(error) => error.place(),
            Self::Api(error) => error.place(),
            _ => None,
        }
    }
}
