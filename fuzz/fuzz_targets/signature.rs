//! A detached signature. Input that begins with `a` is armored text; everything else is packets,
//! which are given the armor that random bytes would never have.

#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use skill_signing::{PublicKey, issuer_fingerprint, verify};

/// The key that made the first of the seeds. Its secret part is not kept.
static KEY: LazyLock<PublicKey> =
    LazyLock::new(|| PublicKey::from_armored(include_str!("key.asc")).expect("a good key"));

fn armored(packets: &[u8]) -> String {
    let body = STANDARD.encode(packets);
    format!("-----BEGIN PGP SIGNATURE-----\n\n{body}\n-----END PGP SIGNATURE-----\n")
}

fuzz_target!(|bytes: &[u8]| {
    let signature = match bytes.strip_prefix(b"a") {
        Some(text) => String::from_utf8_lossy(text).into_owned(),
        None => armored(bytes),
    };
    let _ = issuer_fingerprint(&signature);
    // The secret part of the key has not signed this, so nothing may say that it did.
    let now = "2026-06-01T00:00:00Z".parse().expect("a time");
    assert!(verify(&KEY, b"what nobody signed", &signature, now).is_err());
});
