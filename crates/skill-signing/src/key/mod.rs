//! Public keys: OpenPGP certificates, reduced to what their owner provably wrote.

mod canonical;
mod error;
mod generate;
mod read;
mod secret;
mod status;

use std::fmt;

use jiff::Timestamp;
use pgp::composed::{ArmorOptions, SignedPublicKey, SignedPublicSubKey};
use pgp::packet::Signature;
use pgp::types::KeyDetails;

pub use error::KeyError;
pub use secret::SecretKey;
pub use status::{Revocation, RevocationReason};

pub(crate) use generate::describe;
pub(crate) use read::{Parsed, read};
pub(crate) use secret::signing_component;
pub(crate) use status::signature_expires_at;

use crate::fingerprint::Fingerprint;
use crate::policy;
use crate::time;

/// A public key with its user ids, subkeys, self-signatures and revocations, all of them verified.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    packets: SignedPublicKey,
    fingerprint: Fingerprint,
}

/// Whether a key may be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyState {
    Valid,
    Revoked(Revocation),
    /// Since when.
    Expired(Timestamp),
    /// Until when: the key claims to be made later than now.
    NotYetValid(Timestamp),
}

/// The key packet that made a signature.
#[derive(Clone, Copy)]
pub(crate) enum Component<'a> {
    Primary,
    Subkey(&'a SignedPublicSubKey),
}

impl PublicKey {
    /// Reads one armored public key.
    pub fn from_armored(armored: &str) -> Result<Self, KeyError> {
        Self::from_bytes(armored.as_bytes())
    }

    /// Reads one public key, armored or binary. Other people's certifications, photos and whatever
    /// the key did not sign itself are left out.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        match read(bytes)? {
            Parsed::Public(packets) => Self::from_packets(*packets),
            Parsed::Secret(_) => Err(KeyError::SecretGiven),
            Parsed::Revocation(_) => Err(KeyError::NotAKey),
        }
    }

    pub(crate) fn from_packets(packets: SignedPublicKey) -> Result<Self, KeyError> {
        let packets = canonical::reduce(packets)?;
        let fingerprint =
            Fingerprint::from_pgp(&packets.fingerprint()).ok_or(KeyError::Version {
                version: packets.version().into(),
            })?;
        Ok(Self {
            packets,
            fingerprint,
        })
    }

    pub(crate) fn packets(&self) -> &SignedPublicKey {
        &self.packets
    }

    /// The key in ASCII armor, as `gpg --import` reads it.
    pub fn to_armored(&self) -> String {
        self.packets
            .to_armored_string(ArmorOptions::default())
            .expect("writing parsed packets into memory cannot fail")
    }

    /// The primary key's fingerprint: the identity that is pinned, registered and trusted.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// The fingerprints that this key's signatures can name as their issuer: the primary key's, and
    /// those of signing subkeys that agree to belong to it. A registry finds the key by them.
    pub fn issuers(&self) -> impl Iterator<Item = Fingerprint> {
        let subkeys = self.packets.public_subkeys.iter().filter(|subkey| {
            status::subkey_may_sign(subkey) && status::subkey_has_signed_back(&self.packets, subkey)
        });
        let subkeys = subkeys.filter_map(|subkey| Fingerprint::from_pgp(&subkey.fingerprint()));
        std::iter::once(self.fingerprint.clone()).chain(subkeys)
    }

    /// The user ids that are not revoked, the primary one first, without control characters. They
    /// are the owner's claim and prove nothing.
    pub fn user_ids(&self) -> Vec<String> {
        let users = status::users(&self.packets);
        users
            .into_iter()
            .map(|user| status::printable(user.id.id()))
            .collect()
    }

    /// The algorithm in gpg's spelling: `ed25519`, `rsa4096`, `nistp256`.
    pub fn algorithm(&self) -> String {
        policy::algorithm_name(&self.packets.primary_key)
    }

    pub fn created_at(&self) -> Timestamp {
        time::from_pgp(self.packets.created_at())
    }

    /// `None` for a key that does not expire.
    pub fn expires_at(&self) -> Option<Timestamp> {
        status::expires_at(&self.packets)
    }

    pub fn is_revoked(&self) -> bool {
        !self.packets.details.revocation_signatures.is_empty()
    }

    pub fn revocation(&self) -> Option<Revocation> {
        status::revocation(self.packets.details.revocation_signatures.iter())
    }

    /// Whether the primary key may be relied on at `now`.
    pub fn state(&self, now: Timestamp) -> KeyState {
        state(self.revocation(), self.created_at(), self.expires_at(), now)
    }

    /// Everything that either copy of the key holds. A revocation that is in one is in the result.
    pub fn merge(&self, other: &Self) -> Result<Self, KeyError> {
        let packets = canonical::merge(self.packets.clone(), other.packets.clone())?;
        Ok(Self {
            packets,
            fingerprint: self.fingerprint.clone(),
        })
    }

    /// The key with a revocation added; `None` if this key did not make it.
    pub(crate) fn with_revocation(&self, revocation: Signature) -> Result<Option<Self>, KeyError> {
        if revocation.verify_key(&self.packets.primary_key).is_err() {
            return Ok(None);
        }
        let mut packets = self.packets.clone();
        packets.details.revocation_signatures.push(revocation);
        Self::from_packets(packets).map(Some)
    }

    /// The part of the key with this fingerprint.
    pub(crate) fn component(&self, fingerprint: &Fingerprint) -> Option<Component<'_>> {
        if *fingerprint == self.fingerprint {
            return Some(Component::Primary);
        }
        let mut subkeys = self.packets.public_subkeys.iter();
        subkeys
            .find(|subkey| {
                Fingerprint::from_pgp(&subkey.fingerprint()).as_ref() == Some(fingerprint)
            })
            .map(Component::Subkey)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.fingerprint).finish()
    }
}

