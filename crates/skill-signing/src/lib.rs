//! OpenPGP signatures over skills: keys, statements, the local keyring and pins.
//!
//! This is the only crate that knows OpenPGP. It does not know registries, archives or the network,
//! and takes the time and randomness from its caller.
//!
//! A publisher signs a [`Statement`]; anyone with the [`PublicKey`] verifies it:
//!
//! ```
//! use skill_signing::{PublicKey, SecretKey, Statement, sign, verify_statement};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = "2026-01-01T00:00:00Z".parse()?;
//! let key = SecretKey::generate("alice <alice@example.org>", None, now, &mut rand::rng())?;
//! let statement = Statement::about(&"csv-analyzer".parse()?, &"1.0.0".parse()?, b"the archive");
//! let signature = sign(&key, None, &statement.to_bytes(), now)?;
//!
//! let key = PublicKey::from_armored(&key.public().to_armored())?;
//! let info = verify_statement(&key, &statement, &signature, now)?;
//! assert_eq!(info.fingerprint, *key.fingerprint());
//! # Ok(())
//! # }
//! ```
//!
//! What OpenPGP leaves to the reader is decided here, strictly: which algorithms count
//! (`policy.rs`), what a key may do and until when (`key/status.rs`), what a detached signature is
//! (`signature.rs`). To accept or refuse one more thing, change it there.

mod armor;
mod files;
mod fingerprint;
mod key;
mod keyring;
mod pins;
mod policy;
mod secret;
mod sign;
mod signature;
mod statement;
mod time;
mod verify;

pub use files::FileError;
pub use fingerprint::{Fingerprint, FingerprintError};
pub use key::{KeyError, KeyState, PublicKey, Revocation, RevocationReason, SecretKey};
pub use keyring::{Change, Imported, KeyEntry, Keyring, KeyringError, Trust};
pub use pins::{FormerKey, Pin, PinCheck, PinError, Pins};
pub use secret::SecretText;
pub use sign::{SigningError, sign};
pub use statement::{Statement, StatementError};
pub use verify::{SignatureInfo, VerifyError, issuer_fingerprint, verify, verify_statement};
