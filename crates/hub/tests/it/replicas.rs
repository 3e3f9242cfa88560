//! Several hubs on one database.

use serde_json::json;
use testkit::{Fixture, HubBuilder, on_both};

on_both!(a_change_on_one_replica_reaches_the_others);

async fn a_change_on_one_replica_reaches_the_others(hub: HubBuilder) {
    let one = hub.start().await;
    let two = one.replica().await;
    let alice = one.person("alice").await;
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    // What was never read is read fresh.
    let path = "/api/v1/skills/csv-reader";
    assert_eq!(
        two.get(path).await.assert_status(200).json()["version"],
        "1.0.0"
    );
    let blob = two
        .get("/packages/csv-reader-1.0.0.spm")
        .await
        .assert_status(200);
    assert!(!blob.bytes.is_empty());
    // What was cached there is forgotten there.
    alice
        .publish(&Fixture::new("csv-reader").version("1.1.0"))
        .await
        .assert_status(201);
    two.eventually(path, |answer| answer.json()["version"] == "1.1.0")
        .await;
    alice
        .put(&format!("{path}/deprecation"), json!({"message": "Old."}))
        .await
        .assert_status(200);
    two.eventually(path, |answer| {
        answer.json()["deprecated"]["message"] == "Old."
    })
    .await;
    two.eventually("/api/v1/search?q=csv", |answer| {
        answer.status == 200 && answer.json()["results"][0]["version"] == "1.1.0"
    })
    .await;
    drop(two);
}
