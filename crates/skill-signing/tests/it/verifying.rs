//! The rules of verification, on keys and signatures that are crafted to break them.

use pgp::composed::{ArmorOptions, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    PacketHeader, RevocationCode, Signature, SignatureType, Subpacket, SubpacketData,
};
use pgp::types::{KeyDetails, KeyVersion, PacketLength, Password, Tag};
use skill_signing::{
    KeyError, PublicKey, RevocationReason, SecretKey, SecretText, VerifyError, issuer_fingerprint,
    sign, verify,
};

use crate::craft::{
    Key, Subkey, armored_signature, bytes, created, expires_after_days, flags, user,
};
use crate::support::{alice, days_later, now};

const MESSAGE: &[u8] = b"message";

fn key_of(packets: &[u8]) -> PublicKey {
    PublicKey::from_bytes(packets).expect("a good key")
}

fn armored(signature: &Signature) -> String {
    armored_signature(&bytes(signature))
}

/// What is said about a signature over [`MESSAGE`] by a good key.
fn verdict(key: &Key, signature: &Signature) -> Result<(), VerifyError> {
    verify(
        &key_of(&key.certificate(key.claims())),
        MESSAGE,
        &armored(signature),
        now(),
    )
    .map(|_| ())
}

#[test]
fn our_own_signature_verifies_until_one_bit_of_the_message_changes() {
    let signature = sign(&alice(), None, MESSAGE, now()).unwrap();
    let info = verify(alice().public(), MESSAGE, &signature, now()).unwrap();
    assert_eq!(info.fingerprint, *alice().fingerprint());
    assert_eq!(info.signed_by, *alice().fingerprint());
    let changed = verify(alice().public(), b"messagf", &signature, now());
    assert_eq!(changed, Err(VerifyError::BadSignature));
    assert_eq!(
        issuer_fingerprint(&signature).unwrap(),
        *alice().fingerprint()
    );
}

#[test]
fn a_subkey_that_has_not_signed_back_cannot_be_claimed() {
    let (owner, thief, subkey) = (Key::new(1), Key::new(2), Subkey::new(3));
    let signature = armored(&subkey.sign(MESSAGE));
    let with_subkey = |key: &Key, claims| {
        let mut packets = key.certificate(key.claims());
        packets.extend(bytes(subkey.0.public_key()));
        packets.extend(bytes(&key.bind(&subkey, claims)));
        key_of(&packets)
    };

    let mut claims = owner.claims();
    claims.push(subkey.sign_back(&owner));
    let honest = with_subkey(&owner, claims);
    verify(&honest, MESSAGE, &signature, now()).unwrap();
    assert_eq!(honest.issuers().count(), 2);

    let bound_alone = with_subkey(&thief, thief.claims());
    let mut claims = thief.claims();
    claims.push(subkey.sign_back(&owner));
    let with_back_signature_for_the_owner = with_subkey(&thief, claims);
    for stolen in [bound_alone, with_back_signature_for_the_owner] {
        let error = verify(&stolen, MESSAGE, &signature, now()).unwrap_err();
        assert!(
            matches!(error, VerifyError::SubkeyNotBound { .. }),
            "{error}"
        );
        assert_eq!(stolen.issuers().count(), 1);
    }
}

#[test]
fn a_subkey_without_the_flag_for_signing_does_not_sign() {
    let (key, subkey) = (Key::new(1), Subkey::new(3));
    let mut claims = key.dated(now());
    claims.extend([flags(false), subkey.sign_back(&key)]);
    let mut packets = key.certificate(key.claims());
    packets.extend(bytes(subkey.0.public_key()));
    packets.extend(bytes(&key.bind(&subkey, claims)));
    let error = verify(
        &key_of(&packets),
        MESSAGE,
        &armored(&subkey.sign(MESSAGE)),
        now(),
    )
    .unwrap_err();
    assert!(
        matches!(error, VerifyError::KeyMayNotSign { .. }),
        "{error}"
    );
}

