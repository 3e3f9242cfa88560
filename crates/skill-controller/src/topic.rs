//! A SkillTopic as it is read from the API: typed, with SkillScale's field names and defaults, and
//! checked. The schema in `deploy/k8s/02-crd-skilltopic.yaml` says the same to the API server; what it let
//! through before it said so, or cannot say, is caught here.

use serde::Deserialize;
use serde_json::Value;

/// The name of the API group, and of this version of it.
pub const API_VERSION: &str = "skillscale.io/v1alpha1";
/// Objects of a topic are named `skill-worker-<name>`, and a name has room for 63 characters.
const NAME_CHARACTERS_MAX: usize = 63 - "skill-worker-".len();
const TOPIC_CHARACTERS_MAX: usize = 128;
/// A skill that takes longer than an hour is a job for something else than a request and its answer.
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=3_600_000;

/// Which object it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Key {
    /// The namespace and name of any namespaced object.
    pub fn of(object: &Value) -> Option<Self> {
        let metadata = object.get("metadata")?;
        let text = |field: &str| metadata.get(field)?.as_str().map(str::to_owned);
        Some(Self {
            namespace: text("namespace")?,
            name: text("name")?,
        })
    }
}

/// A SkillTopic that can be carried out.
#[derive(Debug, Clone)]
pub struct SkillTopic {
    pub key: Key,
    pub uid: String,
    pub spec: Spec,
}

/// What a SkillTopic asks for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    pub topic: String,
    #[serde(default)]
    pub transport: Transport,
    /// A git repository with the skills, fetched when a pod starts; else they are in the image.
    pub skills_repo: Option<String>,
    /// A branch or tag of that repository.
    pub skills_revision: Option<String>,
    /// The folder with this topic's skills, in the repository or below `/skills` of the image.
    #[serde(default = "here")]
    pub skills_path: String,
    pub image: Option<String>,
    #[serde(default = "min_replicas")]
    pub min_replicas: u32,
    #[serde(default = "max_replicas")]
    pub max_replicas: u32,
    /// How long a skill may run, in milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout: u64,
    /// Skills that run at the same time in one pod.
    #[serde(default = "workers")]
    pub workers: u32,
    /// Requests, waiting or running, for which one more pod is started; twice `workers` unless said.
    pub requests_per_replica: Option<u32>,
    #[serde(default)]
    pub sandbox: Sandbox,
    /// A seccomp profile on the nodes that lets the worker make user namespaces.
    pub seccomp_profile: Option<String>,
    #[serde(default)]
    pub resources: Resources,
}

impl Spec {
    pub fn requests_per_replica(&self) -> u32 {
        self.requests_per_replica
            .unwrap_or_else(|| self.workers.saturating_mul(2))
    }

    /// Whether the number of pods is to follow the load.
    pub fn wants_scaling(&self) -> bool {
        self.min_replicas < self.max_replicas
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Through `skills proxy`.
    #[default]
    Zeromq,
    /// Through NATS JetStream.
    Nats,
}

/// How much of the sandbox has to hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sandbox {
    /// All of it, or the worker does not start.
    #[default]
    Full,
    /// What the node lets it have; the worker's log says what is missing.
    Available,
}

/// SkillScale's four figures.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resources {
    pub cpu_request: String,
    pub cpu_limit: String,
    pub memory_request: String,
    pub memory_limit: String,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpu_request: "100m".to_owned(),
            cpu_limit: "1000m".to_owned(),
            memory_request: "128Mi".to_owned(),
            memory_limit: "512Mi".to_owned(),
        }
    }
}

fn here() -> String {
    ".".to_owned()
}

fn min_replicas() -> u32 {
    1
}

fn max_replicas() -> u32 {
    10
}

fn timeout_ms() -> u64 {
    30_000
}

fn workers() -> u32 {
    4
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Dotted, such as `spec.skillsPath`.
    pub field: String,
    /// A sentence without its subject: `must not …`.
    pub problem: String,
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.field, self.problem)
    }
}

/// Reads and checks an object; tells all its flaws at once, except where it has not even the right shape.
pub fn read(object: &Value) -> Result<SkillTopic, Vec<Flaw>> {
    let flaw = |field: &str, problem: String| {
        vec![Flaw {
            field: field.to_owned(),
            problem,
        }]
    };
    let key = Key::of(object).ok_or_else(|| flaw("metadata", "has no name".to_owned()))?;
    let uid = object["metadata"]["uid"]
        .as_str()
        .ok_or_else(|| flaw("metadata.uid", "is missing".to_owned()))?
        .to_owned();
    let spec: Spec = serde_path_to_error::deserialize(&object["spec"]).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." => "spec".to_owned(),
            path => format!("spec.{path}"),
        };
        flaw(&path, format!("cannot be read: {}", error.inner()))
    })?;
    let flaws = flaws(&key, &spec);
    if flaws.is_empty() {
        Ok(SkillTopic { key, uid, spec })
    } else {
        Err(flaws)
    }
}

