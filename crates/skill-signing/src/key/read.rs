//! From bytes to the packets of one key, armored or binary, bounded.
//!
//! Knows the order of packets; does not check a single signature (see `canonical.rs`).

use pgp::composed::{PublicOrSecret, SignedPublicKey, SignedSecretKey};
use pgp::packet::{Packet, PacketParser, Signature, SignatureType};
use pgp::types::{KeyDetails, KeyVersion};

use super::KeyError;
use crate::armor::{self, ArmorError, Block};
use crate::policy::KEY_BYTES_MAX;

/// The packets of one key, or what else `gpg` calls a key file.
pub(crate) enum Parsed {
    Public(Box<SignedPublicKey>),
    Secret(Box<SignedSecretKey>),
    /// What `gpg --gen-revoke` writes: the revocation alone, in the armor of a public key.
    Revocation(Signature),
}

/// Reads one key, armored or binary.
pub(crate) fn read(bytes: &[u8]) -> Result<Parsed, KeyError> {
    if bytes.len() > KEY_BYTES_MAX {
        return Err(KeyError::TooLarge);
    }
    if !armor::may_be_armor(bytes) {
        return packets(bytes);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| KeyError::NotAKey)?;
    match armor::kind(text).map_err(from_armor)? {
        Block::PublicKey | Block::SecretKey => packets(&armor::decode(text).map_err(from_armor)?),
        _ => Err(KeyError::NotAKey),
    }
}

fn from_armor(error: ArmorError) -> KeyError {
    match error {
        ArmorError::Missing => KeyError::NotAKey,
        ArmorError::Several => KeyError::Several,
        ArmorError::Surrounded => KeyError::Surrounded,
        ArmorError::Malformed(detail) => KeyError::Malformed { detail },
    }
}

fn packets(bytes: &[u8]) -> Result<Parsed, KeyError> {
    if let Some(revocation) = lone_revocation(bytes) {
        return Ok(Parsed::Revocation(revocation));
    }
    let mut keys =
        PublicOrSecret::from_bytes_many(bytes).map_err(|error| KeyError::malformed(&error))?;
    let key = match keys.next() {
        Some(Ok(key)) => key,
        Some(Err(error)) => return Err(KeyError::malformed(&error)),
        None => return Err(KeyError::NotAKey),
    };
    match keys.next() {
        None => {}
        Some(Ok(_)) => return Err(KeyError::Several),
        Some(Err(error)) => return Err(KeyError::malformed(&error)),
    }
    let (version, parsed) = match key {
        PublicOrSecret::Public(key) => (key.version(), Parsed::Public(Box::new(key))),
        PublicOrSecret::Secret(key) => (key.version(), Parsed::Secret(Box::new(key))),
    };
    if version == KeyVersion::V4 {
        Ok(parsed)
    } else {
        Err(KeyError::Version {
            version: version.into(),
        })
    }
}

fn lone_revocation(bytes: &[u8]) -> Option<Signature> {
    let mut parser = PacketParser::new(bytes);
    match parser.next() {
        Some(Ok(Packet::Signature(signature)))
            if signature.typ() == Some(SignatureType::KeyRevocation)
                && parser.into_inner().is_empty() =>
        {
            Some(signature)
        }
        _ => None,
    }
}
