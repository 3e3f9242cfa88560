//! A key reduced to what its owner provably wrote.
//!
//! Kept are the key's own signatures that verify, and the user ids and subkeys that they bind.
//! Dropped are other people's certifications, photos, and everything that anyone could have added
//! to the file, the unsigned parts of signatures included. So whatever looks at a key afterwards
//! need not ask what is genuine, a key's size is bounded by what its owner did, merging two copies
//! is a union, and nobody can make a key unmergeable by adding to a copy of it.
//!
//! A signature over a weak hash is kept only where it takes something away: a revocation.
//!
//! Every packet is written anew, since its header may have had a form that cannot be written.

use pgp::composed::{SignedKeyDetails, SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{
    PacketHeader, PubKeyInner, PublicKey, PublicSubkey, Signature, SignatureType, SignatureVersion,
    Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, SignedUser, Tag};

use super::KeyError;
use crate::policy;

/// Keeps what the key itself signed; refuses a key of which nothing remains.
pub(crate) fn reduce(key: SignedPublicKey) -> Result<SignedPublicKey, KeyError> {
    let malformed = |error: pgp::errors::Error| KeyError::malformed(&error);
    let SignedPublicKey {
        primary_key,
        details,
        public_subkeys,
    } = key;
    if !policy::algorithm_is_strong(&primary_key) {
        return Err(KeyError::Algorithm {
            algorithm: policy::algorithm_name(&primary_key),
        });
    }
    let primary =
        PublicKey::from_inner(inner(&primary_key).map_err(malformed)?).map_err(malformed)?;
    let mut reducer = Reducer {
        primary: &primary,
        left: policy::SELF_SIGNATURES_MAX,
    };
    let revocations =
        reducer.of_key(details.revocation_signatures, SignatureType::KeyRevocation)?;
    let direct = reducer.of_key(details.direct_signatures, SignatureType::Key)?;
    let mut users = Vec::new();
    for user in details.users {
        users.extend(reducer.user(user)?);
    }
    if users.is_empty() && direct.is_empty() {
        return Err(KeyError::NoSelfSignature);
    }
    let mut subkeys = Vec::new();
    for subkey in public_subkeys {
        subkeys.extend(reducer.subkey(subkey)?);
    }
    let details = SignedKeyDetails::new(revocations, direct, users, Vec::new());
    Ok(SignedPublicKey::new(primary, details, subkeys))
}

/// Everything that is in either of two reduced copies of one key.
pub(crate) fn merge(
    one: SignedPublicKey,
    other: SignedPublicKey,
) -> Result<SignedPublicKey, KeyError> {
    if one.primary_key.fingerprint() != other.primary_key.fingerprint() {
        return Err(KeyError::DifferentKeys);
    }
    let mut key = one;
    key.details
        .revocation_signatures
        .extend(other.details.revocation_signatures);
    key.details
        .direct_signatures
        .extend(other.details.direct_signatures);
    for user in other.details.users {
        match key
            .details
            .users
            .iter_mut()
            .find(|known| known.id.id() == user.id.id())
        {
            Some(known) => known.signatures.extend(user.signatures),
            None => key.details.users.push(user),
        }
    }
    for subkey in other.public_subkeys {
        let fingerprint = subkey.fingerprint();
        match key
            .public_subkeys
            .iter_mut()
            .find(|known| known.fingerprint() == fingerprint)
        {
            Some(known) => known.signatures.extend(subkey.signatures),
            None => key.public_subkeys.push(subkey),
        }
    }
    // Removes what both had, and holds the union against the same bounds.
    reduce(key)
}

struct Reducer<'a> {
    primary: &'a PublicKey,
    /// Signatures that may still be verified.
    left: usize,
}

