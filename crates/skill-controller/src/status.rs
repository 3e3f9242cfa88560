//! What a SkillTopic's status says. Pure: it follows from what was found, and stays byte for byte the
//! same while nothing changes, so that writing it does not wake whoever watches.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::desired::Scaling;

/// Longest message that a condition may carry, by the API's convention.
const MESSAGE_CHARACTERS_MAX: usize = 1024;

/// What came of one look at a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The spec cannot be carried out; nothing was changed.
    Refused { message: String },
    /// Another topic or somebody else's object is in the way.
    Conflict { message: String },
    /// The API server did not take something.
    NotApplied { message: String },
    /// All is as the spec asks.
    Applied {
        scaling: Scaling,
        deployment: Replicas,
    },
}

/// What the Deployment says of its pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replicas {
    pub wanted: u64,
    pub updated: u64,
    pub ready: u64,
    /// The Deployment's controller has seen the newest spec.
    pub is_current: bool,
}

impl Replicas {
    /// As a Deployment has it.
    pub fn of(deployment: &Value) -> Self {
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let status = &deployment["status"];
        Self {
            wanted: number(&deployment["spec"]["replicas"]),
            updated: number(&status["updatedReplicas"]),
            ready: number(&status["readyReplicas"]),
            is_current: number(&status["observedGeneration"])
                >= number(&deployment["metadata"]["generation"]),
        }
    }
}

struct Condition {
    kind: &'static str,
    holds: Option<bool>,
    reason: &'static str,
    message: String,
}

/// The status after an outcome. `old` is the one before: a condition keeps the time at which it changed.
pub fn after(outcome: &Outcome, generation: u64, old: &Value, now: Timestamp) -> Value {
    let (conditions, replicas) = conditions(outcome);
    let phase = match outcome {
        Outcome::Refused { .. } | Outcome::Conflict { .. } | Outcome::NotApplied { .. } => "Failed",
        Outcome::Applied { deployment, .. } => match deployment {
            Replicas {
                is_current: true,
                wanted,
                updated,
                ready,
            } if ready >= wanted && updated >= wanted => "Running",
            Replicas { ready: 0, .. } => "Pending",
            _ => "Scaling",
        },
    };
    let conditions: Vec<Value> = conditions
        .into_iter()
        .map(|condition| condition.render(generation, old, now))
        .collect();
    let mut status = json!({
        "observedGeneration": generation,
        "phase": phase,
        "conditions": conditions,
    });
    if let Some(replicas) = replicas {
        status["replicas"] = json!(replicas.wanted);
        status["readyReplicas"] = json!(replicas.ready);
    } else {
        for field in ["replicas", "readyReplicas"] {
            if !old[field].is_null() {
                status[field] = old[field].clone();
            }
        }
    }
    status
}

fn conditions(outcome: &Outcome) -> (Vec<Condition>, Option<Replicas>) {
    let condition = |kind, holds, reason, message: &str| Condition {
        kind,
        holds,
        reason,
        message: message.to_owned(),
    };
    let unknown = |kind| condition(kind, None, "NotApplied", "the other conditions say why");
    match outcome {
        Outcome::Refused { message } => (
            vec![
                condition("Accepted", Some(false), "InvalidSpec", message),
                unknown("Applied"),
                unknown("Ready"),
            ],
            None,
        ),
        Outcome::Conflict { message } => (
            vec![
                condition("Accepted", Some(false), "Conflict", message),
                unknown("Applied"),
                unknown("Ready"),
            ],
            None,
        ),
        Outcome::NotApplied { message } => (
            vec![
                condition(
                    "Accepted",
                    Some(true),
                    "Valid",
                    "the spec can be carried out",
                ),
                condition("Applied", Some(false), "Rejected", message),
                unknown("Ready"),
            ],
            None,
        ),
        Outcome::Applied {
            scaling,
            deployment,
        } => {
            let (reason, message) = match scaling {
                Scaling::Keda => ("Scaling", "pods follow the load"),
                Scaling::Fixed => ("Fixed", "the number of pods is fixed"),
                Scaling::NoKeda => (
                    "NoKeda",
                    "this cluster has no ScaledObjects: install KEDA, and pods will follow the load",
                ),
                Scaling::NoMetrics => (
                    "NoMetrics",
                    "the controller runs without --prometheus or --nats-monitoring: pods do not follow the load",
                ),
            };
            let (ready, why, how) = readiness(deployment);
            (
                vec![
                    condition(
                        "Accepted",
                        Some(true),
                        "Valid",
                        "the spec can be carried out",
                    ),
                    condition("Applied", Some(true), reason, message),
                    condition("Ready", Some(ready), why, &how),
                ],
                Some(*deployment),
            )
        }
    }
}

fn readiness(replicas: &Replicas) -> (bool, &'static str, String) {
    let Replicas {
        wanted,
        updated,
        ready,
        is_current,
    } = replicas;
    let how = format!("{ready} of {wanted} pods are ready, {updated} of them up to date");
    match () {
        () if !is_current => (
            false,
            "Updating",
            "the Deployment has just changed".to_owned(),
        ),
        () if *wanted == 0 => (
            true,
            "ScaledToZero",
            "no pods until there is something to do".to_owned(),
        ),
        () if *ready >= *wanted && *updated >= *wanted => (true, "Serving", how),
        () if *ready > 0 => (true, "Updating", how),
        () => (false, "NoPods", how),
    }
}

impl Condition {
    fn render(self, generation: u64, old: &Value, now: Timestamp) -> Value {
        let status = match self.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let before = old["conditions"].as_array().and_then(|conditions| {
            conditions
                .iter()
                .find(|condition| condition["type"] == self.kind)
        });
        let since = before
            .filter(|condition| condition["status"] == status)
            .and_then(|condition| condition["lastTransitionTime"].as_str())
            .map_or_else(|| seconds(now), str::to_owned);
        let message: String = self.message.chars().take(MESSAGE_CHARACTERS_MAX).collect();
        json!({
            "type": self.kind,
            "status": status,
            "observedGeneration": generation,
            "lastTransitionTime": since,
            "reason": self.reason,
            "message": message,
        })
    }
}

/// RFC 3339 in whole seconds, as the API writes times.
fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
