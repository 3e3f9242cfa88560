//! What becomes of SkillTopics, whatever happens to the watch, the server and the objects.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use skill_controller::controller::Controller;
use skill_controller::health::Health;
use skill_controller::settings::Settings;
use tokio::task::JoinHandle;

use crate::apiserver::{ApiServer, Store};
use crate::golden::workers;

pub fn controller(server: &ApiServer, resync: Duration) -> Controller {
    Controller {
        api: server.api(),
        settings: Settings {
            namespace: None,
            workers: workers(),
            resync,
            retry_min: Duration::from_millis(5),
            retry_max: Duration::from_millis(50),
        },
        clock: Arc::new(|| Timestamp::UNIX_EPOCH),
        jitter: Arc::new(|| 0.5),
        health: Arc::new(Health::default()),
    }
}

/// Ended when dropped.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn start(server: &ApiServer) -> Running {
    start_with(server, Duration::from_secs(3600))
}

fn start_with(server: &ApiServer, resync: Duration) -> Running {
    let controller = controller(server, resync);
    Running(tokio::spawn(async move { controller.run().await }))
}

fn topic(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "skillscale.io/v1alpha1", "kind": "SkillTopic",
        "metadata": { "name": name, "namespace": "n" }, "spec": spec,
    })
}

fn condition(store: &Store, name: &str, kind: &str) -> Option<(String, String, String)> {
    let status = &store.get("skilltopics", "n", name)?["status"];
    let condition = status["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)?;
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason"), text("message")))
}

/// Waits until a condition has this status and reason; its message.
async fn until(server: &ApiServer, name: &str, kind: &str, status: &str, reason: &str) -> String {
    let what = format!("{name} is {kind}={status} because of {reason}");
    server
        .until(&what, |store| {
            let (is, why, message) = condition(store, name, kind)?;
            (is == status && why == reason).then_some(message)
        })
        .await
}

fn child<'a>(store: &'a Store, plural: &str, topic: &str) -> Option<&'a Value> {
    store.get(plural, "n", &format!("skill-worker-{topic}"))
}

#[tokio::test]
async fn a_topic_gets_its_objects_and_its_status_follows_the_pods() {
    let server = ApiServer::start().await;
    let _running = start(&server);
    server.put("skilltopics", topic("a", json!({ "topic": "TOPIC_A" })));
    until(&server, "a", "Applied", "True", "Scaling").await;
    server.with(|store| {
        for plural in [
            "services",
            "deployments",
            "poddisruptionbudgets",
            "scaledobjects",
        ] {
            let object = child(store, plural, "a").expect(plural);
            let owner = &object["metadata"]["ownerReferences"][0];
            assert_eq!(
                owner["uid"],
                store.get("skilltopics", "n", "a").expect("a")["metadata"]["uid"]
            );
        }
        let status = &store.get("skilltopics", "n", "a").expect("a")["status"];
        assert_eq!(status["phase"], "Pending");
        assert_eq!(status["observedGeneration"], 1);
    });
    // The cluster brings the pods up.
    let mut deployment =
        server.with(|store| child(store, "deployments", "a").cloned().expect("made"));
    deployment["status"] = json!({
        "observedGeneration": deployment["metadata"]["generation"],
        "updatedReplicas": 1, "readyReplicas": 1,
    });
    server.put("deployments", deployment);
    until(&server, "a", "Ready", "True", "Serving").await;
    server
        .until("the phase is Running", |store| {
            let status = &store.get("skilltopics", "n", "a")?["status"];
            (status["phase"] == "Running" && status["readyReplicas"] == 1).then_some(())
        })
        .await;
}

