//! What a caller gets: the output, the skill's own failure, or a problem that says why there is neither.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Fixture, HubBuilder, on_both};

use super::{INVOKE, back, id_of, run_raw, stage};

on_both!(
    a_skill_runs_and_its_output_is_the_answer,
    any_bytes_go_in_and_come_out,
    a_skill_that_fails_has_answered,
    what_kept_the_gateway_from_a_result_is_a_problem,
    who_prefers_so_asks_later,
    a_skill_that_should_not_be_used_runs_with_a_warning,
    what_is_no_skill_does_not_run,
    the_declared_schema_is_checked_before_anything_runs,
    each_step_is_told_to_the_outbox,
    an_end_is_kept_for_a_while,
);

async fn a_skill_runs_and_its_output_is_the_answer(hub: HubBuilder) {
    let stage = stage(hub).await;
    let answer = stage.run("größe", &[]).await.assert_status(200);
    let body = answer.json();
    let expected = json!({
        "status": "succeeded", "output": "größe", "skill": "csv-reader", "version": "1.0.0",
        "entry": null, "error": null, "inputBytes": 7, "outputBytes": 7, "timeoutSeconds": 30,
        "attempts": 1, "durationMs": 0,
    });
    for (field, value) in expected.as_object().expect("fields") {
        assert_eq!(&body[field], value, "{field} in {body}");
    }
    let location = answer.header("location").to_owned();
    assert_eq!(location, format!("/api/v1/invocations/{}", id_of(&body)));
    assert_eq!(answer.header("cache-control"), "no-store");
    let found = stage.alice.get(&location).await.assert_status(200);
    assert_eq!(found.json(), body);
    let list = stage.alice.get("/api/v1/invocations").await.json();
    assert_eq!(list["invocations"][0]["id"], body["id"]);
    assert_eq!(list["invocations"][0]["output"], Value::Null);
    let call = &stage.actor.calls()[0];
    assert_eq!(
        (
            call.id.to_string(),
            call.skill.as_str(),
            call.username.as_str()
        ),
        (id_of(&body), "csv-reader", "alice")
    );
}

async fn any_bytes_go_in_and_come_out(hub: HubBuilder) {
    let stage = stage(hub).await;
    let octets = "application/octet-stream";
    let body = run_raw(&stage, "", octets, b"binary")
        .await
        .assert_status(200);
    let body = body.json();
    assert_eq!(
        (&body["output"], &body["outputEncoding"]),
        (&json!("/wD+"), &json!("base64"))
    );
    run_raw(&stage, "", octets, b"\xff\0\xfe")
        .await
        .assert_status(200);
    let query = "?entry=analyze&timeoutSeconds=7";
    let text = run_raw(&stage, query, "text/plain; charset=utf-8", b"plain").await;
    let text = text.assert_status(200).json();
    assert_eq!(
        (&text["output"], &text["entry"]),
        (&json!("plain"), &json!("analyze"))
    );
    let nothing = stage.alice.request(Method::POST, INVOKE);
    stage.hub.send(nothing).await.assert_status(200);
    let object = json!({"input": {"rows": [1, 2]}, "entry": "other", "timeoutSeconds": 9});
    let object = stage.alice.post(INVOKE, object).await.assert_status(200);
    assert_eq!(object.json()["output"], "{\"rows\":[1,2]}");
    let calls = stage.actor.calls();
    assert_eq!(calls[1].input.as_ref(), b"\xff\0\xfe");
    assert_eq!(
        (calls[2].entry.as_deref(), calls[2].timeout.as_secs()),
        (Some("analyze"), 7)
    );
    assert!(calls[3].input.is_empty());
    assert_eq!(
        (calls[4].entry.as_deref(), calls[4].timeout.as_secs()),
        (Some("other"), 9)
    );
}

async fn a_skill_that_fails_has_answered(hub: HubBuilder) {
    let stage = stage(hub.configure(|config| config.invoke.output_bytes_max = 9_999)).await;
    let failed = stage.run("fail", &[]).await.assert_status(200).json();
    assert_eq!(failed["status"], "failed");
    let expected = json!({"code": "skill-failed", "message": "exit 3: no such column"});
    assert_eq!(failed["error"], expected);
    assert_eq!(failed.get("output"), None);
    let much = stage.run("much", &[]).await.assert_status(200).json();
    assert_eq!(
        (&much["status"], &much["error"]["code"]),
        (&json!("failed"), &json!("output-too-large"))
    );
}

async fn what_kept_the_gateway_from_a_result_is_a_problem(hub: HubBuilder) {
    let stage = stage(hub).await;
    for (input, status, code, outcome) in [
        ("busy", 503, "busy", "failed"),
        ("nobody", 503, "skill-not-served", "failed"),
        ("wrong", 422, "invalid-input", "failed"),
        ("silence", 504, "no-answer", "unknown"),
        ("closed", 503, "mesh-closed", "unknown"),
        ("panic", 504, "interrupted", "unknown"),
    ] {
        let answer = stage.run(input, &[]).await.assert_problem(status, code);
        if status == 503 {
            assert!(!answer.header("retry-after").is_empty(), "{code}");
        }
        let found = stage.alice.get(answer.header("location")).await;
        let found = found.assert_status(200).json();
        assert_eq!(
            (&found["status"], &found["error"]["code"]),
            (&json!(outcome), &json!(code))
        );
    }
    stage.run("still alive", &[]).await.assert_status(200);
}