fn flaws(key: &Key, spec: &Spec) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let mut check = |good: bool, field: &str, problem: &str| {
        if !good {
            flaws.push(Flaw {
                field: field.to_owned(),
                problem: problem.to_owned(),
            });
        }
    };
    check(
        key.name.len() <= NAME_CHARACTERS_MAX && is_label(&key.name),
        "metadata.name",
        "must be at most 50 lower-case letters, digits and hyphens, beginning and ending with a letter or digit",
    );
    check(
        is_topic(&spec.topic),
        "spec.topic",
        "must be at most 128 letters, digits, hyphens and underscores",
    );
    check(
        !spec.topic.starts_with("AGENT_REPLY_"),
        "spec.topic",
        "must not begin with AGENT_REPLY_: on such topics agents wait for answers",
    );
    check(
        is_inner_path(&spec.skills_path),
        "spec.skillsPath",
        "must be a relative path without `..`, of letters, digits and ._-/",
    );
    if let Some(repository) = &spec.skills_repo {
        check(
            is_repository(repository),
            "spec.skillsRepo",
            "must be an https:// address without a user or password",
        );
    }
    if let Some(revision) = &spec.skills_revision {
        check(
            is_inner_path(revision) && !revision.starts_with('-'),
            "spec.skillsRevision",
            "must be the name of a branch or tag",
        );
        check(
            spec.skills_repo.is_some(),
            "spec.skillsRevision",
            "needs spec.skillsRepo",
        );
    }
    check(
        spec.min_replicas <= spec.max_replicas,
        "spec.minReplicas",
        "must not be greater than spec.maxReplicas",
    );
    check(
        spec.max_replicas >= 1,
        "spec.maxReplicas",
        "must be at least 1",
    );
    check(
        TIMEOUT_MS.contains(&spec.timeout),
        "spec.timeout",
        "must be 100 to 3600000 milliseconds",
    );
    check(
        (1..=256).contains(&spec.workers),
        "spec.workers",
        "must be 1 to 256",
    );
    check(
        spec.requests_per_replica != Some(0),
        "spec.requestsPerReplica",
        "must be at least 1",
    );
    if let Some(profile) = &spec.seccomp_profile {
        check(
            is_inner_path(profile),
            "spec.seccompProfile",
            "must be a path below the kubelet's seccomp folder",
        );
    }
    let resources = &spec.resources;
    for (field, quantity) in [
        ("cpuRequest", &resources.cpu_request),
        ("cpuLimit", &resources.cpu_limit),
        ("memoryRequest", &resources.memory_request),
        ("memoryLimit", &resources.memory_limit),
    ] {
        check(
            is_quantity(quantity),
            &format!("spec.resources.{field}"),
            "must be a quantity such as 500m or 256Mi",
        );
    }
    flaws
}

/// A DNS label, RFC 1123.
fn is_label(text: &str) -> bool {
    let ends =
        |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    ends(text.bytes().next())
        && ends(text.bytes().last())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// What is a ZeroMQ topic and one token of a NATS subject alike, and needs no escape in PromQL.
fn is_topic(text: &str) -> bool {
    (1..=TOPIC_CHARACTERS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn is_inner_path(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && !text.starts_with('/')
        && text.split('/').all(|part| part != "..")
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
}

fn is_repository(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        url.scheme() == "https"
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

/// Of the quantities that Kubernetes reads, those that people write.
fn is_quantity(text: &str) -> bool {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = &text[number.len()..];
    let known = ["", "m", "k", "Ki", "M", "Mi", "G", "Gi", "T", "Ti"].contains(&suffix);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    known && digits(whole) && digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn topic(spec: Value) -> Value {
        json!({ "metadata": { "name": "x", "namespace": "n", "uid": "u" }, "spec": spec })
    }

    #[test]
    fn the_least_that_can_be_said_has_skillscales_defaults() {
        let topic = read(&topic(json!({ "topic": "TOPIC_X" }))).expect("valid");
        let spec = topic.spec;
        assert_eq!(
            (
                spec.min_replicas,
                spec.max_replicas,
                spec.timeout,
                spec.workers
            ),
            (1, 10, 30_000, 4)
        );
        assert_eq!(spec.requests_per_replica(), 8);
        assert_eq!(spec.sandbox, Sandbox::Full);
    }

    #[test]
    fn each_flaw_is_told_with_its_field() {
        let flawed = topic(json!({
            "topic": "AGENT_REPLY_x y", "skillsPath": "../etc", "skillsRepo": "https://me:pw@example.com/x",
            "skillsRevision": "-x", "minReplicas": 3, "maxReplicas": 2, "timeout": 1, "workers": 0,
            "requestsPerReplica": 0, "seccompProfile": "/etc/x", "resources": { "cpuLimit": "much" },
        }));
        let fields: Vec<String> = read(&flawed)
            .expect_err("flawed")
            .into_iter()
            .map(|flaw| flaw.field)
            .collect();
        assert_eq!(
            fields,
            [
                "spec.topic",
                "spec.topic",
                "spec.skillsPath",
                "spec.skillsRepo",
                "spec.skillsRevision",
                "spec.minReplicas",
                "spec.timeout",
                "spec.workers",
                "spec.requestsPerReplica",
                "spec.seccompProfile",
                "spec.resources.cpuLimit",
            ]
        );
    }

    #[test]
    fn a_wrong_type_names_its_field() {
        let flaws =
            read(&topic(json!({ "topic": "T", "maxReplicas": "many" }))).expect_err("flawed");
        assert_eq!(flaws[0].field, "spec.maxReplicas");
    }

    #[test]
    fn quantities() {
        for good in ["1", "0.5", "500m", "256Mi", "2Gi"] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in ["", "m", "1.", ".5", "1 Gi", "1X", "-1"] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }
}
