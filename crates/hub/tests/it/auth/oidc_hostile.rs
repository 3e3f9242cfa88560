//! A provider that lies, fails or changes its keys, played by a mock.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hub::auth::{OidcConfig, Secret};
use hub_model::Clock;
use jiff::SignedDuration;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use testkit::{HubBuilder, TestHub};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::browser::{Browser, Page};

/// PKCS#8 of an Ed25519 key with this seed (RFC 8410 §7).
fn signing_key(seed: u8) -> EncodingKey {
    let mut der = vec![
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    der.extend([seed; 32]);
    EncodingKey::from_ed_der(&der)
}

fn jwks(seed: u8) -> Value {
    let jwk = Jwk::from_encoding_key(&signing_key(seed), Algorithm::EdDSA).expect("a key");
    let mut jwk = serde_json::to_value(jwk).expect("JSON");
    jwk["kid"] = json!(format!("key-{seed}"));
    json!({"keys": [jwk]})
}

/// What the provider answers; a test changes it as it goes.
#[derive(Clone)]
struct Script {
    discovery: Value,
    jwks: Value,
    /// Given the nonce, the answer of the token endpoint.
    token: Arc<dyn Fn(&str) -> ResponseTemplate + Send + Sync>,
}

#[derive(Clone)]
struct Provider {
    script: Arc<Mutex<Script>>,
    /// Of the last authorization request.
    nonce: Arc<Mutex<String>>,
    /// Bodies and `Authorization` headers that the token endpoint saw.
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Respond for Provider {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let script = self.script.lock().expect("sound").clone();
        match request.url.path() {
            "/jwks" => ResponseTemplate::new(200).set_body_json(&script.jwks),
            "/token" => {
                let header = request.headers.get("authorization");
                let header = header
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default();
                let body = String::from_utf8_lossy(&request.body).into_owned();
                self.seen
                    .lock()
                    .expect("sound")
                    .push((body, header.to_owned()));
                (script.token)(&self.nonce.lock().expect("sound"))
            }
            _ => ResponseTemplate::new(200).set_body_json(&script.discovery),
        }
    }
}

/// A hub, its provider, and a browser in between.
struct Scene {
    hub: TestHub,
    provider: Provider,
    server: MockServer,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut OidcConfig)) -> Self {
        let server = MockServer::start().await;
        let issuer = server.uri();
        let provider = Provider {
            script: Arc::new(Mutex::new(Script {
                discovery: json!({
                    "issuer": issuer,
                    "authorization_endpoint": format!("{issuer}/authorize"),
                    "token_endpoint": format!("{issuer}/token"),
                    "jwks_uri": format!("{issuer}/jwks"),
                }),
                jwks: jwks(1),
                token: Arc::new(|_| ResponseTemplate::new(500)),
            })),
            nonce: Arc::default(),
            seen: Arc::default(),
        };
        for (verb, place) in [
            ("GET", "/.well-known/openid-configuration"),
            ("GET", "/jwks"),
            ("POST", "/token"),
        ] {
            Mock::given(method(verb))
                .and(path(place))
                .respond_with(provider.clone())
                .mount(&server)
                .await;
        }
        let table = format!("issuer = \"{issuer}\"\nclient_id = \"hub\"");
        let mut oidc: OidcConfig = toml::from_str(&table).expect("a configuration");
        oidc.client_secret = Some(Secret::new("s3cret".to_owned()));
        change(&mut oidc);
        let hub = HubBuilder::default()
            .configure(|c| c.auth.oidc = Some(oidc))
            .start()
            .await;
        Self {
            hub,
            provider,
            server,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.provider.script.lock().expect("sound"));
    }

    /// Makes the token endpoint answer with an ID token of these claims, under this key.
    fn issue(&self, seed: u8, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        let (issuer, now) = (self.server.uri(), self.hub.clock().now().as_second());
        let token = move |nonce: &str| {
            let mut claims = json!({
                "iss": issuer, "aud": "hub", "sub": "subject", "nonce": nonce, "iat": now,
                "exp": now + 60, "preferred_username": "alice",
            });
            change(&mut claims);
            let mut header = Header::new(Algorithm::EdDSA);
            header.kid = Some(format!("key-{seed}"));
            let id_token = encode(&header, &claims, &signing_key(seed)).expect("signed");
            ResponseTemplate::new(200)
                .set_body_json(json!({"id_token": id_token, "access_token": "a"}))
        };
        self.change(|script| script.token = Arc::new(token));
    }

    /// Begins a sign-in and comes back with a code; where the browser ends.
    async fn sign_in(&self) -> Page {
        let mut browser = Browser::new();
        let begun = browser
            .open_once(&format!("{}/api/v1/auth/oidc/login", self.hub.url))
            .await;
        let Some(target) = begun.redirect() else {
            return begun;
        };
        let query: std::collections::HashMap<_, _> = target.query_pairs().into_owned().collect();
        *self.provider.nonce.lock().expect("sound") = query["nonce"].clone();
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["response_type"], "code");
        let back = format!("{}?code=c&state={}", query["redirect_uri"], query["state"]);
        browser.open(&back).await
    }
}

