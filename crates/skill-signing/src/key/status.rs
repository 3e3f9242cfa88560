//! What a key may do, and until when: read from a reduced key, of which every signature is genuine.
//!
//! The rules, chosen to be strict and easy to say:
//!
//! - A revoked key is revoked, whatever the reason and whenever: what it signed before counts no
//!   longer, since the date of a signature is the signer's own claim.
//! - A key expires at the earliest date that its newest user-id certification or its newest
//!   direct-key signature names. From then on nothing that it signed is accepted, until its owner
//!   extends the expiry and publishes the key again.
//! - It signs data only if its key flags say so.
//! - A subkey signs only if the key's newest binding of it says so, and it has signed in turn that
//!   it belongs to the key (RFC 9580, section 5.2.1.9); its own expiry and revocation count too.

use jiff::Timestamp;
use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{RevocationCode, Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, SignedUser};

use crate::policy;
use crate::time;

/// Why and when a key was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    pub reason: RevocationReason,
    /// What the owner wrote about it; may be empty.
    pub text: String,
    pub revoked_at: Timestamp,
}

/// OpenPGP's reasons (RFC 9580, section 5.2.3.31).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationReason {
    Unspecified,
    Superseded,
    Compromised,
    Retired,
}

impl RevocationReason {
    pub(crate) fn to_pgp(self) -> RevocationCode {
        match self {
            Self::Unspecified => RevocationCode::NoReason,
            Self::Superseded => RevocationCode::KeySuperseded,
            Self::Compromised => RevocationCode::KeyCompromised,
            Self::Retired => RevocationCode::KeyRetired,
        }
    }

    fn from_pgp(code: Option<&RevocationCode>) -> Self {
        match code {
            Some(RevocationCode::KeySuperseded) => Self::Superseded,
            Some(RevocationCode::KeyCompromised) => Self::Compromised,
            Some(RevocationCode::KeyRetired) => Self::Retired,
            _ => Self::Unspecified,
        }
    }

    /// One word, for lists and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Superseded => "superseded",
            Self::Compromised => "compromised",
            Self::Retired => "retired",
        }
    }
}

impl std::fmt::Display for Revocation {
    /// `compromised, 2026-01-02 03:04 UTC: the text`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}, {}",
            self.reason.as_str(),
            time::day(&self.revoked_at)
        )?;
        if self.text.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.text)
        }
    }
}

/// The most telling of several revocations: a compromise before all, then the earliest.
pub(super) fn revocation<'a>(
    signatures: impl Iterator<Item = &'a Signature>,
) -> Option<Revocation> {
    signatures
        .map(|signature| Revocation {
            reason: RevocationReason::from_pgp(signature.revocation_reason_code()),
            text: signature
                .revocation_reason_string()
                .map(|text| printable(text))
                .unwrap_or_default(),
            revoked_at: signature
                .created()
                .map_or(Timestamp::UNIX_EPOCH, time::from_pgp),
        })
        .min_by_key(|revocation| {
            (
                revocation.reason != RevocationReason::Compromised,
                revocation.revoked_at,
            )
        })
}

/// Text from a key as it may be shown: no control characters, no invalid UTF-8.
pub(super) fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

/// The user ids that are not revoked, the one marked as primary first.
pub(super) fn users(key: &SignedPublicKey) -> Vec<&SignedUser> {
    let mut users: Vec<_> = key
        .details
        .users
        .iter()
        .filter(|user| user_certification(user).is_some())
        .collect();
    users.sort_by_key(|user| !user_certification(user).is_some_and(Signature::is_primary));
    users
}

/// The newest certification of a user id, unless a revocation is as new.
fn user_certification(user: &SignedUser) -> Option<&Signature> {
    // Signatures are sorted by date.
    let is_revocation =
        |signature: &&Signature| signature.typ() == Some(SignatureType::CertRevocation);
    let certification = user
        .signatures
        .iter()
        .rfind(|signature| !is_revocation(signature))?;
    let revocation = user.signatures.iter().rfind(is_revocation);
    let is_revoked = revocation.is_some_and(|it| it.created() >= certification.created());
    (!is_revoked).then_some(certification)
}

/// The signatures that say what the primary key may do: at most one of each kind.
fn self_signatures(key: &SignedPublicKey) -> impl Iterator<Item = &Signature> {
    let certifications = key.details.users.iter().filter_map(user_certification);
    let newest = certifications.max_by_key(|signature| signature.created());
    newest
        .into_iter()
        .chain(key.details.direct_signatures.last())
}

/// When the primary key expires; `None` for never.
pub(super) fn expires_at(key: &SignedPublicKey) -> Option<Timestamp> {
    self_signatures(key)
        .filter_map(|signature| ends(signature, &key.primary_key))
        .min()
}

/// Whether the primary key may sign data: at least one self-signature says so, none denies it.
pub(super) fn may_sign(key: &SignedPublicKey) -> bool {
    let flags: Vec<bool> = self_signatures(key).filter_map(sign_flag).collect();
    !flags.is_empty() && flags.iter().all(|allowed| *allowed)
}

/// When a subkey expires; `None` for never.
pub(super) fn subkey_expires_at(subkey: &SignedPublicSubKey) -> Option<Timestamp> {
    newest_bindings(subkey)
        .filter_map(|binding| ends(binding, &subkey.key))
        .min()
}

pub(super) fn subkey_revocation(subkey: &SignedPublicSubKey) -> Option<Revocation> {
    revocation(
        subkey
            .signatures
            .iter()
            .filter(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation)),
    )
}

/// Whether the newest binding allows the subkey to sign data.
pub(super) fn subkey_may_sign(subkey: &SignedPublicSubKey) -> bool {
    newest_bindings(subkey).any(|binding| sign_flag(binding) == Some(true))
}

/// Whether the subkey has signed that it belongs to the key. Without that, anyone could bind
/// someone else's signing subkey to their own key and claim its signatures.
pub(super) fn subkey_has_signed_back(key: &SignedPublicKey, subkey: &SignedPublicSubKey) -> bool {
    newest_bindings(subkey)
        .filter_map(Signature::embedded_signature)
        .any(|back| {
            back.hash_alg().is_some_and(policy::hash_is_strong)
                && back
                    .verify_primary_key_binding(&subkey.key, &key.primary_key)
                    .is_ok()
        })
}

/// The newest binding; several if one was copied with other unhashed parts.
fn newest_bindings(subkey: &SignedPublicSubKey) -> impl Iterator<Item = &Signature> {
    let bindings = || {
        subkey
            .signatures
            .iter()
            .filter(|signature| signature.typ() == Some(SignatureType::SubkeyBinding))
    };
    let newest = bindings().map(Signature::created).max().flatten();
    bindings().filter(move |binding| binding.created() == newest)
}

/// When the earlier of a self-signature and the key's life that it states ends.
fn ends(signature: &Signature, key: &impl KeyDetails) -> Option<Timestamp> {
    let key_end = signature
        .key_expiration_time()
        .and_then(|duration| time::after(key.created_at(), duration));
    let signature_end = signature_expires_at(signature);
    key_end.into_iter().chain(signature_end).min()
}

pub(crate) fn signature_expires_at(signature: &Signature) -> Option<Timestamp> {
    time::after(signature.created()?, signature.signature_expiration_time()?)
}

/// What the key flags say about signing data; `None` if there are no key flags.
fn sign_flag(signature: &Signature) -> Option<bool> {
    signature
        .config()?
        .hashed_subpackets()
        .find_map(|subpacket| match &subpacket.data {
            SubpacketData::KeyFlags(flags) => Some(flags.sign()),
            _ => None,
        })
}
