//! What a SkillTopic should look like in the cluster. Pure: the same topic and the same settings make the
//! same objects, byte for byte.

use serde_json::{Value, json};

use crate::api::{DEPLOYMENT, POD_DISRUPTION_BUDGET, Resource, SCALED_OBJECT, SERVICE};
use crate::settings::{Nats, Workers, Zeromq};
use crate::topic::{API_VERSION, Flaw, SkillTopic, Transport};
use crate::worker::{self, METRICS_PORT};

/// Marks what belongs to a SkillTopic, and says to which.
pub const TOPIC_LABEL: &str = "skillscale.io/skilltopic";
/// How often KEDA looks at the load, and for how long it must be gone before pods are.
const POLLING_SECONDS: u32 = 10;
const COOLDOWN_SECONDS: u32 = 120;
/// A topic over NATS has no stream before its first worker made one: that one gets time to do so.
const FIRST_COOLDOWN_SECONDS: u32 = 120;
/// The durable consumer that a topic's workers share, and how a topic's stream is named.
const CONSUMER: &str = "workers";
const STREAM_PREFIX: &str = "skills-topic-";

/// What can belong to a SkillTopic, in the order in which it is made.
pub const KINDS: [&Resource; 4] = [
    &SERVICE,
    &DEPLOYMENT,
    &POD_DISRUPTION_BUDGET,
    &SCALED_OBJECT,
];

/// An object to be applied.
#[derive(Debug, Clone)]
pub struct Object {
    pub resource: &'static Resource,
    pub body: Value,
}

/// Why the number of a topic's pods does not follow the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaling {
    /// It does.
    Keda,
    /// `minReplicas` and `maxReplicas` are the same.
    Fixed,
    /// The cluster has no ScaledObjects.
    NoKeda,
    /// The controller was not told whom to ask for the load.
    NoMetrics,
}

/// The objects of one topic.
#[derive(Debug, Clone)]
pub struct Desired {
    pub objects: Vec<Object>,
    pub scaling: Scaling,
}

/// The name of everything that belongs to a SkillTopic.
pub fn name(topic: &str) -> String {
    format!("skill-worker-{topic}")
}

/// The objects that a topic should have, or what it asks for that this controller cannot give.
pub fn objects(topic: &SkillTopic, workers: &Workers, has_keda: bool) -> Result<Desired, Flaw> {
    let mesh = mesh(topic, workers)?;
    let trigger = trigger(topic, &mesh);
    let scaling = match &trigger {
        _ if !topic.spec.wants_scaling() => Scaling::Fixed,
        None => Scaling::NoMetrics,
        Some(_) if !has_keda => Scaling::NoKeda,
        Some(_) => Scaling::Keda,
    };
    let mut objects = vec![
        object(topic, &SERVICE, service(topic)),
        object(
            topic,
            &DEPLOYMENT,
            deployment(topic, workers, &mesh, scaling),
        ),
    ];
    // One pod cannot be kept from going without keeping its node from being drained.
    if topic.spec.max_replicas > 1 {
        objects.push(object(topic, &POD_DISRUPTION_BUDGET, budget(topic)));
    }
    if let (Scaling::Keda, Some(trigger)) = (scaling, trigger) {
        objects.push(object(topic, &SCALED_OBJECT, scaled_object(topic, trigger)));
    }
    Ok(Desired { objects, scaling })
}

/// The mesh that a topic's workers connect to.
pub(crate) enum Mesh<'a> {
    Zeromq(&'a Zeromq),
    Nats(&'a Nats),
}

fn mesh<'a>(topic: &SkillTopic, workers: &'a Workers) -> Result<Mesh<'a>, Flaw> {
    let missing = |what: &str| Flaw {
        field: "spec.transport".to_owned(),
        problem: what.to_owned(),
    };
    match topic.spec.transport {
        Transport::Zeromq => workers.zeromq.as_ref().map(Mesh::Zeromq).ok_or_else(|| {
            missing("is zeromq, but the controller runs without --proxy-xsub and --proxy-xpub")
        }),
        Transport::Nats => workers
            .nats
            .as_ref()
            .map(Mesh::Nats)
            .ok_or_else(|| missing("is nats, but the controller runs without --nats")),
    }
}

