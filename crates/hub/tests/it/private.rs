//! A hub that only its own people may read.

use serde_json::json;
use testkit::{Fixture, HubBuilder, TestHub, on_both};

on_both!(
    nothing_is_read_without_a_token,
    with_a_token_everything_is_read_and_no_shared_cache_keeps_it,
    a_token_without_the_scope_read_reads_nothing,
);

async fn private(hub: HubBuilder) -> (TestHub, testkit::Person) {
    let hub = hub
        .configure(|config| {
            config.auth.private = true;
            config.auth.registration = None;
        })
        .start()
        .await;
    let admin = hub
        .app()
        .auth()
        .bootstrap_admin("root")
        .await
        .expect("makes one")
        .expect("the first");
    let root = hub.somebody_with(admin.expose_token());
    root.publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    (hub, root)
}

async fn nothing_is_read_without_a_token(hub: HubBuilder) {
    let (hub, _) = private(hub).await;
    for path in [
        "/",
        "/skills/csv-reader",
        "/api/v1/skills",
        "/api/v1/skills/csv-reader",
        "/api/v1/skills/nothing",
        "/api/v1/search?q=csv",
        "/api/v1/tags",
        "/packages/csv-reader-1.0.0.spm",
        "/.well-known/agent-skills/index.json",
        "/api/v1/skills/csv-reader/1.0.0/files/SKILL.md",
    ] {
        let answer = hub
            .get(path)
            .await
            .assert_problem(401, "authentication-required");
        assert!(
            answer.header("www-authenticate").starts_with("Bearer"),
            "{path}"
        );
    }
    for path in ["/healthz", "/readyz"] {
        let status = hub.get(path).await.status;
        assert!(status == 200 || status == 503, "{path}: {status}");
    }
}

async fn with_a_token_everything_is_read_and_no_shared_cache_keeps_it(hub: HubBuilder) {
    let (_hub, root) = private(hub).await;
    for (path, cache_control) in [
        ("/api/v1/skills/csv-reader", "private, no-cache"),
        ("/api/v1/skills/csv-reader/1.0.0", "private, no-cache"),
        (
            "/packages/csv-reader-1.0.0.spm",
            "private, max-age=31536000, immutable",
        ),
        (
            "/api/v1/skills/csv-reader/latest/download",
            "private, no-cache",
        ),
        ("/.well-known/agent-skills/index.json", "private, no-cache"),
    ] {
        let answer = root.get(path).await.assert_status(200);
        assert_eq!(answer.header("cache-control"), cache_control, "{path}");
    }
}

async fn a_token_without_the_scope_read_reads_nothing(hub: HubBuilder) {
    let (hub, root) = private(hub).await;
    let made = root
        .post(
            "/api/v1/auth/tokens",
            json!({"name": "ci", "scopes": ["publish", "keys"]}),
        )
        .await
        .assert_status(201)
        .json();
    let ci = hub.somebody_with(made["token"].as_str().expect("a token"));
    for path in [
        "/",
        "/skills/csv-reader",
        "/api/v1/skills",
        "/api/v1/skills/csv-reader",
        "/api/v1/skills/csv-reader/1.0.0",
        "/api/v1/skills/csv-reader/latest/download",
        "/api/v1/skills/csv-reader/1.0.0/files/SKILL.md",
        "/api/v1/skills/csv-reader/owners",
        "/api/v1/search?q=csv",
        "/api/v1/tags",
        "/api/v1/users/root/keys",
        "/packages/csv-reader-1.0.0.spm",
        "/.well-known/agent-skills/index.json",
        "/no-such-page",
    ] {
        let answer = ci.get(path).await.assert_problem(403, "scope-insufficient");
        let detail = answer.json()["detail"].as_str().expect("text").to_owned();
        assert!(
            detail.contains("Use a token that has the scope `read`"),
            "{detail}"
        );
        let head = hub
            .send(ci.request(reqwest::Method::HEAD, path))
            .await
            .status;
        assert_eq!(head, 403, "{path}");
    }
    // What it was made for works, and it may look at itself.
    ci.get("/api/v1/auth/me").await.assert_status(200);
    ci.get("/api/v1/keys").await.assert_status(200);
    ci.get("/api/v1/keys/challenge").await.assert_status(200);
    // Nor does a monitor need to read skills.
    ci.get("/metrics").await.assert_status(200);
    ci.publish(&Fixture::new("csv-reader").version("1.1.0"))
        .await
        .assert_status(201);
    // A session has every scope of its role.
    root.get("/api/v1/skills/csv-reader/1.1.0")
        .await
        .assert_status(200);
}
