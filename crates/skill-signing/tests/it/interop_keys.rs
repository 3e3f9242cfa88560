//! Keys across programs: expiry, renewal, revocation, and what others have added to a key.

use skill_format::Explain;
use skill_signing::{
    KeyError, KeyState, Keyring, PublicKey, RevocationReason, SecretKey, SigningError, VerifyError,
    sign, verify_statement,
};
use tempfile::TempDir;

use crate::gpg::Gpg;
use crate::support::{alice, days_later, now, statement};

#[test]
fn a_key_that_gpg_let_expire_is_refused_until_it_is_renewed() {
    let mut gpg = Gpg::new();
    let fingerprint = gpg.generate("alice", "ed25519", "sign", "10d");
    let key = PublicKey::from_armored(&gpg.export(&fingerprint)).unwrap();
    let signature = gpg.sign(&fingerprint, &statement().to_bytes());
    assert_eq!(key.expires_at(), Some(days_later(10)));
    verify_statement(&key, &statement(), &signature, days_later(9)).unwrap();
    let error = verify_statement(&key, &statement(), &signature, days_later(10)).unwrap_err();
    assert_eq!(
        error,
        VerifyError::KeyExpired {
            fingerprint: key.fingerprint().clone(),
            at: days_later(10)
        }
    );
    assert!(error.to_string().contains("2026-01-11"), "{error}");
    assert_eq!(key.state(days_later(10)), KeyState::Expired(days_later(10)));

    gpg.travel(days_later(20));
    gpg.run(&["--passphrase", "", "--quick-set-expire", &fingerprint, "1y"]);
    let renewed = PublicKey::from_armored(&gpg.export(&fingerprint)).unwrap();
    let merged = key.merge(&renewed).unwrap();
    verify_statement(&merged, &statement(), &signature, days_later(20)).unwrap();
    assert_eq!(
        renewed.merge(&key).unwrap(),
        merged,
        "the order of merging does not matter"
    );
}

#[test]
fn an_expired_key_does_not_sign() {
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("alice", "ed25519", "sign", "10d");
    let key = SecretKey::from_armored(&gpg.export_secret(&fingerprint, "")).unwrap();
    let error = sign(&key, None, b"message", days_later(11)).unwrap_err();
    assert!(
        matches!(
            &error,
            SigningError::Unusable(VerifyError::KeyExpired { .. })
        ),
        "{error}"
    );
    assert_eq!(error.code(), "key-expired");
    assert!(error.help().unwrap().contains("quick-set-expire"));
}

#[test]
fn a_key_that_gpg_revoked_is_refused_with_reason_and_date() {
    let mut gpg = Gpg::new();
    let fingerprint = gpg.generate("alice", "rsa2048", "sign", "never");
    let before = PublicKey::from_armored(&gpg.export(&fingerprint)).unwrap();
    let signature = gpg.sign(&fingerprint, &statement().to_bytes());
    gpg.travel(days_later(3));
    gpg.edit(&fingerprint, "revkey\ny\n1\nlaptop stolen\n\ny\nsave\n");
    let after = PublicKey::from_armored(&gpg.export(&fingerprint)).unwrap();
    verify_statement(&before, &statement(), &signature, days_later(3)).unwrap();

    let revocation = after.revocation().unwrap();
    assert_eq!(revocation.reason, RevocationReason::Compromised);
    assert_eq!(revocation.text, "laptop stolen");
    assert_eq!(revocation.revoked_at, days_later(3));
    // Also what it signed before, since its date is only a claim.
    let error = verify_statement(&after, &statement(), &signature, now()).unwrap_err();
    assert!(matches!(error, VerifyError::KeyRevoked { .. }), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("(compromised, 2026-01-04 00:00 UTC: laptop stolen)"),
        "{error}"
    );
    assert!(before.merge(&after).unwrap().is_revoked());
    assert!(after.merge(&before).unwrap().is_revoked());
}