#[test]
fn a_signature_names_its_issuer_and_date_in_the_part_that_is_signed() {
    let key = Key::new(1);
    let issuer = SubpacketData::IssuerFingerprint(key.0.fingerprint());
    let good = vec![created(now()), issuer.clone()];
    verdict(&key, &key.sign(MESSAGE, good.clone())).unwrap();

    let mut unsigned_issuer = key.sign(MESSAGE, vec![created(now())]);
    assert_eq!(verdict(&key, &unsigned_issuer), Err(VerifyError::NoIssuer));
    unsigned_issuer
        .unhashed_subpacket_push(Subpacket::regular(issuer.clone()).unwrap())
        .unwrap();
    assert_eq!(verdict(&key, &unsigned_issuer), Err(VerifyError::NoIssuer));
    let twice = key.sign(MESSAGE, [good.clone(), vec![issuer.clone()]].concat());
    assert_eq!(verdict(&key, &twice), Err(VerifyError::NoIssuer));

    let mut unsigned_date = key.sign(MESSAGE, vec![issuer.clone()]);
    unsigned_date
        .unhashed_subpacket_push(Subpacket::regular(created(now())).unwrap())
        .unwrap();
    assert_eq!(
        verdict(&key, &unsigned_date),
        Err(VerifyError::NoCreationTime)
    );
    let twice = key.sign(MESSAGE, [good, vec![created(now())]].concat());
    assert_eq!(verdict(&key, &twice), Err(VerifyError::NoCreationTime));
}

#[test]
fn naming_another_issuer_does_not_help() {
    let (key, other) = (Key::new(1), Key::new(2));
    let forged = other.sign(MESSAGE, key.dated(now()));
    assert_eq!(verdict(&key, &forged), Err(VerifyError::BadSignature));
}

#[test]
fn a_critical_subpacket_that_nobody_knows_makes_the_signature_bad() {
    let key = Key::new(1);
    let mut config = key.config(SignatureType::Binary, key.dated(now()));
    let unknown = SubpacketData::Other(99, vec![1].into());
    config
        .hashed_subpackets
        .push(Subpacket::critical(unknown).unwrap());
    // The library refuses to make it, as it refuses to verify it.
    assert!(config.sign(&key.0, &Password::empty(), MESSAGE).is_err());
}

#[test]
fn md5_and_old_signature_versions_are_refused() {
    let key = Key::new(1);
    let mut config = key.config(SignatureType::Binary, key.dated(now()));
    let good = config
        .clone()
        .sign(&key.0, &Password::empty(), MESSAGE)
        .unwrap();
    config.hash_alg = HashAlgorithm::Md5;
    let value = good.signature().unwrap().clone();
    let weak = Signature::from_config(config, [0, 0], value.clone()).unwrap();
    assert_eq!(
        verdict(&key, &weak),
        Err(VerifyError::WeakHash { hash: "MD5".into() })
    );

    let old = pgp::packet::SignatureConfig::v3(
        SignatureType::Binary,
        key.0.algorithm(),
        HashAlgorithm::Sha256,
        pgp::types::Timestamp::from_secs(now().as_second() as u32),
        key.0.legacy_key_id(),
    );
    let old = Signature::from_config(old, [0, 0], value).unwrap();
    assert_eq!(
        verdict(&key, &old),
        Err(VerifyError::Version { version: 3 })
    );
}

#[test]
fn a_certification_is_no_signature_over_a_document() {
    let key = Key::new(1);
    let certification = key.certify(&user(), key.claims());
    assert_eq!(verdict(&key, &certification), Err(VerifyError::NotBinary));
}

#[test]
fn bytes_after_the_packet_and_other_encodings_of_it_are_refused() {
    let key = Key::new(1);
    let public = key_of(&key.certificate(key.claims()));
    let packet = bytes(&key.sign(MESSAGE, key.dated(now())));
    let verify = |packets: &[u8]| verify(&public, MESSAGE, &armored_signature(packets), now());
    verify(&packet).unwrap();
    assert_eq!(
        verify(&[&packet[..], &packet].concat()),
        Err(VerifyError::Several)
    );
    for trailing in [&[0x97][..], &[0], &[0xff; 7], &bytes(&user())] {
        let error = verify(&[&packet, trailing].concat()).unwrap_err();
        assert_eq!(error, VerifyError::TrailingData, "{trailing:?}");
    }
    assert_eq!(verify(&bytes(&user())), Err(VerifyError::NotASignature));
    assert!(matches!(
        verify(&packet[..packet.len() - 1]),
        Err(VerifyError::Malformed { .. })
    ));
    assert!(matches!(
        verify(&[]),
        Err(VerifyError::NotASignature | VerifyError::Malformed { .. })
    ));

    // The same body under a length in five bytes instead of one.
    let body = &packet[2..];
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let long = [&[packet[0], 0xff][..], &length, body].concat();
    assert!(matches!(verify(&long), Err(VerifyError::Malformed { .. })));
}

