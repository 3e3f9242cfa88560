//! What topics become, compared with committed objects. `deploy/check` holds the same files against the
//! schemas of Kubernetes and KEDA.

use std::path::Path;

use serde_json::{Value, json};
use skill_controller::desired::{self, Scaling};
use skill_controller::settings::{Nats, Workers, Zeromq};
use skill_controller::topic;

/// As `deploy/k8s/05-controller.yaml` sets it.
pub fn workers() -> Workers {
    Workers {
        image: "skills-worker:0.1.0".to_owned(),
        zeromq: Some(Zeromq {
            xsub: "tcp://skillscale-proxy-xsub.skillscale.svc:5444".to_owned(),
            xpub: "tcp://skillscale-proxy-xpub.skillscale.svc:5555".to_owned(),
            prometheus: Some("http://skillscale-prometheus.skillscale.svc:9090".to_owned()),
        }),
        nats: Some(Nats {
            url: "nats://skillscale-nats.skillscale.svc:4222".to_owned(),
            monitoring: Some("skillscale-nats-monitoring.skillscale.svc:8222".to_owned()),
            account: "$G".to_owned(),
        }),
    }
}

fn objects(spec: Value, workers: &Workers, has_keda: bool) -> (Value, Scaling) {
    let object = json!({
        "metadata": { "name": "reports", "namespace": "skillscale", "uid": "6a1f0c52-0000-4000-8000-000000000000" },
        "spec": spec,
    });
    let topic = topic::read(&object).expect("a valid topic");
    let desired = desired::objects(&topic, workers, has_keda).expect("possible");
    let bodies = desired.objects.into_iter().map(|object| object.body);
    (bodies.collect(), desired.scaling)
}

fn compare(name: &str, objects: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/golden")
        .join(format!("{name}.json"));
    let current = format!("{objects:#}\n");
    if std::env::var_os("SKILLS_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &current).expect("the folder is there");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "{name} is now\n{current}\nIf that is right, run the test with SKILLS_WRITE_GOLDEN=1 and commit."
    );
}

#[test]
fn the_least_that_can_be_said() {
    let (objects, scaling) = objects(json!({ "topic": "TOPIC_REPORTS" }), &workers(), true);
    assert_eq!(scaling, Scaling::Keda);
    compare("least", &objects);
}

#[test]
fn everything_that_can_be_said() {
    let spec = json!({
        "topic": "TOPIC_REPORTS", "transport": "nats", "minReplicas": 0, "maxReplicas": 5,
        "skillsRepo": "https://git.example.org/skills.git", "skillsRevision": "v1.2", "skillsPath": "reports",
        "image": "registry.example.org/skills-worker:1", "timeout": 90_500, "workers": 2,
        "requestsPerReplica": 3, "sandbox": "full", "seccompProfile": "profiles/skills-worker.json",
        "resources": { "cpuRequest": "0.5", "cpuLimit": "2", "memoryRequest": "256Mi", "memoryLimit": "1Gi" },
    });
    let (objects, scaling) = objects(spec, &workers(), true);
    assert_eq!(scaling, Scaling::Keda);
    compare("most", &objects);
}

#[test]
fn a_single_pod_has_no_budget_and_is_not_scaled() {
    let spec = json!({ "topic": "TOPIC_REPORTS", "minReplicas": 1, "maxReplicas": 1, "sandbox": "available" });
    let (objects, scaling) = objects(spec, &workers(), true);
    assert_eq!(scaling, Scaling::Fixed);
    compare("single", &objects);
}

#[test]
fn without_keda_or_a_metric_the_number_of_pods_is_the_least_but_never_none() {
    let spec = json!({ "topic": "T", "minReplicas": 0, "maxReplicas": 3 });
    let (without_keda, scaling) = objects(spec.clone(), &workers(), false);
    assert_eq!(scaling, Scaling::NoKeda);
    assert_eq!(without_keda[1]["spec"]["replicas"], 1);
    let mut workers = workers();
    workers.zeromq.as_mut().expect("set").prometheus = None;
    let (without_metric, scaling) = objects(spec, &workers, true);
    assert_eq!(scaling, Scaling::NoMetrics);
    assert_eq!(without_metric, without_keda);
}

#[test]
fn a_transport_that_the_controller_was_not_told_of_is_refused_by_name() {
    let object = json!({
        "metadata": { "name": "x", "namespace": "n", "uid": "u" },
        "spec": { "topic": "T", "transport": "nats" },
    });
    let topic = topic::read(&object).expect("valid");
    let workers = Workers {
        nats: None,
        ..workers()
    };
    let flaw = desired::objects(&topic, &workers, true).expect_err("no server");
    assert_eq!(flaw.field, "spec.transport");
    assert!(flaw.problem.contains("--nats"), "{}", flaw.problem);
}
