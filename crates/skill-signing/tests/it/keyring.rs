//! The keyring: what it keeps, what it refuses, and that nothing is lost.

use std::fs;
use std::thread;
use std::time::Duration;

use skill_format::Explain;
use skill_signing::{
    Change, KeyState, Keyring, KeyringError, PublicKey, RevocationReason, SecretKey, SigningError,
    Trust, VerifyError, sign,
};
use tempfile::TempDir;

use crate::craft;
use crate::support::{alice, days_later, generate, now};

const DAY: Duration = Duration::from_secs(24 * 3600);

struct Store {
    folder: TempDir,
    keyring: Keyring,
}

impl Store {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let keyring = Keyring::open(folder.path().join("keys"));
        Self { folder, keyring }
    }

    fn generate(&self, user_id: &str, passphrase: Option<&str>) -> PublicKey {
        self.keyring
            .generate(user_id, Some(DAY * 30), passphrase, now(), &mut rand::rng())
            .unwrap()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("keys").join(name)
    }
}

#[test]
fn an_empty_keyring_is_empty_and_leaves_no_trace() {
    let store = Store::new();
    assert!(store.keyring.list().unwrap().is_empty());
    let error = store.keyring.signing_key(None, now()).err().unwrap();
    assert_eq!(error.code(), "no-signing-key");
    assert!(error.help().unwrap().contains("skills key generate"));
    assert!(!store.path("").exists());
}

#[test]
fn a_generated_key_signs_and_is_our_own() {
    let store = Store::new();
    let key = store.generate("alice", None);
    let entries = store.keyring.list().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].trust, Trust::Own);
    assert_eq!(entries[0].key, key);
    assert_eq!(key.expires_at(), Some(days_later(30)));
    let secret = store.keyring.signing_key(None, now()).unwrap();
    let signature = sign(&secret, None, b"message", now()).unwrap();
    let (info, trust) = store.keyring.verify(b"message", &signature, now()).unwrap();
    assert_eq!(info.fingerprint, *key.fingerprint());
    assert_eq!(trust, Trust::Own);
}

#[test]
fn a_passphrase_protects_the_file() {
    let store = Store::new();
    let key = store.generate("alice", Some("correct horse"));
    let secret = store.keyring.secret(key.fingerprint()).unwrap();
    assert!(secret.is_protected());
    // Each look at the secret costs a slow hash on purpose, so there are no more than needed.
    assert_eq!(
        sign(&secret, None, b"m", now()),
        Err(SigningError::PassphraseNeeded)
    );
    assert_eq!(
        sign(&secret, Some("wrong"), b"m", now()),
        Err(SigningError::WrongPassphrase)
    );
    let open = secret
        .with_passphrase(Some("correct horse"), None, &mut rand::rng())
        .unwrap();
    assert!(!open.is_protected());
    sign(&open, None, b"m", now()).unwrap();
}

#[cfg(unix)]
#[test]
fn secret_keys_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let store = Store::new();
    let key = store.generate("alice", None);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let secret = store.path(&format!("secret/{}.asc", key.fingerprint()));
    assert_eq!(mode(&secret), 0o600);
    assert_eq!(mode(&store.path("secret")), 0o700);
    assert_eq!(
        mode(&store.path(&format!("{}.asc", key.fingerprint()))),
        0o644
    );

    fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).unwrap();
    let error = store.keyring.secret(key.fingerprint()).err().unwrap();
    assert!(matches!(error, KeyringError::Exposed { .. }), "{error}");
    assert!(error.help().unwrap().starts_with("close it: chmod 600 "));
}

#[test]
fn keys_are_found_by_the_end_of_their_fingerprint() {
    let store = Store::new();
    let key = store.generate("alice", None);
    let fingerprint = key.fingerprint().as_str();
    for selector in [
        fingerprint,
        &fingerprint[24..],
        &fingerprint[32..].to_lowercase(),
        &format!("0x{fingerprint}"),
    ] {
        assert_eq!(
            store.keyring.select(selector).unwrap().key,
            key,
            "{selector}"
        );
    }
    for (selector, code) in [
        (&fingerprint[33..], "key-selector"),
        ("", "key-selector"),
        ("alice", "key-selector"),
        ("0000000000000000", "key-not-found"),
    ] {
        assert_eq!(
            store.keyring.select(selector).unwrap_err().code(),
            code,
            "{selector}"
        );
    }
}

