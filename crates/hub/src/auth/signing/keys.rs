//! Signing keys in memory, with the key of each purpose derived.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use sha2::{Digest, Sha256};

use super::Purpose;

/// HMAC-SHA256 wants a key as long as its output (RFC 7518 §3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// A secret and its name.
pub struct SigningKey {
    kid: String,
    purposes: Vec<(EncodingKey, DecodingKey)>,
}

impl SigningKey {
    /// A key under a given name; `None` if the secret is too short.
    pub fn new(kid: String, secret: &[u8]) -> Option<Self> {
        if secret.len() < SECRET_BYTES_MIN {
            return None;
        }
        let purposes = Purpose::ALL.map(|purpose| derive(secret, purpose)).into();
        Some(Self { kid, purposes })
    }

    /// A key from the configuration. Its name follows from the secret, so that all replicas
    /// agree on it, through a one-way function, so that the name gives nothing away.
    pub fn configured(secret: &str) -> Option<Self> {
        let mut hash = Sha256::new();
        hash.update(b"skills-hub signing key id\0");
        hash.update(secret.as_bytes());
        let kid = URL_SAFE_NO_PAD.encode(&hash.finalize()[..9]);
        Self::new(kid, secret.as_bytes())
    }

    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub fn encoding(&self, purpose: Purpose) -> &EncodingKey {
        &self.purposes[purpose as usize].0
    }

    pub fn decoding(&self, purpose: Purpose) -> &DecodingKey {
        &self.purposes[purpose as usize].1
    }
}

/// HMAC of the purpose under the secret: the extraction step is not needed, because the secret
/// is random or at least as long as the output (RFC 5869 §3.3).
fn derive(secret: &[u8], purpose: Purpose) -> (EncodingKey, DecodingKey) {
    let context = format!("skills-hub {}", purpose.typ());
    let secret = EncodingKey::from_secret(secret);
    let derived = jsonwebtoken::crypto::sign(context.as_bytes(), &secret, Algorithm::HS256)
        .expect("HMAC takes a key of any length");
    (
        EncodingKey::from_secret(derived.as_bytes()),
        DecodingKey::from_secret(derived.as_bytes()),
    )
}

/// The keys in force, newest first. Never empty.
pub struct KeyRing(Vec<SigningKey>);

impl KeyRing {
    pub fn new(keys: Vec<SigningKey>) -> Self {
        assert!(!keys.is_empty(), "a key ring has a key");
        Self(keys)
    }

    pub fn newest(&self) -> &SigningKey {
        &self.0[0]
    }

    pub fn find(&self, kid: &str) -> Option<&SigningKey> {
        self.0.iter().find(|key| key.kid == kid)
    }
}
