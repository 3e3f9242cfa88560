//! Nothing that was accepted is lost: not when its caller leaves, not when its place is taken, not when the hub stops.

use std::time::Duration;

use hub_db::NewInvocation;
use hub_model::{InvocationId, InvocationRecord, InvocationStatus};
use jiff::SignedDuration;
use serde_json::json;
use testkit::{HubBuilder, on_both};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{INVOKE, Stage, back, id_of, over, stage};

on_both!(
    it_goes_on_when_the_caller_leaves,
    who_finds_no_slot_waits_and_may_be_called_back,
    who_waits_too_long_is_refused,
    a_restart_in_the_middle_hands_it_over_again,
    what_waited_at_the_stop_runs_after_the_restart,
    a_drain_waits_for_what_runs,
    a_caller_who_still_waits_is_told_where_to_ask,
    what_a_killed_process_left_is_taken_over,
    what_ends_every_process_is_given_up,
);

async fn it_goes_on_when_the_caller_leaves(hub: HubBuilder) {
    let stage = stage(hub).await;
    let address = stage.hub.url.strip_prefix("http://").expect("an address");
    let mut socket = TcpStream::connect(address).await.expect("connects");
    let request = format!(
        "POST {INVOKE} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: text/plain\r\ncontent-length: 4\r\n\r\nwait",
        stage.alice.token
    );
    socket.write_all(request.as_bytes()).await.expect("writes");
    stage.actor.called(1).await;
    drop(socket);
    stage.actor.let_on(1);
    let list = stage.alice.get("/api/v1/invocations").await.json();
    let id = id_of(&list["invocations"][0]);
    let over = stage.over(&id).await;
    assert_eq!(
        (&over["status"], &over["output"]),
        (&json!("succeeded"), &json!("wait"))
    );
}

async fn who_finds_no_slot_waits_and_may_be_called_back(hub: HubBuilder) {
    let narrow = hub.configure(|config| {
        config.invoke.concurrent_max = 1;
        config.invoke.queued_max = 2;
    });
    let stage = stage(narrow).await;
    let running = stage.begin("wait").await;
    stage.actor.called(1).await;
    let queued = stage.begin("wait second").await;
    let third = stage.begin("wait third").await;
    assert_eq!(stage.look(&queued).await["status"], "queued");
    let refused = stage.run("x", &[]).await.assert_problem(503, "busy");
    assert!(!refused.header("retry-after").is_empty());

    let path = |id: &str| format!("/api/v1/invocations/{id}");
    let cancelled = stage
        .alice
        .delete(&path(&queued))
        .await
        .assert_status(200)
        .json();
    assert_eq!(cancelled["status"], "cancelled");
    stage.alice.delete(&path(&queued)).await.assert_status(200);
    stage
        .alice
        .delete(&path(&running))
        .await
        .assert_problem(409, "invocation-running");
    stage.actor.let_on(2);
    assert_eq!(stage.over(&third).await["output"], "wait third");
    stage
        .alice
        .delete(&path(&running))
        .await
        .assert_problem(409, "invocation-over");
    assert_eq!(
        stage.actor.calls().len(),
        2,
        "what was called back never ran"
    );
    let usage = stage.usage().await;
    assert_eq!(
        (&usage["succeeded"], &usage["refused"]),
        (&json!(2), &json!(1))
    );
}

async fn who_waits_too_long_is_refused(hub: HubBuilder) {
    let narrow = hub.configure(|config| config.invoke.concurrent_max = 1);
    let stage = stage(narrow).await;
    let running = stage.begin("wait").await;
    stage.actor.called(1).await;
    let body = json!({"input": "x", "timeoutSeconds": 1});
    let refused = stage
        .alice
        .post(INVOKE, body)
        .await
        .assert_problem(503, "busy");
    let found = stage.alice.get(refused.header("location")).await.json();
    assert_eq!(
        (&found["status"], &found["attempts"]),
        (&json!("failed"), &json!(0))
    );
    stage.actor.let_on(1);
    assert_eq!(stage.over(&running).await["status"], "succeeded");
}

async fn a_restart_in_the_middle_hands_it_over_again(hub: HubBuilder) {
    let stage = stage(hub.configure(|config| config.limits.drain_seconds_max = 1)).await;
    let id = stage.begin("wait").await;
    stage.actor.called(1).await;
    let Stage { hub, actor, .. } = stage;
    let hub = hub.restart().await;
    let alice = back(&hub).await;
    actor.called(2).await;
    let calls = actor.calls();
    assert_eq!(
        (calls[0].id, calls[0].input.clone()),
        (calls[1].id, calls[1].input.clone())
    );
    actor.let_on(1);
    let over = over(&alice, &id).await;
    assert_eq!(
        (&over["status"], &over["attempts"]),
        (&json!("succeeded"), &json!(2))
    );
    let usage = alice.get("/api/v1/usage").await.json();
    assert_eq!(usage["total"]["invocations"], 1, "it counts once");
}