async fn who_prefers_so_asks_later(hub: HubBuilder) {
    let stage = stage(hub).await;
    let applied = |answer: &Answer| answer.header("preference-applied").to_owned();
    let later = stage
        .run("wait", &[("prefer", "respond-async")])
        .await
        .assert_status(202);
    assert_eq!(
        (applied(&later).as_str(), &later.json()["status"]),
        ("respond-async", &json!("running"))
    );
    let impatient = stage
        .run("wait", &[("prefer", "wait=0")])
        .await
        .assert_status(202);
    assert_eq!(applied(&impatient), "wait=0");
    stage.actor.called(2).await;
    let id = id_of(&later.json());
    assert_eq!(stage.look(&id).await["status"], "running");
    stage.actor.let_on(2);
    let over = stage.over(&id).await;
    assert_eq!(
        (&over["status"], &over["output"]),
        (&json!("succeeded"), &json!("wait"))
    );
    let patient = stage
        .run("quick", &[("prefer", "respond-async, wait=60")])
        .await;
    assert_eq!(patient.assert_status(200).json()["output"], "quick");
}

async fn a_skill_that_should_not_be_used_runs_with_a_warning(hub: HubBuilder) {
    let stage = stage(hub).await;
    let warning = |answer: Answer| answer.assert_status(200).header("skill-warning").to_owned();
    assert_eq!(warning(stage.run("x", &[]).await), "");
    let deprecation = json!({"message": "Use table-reader."});
    let path = "/api/v1/skills/csv-reader/deprecation";
    stage.alice.put(path, deprecation).await.assert_status(200);
    assert_eq!(warning(stage.run("x", &[]).await), "deprecated");
    let yank = json!({"yanked": true});
    let version = "/api/v1/skills/csv-reader/1.0.0";
    stage.alice.patch(version, yank).await.assert_status(200);
    assert_eq!(warning(stage.run("x", &[]).await), "deprecated, yanked");
}

async fn what_is_no_skill_does_not_run(hub: HubBuilder) {
    let stage = stage(hub).await;
    let unknown = "/api/v1/skills/csv-raeder/invoke";
    let answer = stage.alice.post(unknown, json!({})).await;
    answer.assert_problem(404, "skill-not-found");
    let deleted = stage
        .alice
        .delete("/api/v1/skills/csv-reader/1.0.0?hard=true")
        .await;
    deleted.assert_status(204);
    stage
        .run("x", &[])
        .await
        .assert_problem(404, "skill-not-found");
    assert!(stage.actor.calls().is_empty());
}

async fn the_declared_schema_is_checked_before_anything_runs(hub: HubBuilder) {
    let stage = stage(hub).await;
    let yaml = "entrypoints:\n  - name: analyze\n    command: scripts/run.py\n    input-schema:\n      \
                type: object\n      required: [data]\n      properties:\n        data: {type: string}";
    let skill = Fixture::new("table-reader").version("1.0.0").yaml(yaml);
    let skill = skill.file("scripts/run.py", "print(1)\n");
    stage.alice.publish(&skill).await.assert_status(201);
    let run = |body: Value| stage.alice.post("/api/v1/skills/table-reader/invoke", body);
    run(json!({"input": {"data": 7}}))
        .await
        .assert_problem(422, "invalid-input")
        .assert_names("input/data");
    run(json!({"input": {}, "entry": "analyze"}))
        .await
        .assert_problem(422, "invalid-input");
    run(json!({"input": {}, "entry": "draw"}))
        .await
        .assert_problem(422, "entry-unknown")
        .assert_names("entry");
    assert!(stage.actor.calls().is_empty());
    run(json!({"input": {"data": "a,b"}}))
        .await
        .assert_status(200);
    // A plain text may stand for the only field; that is for the skill to say.
    run(json!({"input": "a,b"})).await.assert_status(200);
}

async fn each_step_is_told_to_the_outbox(hub: HubBuilder) {
    let stage = stage(hub).await;
    stage.run("fail", &[]).await.assert_status(200);
    let events = stage
        .hub
        .app()
        .db()
        .events()
        .after(0, 1_000)
        .await
        .expect("reads");
    let told: Vec<Value> = events
        .into_iter()
        .filter(|event| event.kind == "invocation-changed")
        .map(|event| event.payload)
        .collect();
    let steps: Vec<_> = told
        .iter()
        .map(|one| (&one["status"], &one["code"]))
        .collect();
    assert_eq!(
        steps,
        [
            (&json!("running"), &Value::Null),
            (&json!("failed"), &json!("skill-failed"))
        ]
    );
    assert_eq!(told[1]["invocation"]["skill"], "csv-reader");
    assert_eq!(told[1]["agentId"], "alice");
}

async fn an_end_is_kept_for_a_while(hub: HubBuilder) {
    let stage = stage(hub).await;
    let body = stage.run("x", &[]).await.assert_status(200).json();
    let path = format!("/api/v1/invocations/{}", id_of(&body));
    stage
        .hub
        .clock()
        .advance(jiff::SignedDuration::from_hours(23));
    // Rows are swept at the start, too.
    let hub = stage.hub.restart().await;
    let alice = back(&hub).await;
    alice.get(&path).await.assert_status(200);
    hub.clock().advance(jiff::SignedDuration::from_hours(2));
    let hub = hub.restart().await;
    let alice = back(&hub).await;
    let deadline = std::time::Instant::now() + super::NEVER;
    while alice.get(&path).await.status != 404 {
        assert!(std::time::Instant::now() < deadline, "it is never swept");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let usage = alice.get("/api/v1/usage").await.json();
    assert_eq!(usage["total"]["succeeded"], 1, "what was metered stays");
}
