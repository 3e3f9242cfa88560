//! The discovery index for agents.

use serde_json::json;
use testkit::{Fixture, HubBuilder, on_both};

on_both!(the_index_names_every_skill_with_its_digest);

const PATH: &str = "/.well-known/agent-skills/index.json";

async fn the_index_names_every_skill_with_its_digest(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let skill = Fixture::new("csv-reader")
        .version("1.0.0")
        .description("Reads CSV.");
    let archive = skill.archive();
    alice.publish(&skill).await.assert_status(201);
    alice
        .publish(&Fixture::new("gone").version("1.0.0"))
        .await
        .assert_status(201);
    alice
        .delete("/api/v1/skills/gone/1.0.0")
        .await
        .assert_status(204);
    let index = hub.get(PATH).await.assert_status(200);
    assert_eq!(index.header("content-type"), "application/json");
    let body = index.json();
    assert!(
        body["$schema"]
            .as_str()
            .is_some_and(|schema| schema.starts_with("https://"))
    );
    let url = format!("{}/packages/csv-reader-1.0.0.spm", hub.url);
    assert_eq!(
        body["skills"],
        json!([{
            "name": "csv-reader",
            "type": "archive",
            "description": "Reads CSV.",
            "url": url,
            "digest": skill_format::Sha256::of(&archive).to_string(),
        }])
    );
    let again = hub
        .request(reqwest::Method::GET, PATH)
        .header("if-none-match", index.header("etag"));
    hub.send(again).await.assert_status(304);
    let fetched = hub.get(url.strip_prefix(&hub.url).expect("ours")).await;
    assert_eq!(fetched.bytes, archive);
}
