//! Secret keys: reading, protecting and revoking them. Signing is in `sign.rs`.

use jiff::Timestamp;
use pgp::composed::{ArmorOptions, SignedSecretKey, SignedSecretSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{self, SignatureConfig, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, Password, S2kParams, SecretParams, StringToKey};
use rand::CryptoRng;

use super::{Component, KeyError, Parsed, PublicKey, RevocationReason, generate, read};
use crate::fingerprint::Fingerprint;
use crate::secret::SecretText;
use crate::sign::SigningError;

/// S2K type with which gpg marks a key whose secret part is elsewhere (its `DETAILS`, "gnu-dummy").
const S2K_GNU: u8 = 101;

/// Coded iteration count of the passphrase hash: 65 MiB are hashed, gpg's order of magnitude.
/// `(16 + (c & 15)) << ((c >> 4) + 6)` (RFC 9580, section 3.7.1.3).
const S2K_COUNT: u8 = 0xff;

/// A secret key, with the public key that belongs to it. It may be protected by a passphrase, and
/// then is in memory, too.
///
/// Has no `Debug`, so that it cannot be printed by accident; key material is overwritten when it is
/// dropped.
#[derive(Clone)]
pub struct SecretKey {
    pub(super) packets: SignedSecretKey,
    pub(super) public: PublicKey,
}

impl SecretKey {
    /// Reads one armored secret key.
    pub fn from_armored(armored: &str) -> Result<Self, KeyError> {
        Self::from_bytes(armored.as_bytes())
    }

    /// Reads one secret key, armored or binary.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        match read(bytes)? {
            Parsed::Secret(packets) => Self::from_packets(*packets),
            Parsed::Public(_) => Err(KeyError::PublicGiven),
            Parsed::Revocation(_) => Err(KeyError::NotAKey),
        }
    }

    pub(crate) fn from_packets(packets: SignedSecretKey) -> Result<Self, KeyError> {
        let public = PublicKey::from_packets(packets.to_public_key())?;
        Self::new(&packets, public)
    }

    /// The secret packets of one key file with the public key's packets and signatures around them.
    fn new(secret: &SignedSecretKey, public: PublicKey) -> Result<Self, KeyError> {
        let malformed = |error: pgp::errors::Error| KeyError::malformed(&error);
        let key = public.packets();
        let params = secret.primary_key.secret_params().clone();
        let primary = packet::SecretKey::new(key.primary_key.clone(), params).map_err(malformed)?;
        let mut public_subkeys = Vec::new();
        let mut secret_subkeys = Vec::new();
        for subkey in &key.public_subkeys {
            let fingerprint = subkey.fingerprint();
            let secret = secret
                .secret_subkeys
                .iter()
                .find(|it| it.fingerprint() == fingerprint);
            match secret {
                None => public_subkeys.push(subkey.clone()),
                Some(secret) => {
                    let params = secret.key.secret_params().clone();
                    let secret =
                        packet::SecretSubkey::new(subkey.key.clone(), params).map_err(malformed)?;
                    secret_subkeys.push(SignedSecretSubKey::new(secret, subkey.signatures.clone()));
                }
            }
        }
        let details = key.details.clone();
        let packets = SignedSecretKey::new(primary, details, public_subkeys, secret_subkeys);
        Ok(Self { packets, public })
    }

    /// The same secret with what another copy of the public key says: revocations, new expiry.
    pub(crate) fn with_public(self, public: &PublicKey) -> Result<Self, KeyError> {
        let public = self.public.merge(public)?;
        Self::new(&self.packets, public)
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub fn fingerprint(&self) -> &Fingerprint {
        self.public.fingerprint()
    }

    /// The key in ASCII armor as it is: protected if it is protected.
    pub fn to_armored(&self) -> SecretText {
        SecretText::new(
            self.packets
                .to_armored_string(ArmorOptions::default())
                .expect("writing parsed packets into memory cannot fail"),
        )
    }

    /// Whether a passphrase is needed to use it.
    pub fn is_protected(&self) -> bool {
        let primary = self.packets.primary_key.secret_params();
        let subkeys = self
            .packets
            .secret_subkeys
            .iter()
            .map(|subkey| subkey.key.secret_params());
        std::iter::once(primary)
            .chain(subkeys)
            .any(|params| params.is_encrypted() && has_material(params))
    }

    /// The key under another passphrase, or without one. `old` is needed if it is protected.
    pub fn with_passphrase(
        &self,
        old: Option<&str>,
        new: Option<&str>,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, SigningError> {
        let mut key = self.clone();
        let password = self.password(old)?;
        if has_material(key.packets.primary_key.secret_params()) {
            let primary = &mut key.packets.primary_key;
            primary
                .remove_password(&password)
                .map_err(|error| self.unlock_error(&error))?;
            if let Some(new) = new {
                primary
                    .set_password_with_s2k(&new.into(), protection(rng))
                    .map_err(|error| SigningError::library(&error))?;
            }
        }
        for subkey in &mut key.packets.secret_subkeys {
            if has_material(subkey.key.secret_params()) {
                subkey
                    .key
                    .remove_password(&password)
                    .map_err(|error| self.unlock_error(&error))?;
                if let Some(new) = new {
                    subkey
                        .key
                        .set_password_with_s2k(&new.into(), protection(rng))
                        .map_err(|error| SigningError::library(&error))?;
                }
            }
        }
        Ok(key)
    }

    /// The public key with a revocation of it. The revocation takes effect wherever the result is
    /// imported; it cannot be taken back. `text` says why, for people.
    pub fn revoke(
        &self,
        passphrase: Option<&str>,
        reason: RevocationReason,
        text: &str,
        now: Timestamp,
    ) -> Result<PublicKey, SigningError> {
        let primary = &self.packets.primary_key;
        if !has_material(primary.secret_params()) {
            return Err(SigningError::NoSecret);
        }
        let mut config = SignatureConfig::v4(
            SignatureType::KeyRevocation,
            primary.algorithm(),
            HashAlgorithm::Sha512,
        );
        let reason =
            SubpacketData::RevocationReason(reason.to_pgp(), text.as_bytes().to_vec().into());
        generate::describe(&mut config, primary, now, [reason])?;
        let revocation = config
            .sign_key(primary, &self.password(passphrase)?, primary.public_key())
            .map_err(|error| self.unlock_error(&error))?;
        let revoked = self.public.with_revocation(revocation)?;
        // A key file can be put together from one key's public and another's secret part.
        revoked.ok_or(SigningError::Mismatch)
    }

    pub(crate) fn packets(&self) -> &SignedSecretKey {
        &self.packets
    }

    pub(crate) fn password(&self, passphrase: Option<&str>) -> Result<Password, SigningError> {
        match passphrase {
            Some(passphrase) => Ok(passphrase.into()),
            None if self.is_protected() => Err(SigningError::PassphraseNeeded),
            None => Ok(Password::empty()),
        }
    }

    /// What a failure to use the secret means: with a protected key, the passphrase was wrong. The
    /// library's own words are left out, since they are about secret material.
    pub(crate) fn unlock_error(&self, _: &pgp::errors::Error) -> SigningError {
        if self.is_protected() {
            SigningError::WrongPassphrase
        } else {
            SigningError::Mismatch
        }
    }
}

/// The part that signs: the newest subkey made for it, else the primary key, as gpg chooses. Parts
/// that are revoked, expired, weak or without secret material are passed over; if that leaves none,
/// the primary key is named, so that verifying its signature says what is wrong with it.
pub(crate) fn signing_component(
    key: &SecretKey,
    now: Timestamp,
) -> Result<Fingerprint, SigningError> {
    let public = &key.public;
    let can_sign = |component: Component<'_>| {
        component.may_sign(public)
            && component.is_bound(public)
            && component.has_strong_algorithm(public)
            && component.state(public, now) == super::KeyState::Valid
    };
    let newest = key
        .packets
        .secret_subkeys
        .iter()
        .filter(|subkey| has_material(subkey.key.secret_params()))
        .filter_map(|subkey| Fingerprint::from_pgp(&subkey.fingerprint()))
        .filter_map(|fingerprint| Some((public.component(&fingerprint)?, fingerprint)))
        .filter(|(component, _)| can_sign(*component))
        .max_by_key(|(component, _)| component.created_at(public));
    match newest {
        Some((_, fingerprint)) => Ok(fingerprint),
        None if has_material(key.packets.primary_key.secret_params()) => {
            Ok(key.fingerprint().clone())
        }
        None => Err(SigningError::NoSecret),
    }
}