const REFUSED: &str = "The identity provider&#39;s answer was not accepted";

#[tokio::test]
async fn a_good_answer_signs_in_with_the_secret_in_the_header() {
    let scene = Scene::new().await;
    scene.issue(1, |_| {});
    scene.sign_in().await.assert_shows(200, "Signed in as");
    let seen = scene.provider.seen.lock().expect("sound").clone();
    let [(body, header)] = &seen[..] else {
        panic!("one token request, not {seen:?}")
    };
    assert!(header.starts_with("Basic "), "{header}");
    assert!(
        body.contains("code_verifier=") && body.contains("grant_type=authorization_code"),
        "{body}"
    );
    assert!(!body.contains("s3cret"), "{body}");
}

#[tokio::test]
async fn a_provider_that_wants_the_secret_in_the_body_gets_it_there() {
    let scene = Scene::new().await;
    scene.change(|s| {
        s.discovery["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"])
    });
    scene.issue(1, |_| {});
    scene.sign_in().await.assert_shows(200, "Signed in as");
    let seen = scene.provider.seen.lock().expect("sound").clone();
    assert!(
        seen[0].0.contains("client_secret=s3cret") && seen[0].1.is_empty(),
        "{seen:?}"
    );
}

#[tokio::test]
async fn each_lie_in_the_id_token_is_refused() {
    let scene = Scene::new().await;
    let now = scene.hub.clock().now().as_second();
    for (field, value) in [
        ("iss", json!("https://evil.example")),
        ("aud", json!("another-client")),
        ("aud", json!(["hub", "another-client"])),
        ("azp", json!("another-client")),
        ("nonce", json!("a nonce of another sign-in")),
        ("nonce", Value::Null),
        ("exp", json!(now - 61)),
        ("iat", json!(now + 3_600)),
        ("sub", json!("")),
    ] {
        let shown = format!("{field} {value}");
        scene.issue(1, move |claims| claims[field] = value.clone());
        let page = scene.sign_in().await;
        assert!(
            page.status == 403 && page.html.contains(REFUSED),
            "{shown}: {}",
            page.html
        );
    }
}

#[tokio::test]
async fn tokens_that_nobody_signed_are_refused() {
    let scene = Scene::new().await;
    let issuer = scene.server.uri();
    let now = scene.hub.clock().now().as_second();
    for (algorithm, signature) in [
        ("none", ""),
        ("HS256", "c2lnbmF0dXJl"),
        ("EdDSA", "c2lnbmF0dXJl"),
    ] {
        let issuer = issuer.clone();
        let token = move |nonce: &str| {
            let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let header = part(json!({"alg": algorithm, "kid": "key-1"}));
            let claims = part(json!({
                "iss": issuer, "aud": "hub", "sub": "s", "nonce": nonce, "iat": now, "exp": now + 60,
            }));
            let id_token = format!("{header}.{claims}.{signature}");
            ResponseTemplate::new(200).set_body_json(json!({"id_token": id_token}))
        };
        scene.change(|script| script.token = Arc::new(token));
        scene.sign_in().await.assert_shows(403, REFUSED);
    }
}