/// Puts name, labels and owner on an object.
fn object(topic: &SkillTopic, resource: &'static Resource, mut body: Value) -> Object {
    body["apiVersion"] = json!(resource.api_version());
    body["kind"] = json!(resource.kind);
    body["metadata"] = json!({
        "name": name(&topic.key.name),
        "namespace": topic.key.namespace,
        "labels": labels(topic),
        "ownerReferences": [{
            "apiVersion": API_VERSION,
            "kind": "SkillTopic",
            "name": topic.key.name,
            "uid": topic.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        }],
    });
    Object { resource, body }
}

fn labels(topic: &SkillTopic) -> Value {
    json!({
        "app.kubernetes.io/name": "skill-worker",
        "app.kubernetes.io/instance": topic.key.name,
        "app.kubernetes.io/part-of": "skillscale",
        "app.kubernetes.io/managed-by": crate::FIELD_MANAGER,
        TOPIC_LABEL: topic.key.name,
    })
}

/// What never changes in a topic's life: a Deployment's selector cannot.
fn selector(topic: &SkillTopic) -> Value {
    json!({ "app.kubernetes.io/name": "skill-worker", TOPIC_LABEL: topic.key.name })
}

/// Workers are not called; they are only watched.
fn service(topic: &SkillTopic) -> Value {
    json!({
        "spec": {
            "clusterIP": "None",
            "selector": selector(topic),
            "ports": [{ "name": "metrics", "port": METRICS_PORT, "targetPort": "metrics", "protocol": "TCP" }],
        },
    })
}

fn deployment(topic: &SkillTopic, workers: &Workers, mesh: &Mesh, scaling: Scaling) -> Value {
    let mut deployment = json!({
        "spec": {
            "revisionHistoryLimit": 3,
            "selector": { "matchLabels": selector(topic) },
            // A new worker first, so that the topic is never without; the old one hands its work on.
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } },
            "template": {
                "metadata": { "labels": labels(topic) },
                "spec": worker::pod(topic, workers, mesh),
            },
        },
    });
    // Where KEDA scales, the number is its own: who does not say it does not take it back.
    if scaling != Scaling::Keda {
        deployment["spec"]["replicas"] = json!(topic.spec.min_replicas.max(1));
    }
    deployment
}

fn budget(topic: &SkillTopic) -> Value {
    json!({ "spec": { "maxUnavailable": 1, "selector": { "matchLabels": selector(topic) } } })
}

fn scaled_object(topic: &SkillTopic, trigger: Value) -> Value {
    let spec = &topic.spec;
    let mut scaled = json!({
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name(&topic.key.name) },
            "pollingInterval": POLLING_SECONDS,
            "cooldownPeriod": COOLDOWN_SECONDS,
            "minReplicaCount": spec.min_replicas,
            "maxReplicaCount": spec.max_replicas,
            "triggers": [trigger],
        },
    });
    if spec.min_replicas == 0 && spec.transport == Transport::Nats {
        scaled["spec"]["initialCooldownPeriod"] = json!(FIRST_COOLDOWN_SECONDS);
    }
    scaled
}

/// Whom KEDA asks how much there is to do: requests that wait and requests that run. Were running ones
/// left out, the last pod could be taken while it works.
fn trigger(topic: &SkillTopic, mesh: &Mesh) -> Option<Value> {
    let per_replica = topic.spec.requests_per_replica().to_string();
    match mesh {
        Mesh::Zeromq(zeromq) => zeromq.prometheus.as_ref().map(|prometheus| {
            json!({
                "type": "prometheus",
                "metadata": {
                    "serverAddress": prometheus,
                    "query": worker::load_query(&topic.spec.topic),
                    "threshold": per_replica,
                },
            })
        }),
        Mesh::Nats(nats) => nats.monitoring.as_ref().map(|monitoring| {
            json!({
                "type": "nats-jetstream",
                "metadata": {
                    "natsServerMonitoringEndpoint": monitoring,
                    "account": nats.account,
                    "stream": format!("{STREAM_PREFIX}{}", topic.spec.topic),
                    "consumer": CONSUMER,
                    "lagThreshold": per_replica,
                },
            })
        }),
    }
}
