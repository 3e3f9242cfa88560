//! Yanking, restoring, deleting.

use jiff::SignedDuration;
use serde_json::json;
use testkit::{Fixture, HubBuilder, Person, TestHub, on_both};

on_both!(
    a_yanked_version_is_not_the_latest_and_can_still_be_had,
    a_yank_can_be_taken_back,
    a_skill_whose_versions_are_all_yanked_leaves_the_lists,
    deletion_is_for_the_first_72_hours,
    what_others_depend_on_is_not_deleted,
    a_deleted_version_is_gone_and_its_number_is_not,
    only_owners_and_administrators_unpublish,
    bad_requests_are_named,
);

async fn with_versions(hub: HubBuilder, versions: &[&str]) -> (TestHub, Person) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    for version in versions {
        alice
            .publish(&Fixture::new("csv-reader").version(version))
            .await
            .assert_status(201);
    }
    (hub, alice)
}

async fn a_yanked_version_is_not_the_latest_and_can_still_be_had(hub: HubBuilder) {
    let (hub, alice) = with_versions(hub, &["1.0.0", "2.0.0"]).await;
    let yank = "/api/v1/skills/csv-reader/2.0.0?reason=loses%20rows";
    alice.delete(yank).await.assert_status(204);
    alice.delete(yank).await.assert_status(204);
    let skill = hub.get("/api/v1/skills/csv-reader").await.json();
    assert_eq!(skill["version"], "1.0.0");
    assert_eq!(skill["releases"][0]["yanked"], true);
    assert_eq!(skill["releases"][0]["yankReason"], "loses rows");
    assert_eq!(skill["releases"][1]["yanked"], false);
    hub.get("/packages/csv-reader-2.0.0.spm")
        .await
        .assert_status(200);
    let latest = hub.get("/api/v1/skills/csv-reader/latest").await.json();
    assert_eq!(latest["version"], "1.0.0");
    let yanked = hub.get("/api/v1/skills/csv-reader/2.0.0").await.json();
    assert_eq!(
        (&yanked["yanked"], &yanked["yankReason"]),
        (&json!(true), &json!("loses rows"))
    );
}

async fn a_yank_can_be_taken_back(hub: HubBuilder) {
    let (hub, alice) = with_versions(hub, &["1.0.0", "2.0.0"]).await;
    let path = "/api/v1/skills/csv-reader/2.0.0";
    let yanked = alice
        .patch(path, json!({"yanked": true, "yankReason": "broken"}))
        .await;
    assert_eq!(yanked.assert_status(200).json()["yankReason"], "broken");
    for _ in 0..2 {
        let restored = alice
            .patch(path, json!({"yanked": false}))
            .await
            .assert_status(200)
            .json();
        assert_eq!(
            (&restored["yanked"], &restored["yankReason"]),
            (&json!(false), &json!(null))
        );
    }
    assert_eq!(
        hub.get("/api/v1/skills/csv-reader").await.json()["version"],
        "2.0.0"
    );
}

async fn a_skill_whose_versions_are_all_yanked_leaves_the_lists(hub: HubBuilder) {
    let (hub, alice) = with_versions(hub, &["1.0.0"]).await;
    hub.eventually("/api/v1/search?q=csv", |answer| answer.json()["total"] == 1)
        .await;
    alice
        .delete("/api/v1/skills/csv-reader/1.0.0")
        .await
        .assert_status(204);
    assert_eq!(hub.get("/api/v1/skills").await.json()["total"], 0);
    hub.eventually("/api/v1/search?q=csv", |answer| answer.json()["total"] == 0)
        .await;
    let skill = hub
        .get("/api/v1/skills/csv-reader")
        .await
        .assert_status(200)
        .json();
    assert_eq!(skill["version"], json!(null));
    assert_eq!(skill["downloadUrl"], json!(null));
    hub.get("/api/v1/skills/csv-reader/latest")
        .await
        .assert_problem(404, "version-not-found");
    hub.get("/packages/csv-reader-1.0.0.spm")
        .await
        .assert_status(200);
}

async fn deletion_is_for_the_first_72_hours(hub: HubBuilder) {
    let (hub, _alice) = with_versions(hub, &["1.0.0", "1.1.0"]).await;
    hub.clock().advance(SignedDuration::from_hours(72));
    let alice = _alice.sign_in_again().await;
    alice
        .delete("/api/v1/skills/csv-reader/1.0.0?hard=true")
        .await
        .assert_status(204);
    hub.clock().advance(SignedDuration::from_secs(1));
    alice
        .delete("/api/v1/skills/csv-reader/1.1.0?hard=true")
        .await
        .assert_problem(409, "too-late-to-delete");
    alice
        .delete("/api/v1/skills/csv-reader/1.1.0")
        .await
        .assert_status(204);
}

