//! Why a signature is refused: one variant per reason, each with its date or name.

use jiff::Timestamp;
use skill_format::{Explain, Fault};

use crate::fingerprint::Fingerprint;
use crate::key::Revocation;
use crate::policy::SIGNATURE_BYTES_MAX;
use crate::time::day;

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("a signature has at most {} KiB", SIGNATURE_BYTES_MAX / 1024)]
    TooLarge,
    #[error("the signature is not in ASCII armor")]
    NotArmored,
    /// A text with the signature around it.
    #[error("this is a cleartext-signed text, not a detached signature")]
    Cleartext,
    /// A message with the text inside.
    #[error("this is a signed or encrypted message, not a detached signature")]
    Inline,
    #[error("this is OpenPGP, but not a signature")]
    NotASignature,
    #[error("there are several signatures where one is expected")]
    Several,
    #[error("there is something besides the signature")]
    TrailingData,
    #[error("the signature is malformed: {detail}")]
    Malformed { detail: String },
    #[error("OpenPGP signatures of version {version} are not supported, only version 4")]
    Version { version: u8 },
    /// A text document, a certification, a timestamp.
    #[error("the signature is not one over a binary document")]
    NotBinary,
    #[error("the signature uses the hash {hash}, with which signatures can be forged")]
    WeakHash { hash: String },
    #[error("the signature does not say which key made it")]
    NoIssuer,
    #[error("the signature does not say when it was made")]
    NoCreationTime,
    /// Made, or said to be made, by another key.
    #[error("the signature was made by the key {found}, not by {expected}")]
    WrongKey {
        expected: Fingerprint,
        found: Fingerprint,
    },
    /// The mathematics say no: other content, or a forgery.
    #[error("the signature does not fit: what was signed is something else")]
    BadSignature,
    #[error("the key {fingerprint} was revoked ({revocation})")]
    KeyRevoked {
        fingerprint: Fingerprint,
        revocation: Revocation,
    },
    #[error("the key {fingerprint} expired on {}", day(at))]
    KeyExpired {
        fingerprint: Fingerprint,
        at: Timestamp,
    },
    #[error(
        "the key {fingerprint} says that it was made on {}, which is still to come",
        day(from)
    )]
    KeyFromFuture {
        fingerprint: Fingerprint,
        from: Timestamp,
    },
    /// Its back-signature is missing or wrong.
    #[error("the subkey {subkey} has not signed that it belongs to this key")]
    SubkeyNotBound { subkey: Fingerprint },
    #[error("the key is too weak or of an unsupported kind: {algorithm}")]
    WeakKey { algorithm: String },
    #[error("the key {fingerprint} is not made for signing")]
    KeyMayNotSign { fingerprint: Fingerprint },
    #[error("the signature expired on {}", day(at))]
    SignatureExpired { at: Timestamp },
    #[error(
        "the signature says that it was made on {}, which is still to come",
        day(made_at)
    )]
    SignatureFromFuture { made_at: Timestamp },
    #[error(
        "the signature says that it was made on {}, before its key was made on {}",
        day(made_at),
        day(key_made_at)
    )]
    SignatureBeforeKey {
        made_at: Timestamp,
        key_made_at: Timestamp,
    },
}

impl VerifyError {
    /// What the owner of the key does about it, while whoever received the signature reads
    /// [`Explain::help`].
    pub(crate) fn help_for_owner(&self) -> Option<String> {
        let help = match self {
            Self::KeyExpired { .. } => {
                "extend it with `gpg --quick-set-expire FINGERPRINT 2y` and import it again, or make a new key with `skills key generate`"
            }
            Self::KeyRevoked { .. } | Self::WeakKey { .. } | Self::KeyMayNotSign { .. } => {
                "sign with another key, or make a new one with `skills key generate`"
            }
            Self::KeyFromFuture { .. } => "check this machine's clock",
            _ => return self.help(),
        };
        Some(help.into())
    }
}

impl Explain for VerifyError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "signature-too-large",
            Self::NotArmored => "signature-not-armored",
            Self::Cleartext => "signature-cleartext",
            Self::Inline => "signature-inline",
            Self::NotASignature => "signature-unknown-format",
            Self::Several => "signature-several",
            Self::TrailingData => "signature-trailing-data",
            Self::Malformed { .. } => "signature-malformed",
            Self::Version { .. } => "signature-version",
            Self::NotBinary => "signature-not-binary",
            Self::WeakHash { .. } => "signature-weak-hash",
            Self::NoIssuer => "signature-no-issuer",
            Self::NoCreationTime => "signature-no-date",
            Self::WrongKey { .. } => "signature-wrong-key",
            Self::BadSignature => "signature-bad",
            Self::KeyRevoked { .. } => "key-revoked",
            Self::KeyExpired { .. } => "key-expired",
            Self::KeyFromFuture { .. } => "key-from-future",
            Self::SubkeyNotBound { .. } => "subkey-not-bound",
            Self::WeakKey { .. } => "key-weak",
            Self::KeyMayNotSign { .. } => "key-not-for-signing",
            Self::SignatureExpired { .. } => "signature-expired",
            Self::SignatureFromFuture { .. } => "signature-from-future",
            Self::SignatureBeforeKey { .. } => "signature-before-key",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::TooLarge
            | Self::NotArmored
            | Self::Cleartext
            | Self::Inline
            | Self::NotASignature
            | Self::Several
            | Self::TrailingData
            | Self::Malformed { .. }
            | Self::Version { .. }
            | Self::NotBinary
            | Self::NoIssuer
            | Self::NoCreationTime => Fault::BadInput,
            _ => Fault::Denied,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::TooLarge
            | Self::NotArmored
            | Self::Cleartext
            | Self::Inline
            | Self::NotASignature
            | Self::Several
            | Self::TrailingData
            | Self::Malformed { .. }
            | Self::Version { .. }
            | Self::NotBinary
            | Self::NoIssuer
            | Self::NoCreationTime => {
                "make it with `skills sign FILE`, or with gpg 2.1 or later: gpg --armor --detach-sign"
            }
            Self::WeakHash { .. } => "sign again with SHA-256 or better: gpg --digest-algo SHA512",
            Self::WrongKey { .. } => {
                "get the key that made it from its publisher, and compare fingerprints before you import it"
            }
            Self::BadSignature => {
                "do not use it; get archive and signature again from the publisher, and report it if they still differ"
            }
            Self::KeyRevoked { .. } => {
                "do not use what it signed; ask the publisher for a version signed with a new key"
            }
            Self::KeyExpired { .. } => {
                "import the key again, its owner may have extended it; else ask for a version signed with a valid key"
            }
            Self::KeyFromFuture { .. } | Self::SignatureFromFuture { .. } => {
                "check this machine's clock; if it is right, the publisher's was wrong"
            }
            Self::SubkeyNotBound { .. } | Self::SignatureBeforeKey { .. } => {
                "do not use it: this is not how an honest program signs"
            }
            Self::WeakKey { .. } | Self::KeyMayNotSign { .. } | Self::SignatureExpired { .. } => {
                "ask the publisher for a version signed with a current key"
            }
        };
        Some(help.into())
    }
}
