//! What an attacker sends in the `Authorization` header and the bodies of the sign-in endpoints.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{HubBuilder, TestHub, on_both};

use super::{PASSWORD, get_with, post, text};

on_both!(
    forged_access_tokens_are_refused,
    a_token_of_another_hub_is_refused,
    tokens_of_other_kinds_are_refused,
    odd_authorization_headers_are_refused,
    invented_api_tokens_are_refused_and_counted,
    unknown_users_and_wrong_passwords_get_the_same_answer,
    odd_bodies_are_refused_without_a_trace_of_secrets,
);

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decoded(part: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

async fn assert_refused(hub: &TestHub, token: &str) {
    get_with(hub, "/api/v1/auth/me", token)
        .await
        .assert_problem(401, "invalid-token");
}

async fn forged_access_tokens_are_refused(hub: HubBuilder) {
    let hub = hub.start().await;
    let (alice, boss) = (hub.person("alice").await, hub.admin("boss").await);
    let parts: Vec<&str> = alice.token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("a JWT has three parts")
    };
    let victim = decoded(boss.token.split('.').nth(1).expect("claims"));

    for algorithm in ["none", "None", "NONE", ""] {
        let mut unsigned = decoded(header);
        unsigned["alg"] = json!(algorithm);
        assert_refused(&hub, &format!("{}.{}.", part(&unsigned), part(&victim))).await;
        assert_refused(
            &hub,
            &format!("{}.{}.{signature}", part(&unsigned), part(&victim)),
        )
        .await;
    }
    // Somebody else's claims under one's own signature.
    assert_refused(&hub, &format!("{header}.{}.{signature}", part(&victim))).await;
    // A longer life.
    let mut longer = decoded(claims);
    longer["exp"] = json!(9_999_999_999_u64);
    assert_refused(&hub, &format!("{header}.{}.{signature}", part(&longer))).await;
    // A key of the attacker's own making, also named in the header.
    let secret = jsonwebtoken::EncodingKey::from_secret(b"attacker's key, 32 bytes or more.");
    let mut own = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    own.typ = Some("at+jwt".to_owned());
    for kid in [
        decoded(header)["kid"].as_str(),
        Some("../../dev/null"),
        Some(""),
        None,
    ] {
        own.kid = kid.map(str::to_owned);
        let forged = jsonwebtoken::encode(&own, &victim, &secret).expect("signed");
        assert_refused(&hub, &forged).await;
    }
    // Parts missing, doubled, swapped.
    for odd in [
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{claims}.{header}.{signature}"),
        format!("{header}.{claims}.{signature}.{signature}"),
        format!("{}.{signature}", alice.token),
        "..".to_owned(),
    ] {
        assert_refused(&hub, &odd).await;
    }
    get_with(&hub, "/api/v1/auth/me", &alice.token)
        .await
        .assert_status(200);
}

async fn a_token_of_another_hub_is_refused(hub: HubBuilder) {
    let other = TestHub::start().await;
    let alice = other.person("alice").await;
    let hub = hub.start().await;
    hub.person("alice").await;
    assert_refused(&hub, &alice.token).await;
    // Not even if both have the same key: issuer and audience differ.
    let key = std::fs::read(other.data_folder().join("signing-keys.json")).expect("a key file");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    std::fs::write(&path, key).expect("written");
    let third = HubBuilder::default().configure(move |c| c.auth.signing_key_file = Some(path));
    let third = third.start().await;
    assert_refused(&third, &alice.token).await;
}

async fn tokens_of_other_kinds_are_refused(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    assert_refused(&hub, &alice.refresh_token).await;
    let challenge = alice
        .get("/api/v1/keys/challenge")
        .await
        .assert_status(200)
        .json();
    let challenge = text(&challenge, "challenge");
    let token = challenge.trim_end().rsplit(' ').next().expect("a token");
    assert_eq!(
        token.split('.').count(),
        3,
        "the challenge holds a signed token"
    );
    assert_refused(&hub, token).await;
    let as_refresh = post(
        &hub,
        "/api/v1/auth/refresh",
        json!({"refreshToken": alice.token}),
    )
    .await;
    as_refresh.assert_problem(401, "invalid-refresh-token");
}

