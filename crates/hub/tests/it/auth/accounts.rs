//! Registering, signing in, the own account, the own password.

use hub::auth::Registration;
use hub_model::Clock;
use jiff::SignedDuration;
use serde_json::json;
use testkit::{HubBuilder, on_both};

use super::{PASSWORD, get_with, post, text};

on_both!(
    somebody_registers_signs_in_and_is_known,
    usernames_are_one_whatever_their_case,
    registration_says_what_is_wrong,
    a_closed_hub_takes_accounts_from_its_administrator_only,
    a_new_password_ends_every_session,
    guesses_on_one_account_are_slowed_down,
    passwords_are_hashed_with_argon2id,
);

async fn somebody_registers_signs_in_and_is_known(hub: HubBuilder) {
    let hub = hub.start().await;
    let config = hub
        .get("/api/v1/auth/config")
        .await
        .assert_status(200)
        .json();
    assert_eq!(
        config,
        json!({"registration": "open", "private": false, "oidc": null})
    );

    let account = json!({"username": "alice", "password": PASSWORD, "email": "alice@example.com"});
    let user = post(&hub, "/api/v1/auth/register", account)
        .await
        .assert_status(201)
        .json();
    assert_eq!(user["username"], "alice");
    assert_eq!(user["role"], "publisher");
    assert_eq!(user["disabled"], false);
    assert!(!user.to_string().contains("argon2"), "{user}");

    let login = json!({"username": "alice", "password": PASSWORD});
    let tokens = post(&hub, "/api/v1/auth/login", login)
        .await
        .assert_status(200)
        .json();
    assert_eq!(tokens["tokenType"], "Bearer");
    assert_eq!(tokens["expiresIn"], 900);
    assert_eq!(tokens["username"], "alice");

    let me = get_with(&hub, "/api/v1/auth/me", &text(&tokens, "accessToken")).await;
    let me = me.assert_status(200).json();
    assert_eq!(
        me,
        json!({
            "username": "alice", "role": "publisher", "skills": null, "tenant": "default",
            "scopes": ["read", "publish", "yank", "owners", "keys", "invoke"], "via": "session",
        })
    );
    hub.get("/api/v1/auth/me")
        .await
        .assert_problem(401, "authentication-required");
}

async fn usernames_are_one_whatever_their_case(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    let again = json!({"username": "alice", "password": PASSWORD});
    post(&hub, "/api/v1/auth/register", again)
        .await
        .assert_problem(409, "username-taken");
    let shouted = json!({"username": " ALICE ", "password": PASSWORD});
    post(&hub, "/api/v1/auth/login", shouted)
        .await
        .assert_status(200);
}

async fn registration_says_what_is_wrong(hub: HubBuilder) {
    let hub = hub.start().await;
    for (username, password, email, code, field) in [
        ("Alice", PASSWORD, None, "invalid-username", "username"),
        ("a", PASSWORD, None, "invalid-username", "username"),
        ("admin", PASSWORD, None, "invalid-username", "username"),
        ("аlice", PASSWORD, None, "invalid-username", "username"),
        ("alice", "short", None, "weak-password", "password"),
        ("alice", "aaaaaaaaaaaa", None, "weak-password", "password"),
        (
            "alice-in-wonder",
            "ALICE-IN-WONDER",
            None,
            "weak-password",
            "password",
        ),
        ("alice", PASSWORD, Some("nobody"), "invalid-email", "email"),
        (
            "alice",
            PASSWORD,
            Some("a b@example.com"),
            "invalid-email",
            "email",
        ),
    ] {
        let account = json!({"username": username, "password": password, "email": email});
        let answer = post(&hub, "/api/v1/auth/register", account).await;
        let answer = answer.assert_problem(422, code).assert_names(field);
        assert!(
            !answer.text().contains(password),
            "a password came back: {}",
            answer.text()
        );
    }
    let endless = json!({"username": "alice", "password": "ab".repeat(200)});
    post(&hub, "/api/v1/auth/register", endless)
        .await
        .assert_problem(422, "weak-password");
    let unknown = json!({"username": "alice", "password": PASSWORD, "role": "admin"});
    post(&hub, "/api/v1/auth/register", unknown)
        .await
        .assert_problem(422, "invalid-body");
}