/// Whether the secret part is in the file at all; gpg exports stubs for keys on smart cards and for
/// primary keys that are kept offline.
fn has_material(params: &SecretParams) -> bool {
    let SecretParams::Encrypted(encrypted) = params else {
        return true;
    };
    !matches!(
        encrypted.string_to_key_params(),
        S2kParams::Cfb {
            s2k: StringToKey::Private { typ: S2K_GNU, .. },
            ..
        } | S2kParams::MalleableCfb {
            s2k: StringToKey::Private { typ: S2K_GNU, .. },
            ..
        }
    )
}

/// Protection that gpg 2.2 reads: AES-256 in CFB mode under an iterated, salted SHA-256.
fn protection(rng: &mut impl CryptoRng) -> S2kParams {
    let mut salt = [0; 8];
    rng.fill_bytes(&mut salt);
    let sym_alg = SymmetricKeyAlgorithm::AES256;
    let mut iv = vec![0; sym_alg.block_size()];
    rng.fill_bytes(&mut iv);
    let s2k = StringToKey::IteratedAndSalted {
        hash_alg: HashAlgorithm::Sha256,
        salt,
        count: S2K_COUNT,
    };
    S2kParams::Cfb {
        sym_alg,
        s2k,
        iv: iv.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_passphrase_hash_takes_65_mib() {
        let count = u32::from(S2K_COUNT);
        assert_eq!((16 + (count & 15)) << ((count >> 4) + 6), 65_011_712);
    }

    #[test]
    fn every_protection_has_its_own_salt() {
        let mut rng = rand::rng();
        assert_ne!(protection(&mut rng), protection(&mut rng));
    }
}