#[test]
fn the_revocation_file_of_gpg_revokes_the_key_in_the_keyring() {
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("alice", "ed25519", "sign", "never");
    let folder = TempDir::new().unwrap();
    let keyring = Keyring::open(folder.path().join("keys"));
    let revocation = gpg.revocation(&fingerprint);
    assert_eq!(
        keyring.import(revocation.as_bytes()).unwrap_err().code(),
        "revocation-of-unknown-key"
    );
    keyring.import(gpg.export(&fingerprint).as_bytes()).unwrap();
    let imported = keyring.import(revocation.as_bytes()).unwrap();
    assert!(imported.key.is_revoked());
    // An older copy does not take the revocation back.
    let imported = keyring.import(gpg.export(&fingerprint).as_bytes()).unwrap();
    assert!(imported.key.is_revoked());
    assert!(
        keyring
            .get(&fingerprint.parse().unwrap())
            .unwrap()
            .unwrap()
            .is_revoked()
    );
}

#[test]
fn gpg_understands_our_revocation() {
    let gpg = Gpg::new();
    let revoked = alice()
        .revoke(None, RevocationReason::Compromised, "laptop stolen", now())
        .unwrap();
    gpg.import(revoked.to_armored().as_bytes());
    let listing = gpg.run(&[
        "--with-colons",
        "--list-keys",
        alice().fingerprint().as_str(),
    ]);
    let listing = String::from_utf8(listing).unwrap();
    assert!(
        listing.lines().any(|line| line.starts_with("pub:r:")),
        "{listing}"
    );
    let packets = gpg.file("revoked", revoked.to_armored().as_bytes());
    let packets = gpg.run(&["--list-packets", packets.to_str().unwrap()]);
    let packets = String::from_utf8(packets).unwrap();
    assert!(
        packets.contains("revocation reason 0x02 (laptop stolen)"),
        "{packets}"
    );
}

#[test]
fn gpg_understands_our_expiry_and_our_flags() {
    let gpg = Gpg::new();
    let year = std::time::Duration::from_secs(365 * 24 * 3600);
    let key = crate::support::generate("bob", Some(year));
    gpg.import(key.public().to_armored().as_bytes());
    let listing = gpg.run(&["--with-colons", "--list-keys", key.fingerprint().as_str()]);
    let listing = String::from_utf8(listing).unwrap();
    let fields: Vec<&str> = listing
        .lines()
        .find(|line| line.starts_with("pub:"))
        .unwrap()
        .split(':')
        .collect();
    assert_eq!(fields[5], now().as_second().to_string());
    assert_eq!(fields[6], days_later(365).as_second().to_string());
    assert_eq!(fields[11], "scSC");
    assert_eq!(key.public().expires_at(), Some(days_later(365)));
}

#[test]
fn a_revoked_or_expired_subkey_is_refused_and_its_key_is_not() {
    let mut gpg = Gpg::new();
    let primary = gpg.generate("alice", "ed25519", "cert,sign", "never");
    gpg.add_subkey(&primary, "ed25519", "sign", "10d");
    let fingerprints = gpg.fingerprints("alice");
    let by_subkey = gpg.sign(&primary, &statement().to_bytes());
    let by_primary = gpg.sign(&format!("{primary}!"), &statement().to_bytes());
    let key = PublicKey::from_armored(&gpg.export(&primary)).unwrap();
    verify_statement(&key, &statement(), &by_subkey, now()).unwrap();
    let error = verify_statement(&key, &statement(), &by_subkey, days_later(11)).unwrap_err();
    let subkey: skill_signing::Fingerprint = fingerprints[1].parse().unwrap();
    assert_eq!(
        error,
        VerifyError::KeyExpired {
            fingerprint: subkey.clone(),
            at: days_later(10)
        }
    );

    gpg.travel(days_later(2));
    gpg.edit(&primary, "key 1\nrevkey\ny\n0\n\ny\nsave\n");
    let key = PublicKey::from_armored(&gpg.export(&primary)).unwrap();
    assert!(!key.is_revoked());
    let error = verify_statement(&key, &statement(), &by_subkey, days_later(2)).unwrap_err();
    assert!(
        matches!(&error, VerifyError::KeyRevoked { fingerprint, .. } if *fingerprint == subkey),
        "{error}"
    );
    verify_statement(&key, &statement(), &by_primary, days_later(2)).unwrap();
    // And the primary key takes over signing.
    let secret = SecretKey::from_armored(&gpg.export_secret(&primary, "")).unwrap();
    let signature = sign(&secret, None, &statement().to_bytes(), days_later(2)).unwrap();
    assert!(
        gpg.verdict(&statement().to_bytes(), &signature)
            .contains(&format!("VALIDSIG {primary}"))
    );
}

