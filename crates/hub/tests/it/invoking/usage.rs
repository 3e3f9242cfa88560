//! What was run, by whom, on which day.

use hub_model::day_of;
use serde_json::{Value, json};
use testkit::{HubBuilder, on_both};

use super::{run_as, stage};

on_both!(
    ends_are_metered_by_account_and_day,
    periods_that_are_none_are_refused,
    only_administrators_see_others,
    prometheus_sees_them_too,
);

async fn ends_are_metered_by_account_and_day(hub: HubBuilder) {
    let stage = stage(hub).await;
    let bob = stage.hub.person("bob").await;
    for input in ["four", "fail", "busy", "silence"] {
        stage.run(input, &[]).await;
    }
    let expected = json!({
        "invocations": 4, "succeeded": 1, "failed": 1, "unknown": 1, "refused": 1,
        "durationMs": 0, "bytesIn": 15, "bytesOut": 4,
    });
    let usage = stage
        .alice
        .get("/api/v1/usage")
        .await
        .assert_status(200)
        .json();
    assert_eq!(usage["total"], expected);
    let today = usage["to"].clone();
    assert_eq!(usage["days"][0]["day"], today);
    assert_eq!(
        (&usage["tenant"], usage["days"].as_array().map(Vec::len)),
        (&json!("default"), Some(1))
    );

    run_as(&stage.hub, &bob, "x", &[]).await.assert_status(200);
    let chief = stage.hub.admin("chief").await;
    let all = chief
        .get("/api/v1/usage?all=true")
        .await
        .assert_status(200)
        .json();
    assert_eq!(
        (&all["total"]["invocations"], &all["total"]["succeeded"]),
        (&json!(5), &json!(2))
    );
    let names: Vec<&Value> = all["users"]
        .as_array()
        .expect("users")
        .iter()
        .map(|one| &one["username"])
        .collect();
    assert_eq!(names, ["alice", "bob"]);
    let page = chief.get("/api/v1/usage?all=true&limit=1").await.json();
    assert_eq!(
        (page["users"].as_array().map(Vec::len), &page["nextAfter"]),
        (Some(1), &json!("alice"))
    );
    let rest = chief
        .get("/api/v1/usage?all=true&limit=1&after=alice")
        .await
        .json();
    assert_eq!(rest["users"][0]["username"], "bob");
    let one = chief
        .get("/api/v1/usage?user=alice")
        .await
        .assert_status(200)
        .json();
    assert_eq!(one["total"], expected);
    let before = format!(
        "/api/v1/usage?from=2020-01-01&to=2020-12-31&user=alice&today={}",
        day_of(stage.hub.now())
    );
    assert_eq!(
        chief.get(&before).await.assert_status(200).json()["days"],
        json!([])
    );
}

async fn periods_that_are_none_are_refused(hub: HubBuilder) {
    let stage = stage(hub).await;
    for (query, field) in [
        ("from=yesterday", "from"),
        ("to=2026-13-01", "to"),
        ("from=2026-02-02&to=2026-02-01", "from"),
        ("from=2024-01-01&to=2026-01-01", "from"),
        ("from=-9999-01-01", "from"),
        ("all=maybe", "all"),
    ] {
        let answer = stage.alice.get(&format!("/api/v1/usage?{query}")).await;
        answer
            .assert_problem(400, "invalid-query")
            .assert_names(field);
    }
}

async fn only_administrators_see_others(hub: HubBuilder) {
    let stage = stage(hub).await;
    for query in ["all=true", "user=alice", "user=bob"] {
        let answer = stage.alice.get(&format!("/api/v1/usage?{query}")).await;
        answer.assert_problem(403, "role-insufficient");
    }
    let chief = stage.hub.admin("chief").await;
    chief
        .get("/api/v1/usage?user=nobody")
        .await
        .assert_problem(404, "user-not-found");
    chief
        .get("/api/v1/usage?user=alice&all=true")
        .await
        .assert_problem(400, "invalid-query");
    chief
        .get("/api/v1/usage?all=true&limit=0")
        .await
        .assert_problem(400, "invalid-query");
}

async fn prometheus_sees_them_too(hub: HubBuilder) {
    let stage = stage(hub).await;
    stage.run("x", &[]).await.assert_status(200);
    stage.run("fail", &[]).await.assert_status(200);
    let id = stage.begin("wait").await;
    stage.actor.called(3).await;
    let metrics = stage.hub.get("/metrics").await.assert_status(200).text();
    // Hubs of one process count together, so other tests may have counted more.
    for line in [
        "hub_invocations_total{outcome=\"succeeded\"}",
        "hub_invocations_total{outcome=\"skill-failed\"}",
        "hub_invocations_in_flight",
        "hub_invocations_waiting",
        "hub_invocation_seconds_bucket",
    ] {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
    stage.actor.let_on(1);
    stage.over(&id).await;
}
