//! Whatever bytes come, parsers answer; and what verifies is what was signed.

use std::sync::OnceLock;

use proptest::prelude::*;
use skill_format::{Sha256, SkillName, Version};
use skill_signing::{
    Fingerprint, PublicKey, SecretKey, Statement, issuer_fingerprint, sign, verify,
};

use crate::craft::{self, armored_signature};
use crate::support::{alice, now};

/// A signature packet by a key of ours, and the key, both binary.
fn samples() -> &'static (Vec<u8>, Vec<u8>) {
    static SAMPLES: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let (key, subkey) = (craft::Key::new(1), craft::Subkey::new(2));
        let signature = craft::bytes(&key.sign(b"message", key.dated(now())));
        let mut packets = key.certificate(key.claims());
        let mut claims = key.claims();
        claims.push(subkey.sign_back(&key));
        packets.extend(craft::bytes(subkey.0.public_key()));
        packets.extend(craft::bytes(&key.bind(&subkey, claims)));
        (signature, packets)
    })
}

/// A few bytes changed, and perhaps the end cut off.
fn mutated(bytes: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((0..bytes.len(), any::<u8>()), 1..4);
    (changes, 1..=bytes.len()).prop_map(move |(changes, length)| {
        let mut bytes = bytes.to_vec();
        for (position, value) in changes {
            bytes[position] = value;
        }
        // Most often whole: half of all cuts would hide what lies behind.
        if length % 4 == 0 {
            bytes.truncate(length);
        }
        bytes
    })
}

fn statement() -> impl Strategy<Value = Statement> {
    let name = "[a-z0-9]{1,20}(-[a-z0-9]{1,20}){0,2}";
    let version = (
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
        "(-[a-z]{1,9}(\\.[1-9][0-9]{0,3})?)?(\\+[a-z]{1,5})?",
    );
    (name, version, any::<[u8; 32]>(), any::<u64>()).prop_map(|(name, version, digest, size)| {
        let (major, minor, patch, rest) = version;
        let version: Version = format!("{major}.{minor}.{patch}{rest}")
            .parse()
            .expect("a version");
        let name = SkillName::parse(&name).expect("a name");
        Statement::new(&name, &version, Sha256::from_bytes(digest), size)
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = PublicKey::from_bytes(&bytes);
        let _ = SecretKey::from_bytes(&bytes);
        let _ = Statement::parse(&bytes);
        let _ = issuer_fingerprint(&armored_signature(&bytes));
        let text = String::from_utf8_lossy(&bytes);
        let _ = text.parse::<Fingerprint>();
        let _ = verify(alice().public(), b"message", &text, now());
        let _ = PublicKey::from_armored(&format!("-----BEGIN PGP PUBLIC KEY BLOCK-----\n{text}\n-----END PGP PUBLIC KEY BLOCK-----"));
    }

    #[test]
    fn bytes_that_begin_like_packets_are_answered(
        tag in 0xc0_u8..=0xff,
        body in prop::collection::vec(any::<u8>(), 0..190),
    ) {
        let mut bytes = vec![tag, body.len() as u8];
        bytes.extend(body);
        let _ = PublicKey::from_bytes(&bytes);
        let _ = SecretKey::from_bytes(&bytes);
        let _ = issuer_fingerprint(&armored_signature(&bytes));
    }

    #[test]
    fn a_changed_signature_does_not_verify_as_another(packet in mutated(&samples().0)) {
        let key = PublicKey::from_bytes(&samples().1).expect("the sample is good");
        if let Ok(info) = verify(&key, b"message", &armored_signature(&packet), now()) {
            // Only what is not signed may differ.
            prop_assert_eq!(&info.fingerprint, key.fingerprint());
            prop_assert_eq!(info.signed_at, now());
        }
        prop_assert!(verify(&key, b"massage", &armored_signature(&packet), now()).is_err());
    }

    #[test]
    fn a_changed_key_gains_nothing(packets in mutated(&samples().1)) {
        let original = PublicKey::from_bytes(&samples().1).expect("the sample is good");
        let Ok(changed) = PublicKey::from_bytes(&packets) else { return Ok(()) };
        prop_assert_eq!(changed.fingerprint(), original.fingerprint());
        prop_assert!(changed.user_ids().iter().all(|user| original.user_ids().contains(user)));
        prop_assert!(changed.issuers().all(|issuer| original.issuers().any(|it| it == issuer)));
        prop_assert!(!changed.is_revoked());
    }

    #[test]
    fn statements_round_trip(statement in statement()) {
        prop_assert_eq!(Statement::parse(&statement.to_bytes()), Ok(statement));
    }

    #[test]
    fn what_parses_as_a_statement_is_its_bytes(
        statement in statement(),
        position in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let mut bytes = statement.to_bytes();
        let position = position.index(bytes.len());
        bytes[position] = value;
        if let Ok(parsed) = Statement::parse(&bytes) {
            prop_assert_eq!(parsed.to_bytes(), bytes);
        }
    }

    #[test]
    fn every_message_is_signed_as_it_is(message in prop::collection::vec(any::<u8>(), 0..200)) {
        let signature = sign(&alice(), None, &message, now()).expect("a good key");
        prop_assert!(verify(alice().public(), &message, &signature, now()).is_ok());
        let longer = [&message[..], b"\n"].concat();
        prop_assert!(verify(alice().public(), &longer, &signature, now()).is_err());
    }
}
