//! Signatures across programs: made there and verified here, and back.

use skill_signing::{
    PublicKey, SecretKey, SigningError, issuer_fingerprint, sign, verify_statement,
};

use crate::gpg::Gpg;
use crate::support::{alice, days_later, now, statement};

#[test]
fn gpg_signs_and_we_verify_with_every_algorithm() {
    for algorithm in [
        "ed25519", "rsa2048", "rsa4096", "nistp256", "nistp384", "nistp521",
    ] {
        let gpg = Gpg::new();
        let fingerprint = gpg.generate("alice <alice@example.org>", algorithm, "sign", "2y");
        let key = PublicKey::from_armored(&gpg.export(&fingerprint)).unwrap();
        assert_eq!(key.fingerprint().as_str(), fingerprint);
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(key.user_ids(), ["alice <alice@example.org>"]);
        assert_eq!(key.created_at(), now());

        let signature = gpg.sign(&fingerprint, &statement().to_bytes());
        assert_eq!(
            issuer_fingerprint(&signature).unwrap(),
            *key.fingerprint(),
            "{algorithm}"
        );
        let info = verify_statement(&key, &statement(), &signature, now()).unwrap();
        assert_eq!(info.fingerprint, *key.fingerprint());
        assert_eq!(info.signed_at, now());
    }
}

#[test]
fn we_sign_with_keys_from_gpg_and_gpg_verifies() {
    for algorithm in ["ed25519", "rsa2048", "nistp256", "nistp384", "nistp521"] {
        let gpg = Gpg::new();
        let fingerprint = gpg.generate("alice", algorithm, "sign", "never");
        let key = SecretKey::from_armored(gpg.export_secret(&fingerprint, "").as_str()).unwrap();
        assert!(!key.is_protected());
        let signature = sign(&key, None, &statement().to_bytes(), now()).unwrap();
        let verdict = gpg.verdict(&statement().to_bytes(), &signature);
        assert!(
            verdict.contains(&format!("VALIDSIG {fingerprint}")),
            "{algorithm}: {verdict}"
        );
    }
}

#[test]
fn gpg_verifies_what_our_own_key_signs() {
    let gpg = Gpg::new();
    gpg.import(alice().public().to_armored().as_bytes());
    let signature = sign(&alice(), None, &statement().to_bytes(), now()).unwrap();
    let verdict = gpg.verdict(&statement().to_bytes(), &signature);
    assert!(verdict.contains("GOODSIG"), "{verdict}");
    assert!(
        verdict.contains(&format!("VALIDSIG {} 2026-01-01", alice().fingerprint())),
        "{verdict}"
    );
    let verdict = gpg.verdict(b"something else", &signature);
    assert!(verdict.contains("BADSIG"), "{verdict}");
}

#[test]
fn gpg_signs_with_our_key_under_our_passphrase() {
    let gpg = Gpg::new();
    let protected = alice()
        .with_passphrase(None, Some("correct horse"), &mut rand::rng())
        .unwrap();
    assert!(protected.is_protected());
    let file = gpg.file("secret", protected.to_armored().expose().as_bytes());
    gpg.run(&[
        "--passphrase",
        "correct horse",
        "--import",
        file.to_str().unwrap(),
    ]);
    let revoked = protected.revoke(None, skill_signing::RevocationReason::Retired, "", now());
    assert_eq!(revoked, Err(SigningError::PassphraseNeeded));
    let message = gpg.file("m", &statement().to_bytes());
    let signature = gpg.run(&[
        "--passphrase",
        "correct horse",
        "--armor",
        "--detach-sign",
        "--output",
        "-",
        message.to_str().unwrap(),
    ]);
    let signature = String::from_utf8(signature).unwrap();
    verify_statement(alice().public(), &statement(), &signature, now()).unwrap();
}

#[test]
fn a_passphrase_of_gpg_opens_the_key_here() {
    let gpg = Gpg::new();
    let fingerprint = gpg.generate_protected("alice", "ed25519", "sign", "never", "pässword");
    let armored = gpg.export_secret(&fingerprint, "pässword");
    let key = SecretKey::from_armored(&armored).unwrap();
    assert!(key.is_protected());
    let message = statement().to_bytes();
    assert_eq!(
        sign(&key, None, &message, now()),
        Err(SigningError::PassphraseNeeded)
    );
    assert_eq!(
        sign(&key, Some("password"), &message, now()),
        Err(SigningError::WrongPassphrase)
    );
    let signature = sign(&key, Some("pässword"), &message, now()).unwrap();
    assert!(gpg.verdict(&message, &signature).contains("GOODSIG"));
}

#[test]
fn a_signing_subkey_signs_for_its_key() {
    let gpg = Gpg::new();
    let primary = gpg.generate("alice", "ed25519", "cert", "never");
    gpg.add_subkey(&primary, "ed25519", "sign", "never");
    gpg.add_subkey(&primary, "cv25519", "encrypt", "never");
    let subkey = gpg.fingerprints("alice").remove(1);
    let key = PublicKey::from_bytes(&gpg.export_binary(&primary)).unwrap();
    // The third, for encryption, never signs.
    let issuers: Vec<String> = key.issuers().map(|it| it.to_string()).collect();
    assert_eq!(issuers, gpg.fingerprints("alice")[..2]);

    let signature = gpg.sign(&primary, &statement().to_bytes());
    let info = verify_statement(&key, &statement(), &signature, now()).unwrap();
    assert_eq!(info.fingerprint.as_str(), primary);
    assert_eq!(info.signed_by.as_str(), subkey);

    let secret = SecretKey::from_armored(&gpg.export_secret(&primary, "")).unwrap();
    let signature = sign(&secret, None, &statement().to_bytes(), days_later(1)).unwrap();
    assert_eq!(issuer_fingerprint(&signature).unwrap().as_str(), subkey);
}

#[test]
fn a_primary_key_that_is_kept_offline_is_not_needed() {
    let gpg = Gpg::new();
    let primary = gpg.generate("alice", "rsa2048", "cert", "never");
    gpg.add_subkey(&primary, "rsa2048", "sign", "never");
    let stub = gpg.run(&[
        "--passphrase",
        "",
        "--armor",
        "--export-secret-subkeys",
        &primary,
    ]);
    let secret = SecretKey::from_bytes(&stub).unwrap();
    assert!(!secret.is_protected());
    let signature = sign(&secret, None, &statement().to_bytes(), now()).unwrap();
    assert!(
        gpg.verdict(&statement().to_bytes(), &signature)
            .contains("GOODSIG")
    );
    let again = SecretKey::from_armored(secret.to_armored().expose()).unwrap();
    sign(&again, None, &statement().to_bytes(), now()).unwrap();
    let revoked = secret.revoke(None, skill_signing::RevocationReason::Retired, "", now());
    assert_eq!(revoked, Err(SigningError::NoSecret));
}
