//! One rating per user and skill.

use serde_json::json;
use testkit::{Fixture, HubBuilder, Person, TestHub, on_both};

on_both!(
    everyone_rates_once_and_may_change_their_mind,
    ratings_are_listed_newest_first,
    ratings_are_one_to_five,
    rating_needs_an_account,
);

const PATH: &str = "/api/v1/skills/csv-reader/rating";

async fn with_skill(hub: HubBuilder) -> (TestHub, Person, Person) {
    let hub = hub.start().await;
    let (alice, bob) = (hub.person("alice").await, hub.person("bob").await);
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    (hub, alice, bob)
}

async fn everyone_rates_once_and_may_change_their_mind(hub: HubBuilder) {
    let (hub, alice, bob) = with_skill(hub).await;
    let rate = async |person: &Person, stars: u8| {
        person
            .put(PATH, json!({"rating": stars}))
            .await
            .assert_status(200)
            .json()
    };
    assert_eq!(
        rate(&alice, 5).await,
        json!({"rating": 5.0, "ratingCount": 1})
    );
    assert_eq!(
        rate(&bob, 2).await,
        json!({"rating": 3.5, "ratingCount": 2})
    );
    assert_eq!(
        rate(&bob, 4).await,
        json!({"rating": 4.5, "ratingCount": 2})
    );
    let skill = hub.get("/api/v1/skills/csv-reader").await.json();
    assert_eq!(
        (&skill["rating"], &skill["ratingCount"]),
        (&json!(4.5), &json!(2))
    );
    for _ in 0..2 {
        alice.delete(PATH).await.assert_status(204);
    }
    let skill = hub.get("/api/v1/skills/csv-reader").await.json();
    assert_eq!(
        (&skill["rating"], &skill["ratingCount"]),
        (&json!(4.0), &json!(1))
    );
}

async fn ratings_are_listed_newest_first(hub: HubBuilder) {
    let (hub, alice, bob) = with_skill(hub).await;
    alice
        .put(PATH, json!({"rating": 3}))
        .await
        .assert_status(200);
    hub.clock().advance(jiff::SignedDuration::from_secs(1));
    bob.put(PATH, json!({"rating": 5})).await.assert_status(200);
    let path = "/api/v1/skills/csv-reader/ratings";
    let list = hub.get(path).await.assert_status(200).json();
    assert_eq!(
        (&list["rating"], &list["ratingCount"]),
        (&json!(4.0), &json!(2))
    );
    assert_eq!(list["ratings"][0]["username"], "bob");
    assert_eq!(list["ratings"][1]["rating"], 3);
    let second = hub.get(&format!("{path}?limit=1&offset=1")).await.json();
    assert_eq!(second["ratings"].as_array().map(Vec::len), Some(1));
    assert_eq!(second["ratings"][0]["username"], "alice");
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("offset=10001", "offset"),
        ("limit=x", "limit"),
    ] {
        hub.get(&format!("{path}?{query}"))
            .await
            .assert_problem(400, "invalid-query")
            .assert_names(field);
    }
    hub.get("/api/v1/skills/other/ratings")
        .await
        .assert_problem(404, "skill-not-found");
}

async fn ratings_are_one_to_five(hub: HubBuilder) {
    let (_hub, alice, _) = with_skill(hub).await;
    for bad in [
        json!(0),
        json!(6),
        json!(-1),
        json!(4.5),
        json!("5"),
        json!(null),
        json!(1e30),
    ] {
        alice
            .put(PATH, json!({"rating": bad}))
            .await
            .assert_problem(422, "invalid-body")
            .assert_names("rating");
    }
    alice
        .put("/api/v1/skills/other/rating", json!({"rating": 1}))
        .await
        .assert_problem(404, "skill-not-found");
    alice
        .delete("/api/v1/skills/other/rating")
        .await
        .assert_problem(404, "skill-not-found");
}

async fn rating_needs_an_account(hub: HubBuilder) {
    let (hub, ..) = with_skill(hub).await;
    let anonymous = hub
        .request(reqwest::Method::PUT, PATH)
        .json(&json!({"rating": 5}));
    hub.send(anonymous)
        .await
        .assert_problem(401, "authentication-required");
}