#[tokio::test]
async fn new_keys_of_the_provider_are_fetched_but_not_at_every_request() {
    let scene = Scene::new().await;
    scene.issue(1, |_| {});
    scene.sign_in().await.assert_shows(200, "Signed in as");
    let fetched = async || {
        let requests = scene.server.received_requests().await.expect("recorded");
        requests
            .iter()
            .filter(|request| request.url.path() == "/jwks")
            .count()
    };
    assert_eq!(fetched().await, 1);
    // The provider rotates.
    scene.change(|script| script.jwks = jwks(2));
    scene.hub.clock().advance(SignedDuration::from_secs(11));
    scene.issue(2, |_| {});
    scene.sign_in().await.assert_shows(200, "Signed in as");
    assert_eq!(fetched().await, 2);
    // A key that nobody has makes the hub ask once, and then not for a while.
    scene.hub.clock().advance(SignedDuration::from_secs(11));
    scene.issue(9, |_| {});
    for _ in 0..5 {
        scene.sign_in().await.assert_shows(403, REFUSED);
    }
    assert_eq!(fetched().await, 3);
}

#[tokio::test]
async fn a_provider_that_fails_is_no_error_of_the_user() {
    let scene = Scene::new().await;
    let good = scene.server.uri();
    for (name, value) in [
        ("issuer", json!("https://evil.example")),
        ("jwks_uri", json!("http://127.0.0.1:1/jwks")),
        ("token_endpoint", json!("not a URL")),
        ("authorization_endpoint", Value::Null),
    ] {
        let scene = Scene::new().await;
        scene.change(|script| script.discovery[name] = value.clone());
        let page = scene.sign_in().await;
        page.assert_shows(502, "oidc-provider-unavailable");
        assert!(!page.html.contains(&good), "{}", page.html);
    }
    // Answers that are no answers: errors, text, redirects, without end.
    let endless = vec![b' '; 2 * 1024 * 1024];
    let redirect = ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1:1/");
    for answer in [
        ResponseTemplate::new(500).set_body_string("<h1>oops</h1>"),
        ResponseTemplate::new(200).set_body_string("not json"),
        ResponseTemplate::new(200).set_body_json(json!({"access_token": "a"})),
        ResponseTemplate::new(200).set_body_bytes(endless),
        redirect,
    ] {
        scene.change(|script| script.token = Arc::new(move |_| answer.clone()));
        scene
            .sign_in()
            .await
            .assert_shows(502, "oidc-provider-unavailable");
    }
    let refused = ResponseTemplate::new(400).set_body_json(json!({"error": "invalid_grant"}));
    scene.change(|script| script.token = Arc::new(move |_| refused.clone()));
    scene.sign_in().await.assert_shows(403, "invalid_grant");
    // And the hub lives on without it.
    scene.hub.person("bob").await;
}

#[tokio::test]
async fn an_issuer_without_tls_is_refused_at_the_start() {
    for issuer in ["http://id.example.com", "ftp://id.example.com", "nonsense"] {
        let table = format!("issuer = \"{issuer}\"\nclient_id = \"hub\"");
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = hub::HubConfig {
            data_folder: folder.path().into(),
            ..Default::default()
        };
        config.auth.oidc = Some(toml::from_str(&table).expect("a configuration"));
        let clock = Arc::new(hub_model::SystemClock);
        let error = hub::App::new(config, clock).await.err().expect("refused");
        assert!(error.to_string().contains("https://"), "{error}");
    }
}
