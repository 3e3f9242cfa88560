//! Tests of the module above.

use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use serde_json::json;

use super::*;

const ISSUER: &str = "https://hub.example.com";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

struct SetClock(Mutex<Timestamp>);

impl SetClock {
    fn new() -> Arc<Self> {
        let start = Timestamp::from_second(1_800_000_000).expect("in range");
        Arc::new(Self(Mutex::new(start)))
    }

    fn advance(&self, seconds: i64) {
        let mut now = self.0.lock().expect("sound");
        *now = now
            .checked_add(SignedDuration::from_secs(seconds))
            .expect("in range");
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("sound")
    }
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text.to_owned()))
}

fn signer(config: &AuthConfig, clock: &Arc<SetClock>) -> Signer {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Signer::new(config, ISSUER.to_owned(), PathBuf::from("unused"), clock).expect("a signer")
}

fn configured_signer(clock: &Arc<SetClock>) -> Signer {
    signer(
        &AuthConfig {
            signing_secret: secret(SECRET),
            ..AuthConfig::default()
        },
        clock,
    )
}

fn content() -> Content {
    Content {
        subject: "user".to_owned(),
        binding: "session".to_owned(),
    }
}

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[test]
fn a_token_opens_until_it_expires_and_for_its_purpose_only() {
    let clock = SetClock::new();
    let signer = configured_signer(&clock);
    let token = signer.seal(Purpose::Access, content(), MINUTE);
    assert_eq!(signer.open(Purpose::Access, &token), Ok(content()));
    assert_eq!(
        signer.open(Purpose::PageSession, &token),
        Err(TokenError::Invalid)
    );
    clock.advance(59);
    assert!(signer.open(Purpose::Access, &token).is_ok());
    clock.advance(1);
    assert_eq!(
        signer.open(Purpose::Access, &token),
        Err(TokenError::Expired)
    );
    clock.advance(-100);
    assert_eq!(
        signer.open(Purpose::Access, &token),
        Err(TokenError::NotYetValid)
    );
}

/// A token with this header and these claims, signed with the very key of access tokens.
fn forged(signer: &Signer, header: serde_json::Value, claims: serde_json::Value) -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let ring = signer.ring();
    let key: &EncodingKey = ring.newest().encoding(Purpose::Access);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, Algorithm::HS256);
    format!("{message}.{}", signature.expect("signed"))
}

fn good_header(signer: &Signer) -> serde_json::Value {
    json!({"alg": "HS256", "typ": "at+jwt", "kid": signer.ring().newest().kid()})
}

fn good_claims() -> serde_json::Value {
    let now = 1_800_000_000;
    json!({"iss": ISSUER, "aud": ISSUER, "sub": "user", "sid": "session", "iat": now, "nbf": now, "exp": now + 60})
}

#[test]
fn even_a_rightly_signed_token_is_refused_if_a_field_is_wrong() {
    let signer = configured_signer(&SetClock::new());
    let open = |header, claims| signer.open(Purpose::Access, &forged(&signer, header, claims));
    assert_eq!(open(good_header(&signer), good_claims()), Ok(content()));
    for (field, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS512")),
        ("alg", json!("RS256")),
        ("typ", json!("JWT")),
        ("typ", json!(null)),
        ("kid", json!("other")),
        ("kid", json!(null)),
    ] {
        let mut header = good_header(&signer);
        header[field] = value.clone();
        assert_eq!(
            open(header, good_claims()),
            Err(TokenError::Invalid),
            "{field} {value}"
        );
    }
    for (field, value) in [
        ("iss", json!("https://other.example.com")),
        ("aud", json!("https://other.example.com")),
        ("aud", json!(null)),
        ("exp", json!(null)),
        ("exp", json!("tomorrow")),
        ("nbf", json!(null)),
        ("sub", json!(null)),
    ] {
        let mut claims = good_claims();
        claims[field] = value.clone();
        assert_eq!(
            open(good_header(&signer), claims),
            Err(TokenError::Invalid),
            "{field} {value}"
        );
    }
    let mut future = good_claims();
    future["nbf"] = json!(1_800_000_030);
    assert_eq!(
        open(good_header(&signer), future),
        Err(TokenError::NotYetValid)
    );
}