#[test]
fn a_key_needs_a_flag_for_signing_of_its_own_making() {
    let (key, other) = (Key::new(1), Key::new(2));
    let signature = armored(&key.sign(MESSAGE, key.dated(now())));
    let without = key_of(&key.certificate(key.dated(now())));
    let error = verify(&without, MESSAGE, &signature, now()).unwrap_err();
    assert!(
        matches!(error, VerifyError::KeyMayNotSign { .. }),
        "{error}"
    );

    let mut forged = bytes(key.0.public_key());
    forged.extend(bytes(&user()));
    forged.extend(bytes(&other.certify(&user(), key.claims())));
    assert_eq!(
        PublicKey::from_bytes(&forged),
        Err(KeyError::NoSelfSignature)
    );
    assert_eq!(
        PublicKey::from_bytes(&bytes(key.0.public_key())),
        Err(KeyError::NoSelfSignature)
    );
}

#[test]
fn the_newest_self_signature_says_when_a_key_expires() {
    let key = Key::new(1);
    let claims = |day: i32, more: Vec<SubpacketData>| {
        let mut claims = key.dated(days_later(day));
        claims.push(flags(true));
        claims.extend(more);
        claims
    };
    let with = |packets: Vec<Signature>| {
        let mut bytes = bytes(key.0.public_key());
        bytes.extend(crate::craft::bytes(&user()));
        packets
            .iter()
            .for_each(|packet| bytes.extend(crate::craft::bytes(packet)));
        key_of(&bytes).expires_at()
    };
    let ten = key.certify(&user(), claims(0, vec![expires_after_days(10)]));
    let twenty = key.certify(&user(), claims(1, vec![expires_after_days(20)]));
    let never = key.certify(&user(), claims(2, vec![]));
    assert_eq!(with(vec![ten.clone()]), Some(days_later(10)));
    assert_eq!(
        with(vec![twenty.clone(), ten.clone()]),
        Some(days_later(20))
    );
    assert_eq!(with(vec![ten.clone(), never, twenty]), None);
    assert_eq!(
        with(vec![
            key.certify(&user(), claims(0, vec![expires_after_days(0)]))
        ]),
        None
    );

    // Of a certification and a direct-key signature, the earlier end counts.
    let direct = key.sign_key(
        SignatureType::Key,
        &key,
        claims(3, vec![expires_after_days(5)]),
    );
    let mut packets = bytes(key.0.public_key());
    for packet in [bytes(&direct), bytes(&user()), bytes(&ten)] {
        packets.extend(packet);
    }
    assert_eq!(key_of(&packets).expires_at(), Some(days_later(5)));

    // A self-signature that ends takes the key along.
    let ending = SubpacketData::SignatureExpirationTime(pgp::types::Duration::from_secs(24 * 3600));
    assert_eq!(
        with(vec![key.certify(&user(), claims(0, vec![ending]))]),
        Some(days_later(1))
    );
}

#[test]
fn only_the_key_itself_revokes_it() {
    let (key, other) = (Key::new(1), Key::new(2));
    let with_revocation = |revocation: &Signature| {
        let certificate = key.certificate(key.claims());
        let primary = bytes(key.0.public_key());
        key_of(
            &[
                &primary[..],
                &bytes(revocation),
                &certificate[primary.len()..],
            ]
            .concat(),
        )
    };
    let reason = |text: &str| {
        SubpacketData::RevocationReason(
            RevocationCode::KeySuperseded,
            text.as_bytes().to_vec().into(),
        )
    };
    let claims = |key: &Key, text: &str| [key.dated(now()), vec![reason(text)]].concat();
    let forged = other.sign_key(SignatureType::KeyRevocation, &key, claims(&other, ""));
    assert!(!with_revocation(&forged).is_revoked());
    let named = other.sign_key(SignatureType::KeyRevocation, &key, claims(&key, ""));
    assert!(!with_revocation(&named).is_revoked());

    let text = "now \u{1b}[31mred\u{7}";
    let genuine = key.sign_key(SignatureType::KeyRevocation, &key, claims(&key, text));
    let revocation = with_revocation(&genuine).revocation().unwrap();
    assert_eq!(revocation.reason, RevocationReason::Superseded);
    assert!(
        !revocation.text.contains('\u{1b}'),
        "no control characters reach a terminal"
    );
}

