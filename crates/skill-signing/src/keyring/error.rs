//! Why a keyring cannot do what it was asked.

use std::path::PathBuf;

use skill_format::{Explain, Fault, Place};

use super::SELECTOR_DIGITS_MIN;
use crate::files::FileError;
use crate::fingerprint::Fingerprint;
use crate::key::KeyError;
use crate::sign::SigningError;
use crate::verify::VerifyError;

#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Verify(VerifyError),
    #[error(
        "`{selector}` is neither a fingerprint nor its last {SELECTOR_DIGITS_MIN} or more digits"
    )]
    BadSelector { selector: String },
    #[error("there is no key `{selector}` in the keyring")]
    NotFound { selector: String },
    #[error("`{selector}` could be each of these keys: {}", list(fingerprints))]
    Ambiguous {
        selector: String,
        fingerprints: Vec<Fingerprint>,
    },
    #[error("there is no secret key to sign with")]
    NoKey,
    /// There are secret keys, and all are expired or revoked.
    #[error("all your secret keys are expired or revoked")]
    NoUsableKey,
    #[error("there are several secret keys to sign with: {}", list(fingerprints))]
    SeveralKeys { fingerprints: Vec<Fingerprint> },
    #[error("the secret key of {fingerprint} is not in the keyring")]
    NoSecret { fingerprint: Fingerprint },
    #[error("the secret key of {fingerprint} is in the keyring and would be lost")]
    HasSecret { fingerprint: Fingerprint },
    /// Others than the owner may read a secret key.
    #[error("others can read the secret key {}", path.display())]
    Exposed { path: PathBuf },
    #[error("{} is damaged: {source}", path.display())]
    BadFile { path: PathBuf, source: KeyError },
    #[error("{} holds another key, {found}", path.display())]
    Misnamed { path: PathBuf, found: Fingerprint },
    #[error("{} is damaged: {detail}", path.display())]
    BadTrust { path: PathBuf, detail: String },
    #[error("the signature was made by the key {issuer}, which is not in the keyring")]
    UnknownIssuer { issuer: Fingerprint },
    #[error("this revokes a key that is not in the keyring")]
    RevocationOfUnknown,
}

fn list(fingerprints: &[Fingerprint]) -> String {
    let names: Vec<&str> = fingerprints.iter().map(Fingerprint::as_str).collect();
    names.join(", ")
}

impl Explain for KeyringError {
    fn code(&self) -> &'static str {
        match self {
            Self::File(_) => "keyring-io",
            Self::Key(error) => error.code(),
            Self::Signing(error) => error.code(),
            Self::Verify(error) => error.code(),
            Self::BadSelector { .. } => "key-selector",
            Self::NotFound { .. } => "key-not-found",
            Self::Ambiguous { .. } => "key-ambiguous",
            Self::NoKey => "no-signing-key",
            Self::NoUsableKey => "no-usable-signing-key",
            Self::SeveralKeys { .. } => "several-signing-keys",
            Self::NoSecret { .. } => "key-no-secret",
            Self::HasSecret { .. } => "key-has-secret",
            Self::Exposed { .. } => "secret-key-exposed",
            Self::BadFile { .. } | Self::Misnamed { .. } => "keyring-file-damaged",
            Self::BadTrust { .. } => "trust-file-damaged",
            Self::UnknownIssuer { .. } => "signer-unknown",
            Self::RevocationOfUnknown => "revocation-of-unknown-key",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::File(_) => Fault::Internal,
            Self::Key(error) => error.fault(),
            Self::Signing(error) => error.fault(),
            Self::Verify(error) => error.fault(),
            Self::NotFound { .. }
            | Self::NoKey
            | Self::NoUsableKey
            | Self::NoSecret { .. }
            | Self::RevocationOfUnknown => Fault::NotFound,
            Self::UnknownIssuer { .. } | Self::Exposed { .. } => Fault::Denied,
            Self::BadSelector { .. }
            | Self::Ambiguous { .. }
            | Self::SeveralKeys { .. }
            | Self::HasSecret { .. }
            | Self::BadFile { .. }
            | Self::Misnamed { .. }
            | Self::BadTrust { .. } => Fault::BadInput,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::File(error) => return error.help(),
            Self::Key(error) => return error.help(),
            Self::Signing(error) => return error.help(),
            Self::Verify(error) => return error.help(),
            Self::BadSelector { .. } | Self::NotFound { .. } => "`skills key list` shows the keys".into(),
            Self::Ambiguous { .. } => "write more of the fingerprint".into(),
            Self::NoKey | Self::NoUsableKey => {
                "make one with `skills key generate \"Name <name@example.org>\"`, or import one with `skills key import FILE`".into()
            }
            Self::SeveralKeys { .. } => "choose one with --key FINGERPRINT".into(),
            Self::NoSecret { .. } => {
                "export it where it is (gpg --armor --export-secret-keys KEY) and `skills key import FILE` it".into()
            }
            Self::HasSecret { .. } => {
                "export it first with `skills key export --secret`; then remove it with --force".into()
            }
            Self::Exposed { path } => format!("close it: chmod 600 {}", path.display()),
            Self::BadFile { path, .. } | Self::Misnamed { path, .. } => {
                format!("move {} away and import the key again", path.display())
            }
            Self::BadTrust { path, .. } => {
                format!("restore {} from a backup, or delete it and trust your keys again", path.display())
            }
            Self::UnknownIssuer { .. } => {
                "get the key from its publisher, compare fingerprints, and `skills key import FILE` it".into()
            }
            Self::RevocationOfUnknown => "import the key first, then its revocation".into(),
        };
        Some(help)
    }

    fn place(&self) -> Option<Place> {
        let path = match self {
            Self::File(error) => error.path(),
            Self::Exposed { path }
            | Self::BadFile { path, .. }
            | Self::Misnamed { path, .. }
            | Self::BadTrust { path, .. } => path,
            _ => return None,
        };
        Some(Place {
            file: Some(path.display().to_string()),
            line: None,
            field: None,
        })
    }
}
