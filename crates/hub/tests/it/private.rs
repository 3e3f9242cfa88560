//! A hub that only its own people may read.

use testkit::{Fixture, HubBuilder, TestHub, on_both};

on_both!(
    nothing_is_read_without_a_token,
    with_a_token_everything_is_read_and_no_shared_cache_keeps_it,
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
