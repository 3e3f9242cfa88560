//! Deprecation, owners, dependents.

use jiff::SignedDuration;
use serde_json::json;
use testkit::{Fixture, HubBuilder, Person, TestHub, on_both};

on_both!(
    a_deprecation_is_shown_until_it_is_lifted,
    only_owners_deprecate,
    a_skill_whose_versions_are_all_deleted_is_neither_deprecated_nor_rated,
    owners_share_a_skill,
    the_last_owner_stays,
    owners_must_exist,
    dependents_are_listed_page_by_page,
);

async fn with_skill(hub: HubBuilder) -> (TestHub, Person, Person) {
    let hub = hub.start().await;
    let (alice, bob) = (hub.person("alice").await, hub.person("bob").await);
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    (hub, alice, bob)
}

async fn a_deprecation_is_shown_until_it_is_lifted(hub: HubBuilder) {
    let (hub, alice, _) = with_skill(hub).await;
    let path = "/api/v1/skills/csv-reader/deprecation";
    let before = hub
        .get("/api/v1/skills/csv-reader")
        .await
        .header("etag")
        .to_owned();
    for _ in 0..2 {
        let answer = alice
            .put(path, json!({"message": " Use table-reader. "}))
            .await;
        assert_eq!(
            answer.assert_status(200).json(),
            json!({"message": "Use table-reader."})
        );
    }
    let skill = hub.get("/api/v1/skills/csv-reader").await;
    assert_ne!(
        skill.header("etag"),
        before,
        "another state has another tag"
    );
    assert_eq!(
        skill.json()["deprecated"],
        json!({"message": "Use table-reader."})
    );
    let listed = hub.get("/api/v1/skills").await.json();
    assert_eq!(
        listed["skills"][0]["deprecated"]["message"],
        "Use table-reader."
    );
    for _ in 0..2 {
        alice.delete(path).await.assert_status(204);
    }
    assert_eq!(
        hub.get("/api/v1/skills/csv-reader").await.json()["deprecated"],
        json!(null)
    );
}

async fn a_skill_whose_versions_are_all_deleted_is_neither_deprecated_nor_rated(hub: HubBuilder) {
    let (hub, alice, bob) = with_skill(hub).await;
    alice
        .delete("/api/v1/skills/csv-reader/1.0.0?hard=true")
        .await
        .assert_status(204);
    hub.get("/api/v1/skills/csv-reader")
        .await
        .assert_problem(404, "skill-not-found");
    let path = "/api/v1/skills/csv-reader/deprecation";
    alice
        .put(path, json!({"message": "Use another."}))
        .await
        .assert_problem(404, "skill-not-found");
    alice
        .delete(path)
        .await
        .assert_problem(404, "skill-not-found");
    bob.put("/api/v1/skills/csv-reader/rating", json!({"rating": 5}))
        .await
        .assert_problem(404, "skill-not-found");
}

async fn only_owners_deprecate(hub: HubBuilder) {
    let (hub, alice, bob) = with_skill(hub).await;
    let path = "/api/v1/skills/csv-reader/deprecation";
    let message = json!({"message": "No."});
    bob.put(path, message.clone())
        .await
        .assert_problem(403, "not-an-owner");
    bob.delete(path).await.assert_problem(403, "not-an-owner");
    let missing = "/api/v1/skills/other/deprecation";
    alice
        .put(missing, message.clone())
        .await
        .assert_problem(404, "skill-not-found");
    let admin = hub.admin("carol").await;
    admin.put(path, message).await.assert_status(200);
    for bad in [
        json!({"message": "  "}),
        json!({"message": "x".repeat(1_001)}),
        json!({"message": "a\u{1b}[2Jb"}),
        json!({"message": "a\0b"}),
        json!({}),
        json!([]),
    ] {
        alice
            .put(path, bad)
            .await
            .assert_problem(422, "invalid-body");
    }
}

