//! Sessions at a registry that end, are renewed, and cannot be renewed.

use std::sync::Arc;

use skill_client::api::{Client, ClientOptions};
use skill_client::{ConfigFile, Credentials, Secret};
use skill_format::{Explain as _, Fault};
use wiremock::matchers::{body_partial_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::faults::registry;
use crate::support::impatient;

pub fn credentials(token: &str, refresh: Option<&str>) -> Credentials {
    Credentials {
        username: Some("alice".into()),
        token: Secret::new(token),
        refresh_token: refresh.map(Secret::new),
        expires_at: refresh.map(|_| jiff::Timestamp::UNIX_EPOCH),
    }
}

/// A registry at which a refresh token works once, as rotation demands.
async fn rotating() -> MockServer {
    let server = MockServer::start().await;
    let renewed = serde_json::json!({"accessToken": "second", "tokenType": "Bearer", "expiresIn": 900, "refreshToken": "r2"});
    Mock::given(method("POST"))
        .and(path("/api/v1/auth/refresh"))
        .and(body_partial_json(serde_json::json!({"refreshToken": "r1"})))
        .respond_with(ResponseTemplate::new(200).set_body_json(renewed))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    let refused = serde_json::json!({"status": 401, "code": "invalid-refresh-token", "detail": "Used already."});
    Mock::given(path("/api/v1/auth/refresh"))
        .respond_with(ResponseTemplate::new(401).set_body_json(&refused))
        .mount(&server)
        .await;
    let me = serde_json::json!({"username": "alice", "role": "publisher", "scopes": []});
    Mock::given(path("/api/v1/auth/me"))
        .and(header("Authorization", "Bearer second"))
        .respond_with(ResponseTemplate::new(200).set_body_json(me))
        .mount(&server)
        .await;
    Mock::given(path("/api/v1/auth/me"))
        .respond_with(ResponseTemplate::new(401).set_body_json(&refused))
        .mount(&server)
        .await;
    server
}

fn signed_in(file: &ConfigFile, url: &str, credentials: &Credentials) -> Client {
    let registry = registry(url);
    file.update(|config| {
        config.set_credentials(&registry.url, Some(credentials.clone()));
        Ok(())
    })
    .expect("stored");
    with_session(file, url, credentials)
}

fn with_session(file: &ConfigFile, url: &str, credentials: &Credentials) -> Client {
    let options = ClientOptions {
        http: impatient(),
        credentials: Some(credentials.clone()),
        config_file: Some(file.clone()),
        ..ClientOptions::default()
    };
    Client::new(registry(url), options)
}

#[tokio::test]
async fn an_ended_session_is_renewed_once_by_two_processes_at_once() {
    let server = rotating().await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = ConfigFile::new(dir.path().join("config.json"));
    let old = credentials("first", Some("r1"));
    let one = signed_in(&file, &server.uri(), &old);
    let other = with_session(&file, &server.uri(), &old);
    let (one, other) = tokio::join!(one.me(), other.me());
    assert_eq!(one.expect("renewed").username, "alice");
    assert_eq!(other.expect("takes the other's").username, "alice");
    let stored = file
        .read()
        .expect("read")
        .credentials(&registry(&server.uri()).url)
        .cloned()
        .expect("stored");
    assert_eq!(stored.token, Secret::new("second"));
    assert_eq!(stored.refresh_token, Some(Secret::new("r2")));
    assert_eq!(stored.username.as_deref(), Some("alice"));
}

#[tokio::test]
async fn a_token_that_is_refused_early_is_renewed_too() {
    let server = rotating().await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = ConfigFile::new(dir.path().join("config.json"));
    let unexpired = Credentials {
        expires_at: None,
        ..credentials("first", Some("r1"))
    };
    let client = signed_in(&file, &server.uri(), &unexpired);
    assert_eq!(
        client
            .me()
            .await
            .expect("renewed after the refusal")
            .username,
        "alice"
    );
}

#[tokio::test]
async fn a_session_that_cannot_be_renewed_has_ended() {
    let server = rotating().await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = ConfigFile::new(dir.path().join("config.json"));
    let client = signed_in(&file, &server.uri(), &credentials("first", Some("stolen")));
    let error = client.me().await.expect_err("ended");
    assert_eq!(error.code(), "session-ended");
    assert!(error.help().expect("advice").contains("skills login"));
    let signed_out = with_session(&file, &server.uri(), &credentials("other", Some("r1")));
    let config = ConfigFile::new(dir.path().join("none/config.json"));
    let alone = with_session(&config, &server.uri(), &credentials("first", Some("r1")));
    assert_eq!(
        alone.me().await.expect_err("signed out elsewhere").code(),
        "session-ended"
    );
    // The stored session is another one: that is tried, not this one's refresh token.
    assert!(signed_out.me().await.is_err());
}

#[tokio::test]
async fn a_token_from_outside_is_sent_as_it_is() {
    let server = rotating().await;
    let mut options = ClientOptions {
        http: impatient(),
        ..ClientOptions::default()
    };
    options.credentials = Some(credentials("second", None));
    options.http.retry.jitter = Arc::new(|| 0.0);
    assert_eq!(
        Client::new(registry(&server.uri()), options)
            .me()
            .await
            .expect("known")
            .username,
        "alice"
    );
    let mut options = ClientOptions {
        http: impatient(),
        ..ClientOptions::default()
    };
    options.credentials = Some(credentials("wrong", None));
    let error = Client::new(registry(&server.uri()), options)
        .me()
        .await
        .expect_err("unknown");
    assert_eq!(error.fault(), Fault::Denied);
    assert!(!format!("{error:?}").contains("wrong"));
}
