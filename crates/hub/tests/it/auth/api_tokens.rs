//! API tokens: what they may do, what they may hand on, how they end.

use jiff::SignedDuration;
use serde_json::{Value, json};
use testkit::{Fixture, HubBuilder, Person, on_both};

use super::{get_with, text};

on_both!(
    a_token_is_shown_once_and_stored_hashed,
    scopes_narrow_a_token,
    skill_patterns_narrow_a_token,
    a_token_cannot_hand_on_more_than_it_has,
    a_revoked_token_is_refused_at_once,
    a_token_ends_by_time,
    without_a_wish_a_token_ends_with_the_token_that_makes_it_at_the_latest,
    the_last_use_is_noted,
    one_cannot_touch_the_tokens_of_others,
    wishes_are_checked,
);

async fn make(owner: &Person, body: Value) -> Value {
    owner
        .post("/api/v1/auth/tokens", body)
        .await
        .assert_status(201)
        .json()
}

async fn with_token(owner: &Person, body: Value) -> Person {
    owner.with_token(&text(&make(owner, body).await, "token"))
}

async fn a_token_is_shown_once_and_stored_hashed(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let wish = json!({"name": "ci", "scopes": ["read", "publish"], "skills": ["acme-*"], "expiresInDays": 7});
    let made = make(&alice, wish).await;
    let token = text(&made, "token");
    assert!(token.starts_with("skl_"), "{token}");
    let id = text(&made, "id");
    assert!(
        token.contains(&id.replace('-', "")),
        "the token names its row"
    );

    let list = alice.get("/api/v1/auth/tokens").await.assert_status(200);
    assert!(!list.text().contains(&token), "a token is shown once");
    let list = list.json();
    assert_eq!(list["tokens"][0]["id"], id.as_str());
    assert_eq!(list["tokens"][0]["name"], "ci");
    assert_eq!(list["tokens"][0]["skills"], json!(["acme-*"]));
    assert_eq!(list["tokens"][0]["lastUsedAt"], Value::Null);

    let id = id.parse().expect("an id");
    let stored = hub
        .app()
        .db()
        .api_tokens()
        .by_id(hub.app().tenant(), id)
        .await;
    let stored = stored
        .expect("read")
        .expect("stored")
        .hash
        .expose()
        .to_owned();
    assert_eq!(stored, skill_format::Sha256::of(token.as_bytes()).hex());

    let me = get_with(&hub, "/api/v1/auth/me", &token)
        .await
        .assert_status(200)
        .json();
    assert_eq!(me["via"], "api-token");
    assert_eq!(me["scopes"], json!(["read", "publish"]));
    assert_eq!(me["skills"], json!(["acme-*"]));
    assert_eq!(me["tokenId"], text(&made, "id"));
}

async fn scopes_narrow_a_token(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let reader = with_token(&alice, json!({"name": "r", "scopes": ["read"]})).await;
    let skill = Fixture::new("csv-reader").version("1.0.0");
    let refused = reader
        .publish(&skill)
        .await
        .assert_problem(403, "scope-insufficient");
    let challenge = refused.header("www-authenticate");
    assert!(
        challenge.contains("insufficient_scope") && challenge.contains("publish"),
        "{challenge}"
    );
    reader
        .get("/api/v1/keys")
        .await
        .assert_problem(403, "scope-insufficient");
    alice.publish(&skill).await.assert_status(201);

    let publisher = with_token(&alice, json!({"name": "p", "scopes": ["publish"]})).await;
    publisher
        .publish(&Fixture::new("csv-reader").version("1.0.1"))
        .await
        .assert_status(201);
    let yank = publisher.delete("/api/v1/skills/csv-reader/1.0.1").await;
    yank.assert_problem(403, "scope-insufficient");
}

