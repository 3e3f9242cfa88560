//! The same request sent twice is one invocation.

use serde_json::json;
use testkit::{HubBuilder, on_both};

use super::{id_of, run_as, stage};

on_both!(
    a_repeated_request_is_the_same_invocation,
    many_at_once_are_one_invocation,
    a_key_with_another_request_is_refused,
    what_did_not_run_may_be_asked_again,
    keys_of_different_people_never_meet,
);

const KEY: (&str, &str) = ("idempotency-key", "key-1");

async fn a_repeated_request_is_the_same_invocation(hub: HubBuilder) {
    let stage = stage(hub).await;
    let first = stage.run("x", &[KEY]).await.assert_status(200).json();
    let again = stage.run("x", &[KEY]).await.assert_status(200).json();
    assert_eq!(again, first);
    let failed = stage.run("fail", &[("idempotency-key", "f")]).await.json();
    let again = stage.run("fail", &[("idempotency-key", "f")]).await.json();
    assert_eq!(again, failed);
    assert_eq!(stage.actor.calls().len(), 2);
    assert_eq!(stage.usage().await["invocations"], 2);
}

async fn many_at_once_are_one_invocation(hub: HubBuilder) {
    let stage = stage(hub).await;
    let many = async {
        let answers = (0..8).map(|_| stage.run("wait", &[KEY]));
        futures::future::join_all(answers).await
    };
    let open = async {
        stage.actor.called(1).await;
        stage.actor.let_on(8);
    };
    let (answers, ()) = futures::future::join(many, open).await;
    let ids: std::collections::BTreeSet<_> = answers
        .into_iter()
        .map(|answer| id_of(&answer.assert_status(200).json()))
        .collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(stage.actor.calls().len(), 1);
}

async fn a_key_with_another_request_is_refused(hub: HubBuilder) {
    let stage = stage(hub).await;
    stage.run("x", &[KEY]).await.assert_status(200);
    stage
        .run("y", &[KEY])
        .await
        .assert_problem(409, "idempotency-key-reused");
    let entry = json!({"input": "x", "entry": "other"});
    let entry = stage
        .alice
        .request(reqwest::Method::POST, super::INVOKE)
        .json(&entry);
    let entry = entry.header("idempotency-key", "key-1");
    stage
        .hub
        .send(entry)
        .await
        .assert_problem(409, "idempotency-key-reused");
    stage
        .run("x", &[("idempotency-key", "two words")])
        .await
        .assert_problem(400, "invalid-header");
    assert_eq!(stage.actor.calls().len(), 1);
}

async fn what_did_not_run_may_be_asked_again(hub: HubBuilder) {
    let stage = stage(hub).await;
    stage.run("busy", &[KEY]).await.assert_problem(503, "busy");
    stage.run("busy", &[KEY]).await.assert_problem(503, "busy");
    assert_eq!(stage.actor.calls().len(), 2, "it was asked for again");
    stage
        .run("silence", &[("idempotency-key", "s")])
        .await
        .assert_problem(504, "no-answer");
    stage
        .run("silence", &[("idempotency-key", "s")])
        .await
        .assert_problem(504, "no-answer");
    assert_eq!(
        stage.actor.calls().len(),
        3,
        "it may have run, so it is not"
    );
}

async fn keys_of_different_people_never_meet(hub: HubBuilder) {
    let stage = stage(hub).await;
    let bob = stage.hub.person("bob").await;
    let of_alice = stage.run("x", &[KEY]).await.assert_status(200).json();
    let of_bob = run_as(&stage.hub, &bob, "y", &[KEY]).await;
    assert_ne!(id_of(&of_alice), id_of(&of_bob.assert_status(200).json()));
}
