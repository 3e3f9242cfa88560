//! What is open to whom: private mode, and wrong credentials anywhere.

use hub::auth::Registration;
use reqwest::Method;
use serde_json::json;
use testkit::{Fixture, HubBuilder, on_both};

use super::{PASSWORD, get_with, post, text};

on_both!(
    a_private_hub_shows_strangers_only_the_door,
    a_wrong_token_is_refused_where_none_is_needed,
    a_stale_token_keeps_nobody_from_signing_in,
);

async fn a_private_hub_shows_strangers_only_the_door(hub: HubBuilder) {
    let hub = hub.configure(|c| c.auth.private = true).start().await;
    let config = hub
        .get("/api/v1/auth/config")
        .await
        .assert_status(200)
        .json();
    assert_eq!(
        (config["private"].as_bool(), config["registration"].as_str()),
        (Some(true), Some("closed"))
    );
    let admin = hub
        .app()
        .auth()
        .bootstrap_admin("admin")
        .await
        .expect("made")
        .expect("the first");
    let admin = admin.expose_token();
    let register = hub
        .request(Method::POST, "/api/v1/auth/register")
        .bearer_auth(admin);
    let account = json!({"username": "alice", "password": PASSWORD});
    hub.send(register.json(&account)).await.assert_status(201);
    let tokens = post(&hub, "/api/v1/auth/login", account)
        .await
        .assert_status(200)
        .json();
    let alice = text(&tokens, "accessToken");
    let publish = hub
        .request(Method::POST, "/api/v1/skills")
        .bearer_auth(&alice);
    let archive = Fixture::new("secret-skill").version("1.0.0").archive();
    let publish = publish
        .header("content-type", "application/gzip")
        .body(archive);
    hub.send(publish).await.assert_status(201);

    for path in [
        "/api/v1/skills",
        "/api/v1/skills/secret-skill",
        "/api/v1/skills/secret-skill/1.0.0/download",
        "/packages/secret-skill-1.0.0.spm",
        "/api/v1/search?q=secret",
        "/api/v1/tags",
        "/api/v1/health",
        "/api/v1/users/alice/keys",
        "/.well-known/agent-skills/index.json",
        "/openapi.json",
        "/metrics",
        "/",
        "/no-such-page",
    ] {
        let answer = hub
            .get(path)
            .await
            .assert_problem(401, "authentication-required");
        assert!(
            answer.header("www-authenticate").starts_with("Bearer"),
            "{path}"
        );
        assert!(!answer.text().contains("secret-skill"), "{path}");
    }
    let read = get_with(&hub, "/api/v1/skills/secret-skill", &alice)
        .await
        .assert_status(200);
    assert!(
        read.header("cache-control").contains("private"),
        "{}",
        read.header("cache-control")
    );
    hub.get("/healthz").await.assert_status(200);
    hub.get("/device").await.assert_status(200);
    post(&hub, "/api/v1/auth/device", json!({"clientName": "skills"}))
        .await
        .assert_status(200);
}

async fn a_wrong_token_is_refused_where_none_is_needed(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.get("/api/v1/tags").await.assert_status(200);
    get_with(&hub, "/api/v1/tags", "no-such-token")
        .await
        .assert_problem(401, "invalid-token");
    let basic = hub
        .request(Method::GET, "/api/v1/tags")
        .basic_auth("alice", Some("x"));
    hub.send(basic).await.assert_problem(401, "invalid-token");
}

async fn a_stale_token_keeps_nobody_from_signing_in(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    let login = hub
        .request(Method::POST, "/api/v1/auth/login")
        .bearer_auth("stale");
    let login = login.json(&json!({"username": "alice", "password": PASSWORD}));
    hub.send(login).await.assert_status(200);
    let logout = hub
        .request(Method::POST, "/api/v1/auth/logout")
        .bearer_auth("stale");
    let logout = logout.json(&json!({"refreshToken": "whatever"}));
    hub.send(logout).await.assert_status(204);
}

/// Both on would mean that anybody can read a private hub after one request.
#[tokio::test]
async fn a_private_hub_with_open_registration_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = hub::HubConfig {
        data_folder: folder.path().into(),
        ..Default::default()
    };
    config.auth.private = true;
    config.auth.registration = Some(Registration::Open);
    let clock = std::sync::Arc::new(hub_model::SystemClock);
    let error = hub::App::new(config, clock).await.err().expect("refused");
    assert!(error.to_string().contains("registration"), "{error}");
}