#[tokio::test]
async fn what_is_removed_or_changed_by_others_comes_back() {
    let server = ApiServer::start().await;
    let _running = start(&server);
    server.put("skilltopics", topic("a", json!({ "topic": "TOPIC_A" })));
    until(&server, "a", "Applied", "True", "Scaling").await;
    let old = server
        .with(|store| child(store, "deployments", "a").expect("made")["metadata"]["uid"].clone());
    server.remove("deployments", "n", "skill-worker-a");
    let mut deployment = server
        .until("the Deployment is made again", |store| {
            child(store, "deployments", "a")
                .filter(|new| new["metadata"]["uid"] != old)
                .cloned()
        })
        .await;
    // An autoscaler's number stays, a changed image does not.
    deployment["spec"]["replicas"] = json!(7);
    deployment["spec"]["template"]["spec"]["containers"] = json!([]);
    server.put("deployments", deployment);
    server
        .until("the containers are back and the replicas stay", |store| {
            let spec = &child(store, "deployments", "a")?["spec"];
            let is_back = spec["template"]["spec"]["containers"][0]["name"] == "worker";
            (is_back && spec["replicas"] == 7).then_some(())
        })
        .await;
}

#[tokio::test]
async fn what_a_new_spec_no_longer_asks_for_is_removed() {
    let server = ApiServer::start().await;
    let _running = start(&server);
    server.put("skilltopics", topic("a", json!({ "topic": "TOPIC_A" })));
    until(&server, "a", "Applied", "True", "Scaling").await;
    server.put(
        "skilltopics",
        topic(
            "a",
            json!({ "topic": "TOPIC_A", "minReplicas": 1, "maxReplicas": 1 }),
        ),
    );
    until(&server, "a", "Applied", "True", "Fixed").await;
    server.with(|store| {
        assert!(child(store, "scaledobjects", "a").is_none());
        assert!(child(store, "poddisruptionbudgets", "a").is_none());
        let status = &store.get("skilltopics", "n", "a").expect("a")["status"];
        assert_eq!(status["observedGeneration"], 2);
    });
}

#[tokio::test]
async fn an_invalid_spec_is_told_and_changes_nothing_until_it_is_mended() {
    let server = ApiServer::start().await;
    let _running = start(&server);
    server.put(
        "skilltopics",
        topic(
            "a",
            json!({ "topic": "TOPIC A", "minReplicas": 4, "maxReplicas": 2 }),
        ),
    );
    let message = until(&server, "a", "Accepted", "False", "InvalidSpec").await;
    assert!(
        message.contains("spec.topic must be") && message.contains("spec.minReplicas must not"),
        "{message}"
    );
    server.with(|store| {
        assert!(child(store, "deployments", "a").is_none());
        let status = &store.get("skilltopics", "n", "a").expect("a")["status"];
        assert_eq!(status["phase"], "Failed");
    });
    server.put("skilltopics", topic("a", json!({ "topic": "TOPIC_A" })));
    until(&server, "a", "Accepted", "True", "Valid").await;
}

#[tokio::test]
async fn somebody_elses_object_is_left_alone() {
    let server = ApiServer::start().await;
    let theirs = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "skill-worker-a", "namespace": "n" },
        "spec": { "replicas": 3 },
    });
    server.put("deployments", theirs);
    let _running = start(&server);
    server.put("skilltopics", topic("a", json!({ "topic": "TOPIC_A" })));
    let message = until(&server, "a", "Accepted", "False", "Conflict").await;
    assert!(message.contains("Deployment skill-worker-a"), "{message}");
    server.with(|store| {
        let spec = &child(store, "deployments", "a").expect("theirs")["spec"];
        assert_eq!(*spec, json!({ "replicas": 3 }));
        assert!(
            child(store, "services", "a").is_none(),
            "half of it was made"
        );
    });
    server.remove("deployments", "n", "skill-worker-a");
    until(&server, "a", "Applied", "True", "Scaling").await;
}

#[tokio::test]
async fn of_two_skilltopics_with_one_topic_the_older_has_it() {
    let server = ApiServer::start().await;
    server.put("skilltopics", topic("old", json!({ "topic": "TOPIC_A" })));
    server.put("skilltopics", topic("new", json!({ "topic": "TOPIC_A" })));
    let _running = start(&server);
    until(&server, "old", "Applied", "True", "Scaling").await;
    let message = until(&server, "new", "Accepted", "False", "Conflict").await;
    assert!(message.contains("n/old"), "{message}");
    server.remove("skilltopics", "n", "old");
    until(&server, "new", "Applied", "True", "Scaling").await;
    server.with(|store| assert!(child(store, "deployments", "old").is_none()));
}

