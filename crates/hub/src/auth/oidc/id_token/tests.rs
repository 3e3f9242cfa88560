//! Tests of the module above.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use super::*;

const ISSUER: &str = "https://id.example.com";
const NOW: i64 = 1_800_000_000;

/// PKCS#8 of an Ed25519 key with this seed (RFC 8410 §7).
fn signing_key(seed: u8) -> EncodingKey {
    let mut der = vec![
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    der.extend([seed; 32]);
    EncodingKey::from_ed_der(&der)
}

fn jwk(seed: u8, kid: &str) -> Value {
    let jwk = Jwk::from_encoding_key(&signing_key(seed), Algorithm::EdDSA).expect("a key");
    let mut value = serde_json::to_value(jwk).expect("JSON");
    value["kid"] = json!(kid);
    value["use"] = json!("sig");
    value
}

fn keys() -> KeySet {
    KeySet::new(vec![
        json!({"kty": "unheard-of"}),
        jwk(1, "first"),
        jwk(2, "second"),
    ])
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "hub", "sub": "subject", "nonce": "n-1",
        "iat": NOW - 5, "exp": NOW + 60, "preferred_username": "alice",
    })
}

fn signed(seed: u8, kid: &str, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(kid.to_owned());
    encode(&header, claims, &signing_key(seed)).expect("signed")
}

fn expected(algorithms: &[String]) -> Expected<'_> {
    Expected {
        issuer: ISSUER,
        client_id: "hub",
        nonce: "n-1",
        algorithms,
        now: Timestamp::from_second(NOW).expect("in range"),
        skew: SignedDuration::from_secs(60),
    }
}

fn check(token: &str) -> Result<Map<String, Value>, IdTokenError> {
    verify(token, &keys(), &expected(&[]))
}

#[test]
fn a_good_token_gives_its_claims() {
    let claims = check(&signed(2, "second", &claims())).expect("accepted");
    assert_eq!(claims["preferred_username"], "alice");
    let announced = ["EdDSA".to_owned()];
    let token = signed(1, "first", &self::claims());
    assert!(verify(&token, &keys(), &expected(&announced)).is_ok());
}

#[test]
fn each_wrong_claim_is_refused() {
    use IdTokenError as E;
    for (field, value, error) in [
        ("iss", json!("https://evil.example"), E::Issuer),
        ("iss", json!(null), E::Issuer),
        ("aud", json!("other"), E::Audience),
        ("aud", json!(["other"]), E::Audience),
        ("aud", json!(["hub", "other"]), E::Audience),
        ("aud", json!(null), E::Audience),
        ("azp", json!("other"), E::Audience),
        ("exp", json!(NOW - 60), E::Time),
        ("exp", json!("soon"), E::Time),
        ("iat", json!(NOW + 61), E::Time),
        ("iat", json!(null), E::Time),
        ("nbf", json!(NOW + 61), E::Time),
        ("nonce", json!("n-2"), E::Nonce),
        ("nonce", json!(null), E::Nonce),
        ("sub", json!(""), E::Subject),
        ("sub", json!(7), E::Subject),
        ("sub", json!("s".repeat(256)), E::Subject),
    ] {
        let mut claims = claims();
        claims[field] = value.clone();
        assert_eq!(
            check(&signed(1, "first", &claims)),
            Err(error),
            "{field} {value}"
        );
    }
}

#[test]
fn what_is_allowed_is_accepted() {
    for (field, value) in [
        ("aud", json!(["hub"])),
        ("azp", json!("hub")),
        ("exp", json!(NOW - 59)),
        ("exp", json!(NOW as f64 + 0.5)),
        ("iat", json!(NOW + 60)),
    ] {
        let mut claims = claims();
        claims[field] = value.clone();
        assert!(
            check(&signed(1, "first", &claims)).is_ok(),
            "{field} {value}"
        );
    }
    let mut several = claims();
    several["aud"] = json!(["hub", "other"]);
    several["azp"] = json!("hub");
    assert!(check(&signed(1, "first", &several)).is_ok());
}

#[test]
fn signatures_of_other_keys_are_refused() {
    assert_eq!(
        check(&signed(2, "first", &claims())),
        Err(IdTokenError::Signature)
    );
    assert_eq!(
        check(&signed(3, "third", &claims())),
        Err(IdTokenError::UnknownKey)
    );
    let token = signed(1, "first", &claims());
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let mut other = claims();
    other["sub"] = json!("admin");
    let forged = URL_SAFE_NO_PAD.encode(other.to_string());
    let header = message.split('.').next().expect("a header");
    assert_eq!(
        check(&format!("{header}.{forged}.{signature}")),
        Err(IdTokenError::Signature)
    );
}

#[test]
fn unsigned_and_symmetric_tokens_are_refused() {
    let payload = URL_SAFE_NO_PAD.encode(claims().to_string());
    let none = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "kid": "first"}).to_string());
    assert_eq!(
        check(&format!("{none}.{payload}.")),
        Err(IdTokenError::Malformed)
    );
    // The classic confusion: HMAC with the public key as the secret.
    let public = jwk(1, "first")["x"].as_str().expect("a key").to_owned();
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("first".to_owned());
    let confused = encode(
        &header,
        &claims(),
        &EncodingKey::from_secret(public.as_bytes()),
    );
    assert_eq!(
        check(&confused.expect("signed")),
        Err(IdTokenError::Algorithm)
    );
    for bad in ["", ".", "..", "a.b.c", &"a".repeat(TOKEN_BYTES_MAX + 1)] {
        assert_eq!(check(bad), Err(IdTokenError::Malformed));
    }
}

#[test]
fn an_algorithm_that_the_provider_does_not_announce_is_refused() {
    let announced = ["RS256".to_owned()];
    let token = signed(1, "first", &claims());
    assert_eq!(
        verify(&token, &keys(), &expected(&announced)),
        Err(IdTokenError::Algorithm)
    );
}

#[test]
fn keys_for_encryption_verify_nothing() {
    let mut key = jwk(1, "first");
    key["use"] = json!("enc");
    let token = signed(1, "first", &claims());
    let verdict = verify(&token, &KeySet::new(vec![key]), &expected(&[]));
    assert_eq!(verdict, Err(IdTokenError::UnknownKey));
}