#[test]
fn keys_beyond_the_bounds_are_refused() {
    let key = Key::new(1);
    let mut packets = key.certificate(key.claims());
    for day in 0..301 {
        packets.extend(bytes(&key.certify(&user(), key.dated(days_later(day)))));
    }
    assert_eq!(
        PublicKey::from_bytes(&packets),
        Err(KeyError::TooManySignatures)
    );
    assert_eq!(
        PublicKey::from_bytes(&vec![0x99; 257 * 1024]),
        Err(KeyError::TooLarge)
    );
    assert_eq!(PublicKey::from_bytes(b""), Err(KeyError::NotAKey));
    assert_eq!(PublicKey::from_bytes(b"hello"), Err(KeyError::NotAKey));
    let armored = key_of(&key.certificate(key.claims())).to_armored();
    assert_eq!(
        PublicKey::from_armored(&format!("my key:\n{armored}")),
        Err(KeyError::Surrounded)
    );
    assert_eq!(
        PublicKey::from_armored(&format!("{armored}{armored}")),
        Err(KeyError::Several)
    );
}

#[test]
fn other_key_versions_are_refused_by_number() {
    let inner = pgp::packet::PubKeyInner::new(
        KeyVersion::V6,
        pgp::crypto::public_key::PublicKeyAlgorithm::Ed25519,
        pgp::types::Timestamp::from_secs(0),
        None,
        pgp::types::PublicParams::Ed25519(
            (&pgp::crypto::ed25519::SecretKey::try_from_bytes(
                [7; 32],
                pgp::crypto::ed25519::Mode::Ed25519,
            )
            .unwrap())
                .into(),
        ),
    )
    .unwrap();
    let header = PacketHeader::from_parts(
        Default::default(),
        Tag::PublicKey,
        PacketLength::Fixed(u32::try_from(pgp::ser::Serialize::write_len(&inner)).unwrap()),
    );
    assert!(header.is_ok());
    let key = pgp::packet::PublicKey::from_inner(inner).unwrap();
    let details = pgp::composed::SignedKeyDetails::new(vec![], vec![], vec![], vec![]);
    let key = SignedPublicKey::new(key, details, vec![]);
    let armored = key.to_armored_string(ArmorOptions::default()).unwrap();
    assert_eq!(
        PublicKey::from_armored(&armored),
        Err(KeyError::Version { version: 6 })
    );
}

#[test]
fn a_user_id_is_one_line_of_reasonable_text() {
    let long = "x".repeat(257);
    for user_id in ["", "  ", " alice", "alice\n", "al\u{1b}ice", long.as_str()] {
        let error = SecretKey::generate(user_id, None, now(), &mut rand::rng()).err();
        assert!(
            matches!(error, Some(KeyError::UserId { .. })),
            "{user_id:?}: {error:?}"
        );
    }
    let before_1970 = "1960-01-01T00:00:00Z".parse().unwrap();
    let error = SecretKey::generate("alice", None, before_1970, &mut rand::rng()).err();
    assert_eq!(error, Some(KeyError::TimeOutOfRange));
}

/// Fails to compile if a type that holds a secret gets `Debug`: then two implementations apply.
#[test]
fn secrets_cannot_be_printed() {
    trait Unprintable<A> {
        fn check() {}
    }
    struct Printable;
    impl<T: ?Sized> Unprintable<()> for T {}
    impl<T: ?Sized + std::fmt::Debug> Unprintable<Printable> for T {}
    <SecretKey as Unprintable<_>>::check();
    <SecretText as Unprintable<_>>::check();
}