async fn skill_patterns_narrow_a_token(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let wish = json!({"name": "acme", "scopes": ["publish", "yank"], "skills": ["acme-*"]});
    let acme = with_token(&alice, wish).await;
    acme.publish(&Fixture::new("acme-csv").version("1.0.0"))
        .await
        .assert_status(201);
    let other = acme
        .publish(&Fixture::new("other-csv").version("1.0.0"))
        .await;
    other.assert_problem(403, "skill-not-allowed");
    alice
        .publish(&Fixture::new("other-csv").version("1.0.0"))
        .await
        .assert_status(201);
    let yank = acme.delete("/api/v1/skills/other-csv/1.0.0").await;
    yank.assert_problem(403, "skill-not-allowed");
    acme.delete("/api/v1/skills/acme-csv/1.0.0")
        .await
        .assert_status(204);
}

async fn a_token_cannot_hand_on_more_than_it_has(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let wish = json!({"name": "a", "scopes": ["read", "publish"], "skills": ["acme-*"], "expiresInDays": 30});
    let maker = with_token(&alice, wish).await;
    for broader in [
        json!({"name": "b", "scopes": ["read", "yank"], "skills": ["acme-*"], "expiresInDays": 30}),
        json!({"name": "b", "scopes": ["admin"], "skills": ["acme-*"], "expiresInDays": 30}),
        json!({"name": "b", "scopes": ["read"], "expiresInDays": 30}),
        json!({"name": "b", "scopes": ["read"], "skills": ["*"], "expiresInDays": 30}),
        json!({"name": "b", "scopes": ["read"], "skills": ["acme-csv", "a*"], "expiresInDays": 30}),
        json!({"name": "b", "scopes": ["read"], "skills": ["acme-*"], "expiresInDays": 31}),
    ] {
        let answer = maker.post("/api/v1/auth/tokens", broader.clone()).await;
        assert_eq!(answer.json()["code"], "token-too-broad", "{broader}");
        answer.assert_status(403);
    }
    // A session cannot exceed its role either.
    let admin = alice
        .post(
            "/api/v1/auth/tokens",
            json!({"name": "b", "scopes": ["admin"]}),
        )
        .await;
    admin.assert_problem(403, "token-too-broad");

    let narrower =
        json!({"name": "b", "scopes": ["publish"], "skills": ["acme-csv*"], "expiresInDays": 29});
    let narrower = with_token(&maker, narrower).await;
    narrower
        .publish(&Fixture::new("acme-csv").version("1.0.0"))
        .await
        .assert_status(201);
    let beyond = narrower
        .publish(&Fixture::new("acme-pdf").version("1.0.0"))
        .await;
    beyond.assert_problem(403, "skill-not-allowed");
    // Nor can it look at or end the others.
    narrower
        .get("/api/v1/auth/tokens")
        .await
        .assert_problem(403, "session-required");
}

async fn a_revoked_token_is_refused_at_once(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    for by_itself in [false, true] {
        let made = make(&alice, json!({"name": "ci", "scopes": ["read"]})).await;
        let ci = alice.with_token(&text(&made, "token"));
        ci.get("/api/v1/auth/me").await.assert_status(200);
        let path = format!("/api/v1/auth/tokens/{}", text(&made, "id"));
        let revoker = if by_itself { &ci } else { &alice };
        revoker.delete(&path).await.assert_status(204);
        ci.get("/api/v1/auth/me")
            .await
            .assert_problem(401, "invalid-token");
        alice
            .delete(&path)
            .await
            .assert_problem(404, "token-not-found");
    }
    let list = alice
        .get("/api/v1/auth/tokens")
        .await
        .assert_status(200)
        .json();
    assert_eq!(list["tokens"], json!([]));
}

async fn a_token_ends_by_time(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let ci = with_token(
        &alice,
        json!({"name": "ci", "scopes": ["read"], "expiresInDays": 1}),
    )
    .await;
    ci.get("/api/v1/auth/me").await.assert_status(200);
    // The verdict is still in the cache; time counts all the same.
    hub.clock().advance(SignedDuration::from_hours(24));
    ci.get("/api/v1/auth/me")
        .await
        .assert_problem(401, "token-expired");
}