#[tokio::test]
async fn what_the_server_refuses_is_told_and_tried_again() {
    let server = ApiServer::start().await;
    server.with(|store| store.refused.push("deployments".to_owned()));
    let _running = start(&server);
    server.put("skilltopics", topic("a", json!({ "topic": "TOPIC_A" })));
    let message = until(&server, "a", "Applied", "False", "Rejected").await;
    assert!(
        message.contains("the Deployment was not taken") && message.contains("Invalid value"),
        "{message}"
    );
    server.with(|store| store.refused.clear());
    until(&server, "a", "Applied", "True", "Scaling").await;
}

#[tokio::test]
async fn a_watch_that_is_too_old_misses_nothing() {
    let server = ApiServer::start().await;
    let _running = start(&server);
    // More than a page of them.
    for name in ["a", "b", "c", "d", "e"] {
        server.put(
            "skilltopics",
            topic(name, json!({ "topic": format!("TOPIC_{name}") })),
        );
    }
    for name in ["a", "b", "c", "d", "e"] {
        until(&server, name, "Applied", "True", "Scaling").await;
    }
    // The watches end, may not go on where they were, and lists fail for a while.
    server.with(|store| store.broken = 3);
    server.compact();
    server.put("skilltopics", topic("f", json!({ "topic": "TOPIC_f" })));
    server.remove("skilltopics", "n", "a");
    server.compact();
    until(&server, "f", "Applied", "True", "Scaling").await;
    // One that is gone is not brought back by what was known of it.
    server.put("skilltopics", topic("g", json!({ "topic": "TOPIC_a" })));
    until(&server, "g", "Applied", "True", "Scaling").await;
    server.with(|store| assert!(child(store, "deployments", "a").is_none()));
}

#[tokio::test]
async fn a_server_that_is_down_for_a_while_is_caught_up_with() {
    let server = ApiServer::start().await;
    server.with(|store| store.broken = 25);
    let _running = start(&server);
    server.put("skilltopics", topic("a", json!({ "topic": "TOPIC_A" })));
    until(&server, "a", "Applied", "True", "NoKeda").await;
    server.with(|store| assert_eq!(store.broken, 0));
}

#[tokio::test]
async fn keda_may_come_later() {
    let server = ApiServer::start().await;
    server.with(|store| store.has_keda = false);
    let _running = start_with(&server, Duration::from_millis(100));
    server.put(
        "skilltopics",
        topic("a", json!({ "topic": "TOPIC_A", "minReplicas": 2 })),
    );
    until(&server, "a", "Applied", "True", "NoKeda").await;
    server.with(|store| {
        assert_eq!(
            child(store, "deployments", "a").expect("made")["spec"]["replicas"],
            2
        );
        store.has_keda = true;
    });
    until(&server, "a", "Applied", "True", "Scaling").await;
    server.with(|store| assert!(child(store, "scaledobjects", "a").is_some()));
}

#[tokio::test]
async fn what_is_as_it_should_be_is_not_written_again() {
    let server = ApiServer::start().await;
    let _running = start_with(&server, Duration::from_millis(50));
    server.put("skilltopics", topic("a", json!({ "topic": "TOPIC_A" })));
    until(&server, "a", "Applied", "True", "Scaling").await;
    let looks = |store: &Store| {
        let patched = |request: &&String| *request == "PATCH scaledobjects";
        store.requests.iter().filter(patched).count()
    };
    let version = |store: &Store| {
        store
            .get("skilltopics", "n", "a")
            .map(|a| a["metadata"]["resourceVersion"].clone())
    };
    // The first look may have followed a Deployment that was just made; from the third on all is quiet.
    let settled = server
        .until("three looks", |store| {
            (looks(store) >= 3).then(|| version(store))
        })
        .await;
    server
        .until("three more looks", |store| {
            (looks(store) >= 6).then_some(())
        })
        .await;
    server.with(|store| assert_eq!(version(store), settled));
}
