//! Making keys: Ed25519, version 4, which everything since gpg 2.1 reads.
//!
//! Put together from packets, since the library's own builder takes the time from the system.

use std::time::Duration;

use jiff::Timestamp;
use pgp::composed::{SignedKeyDetails, SignedSecretKey};
use pgp::crypto::ed25519::{self, Mode};
use pgp::crypto::eddsa_legacy;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    self, Features, KeyFlags, PubKeyInner, SignatureConfig, SignatureType, Subpacket,
    SubpacketData, UserId,
};
use pgp::types::{
    EddsaLegacyPublicParams, KeyDetails, KeyVersion, PacketHeaderVersion, Password,
    PlainSecretParams, PublicParams, SecretParams, Tag,
};
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::{KeyError, SecretKey};
use crate::time;

/// Longest user id, in bytes. gpg itself takes more, but nobody reads it.
const USER_ID_BYTES_MAX: usize = 256;

impl SecretKey {
    /// Makes a key that certifies and signs, made at `now` and valid for `valid_for`, or until it
    /// is revoked. It has no passphrase yet: see [`SecretKey::with_passphrase`].
    pub fn generate(
        user_id: &str,
        valid_for: Option<Duration>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, KeyError> {
        check_user_id(user_id)?;
        let library = |error: pgp::errors::Error| KeyError::library(&error);
        let created = time::to_pgp(now).ok_or(KeyError::TimeOutOfRange)?;
        let valid_for = valid_for
            .map(|duration| u32::try_from(duration.as_secs()).map_err(|_| KeyError::TimeOutOfRange))
            .transpose()?;

        let mut seed = Zeroizing::new([0; ed25519::KEY_LEN]);
        rng.fill_bytes(seed.as_mut());
        let secret =
            ed25519::SecretKey::try_from_bytes(*seed, Mode::EdDSALegacy).map_err(library)?;
        let public = PubKeyInner::new(
            KeyVersion::V4,
            PublicKeyAlgorithm::EdDSALegacy,
            created,
            None,
            PublicParams::EdDSALegacy(EddsaLegacyPublicParams::from(&secret)),
        )
        .and_then(packet::PublicKey::from_inner)
        .map_err(library)?;
        let secret = PlainSecretParams::EdDSALegacy(eddsa_legacy::SecretKey::Ed25519(secret));
        let primary =
            packet::SecretKey::new(public, SecretParams::Plain(secret)).map_err(library)?;

        let user = UserId::from_str(PacketHeaderVersion::New, user_id).map_err(library)?;
        let mut config = SignatureConfig::v4(
            SignatureType::CertPositive,
            PublicKeyAlgorithm::EdDSALegacy,
            HashAlgorithm::Sha512,
        );
        describe(&mut config, &primary, now, capabilities(valid_for))?;
        let certification = config
            .sign_certification(
                &primary,
                primary.public_key(),
                &Password::empty(),
                Tag::UserId,
                &user,
            )
            .map_err(library)?;
        let details = SignedKeyDetails::new(
            vec![],
            vec![],
            vec![user.into_signed(certification)],
            vec![],
        );
        Self::from_packets(SignedSecretKey::new(primary, details, vec![], vec![]))
    }
}

/// What a new key says about itself: it certifies and signs, until when, and what it understands.
fn capabilities(valid_for: Option<u32>) -> Vec<SubpacketData> {
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(true);
    let mut features = Features::default();
    features.set_seipd_v1(true);
    let mut capabilities = vec![
        SubpacketData::KeyFlags(flags),
        SubpacketData::IsPrimary(true),
        SubpacketData::PreferredHashAlgorithms(
            [HashAlgorithm::Sha512, HashAlgorithm::Sha256]
                .into_iter()
                .collect(),
        ),
        SubpacketData::Features(features),
    ];
    if let Some(seconds) = valid_for {
        capabilities.push(SubpacketData::KeyExpirationTime(
            pgp::types::Duration::from_secs(seconds),
        ));
    }
    capabilities
}

/// Fills in when and by which key a signature is made, and what else it says.
pub(crate) fn describe(
    config: &mut SignatureConfig,
    key: &impl KeyDetails,
    now: Timestamp,
    more: impl IntoIterator<Item = SubpacketData>,
) -> Result<(), KeyError> {
    let created = time::to_pgp(now).ok_or(KeyError::TimeOutOfRange)?;
    let library = |error: pgp::errors::Error| KeyError::library(&error);
    // Critical: who does not understand when a signature was made must not accept it.
    let created = Subpacket::critical(SubpacketData::SignatureCreationTime(created));
    let issuer = Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()));
    config.hashed_subpackets = [created, issuer]
        .into_iter()
        .chain(more.into_iter().map(Subpacket::regular))
        .collect::<Result<_, _>>()
        .map_err(library)?;
    // For programs that know no fingerprint subpackets; a hint, hence not signed.
    config.unhashed_subpackets =
        vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id())).map_err(library)?];
    Ok(())
}

fn check_user_id(user_id: &str) -> Result<(), KeyError> {
    let problem = if user_id.trim().is_empty() {
        "is empty"
    } else if user_id.trim() != user_id {
        "begins or ends with a space"
    } else if user_id.len() > USER_ID_BYTES_MAX {
        "is longer than 256 bytes"
    } else if user_id.chars().any(char::is_control) {
        "contains control characters"
    } else {
        return Ok(());
    };
    Err(KeyError::UserId { problem })
}