async fn without_a_wish_a_token_ends_with_the_token_that_makes_it_at_the_latest(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let made = make(
        &alice,
        json!({"name": "maker", "scopes": ["read"], "expiresInDays": 30}),
    )
    .await;
    let maker = alice.with_token(&text(&made, "token"));
    hub.clock().advance(SignedDuration::from_mins(1));
    // As `skills up` leaves it: the maker itself lives for the default.
    let child = make(&maker, json!({"name": "child", "scopes": ["read"]})).await;
    assert_eq!(child["expiresAt"], made["expiresAt"]);
    let beyond = maker
        .post(
            "/api/v1/auth/tokens",
            json!({"name": "beyond", "scopes": ["read"], "expiresInDays": 30}),
        )
        .await
        .assert_problem(403, "token-too-broad");
    let end = text(&made, "expiresAt");
    let detail = text(&beyond.json(), "detail");
    assert!(detail.contains(&end), "{detail} does not name {end}");
    // The token tells of itself.
    let me = maker.get("/api/v1/auth/me").await.assert_status(200).json();
    assert_eq!(me["expiresAt"], made["expiresAt"]);
    assert_eq!(me["tokenName"], "maker");
    let me = alice.get("/api/v1/auth/me").await.assert_status(200).json();
    assert_eq!(
        (&me["expiresAt"], &me["via"]),
        (&Value::Null, &json!("session"))
    );
}

async fn the_last_use_is_noted(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let ci = with_token(&alice, json!({"name": "ci", "scopes": ["read"]})).await;
    ci.get("/api/v1/auth/me").await.assert_status(200);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let list = alice
            .get("/api/v1/auth/tokens")
            .await
            .assert_status(200)
            .json();
        if list["tokens"][0]["lastUsedAt"].is_string() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "never noted");
    }
}

async fn one_cannot_touch_the_tokens_of_others(hub: HubBuilder) {
    let hub = hub.start().await;
    let (alice, bob) = (hub.person("alice").await, hub.person("bob").await);
    let made = make(&alice, json!({"name": "ci", "scopes": ["read"]})).await;
    let path = format!("/api/v1/auth/tokens/{}", text(&made, "id"));
    bob.delete(&path)
        .await
        .assert_problem(404, "token-not-found");
    bob.delete("/api/v1/auth/tokens/not-an-id")
        .await
        .assert_problem(404, "token-not-found");
    get_with(&hub, "/api/v1/auth/me", &text(&made, "token"))
        .await
        .assert_status(200);
    let second = make(&alice, json!({"name": "second", "scopes": ["read"]})).await;
    let second = alice.with_token(&text(&second, "token"));
    second
        .delete(&path)
        .await
        .assert_problem(403, "session-required");
}

async fn wishes_are_checked(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    for (wish, code, field) in [
        (
            json!({"name": "", "scopes": ["read"]}),
            "invalid-token-request",
            "name",
        ),
        (
            json!({"name": "a\u{7}b", "scopes": ["read"]}),
            "invalid-token-request",
            "name",
        ),
        (
            json!({"name": "n", "scopes": []}),
            "invalid-token-request",
            "scopes",
        ),
        (
            json!({"name": "n", "scopes": ["root"]}),
            "invalid-body",
            "scopes",
        ),
        (
            json!({"name": "n", "scopes": ["read"], "skills": []}),
            "invalid-token-request",
            "skills",
        ),
        (
            json!({"name": "n", "scopes": ["read"], "skills": ["A/../b"]}),
            "invalid-body",
            "skills",
        ),
        (
            json!({"name": "n", "scopes": ["read"], "expiresInDays": 0}),
            "invalid-token-request",
            "expiresInDays",
        ),
        (
            json!({"name": "n", "scopes": ["read"], "expiresInDays": 4_000_000_000_u32}),
            "invalid-token-request",
            "expiresInDays",
        ),
    ] {
        let answer = alice.post("/api/v1/auth/tokens", wish).await;
        answer.assert_problem(422, code).assert_names(field);
    }
}
