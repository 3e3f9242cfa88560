//! The same request sent twice is done once.

use reqwest::Method;
use testkit::{Answer, Fixture, HubBuilder, Person, TestHub, on_both};

on_both!(
    a_repeated_publish_gets_the_first_answer_again,
    a_key_with_another_body_is_refused,
    keys_of_different_people_never_meet,
    many_repetitions_at_once_publish_one_version,
    a_refused_publish_does_not_use_up_the_key,
    keys_are_short_and_visible,
);

async fn publish(hub: &TestHub, person: &Person, skill: &Fixture, key: &str) -> Answer {
    let request = person
        .request(Method::POST, "/api/v1/skills")
        .header("content-type", "application/gzip")
        .header("idempotency-key", key)
        .body(skill.archive());
    hub.send(request).await
}

async fn a_repeated_publish_gets_the_first_answer_again(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let skill = Fixture::new("csv-reader").version("1.0.0");
    let first = publish(&hub, &alice, &skill, "key-1")
        .await
        .assert_status(201);
    let again = publish(&hub, &alice, &skill, "key-1")
        .await
        .assert_status(201);
    assert_eq!(again.bytes, first.bytes);
    assert_eq!(again.header("location"), first.header("location"));
    // The form that it was sent in does not matter, only what was sent.
    let form = reqwest::multipart::Form::new()
        .part("archive", reqwest::multipart::Part::bytes(skill.archive()));
    let as_form = alice
        .request(Method::POST, "/api/v1/skills")
        .header("idempotency-key", "key-1")
        .multipart(form);
    assert_eq!(
        hub.send(as_form).await.assert_status(201).bytes,
        first.bytes
    );
    publish(&hub, &alice, &skill, "key-2")
        .await
        .assert_problem(409, "version-exists");
}

async fn a_key_with_another_body_is_refused(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let skill = Fixture::new("csv-reader").version("1.0.0");
    publish(&hub, &alice, &skill, "key")
        .await
        .assert_status(201);
    let other = Fixture::new("csv-reader").version("1.1.0");
    publish(&hub, &alice, &other, "key")
        .await
        .assert_problem(409, "idempotency-key-reused");
}

async fn keys_of_different_people_never_meet(hub: HubBuilder) {
    let hub = hub.start().await;
    let (alice, bob) = (hub.person("alice").await, hub.person("bob").await);
    let of_alice = Fixture::new("csv-reader").version("1.0.0");
    publish(&hub, &alice, &of_alice, "same")
        .await
        .assert_status(201);
    let of_bob = Fixture::new("pdf-reader").version("1.0.0");
    publish(&hub, &bob, &of_bob, "same")
        .await
        .assert_status(201);
}

async fn many_repetitions_at_once_publish_one_version(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let skill = Fixture::new("csv-reader").version("1.0.0");
    let many = (0..8).map(|_| publish(&hub, &alice, &skill, "key"));
    let answers = futures::future::join_all(many).await;
    let first = answers[0].bytes.clone();
    for answer in answers {
        assert_eq!(answer.assert_status(201).bytes, first);
    }
    let skill = hub.get("/api/v1/skills/csv-reader").await.json();
    assert_eq!(skill["releases"].as_array().map(Vec::len), Some(1));
}

async fn a_refused_publish_does_not_use_up_the_key(hub: HubBuilder) {
    let hub = hub.start().await;
    let (alice, bob) = (hub.person("alice").await, hub.person("bob").await);
    let skill = Fixture::new("csv-reader").version("1.0.0");
    publish(&hub, &alice, &skill, "a").await.assert_status(201);
    let next = Fixture::new("csv-reader").version("1.1.0");
    publish(&hub, &bob, &next, "b")
        .await
        .assert_problem(403, "not-an-owner");
    alice
        .put(
            "/api/v1/skills/csv-reader/owners/bob",
            serde_json::json!({}),
        )
        .await
        .assert_status(204);
    publish(&hub, &bob, &next, "b").await.assert_status(201);
}

async fn keys_are_short_and_visible(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    let skill = Fixture::new("csv-reader").version("1.0.0");
    let long = "x".repeat(256);
    for key in ["", "two words", &long] {
        publish(&hub, &alice, &skill, key)
            .await
            .assert_problem(400, "invalid-header")
            .assert_names("Idempotency-Key");
    }
}