async fn owners_share_a_skill(hub: HubBuilder) {
    let (hub, alice, bob) = with_skill(hub).await;
    let path = "/api/v1/skills/csv-reader/owners/bob";
    bob.put(path, json!({}))
        .await
        .assert_problem(403, "not-an-owner");
    hub.clock().advance(SignedDuration::from_secs(1));
    for _ in 0..2 {
        alice.put(path, json!({})).await.assert_status(204);
    }
    let owners = hub
        .get("/api/v1/skills/csv-reader/owners")
        .await
        .assert_status(200)
        .json();
    let names: Vec<_> = owners["owners"]
        .as_array()
        .expect("owners")
        .iter()
        .map(|owner| &owner["username"])
        .collect();
    assert_eq!(names, ["alice", "bob"]);
    let skill = hub.get("/api/v1/skills/csv-reader").await.json();
    assert_eq!(skill["owners"], json!(["alice", "bob"]));
    bob.publish(&Fixture::new("csv-reader").version("1.1.0"))
        .await
        .assert_status(201);
    bob.delete("/api/v1/skills/csv-reader/owners/alice")
        .await
        .assert_status(204);
    let next = Fixture::new("csv-reader").version("1.2.0");
    alice
        .publish(&next)
        .await
        .assert_problem(403, "not-an-owner");
}

async fn the_last_owner_stays(hub: HubBuilder) {
    let (hub, alice, _) = with_skill(hub).await;
    let path = "/api/v1/skills/csv-reader/owners/alice";
    alice.delete(path).await.assert_problem(409, "last-owner");
    let admin = hub.admin("carol").await;
    admin.delete(path).await.assert_problem(409, "last-owner");
}

async fn owners_must_exist(hub: HubBuilder) {
    let (hub, alice, _) = with_skill(hub).await;
    let owner = |name: &str| format!("/api/v1/skills/csv-reader/owners/{name}");
    for answer in [
        alice.put(&owner("nobody"), json!({})).await,
        alice.delete(&owner("nobody")).await,
    ] {
        let answer = answer.assert_problem(404, "user-not-found");
        let detail = answer.json()["detail"].as_str().expect("text").to_owned();
        assert!(detail.contains("`nobody`"), "who: {detail}");
        assert!(detail.contains("skills login"), "what to do: {detail}");
    }
    alice
        .put(&owner("no%00body"), json!({}))
        .await
        .assert_problem(404, "user-not-found");
    alice
        .delete(&owner("bob"))
        .await
        .assert_problem(404, "owner-not-found");
    hub.get("/api/v1/skills/other/owners")
        .await
        .assert_problem(404, "skill-not-found");
}

async fn dependents_are_listed_page_by_page(hub: HubBuilder) {
    let (hub, _, bob) = with_skill(hub).await;
    for number in 0..5 {
        let dependent = Fixture::new(&format!("user-of-csv-{number}"))
            .version("1.0.0")
            .depends_on("csv-reader", "^1.0");
        bob.publish(&dependent).await.assert_status(201);
        // The order is that of publication, to the millisecond.
        hub.clock().advance(SignedDuration::from_millis(1));
    }
    let path = "/api/v1/skills/csv-reader/dependents";
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = hub
            .get(&format!("{path}?limit=2{cursor}"))
            .await
            .assert_status(200)
            .json();
        let dependents = page["dependents"].as_array().expect("dependents").clone();
        assert!(dependents.len() <= 2);
        seen.extend(
            dependents
                .iter()
                .map(|on| on["name"].as_str().expect("a name").to_owned()),
        );
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<_> = (0..5)
        .map(|number| format!("user-of-csv-{number}"))
        .collect();
    assert_eq!(seen, expected);
    hub.get(&format!("{path}?limit=0"))
        .await
        .assert_problem(400, "invalid-query")
        .assert_names("limit");
    hub.get(&format!("{path}?cursor=x"))
        .await
        .assert_problem(400, "invalid-query")
        .assert_names("cursor");
    hub.get("/api/v1/skills/other/dependents")
        .await
        .assert_problem(404, "skill-not-found");
}