async fn a_closed_hub_takes_accounts_from_its_administrator_only(hub: HubBuilder) {
    let hub = hub
        .configure(|c| c.auth.registration = Some(Registration::Closed))
        .start()
        .await;
    let config = hub.get("/api/v1/auth/config").await.json();
    assert_eq!(config["registration"], "closed");
    let account = json!({"username": "alice", "password": PASSWORD});
    let refused = post(&hub, "/api/v1/auth/register", account.clone()).await;
    refused.assert_problem(403, "registration-closed");

    let admin = hub
        .app()
        .auth()
        .bootstrap_admin("root")
        .await
        .expect("made")
        .expect("the first");
    let request = hub.request(reqwest::Method::POST, "/api/v1/auth/register");
    let made = hub
        .send(request.bearer_auth(admin.expose_token()).json(&account))
        .await;
    made.assert_status(201);
    post(&hub, "/api/v1/auth/login", account)
        .await
        .assert_status(200);
}

async fn a_new_password_ends_every_session(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let elsewhere = alice.clone().sign_in_again().await;
    let api_token = json!({"name": "ci", "scopes": ["read"]});
    let api_token = alice
        .post("/api/v1/auth/tokens", api_token)
        .await
        .assert_status(201)
        .json();

    let change = |current: serde_json::Value, new: &str| json!({"currentPassword": current, "newPassword": new});
    let wrong = alice.put(
        "/api/v1/auth/password",
        change(json!("not it, sorry"), "a new password"),
    );
    wrong.await.assert_problem(401, "invalid-credentials");
    let missing = alice.put(
        "/api/v1/auth/password",
        json!({"newPassword": "a new password"}),
    );
    missing
        .await
        .assert_problem(422, "current-password-required");
    let weak = alice.put("/api/v1/auth/password", change(json!(PASSWORD), "short"));
    weak.await.assert_problem(422, "weak-password");
    let by_token = alice.with_token(&text(&api_token, "token"));
    let by_token = by_token.put(
        "/api/v1/auth/password",
        change(json!(PASSWORD), "a new password"),
    );
    by_token.await.assert_problem(403, "session-required");

    let changed = alice.put(
        "/api/v1/auth/password",
        change(json!(PASSWORD), "a new password"),
    );
    let changed = changed.await.assert_status(200).json();
    alice
        .get("/api/v1/auth/me")
        .await
        .assert_problem(401, "session-ended");
    elsewhere
        .get("/api/v1/auth/me")
        .await
        .assert_problem(401, "session-ended");
    let old = post(
        &hub,
        "/api/v1/auth/refresh",
        json!({"refreshToken": elsewhere.refresh_token}),
    );
    old.await.assert_problem(401, "invalid-refresh-token");
    get_with(&hub, "/api/v1/auth/me", &text(&changed, "accessToken"))
        .await
        .assert_status(200);
    get_with(&hub, "/api/v1/auth/me", &text(&api_token, "token"))
        .await
        .assert_status(200);

    let old = json!({"username": "alice", "password": PASSWORD});
    post(&hub, "/api/v1/auth/login", old)
        .await
        .assert_problem(401, "invalid-credentials");
    let new = json!({"username": "alice", "password": "a new password"});
    post(&hub, "/api/v1/auth/login", new)
        .await
        .assert_status(200);
}

async fn guesses_on_one_account_are_slowed_down(hub: HubBuilder) {
    let hub = hub
        .configure(|c| c.auth.throttle.failures_per_account = 3)
        .start()
        .await;
    hub.person("alice").await;
    for username in ["alice", "nobody-of-that-name"] {
        let guess = || json!({"username": username, "password": "not the password"});
        for _ in 0..3 {
            let wrong = post(&hub, "/api/v1/auth/login", guess()).await;
            wrong.assert_problem(401, "invalid-credentials");
        }
        let refused = post(&hub, "/api/v1/auth/login", guess()).await;
        let refused = refused.assert_problem(429, "too-many-attempts");
        assert_eq!(
            refused.header("retry-after"),
            "300",
            "15 minutes for 3 failures"
        );
    }
    // Not even the right password helps, until the time is over.
    let right = || json!({"username": "alice", "password": PASSWORD});
    post(&hub, "/api/v1/auth/login", right())
        .await
        .assert_problem(429, "too-many-attempts");
    hub.clock().advance(SignedDuration::from_secs(301));
    for _ in 0..10 {
        post(&hub, "/api/v1/auth/login", right())
            .await
            .assert_status(200);
    }
}

async fn passwords_are_hashed_with_argon2id(hub: HubBuilder) {
    let hub = hub.start().await;
    hub.person("alice").await;
    hub.person("bob").await;
    let hash = |user: hub_model::UserRecord| user.password.expect("a password").expose().to_owned();
    let (alice, bob) = (hash(hub.user("alice").await), hash(hub.user("bob").await));
    assert!(alice.starts_with("$argon2id$v=19$"), "{alice}");
    assert_ne!(alice, bob, "the same password has another salt");
    assert!(hub.user("alice").await.created_at <= hub.clock().now());
}
