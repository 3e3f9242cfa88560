//! Whoever should not, and whatever should not: refused, and nothing runs.

use reqwest::Method;
use serde_json::json;
use testkit::{HubBuilder, Person, on_both};

use super::{INVOKE, id_of, run_raw, stage};

on_both!(
    a_token_must_reach,
    another_s_invocation_is_not_there,
    an_administrator_sees_all,
    bodies_that_are_nothing_are_refused,
    a_hub_without_a_mesh_says_so,
    running_has_a_quota_of_its_own,
);

async fn token(person: &Person, scopes: &[&str], skills: Option<&[&str]>) -> Person {
    let body = json!({"name": "ci", "scopes": scopes, "skills": skills, "expiresInDays": 1});
    let made = person
        .post("/api/v1/auth/tokens", body)
        .await
        .assert_status(201)
        .json();
    person.with_token(made["token"].as_str().expect("a token"))
}

async fn a_token_must_reach(hub: HubBuilder) {
    let stage = stage(hub).await;
    let nobody = stage
        .hub
        .request(Method::POST, INVOKE)
        .json(&json!({"input": "x"}));
    stage
        .hub
        .send(nobody)
        .await
        .assert_problem(401, "authentication-required");
    for path in ["/api/v1/invocations", "/api/v1/usage"] {
        stage
            .hub
            .get(path)
            .await
            .assert_problem(401, "authentication-required");
    }
    let body = json!({"input": "x"});
    let reads = token(&stage.alice, &["read", "publish"], None).await;
    reads
        .post(INVOKE, body.clone())
        .await
        .assert_problem(403, "scope-insufficient");
    reads
        .get("/api/v1/invocations")
        .await
        .assert_problem(403, "scope-insufficient");
    let other = token(&stage.alice, &["invoke"], Some(&["pdf-*"])).await;
    other
        .post(INVOKE, body.clone())
        .await
        .assert_problem(403, "skill-not-allowed");
    assert!(stage.actor.calls().is_empty());
    let fits = token(&stage.alice, &["invoke"], Some(&["csv-*"])).await;
    let run = fits.post(INVOKE, body).await.assert_status(200).json();
    let path = format!("/api/v1/invocations/{}", id_of(&run));
    other
        .get(&path)
        .await
        .assert_problem(403, "skill-not-allowed");
    let list = other
        .get("/api/v1/invocations")
        .await
        .assert_status(200)
        .json();
    assert_eq!(list["invocations"], json!([]));
    fits.get(&path).await.assert_status(200);
}

async fn another_s_invocation_is_not_there(hub: HubBuilder) {
    let stage = stage(hub).await;
    let id = stage.begin("wait").await;
    let bob = stage.hub.person("bob").await;
    let path = format!("/api/v1/invocations/{id}");
    bob.get(&path)
        .await
        .assert_problem(404, "invocation-not-found");
    bob.delete(&path)
        .await
        .assert_problem(404, "invocation-not-found");
    let events = format!("{path}/events");
    bob.get(&events)
        .await
        .assert_problem(404, "invocation-not-found");
    assert_eq!(
        bob.get("/api/v1/invocations").await.json()["invocations"],
        json!([])
    );
    for id in [
        "",
        "x",
        "00000000-0000-7000-8000-000000000000",
        "%00",
        "..%2f..",
    ] {
        let answer = stage.alice.get(&format!("/api/v1/invocations/{id}")).await;
        assert_eq!(answer.status, 404, "{id}");
    }
    stage.actor.let_on(1);
    assert_eq!(stage.over(&id).await["status"], "succeeded");
}

async fn an_administrator_sees_all(hub: HubBuilder) {
    let stage = stage(hub).await;
    let run = stage.run("x", &[]).await.assert_status(200).json();
    let chief = stage.hub.admin("chief").await;
    let path = format!("/api/v1/invocations/{}", id_of(&run));
    assert_eq!(chief.get(&path).await.assert_status(200).json(), run);
}

async fn bodies_that_are_nothing_are_refused(hub: HubBuilder) {
    let stage = stage(hub.configure(|config| config.invoke.input_bytes_max = 1_000)).await;
    let json_type = "application/json";
    let large = vec![b'x'; 1_001];
    for (media_type, body, status, code) in [
        (json_type, b"{".as_slice(), 400, "invalid-json"),
        (json_type, b"", 400, "invalid-json"),
        (json_type, b"{} {}", 400, "invalid-json"),
        (json_type, b"\xff", 400, "invalid-json"),
        (json_type, b"[1]", 422, "invalid-body"),
        (json_type, b"{\"imput\": 1}", 422, "invalid-body"),
        (json_type, b"{\"timeoutSeconds\": 0}", 422, "invalid-body"),
        (json_type, b"{\"timeoutSeconds\": 301}", 422, "invalid-body"),
        (
            json_type,
            b"{\"timeoutSeconds\": 18446744073709551616}",
            422,
            "invalid-body",
        ),
        (json_type, b"{\"entry\": \"\"}", 422, "invalid-body"),
        (
            json_type,
            b"{\"entry\": \"a\\u0000b\"}",
            422,
            "invalid-body",
        ),
        ("text/html", b"x", 415, "unsupported-media-type"),
        ("application/octet-stream", &large, 413, "payload-too-large"),
        (json_type, &large, 413, "payload-too-large"),
    ] {
        let answer = run_raw(&stage, "", media_type, body).await;
        answer.assert_problem(status, code);
    }
    let answer = run_raw(&stage, "?timeoutSeconds=9999", "text/plain", b"x").await;
    answer
        .assert_problem(400, "invalid-query")
        .assert_names("timeoutSeconds");
    // Nearly right: not what was meant.
    for query in ["?timeout=1", "?timeout_seconds=1", "?entri=x"] {
        let answer = run_raw(&stage, query, "text/plain", b"x").await;
        answer.assert_problem(400, "invalid-query");
    }
    // Deep enough to end a reader that calls itself.
    let deep = format!("{{\"input\": {}", "[".repeat(900));
    let answer = run_raw(&stage, "", json_type, deep.as_bytes()).await;
    assert!(answer.status.is_client_error());
    assert!(stage.actor.calls().is_empty());
}

async fn a_hub_without_a_mesh_says_so(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let answer = alice.post(INVOKE, json!({"input": "x"})).await;
    answer.assert_problem(501, "mesh-not-configured");
    alice.get("/api/v1/invocations").await.assert_status(200);
    alice.get("/api/v1/usage").await.assert_status(200);
}

async fn running_has_a_quota_of_its_own(hub: HubBuilder) {
    let limited = hub.configure(|config| {
        config.rate_limit.enabled = true;
        config.rate_limit.invoke.requests = 1;
    });
    let stage = stage(limited).await;
    let first = stage.run("x", &[]).await.assert_status(200);
    assert!(
        first.header("ratelimit").contains("invoke"),
        "{:?}",
        first.headers
    );
    stage
        .run("x", &[])
        .await
        .assert_problem(429, "rate-limited");
    stage
        .alice
        .get("/api/v1/invocations")
        .await
        .assert_status(200);
}