impl Component<'_> {
    /// When the key packet was made.
    pub(crate) fn created_at(&self, key: &PublicKey) -> Timestamp {
        match self {
            Self::Primary => key.created_at(),
            Self::Subkey(subkey) => time::from_pgp(subkey.created_at()),
        }
    }

    /// The state of this part alone; for a subkey, ask for the primary key's as well.
    pub(crate) fn state(&self, key: &PublicKey, now: Timestamp) -> KeyState {
        match self {
            Self::Primary => key.state(now),
            Self::Subkey(subkey) => state(
                status::subkey_revocation(subkey),
                self.created_at(key),
                status::subkey_expires_at(subkey),
                now,
            ),
        }
    }

    /// Whether the key flags allow this part to sign data.
    pub(crate) fn may_sign(&self, key: &PublicKey) -> bool {
        match self {
            Self::Primary => status::may_sign(&key.packets),
            Self::Subkey(subkey) => status::subkey_may_sign(subkey),
        }
    }

    /// Whether this part agrees to belong to the key.
    pub(crate) fn is_bound(&self, key: &PublicKey) -> bool {
        match self {
            Self::Primary => true,
            Self::Subkey(subkey) => status::subkey_has_signed_back(&key.packets, subkey),
        }
    }

    pub(crate) fn has_strong_algorithm(&self, key: &PublicKey) -> bool {
        match self {
            Self::Primary => policy::algorithm_is_strong(&key.packets.primary_key),
            Self::Subkey(subkey) => policy::algorithm_is_strong(&subkey.key),
        }
    }

    pub(crate) fn algorithm(&self, key: &PublicKey) -> String {
        match self {
            Self::Primary => key.algorithm(),
            Self::Subkey(subkey) => policy::algorithm_name(&subkey.key),
        }
    }

    /// Whether this part made the signature over `message`.
    pub(crate) fn has_signed(
        &self,
        key: &PublicKey,
        signature: &Signature,
        message: &[u8],
    ) -> bool {
        match self {
            Self::Primary => signature.verify(&key.packets.primary_key, message).is_ok(),
            Self::Subkey(subkey) => signature.verify(&subkey.key, message).is_ok(),
        }
    }
}

fn state(
    revocation: Option<Revocation>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> KeyState {
    if let Some(revocation) = revocation {
        return KeyState::Revoked(revocation);
    }
    match expires_at {
        Some(at) if at <= now => KeyState::Expired(at),
        _ if time::is_future(created_at, now) => KeyState::NotYetValid(created_at),
        _ => KeyState::Valid,
    }
}
