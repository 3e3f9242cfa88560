//! A detached signature in armor, read strictly: one signature packet over a binary document.
//!
//! Knows what the signature says about itself; whether it is true is checked in `verify.rs`.

use jiff::Timestamp;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    Packet, PacketParser, PacketTrait, Signature, SignatureConfig, SignatureType, SignatureVersion,
    SubpacketData,
};

use crate::armor::{self, ArmorError, Block};
use crate::fingerprint::Fingerprint;
use crate::key::signature_expires_at;
use crate::policy::{self, SIGNATURE_BYTES_MAX};
use crate::time;
use crate::verify::VerifyError;

/// A well-formed detached signature. Nothing that it says has been verified.
pub(crate) struct Detached {
    pub(crate) packet: Signature,
    /// The key or subkey that is said to have made it.
    pub(crate) issuer: Fingerprint,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Detached {
    pub(crate) fn parse(armored: &str) -> Result<Self, VerifyError> {
        if armored.len() > SIGNATURE_BYTES_MAX {
            return Err(VerifyError::TooLarge);
        }
        match armor::kind(armored).map_err(from_armor)? {
            Block::Signature => {}
            Block::Cleartext => return Err(VerifyError::Cleartext),
            Block::Message => return Err(VerifyError::Inline),
            Block::PublicKey | Block::SecretKey | Block::Other => {
                return Err(VerifyError::NotASignature);
            }
        }
        let bytes = armor::decode(armored).map_err(from_armor)?;
        Self::from_packet(only_signature(&bytes)?)
    }

    fn from_packet(packet: Signature) -> Result<Self, VerifyError> {
        let config = match (packet.version(), packet.config()) {
            (SignatureVersion::V4, Some(config)) => config,
            (version, _) => {
                return Err(VerifyError::Version {
                    version: version.into(),
                });
            }
        };
        if config.typ() != SignatureType::Binary {
            return Err(VerifyError::NotBinary);
        }
        if !policy::hash_is_strong(config.hash_alg) {
            return Err(VerifyError::WeakHash {
                hash: hash_name(config.hash_alg),
            });
        }
        let created_at = created_at(config).ok_or(VerifyError::NoCreationTime)?;
        let issuer = issuer(config).ok_or(VerifyError::NoIssuer)?;
        let expires_at = signature_expires_at(&packet);
        Ok(Self {
            issuer,
            created_at,
            expires_at,
            packet,
        })
    }
}

/// The only creation time in the part that is signed.
fn created_at(config: &SignatureConfig) -> Option<Timestamp> {
    let mut times = config
        .hashed_subpackets()
        .filter_map(|subpacket| match &subpacket.data {
            SubpacketData::SignatureCreationTime(time) => Some(*time),
            _ => None,
        });
    let time = times.next().map(time::from_pgp);
    time.filter(|_| times.next().is_none())
}

/// The only issuer in the part that is signed; into the other part anyone may write.
fn issuer(config: &SignatureConfig) -> Option<Fingerprint> {
    let mut issuers = config
        .hashed_subpackets()
        .filter_map(|subpacket| match &subpacket.data {
            SubpacketData::IssuerFingerprint(fingerprint) => Some(fingerprint),
            _ => None,
        });
    let issuer = issuers.next().and_then(Fingerprint::from_pgp);
    issuer.filter(|_| issuers.next().is_none())
}

/// The packet, if it is a signature and there is nothing before or after it.
fn only_signature(bytes: &[u8]) -> Result<Signature, VerifyError> {
    let malformed = |error: pgp::errors::Error| VerifyError::Malformed {
        detail: error.to_string(),
    };
    let mut parser = PacketParser::new(bytes);
    let packet = match parser.next() {
        Some(packet) => packet.map_err(malformed)?,
        None => return Err(VerifyError::NotASignature),
    };
    let rest = parser.into_inner();
    let signature = match packet {
        Packet::Signature(signature) => signature,
        Packet::OnePassSignature(_) | Packet::LiteralData(_) | Packet::CompressedData(_) => {
            return Err(VerifyError::Inline);
        }
        _ => return Err(VerifyError::NotASignature),
    };
    if !rest.is_empty() {
        let next = PacketParser::new(rest).next();
        return Err(match next {
            Some(Ok(Packet::Signature(_))) => VerifyError::Several,
            _ => VerifyError::TrailingData,
        });
    }
    // Another encoding of the same packet could carry bytes that nobody looked at.
    let mut canonical = Vec::with_capacity(bytes.len());
    signature
        .to_writer_with_header(&mut canonical)
        .map_err(malformed)?;
    if canonical != bytes {
        return Err(VerifyError::Malformed {
            detail: "its encoding is not canonical".into(),
        });
    }
    Ok(signature)
}

fn hash_name(hash: HashAlgorithm) -> String {
    match hash {
        HashAlgorithm::Md5 => "MD5".into(),
        HashAlgorithm::Sha1 => "SHA-1".into(),
        HashAlgorithm::Ripemd160 => "RIPEMD-160".into(),
        HashAlgorithm::Sha224 => "SHA-224".into(),
        other => format!("number {}", u8::from(other)),
    }
}

fn from_armor(error: ArmorError) -> VerifyError {
    match error {
        ArmorError::Missing => VerifyError::NotArmored,
        ArmorError::Several => VerifyError::Several,
        ArmorError::Surrounded => VerifyError::TrailingData,
        ArmorError::Malformed(detail) => VerifyError::Malformed { detail },
    }
}
