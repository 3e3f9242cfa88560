//! Keys and signatures that no honest program makes, put together from packets.

use jiff::Timestamp;
use pgp::armor::{self, BlockType};
use pgp::crypto::ed25519::{self, Mode};
use pgp::crypto::eddsa_legacy;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    self, KeyFlags, PacketTrait, PubKeyInner, Signature, SignatureConfig, SignatureType, Subpacket,
    SubpacketData, UserId,
};
use pgp::ser::Serialize;
use pgp::types::{
    EddsaLegacyPublicParams, KeyDetails, KeyVersion, Password, PlainSecretParams, PublicParams,
    SecretParams, Tag,
};

use crate::support::now;

/// A primary key.
pub struct Key(pub packet::SecretKey);

/// A subkey.
pub struct Subkey(pub packet::SecretSubkey);

impl Key {
    pub fn new(seed: u8) -> Self {
        let (public, secret) = material(seed, now());
        let public = packet::PublicKey::from_inner(public).expect("a public key");
        Self(packet::SecretKey::new(public, secret).expect("a secret key"))
    }

    /// What a certification of a key made for signing says.
    pub fn claims(&self) -> Vec<SubpacketData> {
        let mut claims = self.dated(now());
        claims.push(flags(true));
        claims
    }

    /// When and by whom, and nothing else.
    pub fn dated(&self, time: Timestamp) -> Vec<SubpacketData> {
        vec![
            created(time),
            SubpacketData::IssuerFingerprint(self.0.fingerprint()),
        ]
    }

    pub fn certify(&self, user: &UserId, claims: Vec<SubpacketData>) -> Signature {
        self.config(SignatureType::CertPositive, claims)
            .sign_certification(
                &self.0,
                self.0.public_key(),
                &Password::empty(),
                Tag::UserId,
                user,
            )
            .expect("a certification")
    }

    /// A direct-key signature or a revocation of `key`.
    pub fn sign_key(&self, typ: SignatureType, key: &Key, claims: Vec<SubpacketData>) -> Signature {
        self.config(typ, claims)
            .sign_key(&self.0, &Password::empty(), key.0.public_key())
            .expect("a signature over a key")
    }

    pub fn bind(&self, subkey: &Subkey, claims: Vec<SubpacketData>) -> Signature {
        self.config(SignatureType::SubkeyBinding, claims)
            .sign_subkey_binding(
                &self.0,
                self.0.public_key(),
                &Password::empty(),
                subkey.0.public_key(),
            )
            .expect("a binding")
    }

    pub fn sign(&self, message: &[u8], claims: Vec<SubpacketData>) -> Signature {
        self.config(SignatureType::Binary, claims)
            .sign(&self.0, &Password::empty(), message)
            .expect("a signature")
    }

    /// The packets of a key with one user id, certified in this way.
    pub fn certificate(&self, claims: Vec<SubpacketData>) -> Vec<u8> {
        let user = user();
        let mut bytes = bytes(self.0.public_key());
        bytes.extend(crate::craft::bytes(&user));
        bytes.extend(crate::craft::bytes(&self.certify(&user, claims)));
        bytes
    }

    pub fn config(&self, typ: SignatureType, claims: Vec<SubpacketData>) -> SignatureConfig {
        config(typ, claims)
    }
}

impl Subkey {
    pub fn new(seed: u8) -> Self {
        let (public, secret) = material(seed, now());
        let public = packet::PublicSubkey::from_inner(public).expect("a public subkey");
        Self(packet::SecretSubkey::new(public, secret).expect("a secret subkey"))
    }

    /// The subkey's signature that it belongs to `key`.
    pub fn sign_back(&self, key: &Key) -> SubpacketData {
        let back = config(SignatureType::KeyBinding, self.dated())
            .sign_primary_key_binding(
                &self.0,
                self.0.public_key(),
                &Password::empty(),
                key.0.public_key(),
            )
            .expect("a back-signature");
        SubpacketData::EmbeddedSignature(Box::new(back))
    }

    pub fn sign(&self, message: &[u8]) -> Signature {
        config(SignatureType::Binary, self.dated())
            .sign(&self.0, &Password::empty(), message)
            .expect("a signature")
    }

    fn dated(&self) -> Vec<SubpacketData> {
        vec![
            created(now()),
            SubpacketData::IssuerFingerprint(self.0.fingerprint()),
        ]
    }
}

pub fn user() -> UserId {
    UserId::from_str(Default::default(), "crafted").expect("a user id")
}

pub fn created(time: Timestamp) -> SubpacketData {
    let second = u32::try_from(time.as_second()).expect("a time since 1970");
    SubpacketData::SignatureCreationTime(pgp::types::Timestamp::from_secs(second))
}

pub fn flags(sign: bool) -> SubpacketData {
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(sign);
    SubpacketData::KeyFlags(flags)
}

pub fn expires_after_days(days: u32) -> SubpacketData {
    SubpacketData::KeyExpirationTime(pgp::types::Duration::from_secs(days * 24 * 3600))
}

/// The packet with its header.
pub fn bytes(packet: &impl PacketTrait) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet
        .to_writer_with_header(&mut bytes)
        .expect("memory is writable");
    bytes
}

pub fn armored_signature(packets: &[u8]) -> String {
    armored(BlockType::Signature, packets)
}

fn armored(block: BlockType, packets: &[u8]) -> String {
    struct Raw<'a>(&'a [u8]);
    impl Serialize for Raw<'_> {
        fn to_writer<W: std::io::Write>(&self, writer: &mut W) -> pgp::errors::Result<()> {
            Ok(writer.write_all(self.0)?)
        }
        fn write_len(&self) -> usize {
            self.0.len()
        }
    }
    let mut armored = Vec::new();
    armor::write(&Raw(packets), block, &mut armored, None, true).expect("memory is writable");
    String::from_utf8(armored).expect("armor is text")
}

fn config(typ: SignatureType, claims: Vec<SubpacketData>) -> SignatureConfig {
    let mut config =
        SignatureConfig::v4(typ, PublicKeyAlgorithm::EdDSALegacy, HashAlgorithm::Sha256);
    config.hashed_subpackets = claims
        .into_iter()
        .map(|claim| Subpacket::regular(claim).expect("a subpacket"))
        .collect();
    config
}

fn material(seed: u8, time: Timestamp) -> (PubKeyInner, SecretParams) {
    let secret =
        ed25519::SecretKey::try_from_bytes([seed; 32], Mode::EdDSALegacy).expect("any bytes");
    let params = PublicParams::EdDSALegacy(EddsaLegacyPublicParams::from(&secret));
    let second = u32::try_from(time.as_second()).expect("a time since 1970");
    let time = pgp::types::Timestamp::from_secs(second);
    let public = PubKeyInner::new(
        KeyVersion::V4,
        PublicKeyAlgorithm::EdDSALegacy,
        time,
        None,
        params,
    )
    .expect("a key");
    let secret = PlainSecretParams::EdDSALegacy(eddsa_legacy::SecretKey::Ed25519(secret));
    (public, SecretParams::Plain(secret))
}
