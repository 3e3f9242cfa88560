//! What gpg can sign and we refuse, each for its own reason.

use skill_format::{Explain, Fault};
use skill_signing::{PublicKey, VerifyError, verify_statement};

use crate::gpg::Gpg;
use crate::support::{DAY, alice, days_later, now, statement};

struct Signer {
    gpg: Gpg,
    fingerprint: String,
    key: PublicKey,
}

impl Signer {
    fn new(algorithm: &str) -> Self {
        let gpg = Gpg::new();
        let fingerprint = gpg.generate("alice", algorithm, "sign", "never");
        let key = PublicKey::from_armored(&gpg.export(&fingerprint)).unwrap();
        Self {
            gpg,
            fingerprint,
            key,
        }
    }

    /// Why a signature that gpg makes in this way is refused.
    fn refusal(&self, options: &[&str]) -> VerifyError {
        let signature = self
            .gpg
            .sign_with(&self.fingerprint, &statement().to_bytes(), options);
        self.verify(&signature).unwrap_err()
    }

    fn verify(&self, signature: &str) -> Result<(), VerifyError> {
        verify_statement(&self.key, &statement(), signature, now()).map(|_| ())
    }
}

#[test]
fn only_detached_armored_binary_signatures_are_taken() {
    let signer = Signer::new("rsa2048");
    assert_eq!(signer.refusal(&["--clear-sign"]), VerifyError::Cleartext);
    assert_eq!(signer.refusal(&["--armor", "--sign"]), VerifyError::Inline);
    assert_eq!(
        signer.refusal(&["--armor", "--textmode", "--detach-sign"]),
        VerifyError::NotBinary
    );
    let binary = signer
        .gpg
        .sign_bytes(&signer.fingerprint, b"message", &["--detach-sign"]);
    let binary = String::from_utf8_lossy(&binary);
    assert_eq!(signer.verify(&binary), Err(VerifyError::NotArmored));
    assert_eq!(
        signer.verify(&signer.key.to_armored()),
        Err(VerifyError::NotASignature)
    );
    assert_eq!(signer.verify(""), Err(VerifyError::NotArmored));
    let error = signer.verify("").unwrap_err();
    assert_eq!(error.fault(), Fault::BadInput);
    assert!(error.help().unwrap().contains("--detach-sign"));
}

#[test]
fn weak_hashes_are_refused() {
    let signer = Signer::new("rsa2048");
    for (option, name) in [
        ("SHA1", "SHA-1"),
        ("RIPEMD160", "RIPEMD-160"),
        ("SHA224", "SHA-224"),
    ] {
        let error = signer.refusal(&["--digest-algo", option, "--armor", "--detach-sign"]);
        assert_eq!(error, VerifyError::WeakHash { hash: name.into() });
    }
    for option in ["SHA256", "SHA384", "SHA512"] {
        let options = ["--digest-algo", option, "--armor", "--detach-sign"];
        let signature =
            signer
                .gpg
                .sign_with(&signer.fingerprint, &statement().to_bytes(), &options);
        signer.verify(&signature).unwrap();
    }
}

#[test]
fn several_signatures_and_anything_around_one_are_refused() {
    let signer = Signer::new("ed25519");
    let bob = signer.gpg.generate("bob", "ed25519", "sign", "never");
    let two = signer.refusal(&["--local-user", &bob, "--armor", "--detach-sign"]);
    assert_eq!(two, VerifyError::Several);
    let one = signer
        .gpg
        .sign(&signer.fingerprint, &statement().to_bytes());
    signer.verify(&one).unwrap();
    assert_eq!(
        signer.verify(&format!("{one}{one}")),
        Err(VerifyError::Several)
    );
    assert_eq!(
        signer.verify(&format!("{one}and more")),
        Err(VerifyError::TrailingData)
    );
    assert_eq!(
        signer.verify(&format!("before\n{one}")),
        Err(VerifyError::TrailingData)
    );
    signer
        .verify(&format!("\n{}\n\n", one.replace('\n', "\r\n")))
        .unwrap();
    let long = one.replacen(
        "\n\n",
        &format!("\nComment: {}\n\n", "x".repeat(16 * 1024)),
        1,
    );
    assert_eq!(signer.verify(&long), Err(VerifyError::TooLarge));
}

#[test]
fn another_key_and_another_content_are_told_apart() {
    let signer = Signer::new("ed25519");
    let signature = signer
        .gpg
        .sign(&signer.fingerprint, &statement().to_bytes());
    let error = verify_statement(alice().public(), &statement(), &signature, now()).unwrap_err();
    assert_eq!(
        error,
        VerifyError::WrongKey {
            expected: alice().fingerprint().clone(),
            found: signer.key.fingerprint().clone()
        }
    );
    let signature = signer.gpg.sign(&signer.fingerprint, b"another statement");
    assert_eq!(signer.verify(&signature), Err(VerifyError::BadSignature));
}

#[test]
fn the_dates_of_signature_and_key_must_fit_together() {
    let mut signer = Signer::new("ed25519");
    let message = statement().to_bytes();
    let expiring = ["--default-sig-expire", "5d", "--armor", "--detach-sign"];
    let signature = signer
        .gpg
        .sign_with(&signer.fingerprint, &message, &expiring);
    let at = |time| verify_statement(&signer.key, &statement(), &signature, time);
    at(days_later(4)).unwrap();
    assert_eq!(
        at(days_later(5)),
        Err(VerifyError::SignatureExpired { at: days_later(5) })
    );

    signer.gpg.travel(days_later(1));
    let signature = signer.gpg.sign(&signer.fingerprint, &message);
    let at = |time| verify_statement(&signer.key, &statement(), &signature, time);
    let minutes = |minutes| jiff::SignedDuration::from_mins(minutes);
    at(days_later(1) - minutes(5)).unwrap();
    assert_eq!(
        at(days_later(1) - minutes(6)),
        Err(VerifyError::SignatureFromFuture {
            made_at: days_later(1)
        })
    );

    let yesterday = now() - DAY;
    signer.gpg.travel(yesterday);
    let early = ["--ignore-time-conflict", "--armor", "--detach-sign"];
    let signature = signer.gpg.sign_with(&signer.fingerprint, &message, &early);
    assert_eq!(
        signer.verify(&signature),
        Err(VerifyError::SignatureBeforeKey {
            made_at: yesterday,
            key_made_at: now()
        })
    );
}

#[test]
fn a_key_from_the_future_is_refused() {
    let signer = Signer::new("ed25519");
    let signature = signer
        .gpg
        .sign(&signer.fingerprint, &statement().to_bytes());
    let error = verify_statement(&signer.key, &statement(), &signature, now() - DAY).unwrap_err();
    assert!(
        matches!(error, VerifyError::KeyFromFuture { .. }),
        "{error}"
    );
}