async fn odd_authorization_headers_are_refused(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let bearer = format!("Bearer {}", alice.token);
    let giant = format!("Bearer {}", "a".repeat(20_000));
    let values: Vec<Vec<u8>> = vec![
        b"Bearer".to_vec(),
        b"Bearer ".to_vec(),
        b"Negotiate abc".to_vec(),
        alice.token.clone().into_bytes(),
        format!("{bearer}, {bearer}").into_bytes(),
        format!("{bearer} {}", alice.token).into_bytes(),
        format!("{bearer}\t").into_bytes(),
        b"Bearer \xff\xfe".to_vec(),
        b"Bearer skl_".to_vec(),
        b"Bearer <script>".to_vec(),
        giant.into_bytes(),
    ];
    for value in values {
        let shown = String::from_utf8_lossy(&value[..value.len().min(60)]).into_owned();
        let ends_with_tab = value.ends_with(b"\t");
        let request = hub
            .request(Method::GET, "/api/v1/auth/me")
            .header("authorization", value);
        let answer = hub.send(request).await;
        // `Bearer ` is cut to `Bearer` on the way; a tab at the end is, too.
        if ends_with_tab {
            assert!([200, 401].contains(&answer.status.as_u16()), "{shown}");
            continue;
        }
        assert_eq!(answer.status, 401, "{shown}: {}", answer.text());
        assert_eq!(answer.json()["code"], "invalid-token", "{shown}");
        assert!(
            answer.header("www-authenticate").contains("invalid_token"),
            "{shown}"
        );
    }
    // Two headers: a proxy might believe the one and the hub the other.
    let two = hub
        .request(Method::GET, "/api/v1/auth/me")
        .header("authorization", &bearer);
    let two = hub.send(two.header("authorization", &bearer)).await;
    two.assert_problem(401, "invalid-token");
    // Not in the query, not in a cookie.
    let query = hub
        .get(&format!("/api/v1/auth/me?access_token={}", alice.token))
        .await;
    query.assert_problem(401, "authentication-required");
    let cookie = hub.request(Method::GET, "/api/v1/auth/me");
    let cookie = hub
        .send(cookie.header("cookie", format!("access_token={}", alice.token)))
        .await;
    cookie.assert_problem(401, "authentication-required");
}

/// A well-formed API token that nobody made: the check is public arithmetic.
fn invented_token(number: u32) -> String {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body = format!("skl_{number:032x}_{number:030}");
    let mut rest = crc32fast::hash(body.as_bytes()) as usize;
    let mut check = [0; 6];
    for digit in check.iter_mut().rev() {
        *digit = ALPHABET[rest % 62];
        rest /= 62;
    }
    format!("{body}{}", String::from_utf8_lossy(&check))
}

async fn invented_api_tokens_are_refused_and_counted(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let made = alice
        .post(
            "/api/v1/auth/tokens",
            json!({"name": "ci", "scopes": ["read"]}),
        )
        .await;
    let real = text(&made.assert_status(201).json(), "token");
    for number in 0..120 {
        assert_refused(&hub, &invented_token(number)).await;
    }
    let answer = get_with(&hub, "/api/v1/auth/me", &invented_token(999)).await;
    answer.assert_problem(429, "too-many-attempts");
    // The real one with another secret: its check is wrong, so nobody is asked.
    let mut bytes = real.clone().into_bytes();
    bytes[50] = if bytes[50] == b'a' { b'b' } else { b'a' };
    assert_refused(&hub, &String::from_utf8_lossy(&bytes)).await;
}

async fn unknown_users_and_wrong_passwords_get_the_same_answer(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    let mut answers = Vec::new();
    for (username, password) in [
        ("alice", "not the password".to_owned()),
        ("nobody", "not the password".to_owned()),
        ("alice", String::new()),
        ("alice", "x".repeat(5_000)),
        ("nobody", "x".repeat(5_000)),
        ("Robert'); DROP TABLE users;--", PASSWORD.to_owned()),
        ("nul\0byte", PASSWORD.to_owned()),
        ("", PASSWORD.to_owned()),
    ] {
        let login = json!({"username": username, "password": password});
        let answer = post(&hub, "/api/v1/auth/login", login).await;
        let mut body = answer.assert_problem(401, "invalid-credentials").json();
        body["requestId"] = Value::Null;
        answers.push(body);
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
}

async fn odd_bodies_are_refused_without_a_trace_of_secrets(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let secret = "hunter2-hunter2";
    for (path, body) in [
        (
            "/api/v1/auth/login",
            json!({"username": "alice", "password": [secret]}),
        ),
        (
            "/api/v1/auth/login",
            json!({"username": "alice", "passwort": secret}),
        ),
        ("/api/v1/auth/login", json!([secret])),
        (
            "/api/v1/auth/register",
            json!({"username": {"$ne": ""}, "password": secret}),
        ),
        (
            "/api/v1/auth/refresh",
            json!({"refreshToken": 7, "also": secret}),
        ),
        ("/api/v1/auth/refresh", json!({"refreshToken": secret})),
        ("/api/v1/auth/device/token", json!({"deviceCode": secret})),
        ("/api/v1/auth/logout", json!({"refresh": secret})),
    ] {
        let answer = post(&hub, path, body.clone()).await;
        assert!(
            answer.status.is_client_error(),
            "{path} {body}: {}",
            answer.status
        );
        assert!(
            !answer.text().contains(secret),
            "{path} {body}: {}",
            answer.text()
        );
    }
    let huge = format!(
        "{{\"username\":\"alice\",\"password\":\"{}\"}}",
        "a".repeat(400_000)
    );
    let request = hub.request(Method::POST, "/api/v1/auth/login");
    let request = request
        .header("content-type", "application/json")
        .body(huge);
    hub.send(request)
        .await
        .assert_problem(413, "payload-too-large");
    let form = hub.request(Method::POST, "/api/v1/auth/login");
    let form = form.form(&[("username", "alice"), ("password", PASSWORD)]);
    hub.send(form)
        .await
        .assert_problem(415, "unsupported-media-type");
    alice.get("/api/v1/auth/me").await.assert_status(200);
}