impl Reducer<'_> {
    fn of_key(
        &mut self,
        signatures: Vec<Signature>,
        kind: SignatureType,
    ) -> Result<Vec<Signature>, KeyError> {
        let primary = self.primary;
        let rebuild = |signature: &Signature| rebuild(signature, primary, None);
        self.keep(signatures, &[kind], rebuild, |signature| {
            signature.verify_key(primary).is_ok()
        })
    }

    fn user(&mut self, user: SignedUser) -> Result<Option<SignedUser>, KeyError> {
        use SignatureType::{CertCasual, CertGeneric, CertPersona, CertPositive, CertRevocation};
        let primary = self.primary;
        let Some(id) = rebuild_user_id(&user.id) else {
            return Ok(None);
        };
        let signatures = self.keep(
            user.signatures,
            &[
                CertGeneric,
                CertPersona,
                CertCasual,
                CertPositive,
                CertRevocation,
            ],
            |signature| rebuild(signature, primary, None),
            |signature| {
                signature
                    .verify_certification(primary, Tag::UserId, &id)
                    .is_ok()
            },
        )?;
        let is_bound = signatures
            .iter()
            .any(|signature| signature.typ() != Some(CertRevocation));
        Ok(is_bound.then(|| SignedUser::new(id, signatures)))
    }

    fn subkey(
        &mut self,
        subkey: SignedPublicSubKey,
    ) -> Result<Option<SignedPublicSubKey>, KeyError> {
        use SignatureType::{SubkeyBinding, SubkeyRevocation};
        let primary = self.primary;
        let SignedPublicSubKey { key, signatures } = subkey;
        let Ok(key) = inner(&key).and_then(PublicSubkey::from_inner) else {
            return Ok(None);
        };
        let signatures = self.keep(
            signatures,
            &[SubkeyBinding, SubkeyRevocation],
            |signature| rebuild(signature, primary, back_signature(signature, primary, &key)),
            |signature| signature.verify_subkey_binding(primary, &key).is_ok(),
        )?;
        let is_bound = signatures
            .iter()
            .any(|signature| signature.typ() == Some(SubkeyBinding));
        Ok(is_bound.then(|| SignedPublicSubKey::new(key, signatures)))
    }

    /// The genuine signatures of these kinds, oldest first, each once.
    fn keep(
        &mut self,
        signatures: Vec<Signature>,
        kinds: &[SignatureType],
        rebuild: impl Fn(&Signature) -> Option<Signature>,
        is_genuine: impl Fn(&Signature) -> bool,
    ) -> Result<Vec<Signature>, KeyError> {
        let mut kept: Vec<(u32, Vec<u8>, Signature)> = Vec::new();
        for signature in signatures {
            let is_wanted = signature.typ().is_some_and(|kind| kinds.contains(&kind));
            if !is_wanted || !counts(&signature) || !may_be_by(&signature, self.primary) {
                continue;
            }
            let Some(signature) = rebuild(&signature) else {
                continue;
            };
            let Ok(bytes) = signature.to_bytes() else {
                continue;
            };
            if kept.iter().any(|(_, known, _)| *known == bytes) {
                continue;
            }
            self.left = self
                .left
                .checked_sub(1)
                .ok_or(KeyError::TooManySignatures)?;
            if is_genuine(&signature) {
                let created = signature.created().map_or(0, |time| time.as_secs());
                kept.push((created, bytes, signature));
            }
        }
        kept.sort_by(|(created, bytes, _), (other_created, other_bytes, _)| {
            (created, bytes).cmp(&(other_created, other_bytes))
        });
        Ok(kept.into_iter().map(|(.., signature)| signature).collect())
    }
}

/// Whether the hash is strong, or the signature only takes something away.
fn counts(signature: &Signature) -> bool {
    let is_revocation = matches!(
        signature.typ(),
        Some(
            SignatureType::KeyRevocation
                | SignatureType::SubkeyRevocation
                | SignatureType::CertRevocation
        )
    );
    is_revocation || signature.hash_alg().is_some_and(policy::hash_is_strong)
}

/// Whether the signature names this key as its issuer, or nobody: cheap, and spares verifying those
/// of others.
fn may_be_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    let (fingerprints, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
    (fingerprints.is_empty() && ids.is_empty())
        || fingerprints.contains(&&key.fingerprint())
        || ids.contains(&&key.legacy_key_id())
}

/// The same signature with nothing in its unsigned part but the issuer's key id, which old programs
/// look for, and a back-signature, which proves itself.
fn rebuild(
    signature: &Signature,
    issuer: &impl KeyDetails,
    back_signature: Option<Signature>,
) -> Option<Signature> {
    let mut config = signature.config()?.clone();
    if config.version() == SignatureVersion::V4 {
        let back = back_signature.map(|back| SubpacketData::EmbeddedSignature(Box::new(back)));
        config.unhashed_subpackets =
            std::iter::once(SubpacketData::IssuerKeyId(issuer.legacy_key_id()))
                .chain(back)
                .map(Subpacket::regular)
                .collect::<Result<_, _>>()
                .ok()?;
    }
    let (hash, value) = (
        signature.signed_hash_value()?,
        signature.signature()?.clone(),
    );
    Signature::from_config(config, hash, value).ok()
}

/// A subkey's genuine back-signature in the unsigned part of its binding, where gpg puts it.
fn back_signature(
    binding: &Signature,
    primary: &PublicKey,
    subkey: &PublicSubkey,
) -> Option<Signature> {
    binding
        .config()?
        .unhashed_subpackets()
        .find_map(|subpacket| {
            let SubpacketData::EmbeddedSignature(back) = &subpacket.data else {
                return None;
            };
            let is_genuine = back.hash_alg().is_some_and(policy::hash_is_strong)
                && back.verify_primary_key_binding(subkey, primary).is_ok();
            if is_genuine {
                rebuild(back, subkey, None)
            } else {
                None
            }
        })
}

fn inner(key: &impl KeyDetails) -> pgp::errors::Result<PubKeyInner> {
    let params = key.public_params().clone();
    PubKeyInner::new(
        key.version(),
        key.algorithm(),
        key.created_at(),
        None,
        params,
    )
}

fn rebuild_user_id(id: &UserId) -> Option<UserId> {
    let header = PacketHeader::new_fixed(Tag::UserId, u32::try_from(id.id().len()).ok()?);
    UserId::try_from_reader(header, id.id()).ok()
}
