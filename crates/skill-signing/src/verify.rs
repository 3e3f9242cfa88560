//! Checking a detached signature, completely, at a given time.
//!
//! In this order, so that the first thing that is wrong is the one that is said:
//!
//! 1. the signature is well-formed: armored, one packet, binary document, strong hash, and it names
//!    its key (`signature.rs`);
//! 2. it was made by this key or a subkey of it, and the mathematics agree;
//! 3. key and subkey are neither revoked nor expired, belong together and may sign (`key/status.rs`);
//! 4. its date lies after the key was made and not in the future, and it has not expired itself.
//!
//! A key that is expired or revoked *now* is refused, whenever it claims to have signed.

use jiff::Timestamp;

use crate::fingerprint::Fingerprint;
use crate::key::{Component, KeyState, PublicKey};
use crate::signature::Detached;
use crate::statement::Statement;
use crate::time;

mod error;

pub use error::VerifyError;

/// What a valid signature proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureInfo {
    /// The primary key: the identity to pin and to trust.
    pub fingerprint: Fingerprint,
    /// The key or subkey that made the signature.
    pub signed_by: Fingerprint,
    /// When, as the signer says.
    pub signed_at: Timestamp,
}

/// Checks that `key` signed exactly `message`, and that this still counts at `now`.
pub fn verify(
    key: &PublicKey,
    message: &[u8],
    armored_signature: &str,
    now: Timestamp,
) -> Result<SignatureInfo, VerifyError> {
    let signature = Detached::parse(armored_signature)?;
    let Some(component) = key.component(&signature.issuer) else {
        return Err(VerifyError::WrongKey {
            expected: key.fingerprint().clone(),
            found: signature.issuer,
        });
    };
    if !component.has_signed(key, &signature.packet, message) {
        return Err(VerifyError::BadSignature);
    }
    check_key(key, component, &signature.issuer, now)?;
    check_times(key, component, &signature, now)?;
    Ok(SignatureInfo {
        fingerprint: key.fingerprint().clone(),
        signed_by: signature.issuer,
        signed_at: signature.created_at,
    })
}

/// Checks that `key` signed this statement.
pub fn verify_statement(
    key: &PublicKey,
    statement: &Statement,
    armored_signature: &str,
    now: Timestamp,
) -> Result<SignatureInfo, VerifyError> {
    verify(key, &statement.to_bytes(), armored_signature, now)
}

/// The key or subkey that a signature claims to be made by, to find the key with which to verify
/// it. Nothing is verified here.
pub fn issuer_fingerprint(armored_signature: &str) -> Result<Fingerprint, VerifyError> {
    Detached::parse(armored_signature).map(|signature| signature.issuer)
}

fn check_key(
    key: &PublicKey,
    component: Component<'_>,
    signer: &Fingerprint,
    now: Timestamp,
) -> Result<(), VerifyError> {
    check_state(key.state(now), key.fingerprint())?;
    check_state(component.state(key, now), signer)?;
    if !component.is_bound(key) {
        return Err(VerifyError::SubkeyNotBound {
            subkey: signer.clone(),
        });
    }
    if !component.has_strong_algorithm(key) {
        return Err(VerifyError::WeakKey {
            algorithm: component.algorithm(key),
        });
    }
    if !component.may_sign(key) {
        return Err(VerifyError::KeyMayNotSign {
            fingerprint: signer.clone(),
        });
    }
    Ok(())
}

fn check_state(state: KeyState, fingerprint: &Fingerprint) -> Result<(), VerifyError> {
    let fingerprint = fingerprint.clone();
    match state {
        KeyState::Valid => Ok(()),
        KeyState::Revoked(revocation) => Err(VerifyError::KeyRevoked {
            fingerprint,
            revocation,
        }),
        KeyState::Expired(at) => Err(VerifyError::KeyExpired { fingerprint, at }),
        KeyState::NotYetValid(from) => Err(VerifyError::KeyFromFuture { fingerprint, from }),
    }
}

fn check_times(
    key: &PublicKey,
    component: Component<'_>,
    signature: &Detached,
    now: Timestamp,
) -> Result<(), VerifyError> {
    let made_at = signature.created_at;
    let key_made_at = component.created_at(key).max(key.created_at());
    if made_at < key_made_at {
        return Err(VerifyError::SignatureBeforeKey {
            made_at,
            key_made_at,
        });
    }
    if time::is_future(made_at, now) {
        return Err(VerifyError::SignatureFromFuture { made_at });
    }
    match signature.expires_at {
        Some(at) if at <= now => Err(VerifyError::SignatureExpired { at }),
        _ => Ok(()),
    }
}
