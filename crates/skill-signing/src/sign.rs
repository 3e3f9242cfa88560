//! Making detached signatures.

use jiff::Timestamp;
use pgp::composed::{ArmorOptions, DetachedSignature};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureConfig, SignatureType};
use pgp::types::{KeyDetails, Password, SigningKey};
use skill_format::{Explain, Fault};

use crate::key::{KeyError, SecretKey, describe, signing_component};
use crate::verify::{VerifyError, verify};

/// Signs `message` and returns the armored detached signature: SHA-512, binary, with the issuer's
/// fingerprint. The result is verified before it is returned, by the rules of [`verify`]: a key
/// that is expired, revoked or not made for signing is refused here already.
pub fn sign(
    key: &SecretKey,
    passphrase: Option<&str>,
    message: &[u8],
    now: Timestamp,
) -> Result<String, SigningError> {
    let password = key.password(passphrase)?;
    let component = signing_component(key, now)?;
    let packets = key.packets();
    let subkey = packets.secret_subkeys.iter().find(|subkey| {
        crate::fingerprint::Fingerprint::from_pgp(&subkey.fingerprint()).as_ref()
            == Some(&component)
    });
    let signature = match subkey {
        Some(subkey) => sign_with(key, &subkey.key, &password, message, now)?,
        None => sign_with(key, &packets.primary_key, &password, message, now)?,
    };
    let armored = DetachedSignature::new(signature)
        .to_armored_string(ArmorOptions::default())
        .map_err(|error| SigningError::library(&error))?;
    match verify(key.public(), message, &armored, now) {
        Ok(_) => Ok(armored),
        // The secret part does not belong to the public one; never give such a signature away.
        Err(VerifyError::BadSignature) => Err(SigningError::Mismatch),
        Err(error) => Err(SigningError::Unusable(error)),
    }
}

fn sign_with(
    key: &SecretKey,
    signer: &impl SigningKey,
    password: &Password,
    message: &[u8],
    now: Timestamp,
) -> Result<Signature, SigningError> {
    let mut config = SignatureConfig::v4(
        SignatureType::Binary,
        signer.algorithm(),
        HashAlgorithm::Sha512,
    );
    describe(&mut config, signer, now, [])?;
    config
        .sign(signer, password, message)
        .map_err(|error| key.unlock_error(&error))
}

/// Why a secret key could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    #[error("the key is protected by a passphrase, and none was given")]
    PassphraseNeeded,
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// It is on a smart card, or kept offline.
    #[error("the file does not hold the secret part of this key")]
    NoSecret,
    /// The secret part is damaged or belongs to another key.
    #[error("the secret part of the key does not fit its public part")]
    Mismatch,
    /// Its signatures would be refused, for this reason.
    #[error("signatures by this key would be refused: {0}")]
    Unusable(VerifyError),
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A failure inside the OpenPGP library.
    #[error("the OpenPGP library failed: {detail}")]
    Library { detail: String },
}

impl SigningError {
    pub(crate) fn library(error: &pgp::errors::Error) -> Self {
        Self::Library {
            detail: error.to_string(),
        }
    }
}

impl Explain for SigningError {
    fn code(&self) -> &'static str {
        match self {
            Self::PassphraseNeeded => "passphrase-needed",
            Self::WrongPassphrase => "passphrase-wrong",
            Self::NoSecret => "key-no-secret",
            Self::Mismatch => "key-mismatch",
            Self::Unusable(error) => error.code(),
            Self::Key(error) => error.code(),
            Self::Library { .. } => "signing-library",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::PassphraseNeeded | Self::WrongPassphrase | Self::NoSecret | Self::Mismatch => {
                Fault::BadInput
            }
            Self::Unusable(_) => Fault::Denied,
            Self::Key(error) => error.fault(),
            Self::Library { .. } => Fault::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::PassphraseNeeded => Some(
                "run it in a terminal to be asked, or set SKILLS_PASSPHRASE, or pass --passphrase-file".into(),
            ),
            Self::WrongPassphrase => Some("try again; a lost passphrase cannot be recovered".into()),
            Self::NoSecret => Some("export it from where it is: gpg --armor --export-secret-keys KEY".into()),
            Self::Mismatch => Some("export and import the secret key again".into()),
            Self::Unusable(error) => error.help_for_owner(),
            Self::Key(error) => error.help(),
            Self::Library { .. } => None,
        }
    }
}