#[test]
fn keys_come_armored_and_binary_and_lose_what_others_added() {
    let gpg = Gpg::new();
    let alice = gpg.generate("alice", "ed25519", "default", "never");
    let bob = gpg.generate("bob", "ed25519", "default", "never");
    gpg.run(&[
        "--passphrase",
        "",
        "--default-key",
        &bob,
        "--quick-sign-key",
        &alice,
    ]);
    let armored = gpg.export(&alice);
    let key = PublicKey::from_armored(&armored).unwrap();
    assert_eq!(
        PublicKey::from_bytes(&gpg.export_binary(&alice)).unwrap(),
        key
    );
    assert!(
        key.to_armored().len() < armored.len(),
        "the certification by bob is left out"
    );
    assert_eq!(PublicKey::from_armored(&key.to_armored()).unwrap(), key);
    gpg.import(key.to_armored().as_bytes());

    let both = gpg.run(&["--armor", "--export", &alice, &bob]);
    assert_eq!(PublicKey::from_bytes(&both), Err(KeyError::Several));
    let secret = gpg.export_secret(&alice, "");
    assert_eq!(PublicKey::from_armored(&secret), Err(KeyError::SecretGiven));
    assert_eq!(
        SecretKey::from_armored(&armored).err(),
        Some(KeyError::PublicGiven)
    );
}

#[test]
fn a_revoked_user_id_is_no_longer_listed() {
    let mut gpg = Gpg::new();
    let fingerprint = gpg.generate("alice", "ed25519", "sign", "never");
    gpg.run(&[
        "--passphrase",
        "",
        "--quick-add-uid",
        &fingerprint,
        "alice at work",
    ]);
    gpg.travel(days_later(1));
    gpg.run(&[
        "--passphrase",
        "",
        "--quick-revoke-uid",
        &fingerprint,
        "alice at work",
    ]);
    let key = PublicKey::from_armored(&gpg.export(&fingerprint)).unwrap();
    assert_eq!(key.user_ids(), ["alice"]);
}

#[test]
fn weak_keys_are_refused() {
    let gpg = Gpg::new();
    let short = gpg.generate("short", "rsa1024", "sign", "never");
    let error = PublicKey::from_armored(&gpg.export(&short)).unwrap_err();
    assert_eq!(
        error,
        KeyError::Algorithm {
            algorithm: "rsa1024".into()
        }
    );
    let dsa = gpg.generate("dsa", "dsa2048", "sign", "never");
    let error = PublicKey::from_armored(&gpg.export(&dsa)).unwrap_err();
    assert_eq!(
        error,
        KeyError::Algorithm {
            algorithm: "dsa".into()
        }
    );

    let arguments = [
        "--cert-digest-algo",
        "SHA1",
        "--passphrase",
        "",
        "--quick-generate-key",
        "sha1",
        "rsa2048",
        "sign",
        "never",
    ];
    gpg.run(&arguments);
    let error = PublicKey::from_armored(&gpg.export("sha1")).unwrap_err();
    assert_eq!(error, KeyError::NoSelfSignature);
}

#[test]
fn a_key_for_encryption_or_certification_only_does_not_sign() {
    let gpg = Gpg::new();
    let primary = gpg.generate("alice", "ed25519", "cert", "never");
    let secret = SecretKey::from_armored(&gpg.export_secret(&primary, "")).unwrap();
    let error = sign(&secret, None, b"message", now()).unwrap_err();
    assert!(
        matches!(
            error,
            SigningError::Unusable(VerifyError::KeyMayNotSign { .. })
        ),
        "{error}"
    );
}
