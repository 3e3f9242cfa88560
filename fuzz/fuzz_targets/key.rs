//! A public or secret key, armored or binary.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skill_signing::{PublicKey, SecretKey};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = PublicKey::from_bytes(bytes) {
        let again =
            PublicKey::from_armored(&key.to_armored()).expect("what was read is well-formed");
        assert!(again == key);
        assert!(key.merge(&again).expect("it is the same key") == key);
        let now = "2026-06-01T00:00:00Z".parse().expect("a time");
        let _ = (
            key.state(now),
            key.user_ids(),
            key.revocation(),
            key.issuers().count(),
        );
    }
    if let Ok(key) = SecretKey::from_bytes(bytes) {
        let again = SecretKey::from_armored(key.to_armored().expose());
        let again = again.unwrap_or_else(|_| panic!("what was read is well-formed"));
        assert!(again.public() == key.public());
        assert_eq!(again.is_protected(), key.is_protected());
    }
});