#[test]
fn a_name_that_fits_several_keys_is_refused() {
    // Two keys that share a subkey, which has signed back for both.
    let store = Store::new();
    let (one, two, subkey) = (
        craft::Key::new(1),
        craft::Key::new(2),
        craft::Subkey::new(3),
    );
    for key in [&one, &two] {
        let mut packets = key.certificate(key.claims());
        let mut claims = key.claims();
        claims.push(subkey.sign_back(key));
        packets.extend(craft::bytes(subkey.0.public_key()));
        packets.extend(craft::bytes(&key.bind(&subkey, claims)));
        store.keyring.import(&packets).unwrap();
    }
    let shared = PublicKey::from_armored(
        &store
            .keyring
            .export(store.keyring.list().unwrap()[0].key.fingerprint())
            .unwrap(),
    );
    let shared = shared.unwrap().issuers().nth(1).unwrap();
    let error = store.keyring.select(shared.as_str()).unwrap_err();
    let KeyringError::Ambiguous { fingerprints, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(fingerprints.len(), 2);
}

#[test]
fn the_only_usable_secret_key_is_the_default() {
    let store = Store::new();
    let old = store.generate("alice", None);
    let new = store.generate("alice", None);
    let error = store.keyring.signing_key(None, now()).err().unwrap();
    let KeyringError::SeveralKeys { fingerprints } = error else {
        panic!("{error}")
    };
    assert_eq!(fingerprints.len(), 2);
    let named = store
        .keyring
        .signing_key(Some(old.fingerprint().as_str()), now())
        .unwrap();
    assert_eq!(named.fingerprint(), old.fingerprint());

    let reason = RevocationReason::Superseded;
    store
        .keyring
        .revoke(old.fingerprint(), None, reason, "rotated", now())
        .unwrap();
    let default = store.keyring.signing_key(None, now()).unwrap();
    assert_eq!(default.fingerprint(), new.fingerprint());
    let error = store
        .keyring
        .signing_key(None, days_later(31))
        .err()
        .unwrap();
    assert_eq!(error.code(), "no-usable-signing-key");
}

#[test]
fn only_the_public_part_of_a_key_does_not_sign() {
    let store = Store::new();
    store
        .keyring
        .import(alice().public().to_armored().as_bytes())
        .unwrap();
    let error = store
        .keyring
        .signing_key(Some(alice().fingerprint().as_str()), now())
        .err()
        .unwrap();
    assert!(matches!(error, KeyringError::NoSecret { .. }), "{error}");
    assert_eq!(
        store.keyring.signing_key(None, now()).err().unwrap().code(),
        "no-signing-key"
    );
}

#[test]
fn a_revoked_key_no_longer_signs_and_stays_revoked() {
    let store = Store::new();
    let key = store.generate("alice", None);
    let before = store.keyring.export(key.fingerprint()).unwrap();
    let secret_before = store.keyring.export_secret(key.fingerprint()).unwrap();
    let reason = RevocationReason::Compromised;
    let revoked = store
        .keyring
        .revoke(key.fingerprint(), None, reason, "stolen", days_later(1))
        .unwrap();
    assert_eq!(revoked.revocation().unwrap().text, "stolen");

    let secret = store.keyring.secret(key.fingerprint()).unwrap();
    let error = sign(&secret, None, b"m", days_later(1)).unwrap_err();
    assert!(
        matches!(
            error,
            SigningError::Unusable(VerifyError::KeyRevoked { .. })
        ),
        "{error}"
    );
    // Neither an older copy of the public key nor of the secret key takes it back.
    assert_eq!(
        store.keyring.import(before.as_bytes()).unwrap().change,
        Change::Unchanged
    );
    store
        .keyring
        .import(secret_before.expose().as_bytes())
        .unwrap();
    assert!(
        store
            .keyring
            .get(key.fingerprint())
            .unwrap()
            .unwrap()
            .is_revoked()
    );
    assert!(
        store
            .keyring
            .secret(key.fingerprint())
            .unwrap()
            .public()
            .is_revoked()
    );
    // And it travels with the secret key.
    let exported = store.keyring.export_secret(key.fingerprint()).unwrap();
    assert!(
        SecretKey::from_armored(exported.expose())
            .unwrap()
            .public()
            .is_revoked()
    );
}

#[test]
fn imports_say_what_they_changed() {
    let store = Store::new();
    let public = alice().public().to_armored();
    let import = |bytes: &str| store.keyring.import(bytes.as_bytes()).unwrap();
    assert_eq!(import(&public).change, Change::New);
    assert_eq!(import(&public).change, Change::Unchanged);
    assert_eq!(store.keyring.list().unwrap()[0].trust, Trust::Unknown);
    let secret = import(alice().to_armored().expose());
    assert!(secret.secret);
    assert_eq!(secret.change, Change::Unchanged);
    assert_eq!(store.keyring.list().unwrap()[0].trust, Trust::Own);
    let revoked = alice()
        .revoke(None, RevocationReason::Retired, "", now())
        .unwrap();
    let updated = import(&revoked.to_armored());
    assert_eq!(updated.change, Change::Updated);
    assert!(matches!(updated.key.state(now()), KeyState::Revoked(_)));
    assert_eq!(
        store.keyring.import(b"no key").unwrap_err().code(),
        "key-unknown-format"
    );
}

#[test]
fn trust_is_given_kept_and_taken_back() {
    let store = Store::new();
    let fingerprint = alice().fingerprint().clone();
    assert_eq!(
        store.keyring.trust(&fingerprint, now()).unwrap_err().code(),
        "key-not-found"
    );
    store
        .keyring
        .import(alice().public().to_armored().as_bytes())
        .unwrap();
    store.keyring.trust(&fingerprint, now()).unwrap();
    assert_eq!(
        store.keyring.trust_of(&fingerprint).unwrap(),
        Trust::Trusted
    );
    assert_eq!(store.keyring.list().unwrap()[0].trust, Trust::Trusted);

    let path = store.path("trust.json");
    let mut document: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    document["later"] = serde_json::json!({"x": 1});
    document["trusted"][fingerprint.as_str()]["by"] = "alice".into();
    fs::write(&path, document.to_string()).unwrap();
    store.keyring.trust(&fingerprint, days_later(1)).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(kept, document, "the first date and unknown fields stay");

    store.keyring.distrust(&fingerprint).unwrap();
    assert_eq!(
        store.keyring.trust_of(&fingerprint).unwrap(),
        Trust::Unknown
    );
    fs::write(&path, r#"{"version": 9, "trusted": {}}"#).unwrap();
    assert_eq!(
        store.keyring.list().unwrap_err().code(),
        "trust-file-damaged"
    );
}

#[test]
fn removing_a_key_forgets_it_but_a_secret_only_on_demand() {
    let store = Store::new();
    let own = store.generate("alice", None).fingerprint().clone();
    let error = store.keyring.remove(&own, false).unwrap_err();
    assert!(matches!(error, KeyringError::HasSecret { .. }), "{error}");
    store.keyring.remove(&own, true).unwrap();
    assert!(store.keyring.list().unwrap().is_empty());
    assert_eq!(
        store.keyring.remove(&own, true).unwrap_err().code(),
        "key-not-found"
    );

    let other = generate("bob", None);
    store
        .keyring
        .import(other.public().to_armored().as_bytes())
        .unwrap();
    store.keyring.trust(other.fingerprint(), now()).unwrap();
    store.keyring.remove(other.fingerprint(), false).unwrap();
    store
        .keyring
        .import(other.public().to_armored().as_bytes())
        .unwrap();
    assert_eq!(
        store.keyring.trust_of(other.fingerprint()).unwrap(),
        Trust::Unknown
    );
}

#[test]
fn a_signer_that_is_not_in_the_keyring_is_named() {
    let store = Store::new();
    let signature = sign(&alice(), None, b"message", now()).unwrap();
    let error = store
        .keyring
        .verify(b"message", &signature, now())
        .unwrap_err();
    assert_eq!(error.code(), "signer-unknown");
    assert!(error.to_string().contains(alice().fingerprint().as_str()));
    store
        .keyring
        .import(alice().public().to_armored().as_bytes())
        .unwrap();
    let error = store
        .keyring
        .verify(b"other", &signature, now())
        .unwrap_err();
    assert_eq!(error.code(), "signature-bad");
}

#[test]
fn damaged_and_misnamed_files_are_named() {
    let store = Store::new();
    let key = store.generate("alice", None);
    let path = store.path(&format!("{}.asc", key.fingerprint()));
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    let error = store.keyring.list().unwrap_err();
    assert_eq!(error.code(), "keyring-file-damaged");
    assert_eq!(
        error.place().unwrap().file.unwrap(),
        path.display().to_string()
    );
    fs::write(&path, alice().public().to_armored()).unwrap();
    let error = store.keyring.list().unwrap_err();
    assert!(matches!(error, KeyringError::Misnamed { .. }), "{error}");
    // What a crash between two writes leaves: the secret key alone is still a whole key.
    fs::remove_file(&path).unwrap();
    assert_eq!(store.keyring.list().unwrap()[0].key, key);
    // Files that are not keys are not ours.
    fs::write(store.path("notes.txt"), "hello").unwrap();
    fs::write(store.path(".new-abc"), "half a key").unwrap();
    assert_eq!(store.keyring.list().unwrap().len(), 1);
}

#[test]
fn two_who_add_to_one_key_at_once_lose_nothing() {
    let store = Store::new();
    let key = generate("alice", None);
    store
        .keyring
        .import(key.public().to_armored().as_bytes())
        .unwrap();
    let texts: Vec<String> = (0..8).map(|number| format!("reason {number}")).collect();
    thread::scope(|scope| {
        for text in &texts {
            let revoked = key
                .revoke(None, RevocationReason::Retired, text, now())
                .unwrap();
            let keyring = Keyring::open(store.path(""));
            scope.spawn(move || keyring.import(revoked.to_armored().as_bytes()).unwrap());
            let keyring = Keyring::open(store.path(""));
            let other = generate(text, None);
            scope.spawn(move || {
                let fingerprint = keyring
                    .import(other.public().to_armored().as_bytes())
                    .unwrap();
                keyring.trust(fingerprint.key.fingerprint(), now()).unwrap();
            });
        }
    });
    let entries = store.keyring.list().unwrap();
    assert_eq!(entries.len(), 9);
    assert_eq!(
        entries
            .iter()
            .filter(|entry| entry.trust == Trust::Trusted)
            .count(),
        8
    );
    // A key without any of the eight revocations would be smaller.
    let all = texts.iter().fold(key.public().clone(), |all, text| {
        all.merge(
            &key.revoke(None, RevocationReason::Retired, text, now())
                .unwrap(),
        )
        .unwrap()
    });
    assert_eq!(store.keyring.get(key.fingerprint()).unwrap().unwrap(), all);
}