async fn what_others_depend_on_is_not_deleted(hub: HubBuilder) {
    let (hub, alice) = with_versions(hub, &["1.0.0", "2.0.0"]).await;
    let bob = hub.person("bob").await;
    let dependent = Fixture::new("report-writer")
        .version("1.0.0")
        .depends_on("csv-reader", "^1");
    bob.publish(&dependent).await.assert_status(201);
    let refused = alice
        .delete("/api/v1/skills/csv-reader/1.0.0?hard=true")
        .await;
    let refused = refused.assert_problem(409, "has-dependents");
    assert!(
        refused.text().contains("report-writer@1.0.0"),
        "{}",
        refused.text()
    );
    // The range does not admit 2.0.0.
    alice
        .delete("/api/v1/skills/csv-reader/2.0.0?hard=true")
        .await
        .assert_status(204);
    let dependents = hub.get("/api/v1/skills/csv-reader/dependents").await.json();
    assert_eq!(
        dependents["dependents"],
        json!([{"name": "report-writer", "version": "1.0.0", "range": "^1"}])
    );
    bob.delete("/api/v1/skills/report-writer/1.0.0?hard=true")
        .await
        .assert_status(204);
    alice
        .delete("/api/v1/skills/csv-reader/1.0.0?hard=true")
        .await
        .assert_status(204);
}

async fn a_deleted_version_is_gone_and_its_number_is_not(hub: HubBuilder) {
    let (hub, alice) = with_versions(hub, &["1.0.0", "2.0.0"]).await;
    let path = "/api/v1/skills/csv-reader/2.0.0";
    alice
        .delete(&format!("{path}?hard=true"))
        .await
        .assert_status(204);
    for gone in [
        path.to_owned(),
        format!("{path}/download"),
        format!("{path}/files"),
        "/packages/csv-reader-2.0.0.spm".to_owned(),
    ] {
        hub.get(&gone)
            .await
            .assert_problem(404, "version-not-found");
    }
    alice
        .delete(path)
        .await
        .assert_problem(404, "version-not-found");
    alice
        .patch(path, json!({"yanked": false}))
        .await
        .assert_problem(404, "version-not-found");
    alice
        .delete("/api/v1/skills/csv-reader/1.0.0?hard=true")
        .await
        .assert_status(204);
    hub.get("/api/v1/skills/csv-reader")
        .await
        .assert_problem(404, "skill-not-found");
    let again = Fixture::new("csv-reader").version("2.0.0");
    alice
        .publish(&again)
        .await
        .assert_problem(409, "version-retired");
    // The name stays with its owner.
    let bob = hub.person("bob").await;
    let other = Fixture::new("csv-reader").version("3.0.0");
    bob.publish(&other)
        .await
        .assert_problem(403, "not-an-owner");
    alice.publish(&other).await.assert_status(201);
}

async fn only_owners_and_administrators_unpublish(hub: HubBuilder) {
    let (hub, alice) = with_versions(hub, &["1.0.0"]).await;
    let path = "/api/v1/skills/csv-reader/1.0.0";
    let bob = hub.person("bob").await;
    bob.delete(path).await.assert_problem(403, "not-an-owner");
    bob.delete(&format!("{path}?hard=true"))
        .await
        .assert_problem(403, "not-an-owner");
    bob.patch(path, json!({"yanked": true}))
        .await
        .assert_problem(403, "not-an-owner");
    let anonymous = hub.request(reqwest::Method::DELETE, path);
    hub.send(anonymous)
        .await
        .assert_problem(401, "authentication-required");
    let token = json!({"name": "ci", "scopes": ["publish"]});
    let token = alice
        .post("/api/v1/auth/tokens", token)
        .await
        .assert_status(201)
        .json();
    let ci = alice.with_token(token["token"].as_str().expect("a token"));
    ci.delete(path)
        .await
        .assert_problem(403, "scope-insufficient");
    let admin = hub.admin("carol").await;
    admin.delete(path).await.assert_status(204);
}

async fn bad_requests_are_named(hub: HubBuilder) {
    let (_hub, alice) = with_versions(hub, &["1.0.0"]).await;
    let path = "/api/v1/skills/csv-reader/1.0.0";
    alice
        .delete(&format!("{path}?hard=perhaps"))
        .await
        .assert_problem(400, "invalid-query")
        .assert_names("hard");
    let long = "x".repeat(1_001);
    alice
        .delete(&format!("{path}?reason=a%1B%5B2Jb"))
        .await
        .assert_problem(400, "invalid-query");
    alice
        .delete(&format!("{path}?reason={long}"))
        .await
        .assert_problem(400, "invalid-query")
        .assert_names("reason");
    alice
        .patch(path, json!({"yanked": true, "yankReason": long}))
        .await
        .assert_problem(422, "invalid-body")
        .assert_names("yankReason");
    alice
        .patch(path, json!({"yanked": "yes"}))
        .await
        .assert_problem(422, "invalid-body")
        .assert_names("yanked");
    alice
        .patch(path, json!({}))
        .await
        .assert_problem(422, "invalid-body")
        .assert_names("yanked");
    alice
        .delete("/api/v1/skills/other/1.0.0")
        .await
        .assert_problem(404, "skill-not-found");
    alice
        .delete("/api/v1/skills/csv-reader/9.0.0")
        .await
        .assert_problem(404, "version-not-found");
    alice
        .delete("/api/v1/skills/csv-reader/x")
        .await
        .assert_problem(404, "version-not-found");
}
