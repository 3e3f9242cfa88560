//! Why a key is not accepted.

use skill_format::{Explain, Fault};

use crate::policy::{KEY_BYTES_MAX, SELF_SIGNATURES_MAX};

/// Why bytes are not a key that can be used here, or why a key cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a key has at most {} KiB", KEY_BYTES_MAX / 1024)]
    TooLarge,
    /// Neither armor nor binary OpenPGP, or OpenPGP that is something else.
    #[error("this is not an OpenPGP key")]
    NotAKey,
    #[error("the key is malformed: {detail}")]
    Malformed { detail: String },
    /// Text before or after the armor block.
    #[error("there is other text around the key")]
    Surrounded,
    #[error("there are several keys where one is expected")]
    Several,
    /// A secret key was given where a public one belongs.
    #[error("this is a secret key, where a public key is expected")]
    SecretGiven,
    /// A public key was given where a secret one belongs.
    #[error("this is a public key, where a secret key is expected")]
    PublicGiven,
    #[error("OpenPGP keys of version {version} are not supported, only version 4")]
    Version { version: u8 },
    /// Too weak, or not usable for signatures.
    #[error("keys with the algorithm {algorithm} are not accepted")]
    Algorithm { algorithm: String },
    #[error("the key carries more than {SELF_SIGNATURES_MAX} signatures of its own")]
    TooManySignatures,
    /// Nothing proves that user ids, capabilities and expiry were written by the key's owner.
    #[error("the key has no valid signature of its own")]
    NoSelfSignature,
    /// Two keys that are not the same were to be merged.
    #[error("these are two different keys")]
    DifferentKeys,
    #[error("the user id {problem}")]
    UserId { problem: &'static str },
    /// OpenPGP holds times in 32 bits.
    #[error("the time lies outside the years 1970 to 2106")]
    TimeOutOfRange,
    /// A failure inside the OpenPGP library.
    #[error("the OpenPGP library failed: {detail}")]
    Library { detail: String },
}

impl KeyError {
    pub(crate) fn malformed(error: &pgp::errors::Error) -> Self {
        Self::Malformed {
            detail: error.to_string(),
        }
    }

    pub(crate) fn library(error: &pgp::errors::Error) -> Self {
        Self::Library {
            detail: error.to_string(),
        }
    }
}

impl Explain for KeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "key-too-large",
            Self::NotAKey => "key-unknown-format",
            Self::Malformed { .. } => "key-malformed",
            Self::Surrounded => "key-surrounded",
            Self::Several => "key-several",
            Self::SecretGiven => "key-is-secret",
            Self::PublicGiven => "key-is-public",
            Self::Version { .. } => "key-version",
            Self::Algorithm { .. } => "key-algorithm",
            Self::TooManySignatures => "key-too-many-signatures",
            Self::NoSelfSignature => "key-no-self-signature",
            Self::DifferentKeys => "key-different",
            Self::UserId { .. } => "key-user-id",
            Self::TimeOutOfRange => "key-time-out-of-range",
            Self::Library { .. } => "key-library",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Library { .. } => Fault::Internal,
            _ => Fault::BadInput,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::TooLarge | Self::TooManySignatures => {
                "export it without photos and certifications: gpg --export-options export-minimal --export KEY"
            }
            Self::NotAKey | Self::Malformed { .. } => {
                "export the key again: gpg --armor --export KEY, or skills key export KEY"
            }
            Self::Surrounded => {
                "keep only what lies from the line -----BEGIN to the line -----END, these included"
            }
            Self::Several => {
                "export and import one key at a time: gpg --armor --export FINGERPRINT"
            }
            Self::SecretGiven => {
                "never give a secret key away; export the public key: gpg --armor --export KEY, or skills key export KEY"
            }
            Self::PublicGiven => "export the secret key: gpg --armor --export-secret-keys KEY",
            Self::Version { .. } | Self::Algorithm { .. } => {
                "make a new key, for example with `skills key generate`: Ed25519, ECDSA, or RSA with 2048 bits or more"
            }
            Self::NoSelfSignature => {
                "export the key again; if it signs itself with SHA-1, renew it: gpg --quick-set-expire FINGERPRINT 2y"
            }
            Self::UserId { .. } => {
                "write a name, and an address if you like: `Name <name@example.org>`"
            }
            Self::TimeOutOfRange => "check this machine's clock",
            Self::DifferentKeys | Self::Library { .. } => return None,
        };
        Some(help.into())
    }
}