async fn what_waited_at_the_stop_runs_after_the_restart(hub: HubBuilder) {
    let narrow = hub.configure(|config| {
        config.invoke.concurrent_max = 1;
        config.limits.drain_seconds_max = 30;
    });
    let stage = stage(narrow).await;
    let running = stage.begin("wait").await;
    let waiting = stage.begin("second").await;
    stage.actor.called(1).await;
    let Stage { mut hub, actor, .. } = stage;
    hub.begin_stop();
    // What runs is waited for; what has not begun is left.
    while !hub.app().is_draining() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    actor.let_on(1);
    let hub = hub.restart().await;
    let alice = back(&hub).await;
    let first = over(&alice, &running).await;
    assert_eq!(
        (&first["status"], &first["attempts"]),
        (&json!("succeeded"), &json!(1))
    );
    assert_eq!(over(&alice, &waiting).await["output"], "second");
    assert_eq!(actor.calls().len(), 2);
}

async fn a_drain_waits_for_what_runs(hub: HubBuilder) {
    let mut stage = stage(hub.configure(|config| config.limits.drain_seconds_max = 60)).await;
    let request = stage.alice.request(reqwest::Method::POST, INVOKE);
    let call = tokio::spawn(request.json(&json!({"input": "wait"})).send());
    let id = stage.begin("wait").await;
    stage.actor.called(2).await;
    stage.hub.begin_stop();
    while !stage.hub.app().is_draining() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage.actor.let_on(2);
    let answer = call.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), 200);
    let hub = stage.hub.restart().await;
    let alice = back(&hub).await;
    assert_eq!(
        over(&alice, &id).await["attempts"],
        1,
        "nobody waited for it but the hub"
    );
    assert_eq!(stage.actor.calls().len(), 2);
}

async fn a_caller_who_still_waits_is_told_where_to_ask(hub: HubBuilder) {
    let mut stage = stage(hub.configure(|config| config.limits.drain_seconds_max = 4)).await;
    let request = stage.alice.request(reqwest::Method::POST, INVOKE);
    let call = tokio::spawn(request.json(&json!({"input": "wait"})).send());
    stage.actor.called(1).await;
    stage.hub.begin_stop();
    let answer = call.await.expect("no panic").expect("an answer");
    let answer = testkit::Answer::of(answer)
        .await
        .assert_problem(503, "hub-stopping");
    let location = answer.header("location").to_owned();
    let hub = stage.hub.restart().await;
    let alice = back(&hub).await;
    stage.actor.called(2).await;
    stage.actor.let_on(1);
    let id = location.rsplit('/').next().expect("an id");
    assert_eq!(over(&alice, id).await["status"], "succeeded");
}

/// An invocation as a killed process leaves it: running, with a lease that nobody extends.
async fn left_behind(stage: &Stage, attempts: u32) -> String {
    let app = stage.hub.app();
    let now = stage.hub.now();
    let user = stage.hub.user("alice").await;
    let skill = app.db().skills().by_name(app.tenant(), "csv-reader").await;
    let skill = skill.expect("reads").expect("exists");
    let id = InvocationId::generate(now, &mut app.rng());
    let record = InvocationRecord {
        id,
        tenant: app.tenant(),
        user_id: user.id,
        username: user.username,
        skill_id: skill.id,
        skill: skill.name,
        version: None,
        entry: None,
        status: InvocationStatus::Running,
        timeout_ms: 30_000,
        input_sha256: "00".repeat(32),
        input_bytes: 4,
        output: None,
        output_bytes: None,
        error: None,
        attempts,
        created_at: now,
        started_at: Some(now),
        finished_at: None,
    };
    let mut unit = app.db().begin().await.expect("begins");
    let new = NewInvocation {
        record: &record,
        input: b"left",
        idempotency_key: None,
        request_hash: "hash",
        lease_until: now + SignedDuration::from_secs(30),
    };
    assert!(unit.invocations().insert(new).await.expect("inserts"));
    unit.commit().await.expect("commits");
    id.to_string()
}

async fn what_a_killed_process_left_is_taken_over(hub: HubBuilder) {
    let stage = stage(hub.configure(|config| config.invoke.lease_seconds = 6)).await;
    let id = left_behind(&stage, 1).await;
    stage.hub.clock().advance(SignedDuration::from_secs(29));
    assert_eq!(
        stage.look(&id).await["status"],
        "running",
        "its process may still live"
    );
    stage.hub.clock().advance(SignedDuration::from_secs(2));
    let over = stage.over(&id).await;
    assert_eq!(
        (&over["output"], &over["attempts"]),
        (&json!("left"), &json!(2))
    );
    assert_eq!(
        stage.actor.calls()[0].id.to_string(),
        id,
        "the id is the same"
    );
}

async fn what_ends_every_process_is_given_up(hub: HubBuilder) {
    let stage = stage(hub.configure(|config| config.invoke.lease_seconds = 6)).await;
    let id = left_behind(&stage, 5).await;
    stage.hub.clock().advance(SignedDuration::from_secs(31));
    let over = stage.over(&id).await;
    assert_eq!(
        (&over["status"], &over["error"]["code"]),
        (&json!("unknown"), &json!("interrupted"))
    );
    assert!(stage.actor.calls().is_empty());
}