#[test]
fn unsigned_tampered_and_giant_tokens_are_refused() {
    let signer = configured_signer(&SetClock::new());
    let token = signer.seal(Purpose::Access, content(), MINUTE);
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let (header, claims) = message.split_once('.').expect("three parts");
    let none = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "at+jwt"}).to_string());
    let mut other = good_claims();
    other["sub"] = json!("admin");
    let other = URL_SAFE_NO_PAD.encode(other.to_string());
    for bad in [
        format!("{none}.{claims}."),
        format!("{message}."),
        message.to_owned(),
        format!("{header}.{other}.{signature}"),
        format!("{message}.{}", signature.chars().rev().collect::<String>()),
        format!("{token}.{signature}"),
        "a".repeat(1_000_000),
        format!("{token}{}", "A".repeat(TOKEN_BYTES_MAX)),
        String::new(),
        "..".to_owned(),
    ] {
        assert_eq!(
            signer.open(Purpose::Access, &bad),
            Err(TokenError::Invalid),
            "{bad:.60}"
        );
    }
}

#[test]
fn a_previous_secret_verifies_but_no_longer_signs() {
    let clock = SetClock::new();
    let token = configured_signer(&clock).seal(Purpose::Access, content(), MINUTE);
    let mut config = AuthConfig {
        signing_secret: secret("another secret of at least 32 bytes"),
        previous_signing_secrets: secret(SECRET).into_iter().collect(),
        ..AuthConfig::default()
    };
    let rotated = signer(&config, &clock);
    assert!(rotated.open(Purpose::Access, &token).is_ok());
    let fresh = rotated.seal(Purpose::Access, content(), MINUTE);
    assert!(
        configured_signer(&clock)
            .open(Purpose::Access, &fresh)
            .is_err()
    );
    config.previous_signing_secrets.clear();
    assert!(
        signer(&config, &clock)
            .open(Purpose::Access, &token)
            .is_err()
    );
}

#[test]
fn a_short_secret_is_refused_without_being_shown() {
    let config = AuthConfig {
        signing_secret: secret("hunter22"),
        ..AuthConfig::default()
    };
    let clock: Arc<dyn Clock> = SetClock::new();
    let error = Signer::new(&config, ISSUER.to_owned(), PathBuf::new(), clock).err();
    let text = format!("{:?}", error.expect("refused"));
    assert!(!text.contains("hunter22"), "{text}");
}

#[test]
fn the_key_file_is_private_survives_a_restart_and_rotates_by_age() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data").join("signing-keys.json");
    let config = AuthConfig {
        signing_key_file: Some(path.clone()),
        ..AuthConfig::default()
    };
    let clock = SetClock::new();
    let first = signer(&config, &clock);
    let token = first.seal(Purpose::Access, content(), SignedDuration::from_hours(2));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path)
            .expect("the file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let restarted = signer(&config, &clock);
    assert!(restarted.open(Purpose::Access, &token).is_ok());

    restarted.rotate().expect("rotated");
    assert!(restarted.open(Purpose::Access, &token).is_ok());
    let fresh = restarted.seal(Purpose::Access, content(), MINUTE);
    assert_eq!(
        first.open(Purpose::Access, &fresh),
        Err(TokenError::Invalid)
    );
    clock.advance(RELOAD_PAUSE.as_secs());
    assert!(
        first.open(Purpose::Access, &fresh).is_ok(),
        "the other replica reads the file again"
    );

    let before = restarted.ring().newest().kid().to_owned();
    restarted.rotate_if_due().expect("checked");
    assert_eq!(restarted.ring().newest().kid(), before);
    clock.advance(91 * 24 * 3600);
    restarted.rotate_if_due().expect("rotated");
    assert_ne!(restarted.ring().newest().kid(), before);
    let kept = std::fs::read_to_string(&path).expect("the file");
    assert_eq!(
        kept.matches("\"kid\"").count(),
        2,
        "what was replaced 91 days ago is gone"
    );
}

#[test]
fn a_damaged_key_file_stops_the_start_and_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("signing-keys.json");
    let clock = SetClock::new();
    let short = r#"{"keys":[{"kid":"1","secret":"c2hvcnQ","createdAt":"2026-01-01T00:00:00Z"}]}"#;
    for text in ["", "{}", short] {
        std::fs::write(&path, text).expect("written");
        let config = AuthConfig {
            signing_key_file: Some(path.clone()),
            ..AuthConfig::default()
        };
        let clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let error = Signer::new(&config, ISSUER.to_owned(), PathBuf::new(), clock).err();
        assert!(
            error.is_some_and(|error| error.to_string().contains("move it away")),
            "{text}"
        );
        assert_eq!(std::fs::read_to_string(&path).expect("kept"), text);
    }
}
