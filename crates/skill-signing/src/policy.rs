//! Which algorithms and sizes are accepted. The one place to tighten when an algorithm falls.
//!
//! Stricter than OpenPGP itself, since a signature here decides what runs on a machine: everything
//! that RFC 9580 (sections 9.1 and 9.5) deprecates is refused instead of warned about.

use pgp::crypto::hash::HashAlgorithm;
use pgp::ser::Serialize;
use pgp::types::{EcdsaPublicParams, EddsaLegacyPublicParams, KeyDetails, PublicParams};

/// Largest armored signature: RSA with 16,384 bits needs 2 KiB in binary and 3 KiB in armor, the
/// rest is room for notations and comments.
pub(crate) const SIGNATURE_BYTES_MAX: usize = 16 * 1024;

/// Largest key. A key with three subkeys and ten user ids has less than 10 KiB; photos and other
/// people's certifications make keys large, and neither is kept.
pub(crate) const KEY_BYTES_MAX: usize = 256 * 1024;

/// Signatures in one key that claim to be by the key itself, since each costs a verification.
pub(crate) const SELF_SIGNATURES_MAX: usize = 300;

/// Smallest RSA modulus (NIST SP 800-131A: disallowed below).
const RSA_BITS_MIN: u16 = 2048;

/// Whether a signature over this hash proves anything: SHA-256 or better.
pub(crate) fn hash_is_strong(hash: HashAlgorithm) -> bool {
    matches!(
        hash,
        HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    )
}

/// Whether signatures by this key prove anything and can be checked here.
pub(crate) fn algorithm_is_strong(key: &impl KeyDetails) -> bool {
    match key.public_params() {
        PublicParams::RSA(_) => rsa_bits(key) >= RSA_BITS_MIN,
        PublicParams::ECDSA(curve) => curve.is_supported(),
        PublicParams::EdDSALegacy(curve) => {
            matches!(curve, EddsaLegacyPublicParams::Ed25519 { .. })
        }
        PublicParams::Ed25519(_) | PublicParams::Ed448(_) => true,
        _ => false,
    }
}

/// The algorithm in gpg's spelling: `ed25519`, `rsa4096`, `nistp256`.
pub(crate) fn algorithm_name(key: &impl KeyDetails) -> String {
    match key.public_params() {
        PublicParams::RSA(_) => format!("rsa{}", rsa_bits(key)),
        PublicParams::DSA(_) => "dsa".into(),
        PublicParams::ECDSA(EcdsaPublicParams::P256 { .. }) => "nistp256".into(),
        PublicParams::ECDSA(EcdsaPublicParams::P384 { .. }) => "nistp384".into(),
        PublicParams::ECDSA(EcdsaPublicParams::P521 { .. }) => "nistp521".into(),
        PublicParams::ECDSA(EcdsaPublicParams::Secp256k1 { .. }) => "secp256k1".into(),
        PublicParams::ECDSA(EcdsaPublicParams::Unsupported { curve, .. })
        | PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Unsupported { curve, .. }) => {
            curve.name().to_ascii_lowercase()
        }
        PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Ed25519 { .. })
        | PublicParams::Ed25519(_) => "ed25519".into(),
        PublicParams::Ed448(_) => "ed448".into(),
        PublicParams::Elgamal(_) => "elgamal".into(),
        PublicParams::ECDH(_) | PublicParams::X25519(_) | PublicParams::X448(_) => "ecdh".into(),
        _ => format!("algorithm {}", u8::from(key.algorithm())),
    }
}

/// Bits of the modulus: the header of the first multiprecision integer (RFC 9580, section 3.2).
fn rsa_bits(key: &impl KeyDetails) -> u16 {
    match key.public_params().to_bytes() {
        Ok(bytes) if bytes.len() >= 2 => u16::from_be_bytes([bytes[0], bytes[1]]),
        _ => 0,
    }
}
