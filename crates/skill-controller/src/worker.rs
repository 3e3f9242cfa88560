//! The pod that runs `skills worker`: its flags, its probes, its rights. The only module that knows how
//! the worker's flags and metrics are named.

use serde_json::{Value, json};

use crate::desired::Mesh;
use crate::settings::Workers;
use crate::topic::{Sandbox, SkillTopic};

/// Where a worker tells how it is.
pub(crate) const METRICS_PORT: u16 = 9100;
/// Where an image keeps its skills, and where a fetched repository goes instead.
const SKILLS: &str = "/skills";
const FETCHED: &str = "/fetched";
/// The user of the image. Not root, and no user of any node.
const USER: u32 = 10_001;
/// What a worker needs after its drain: to hand on what did not end, and to send answers.
const FAREWELL_SECONDS: u64 = 15;

/// How many requests a topic's proxy has, waiting or running. Without a proxy to ask it is none.
pub(crate) fn load_query(topic: &str) -> String {
    format!(
        "(sum(skills_proxy_waiting{{topic=\"{topic}\"}}) + sum(skills_proxy_running{{topic=\"{topic}\"}})) or vector(0)"
    )
}

/// The pod of a topic's worker.
pub(crate) fn pod(topic: &SkillTopic, workers: &Workers, mesh: &Mesh) -> Value {
    let image = topic.spec.image.as_ref().unwrap_or(&workers.image);
    let mut pod = json!({
        "automountServiceAccountToken": false,
        // Addresses of all services are none of a skill's business.
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": drain_seconds(topic) + FAREWELL_SECONDS,
        "securityContext": pod_security(topic),
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": { crate::desired::TOPIC_LABEL: topic.key.name } },
        }],
        "containers": [container(topic, image, mesh)],
        "volumes": [{ "name": "scratch", "emptyDir": { "sizeLimit": "1Gi" } }],
    });
    if let Some(repository) = &topic.spec.skills_repo {
        pod["initContainers"] = json!([fetch(topic, image, repository)]);
        if let Some(volumes) = pod["volumes"].as_array_mut() {
            volumes.push(json!({ "name": "fetched", "emptyDir": { "sizeLimit": "1Gi" } }));
        }
    }
    pod
}

/// The longest skill that was just begun can end before its worker does.
fn drain_seconds(topic: &SkillTopic) -> u64 {
    topic.spec.timeout.div_ceil(1000)
}

fn container(topic: &SkillTopic, image: &str, mesh: &Mesh) -> Value {
    let spec = &topic.spec;
    let mut mounts = vec![json!({ "name": "scratch", "mountPath": "/tmp" })];
    let root = if spec.skills_repo.is_some() {
        mounts.push(json!({ "name": "fetched", "mountPath": FETCHED, "readOnly": true }));
        FETCHED
    } else {
        SKILLS
    };
    let folder = match spec.skills_path.as_str() {
        "." => root.to_owned(),
        path => format!("{root}/{path}"),
    };
    let probe = |path: &str, failures: u32| {
        json!({
            "httpGet": { "path": path, "port": "metrics" },
            "periodSeconds": 5,
            "timeoutSeconds": 3,
            "failureThreshold": failures,
        })
    };
    json!({
        "name": "worker",
        "image": image,
        "args": arguments(topic, mesh, &folder),
        "env": [{ "name": "HOME", "value": "/tmp" }, { "name": "TMPDIR", "value": "/tmp" }],
        "ports": [{ "name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP" }],
        // A start may import every skill's packages; an answer later takes no time.
        "startupProbe": probe("/healthz", 24),
        "livenessProbe": probe("/healthz", 6),
        "readinessProbe": probe("/readyz", 1),
        "resources": {
            "requests": { "cpu": spec.resources.cpu_request, "memory": spec.resources.memory_request },
            "limits": { "cpu": spec.resources.cpu_limit, "memory": spec.resources.memory_limit },
        },
        "securityContext": container_security(),
        "volumeMounts": mounts,
    })
}

fn arguments(topic: &SkillTopic, mesh: &Mesh, folder: &str) -> Vec<String> {
    let spec = &topic.spec;
    let mut arguments = vec![
        "worker".to_owned(),
        format!("--topic={}", spec.topic),
        format!("--skills-dir={folder}"),
        format!("--workers={}", spec.workers),
        format!("--timeout={}", spec.timeout),
        format!("--drain={}", drain_seconds(topic)),
        format!("--metrics=0.0.0.0:{METRICS_PORT}"),
    ];
    match mesh {
        Mesh::Zeromq(zeromq) => arguments.extend([
            format!("--proxy-xsub={}", zeromq.xsub),
            format!("--proxy-xpub={}", zeromq.xpub),
        ]),
        Mesh::Nats(nats) => arguments.push(format!("--nats={}", nats.url)),
    }
    if spec.sandbox == Sandbox::Available {
        arguments.push("--sandbox=available".to_owned());
    }
    arguments
}

/// Fetches the skills before the worker starts. A revision is a name and never a flag: it is checked.
fn fetch(topic: &SkillTopic, image: &str, repository: &str) -> Value {
    let mut arguments = vec!["clone", "--depth=1", "--single-branch"];
    if let Some(revision) = &topic.spec.skills_revision {
        arguments.extend(["--branch", revision]);
    }
    arguments.extend(["--", repository, FETCHED]);
    json!({
        "name": "fetch-skills",
        "image": image,
        "command": ["git"],
        "args": arguments,
        "env": [{ "name": "HOME", "value": "/tmp" }, { "name": "GIT_TERMINAL_PROMPT", "value": "0" }],
        "resources": {
            "requests": { "cpu": "50m", "memory": "64Mi" },
            "limits": { "cpu": "500m", "memory": "256Mi" },
        },
        "securityContext": container_security(),
        "volumeMounts": [
            { "name": "fetched", "mountPath": FETCHED },
            { "name": "scratch", "mountPath": "/tmp" },
        ],
    })
}

/// The whole sandbox makes user namespaces and mounts in them, which the runtime's default seccomp and
/// AppArmor profiles refuse. A worker's own process is trusted; what it runs is behind the sandbox's own,
/// much narrower filter.
fn pod_security(topic: &SkillTopic) -> Value {
    let profile = |kind: &str| json!({ "type": kind });
    let mut security = json!({
        "runAsNonRoot": true,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": profile("RuntimeDefault"),
    });
    if topic.spec.sandbox == Sandbox::Full {
        security["appArmorProfile"] = profile("Unconfined");
        security["seccompProfile"] = match &topic.spec.seccomp_profile {
            Some(path) => json!({ "type": "Localhost", "localhostProfile": path }),
            None => profile("Unconfined"),
        };
    }
    security
}

fn container_security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "readOnlyRootFilesystem": true,
    })
}
