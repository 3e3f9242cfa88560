//! One look at one topic: compares what is with what should be, and changes what differs.

use serde_json::Value;

use crate::api::{Api, ApiError, Resource, SCALED_OBJECT, SKILL_TOPIC};
use crate::desired::{self, Desired, KINDS};
use crate::settings::Workers;
use crate::status::{self, Outcome, Replicas};
use crate::topic::{self, Flaw, SkillTopic};

/// What a look needs to know beside the topic itself.
pub(crate) struct Surroundings<'a> {
    pub workers: &'a Workers,
    pub has_keda: bool,
    /// Another SkillTopic that has this one's topic already.
    pub rival: Option<String>,
    pub now: jiff::Timestamp,
}

/// Brings the cluster to what the SkillTopic asks for and writes its status. Says what came of it;
/// an error means that the cluster itself could not be worked with.
pub(crate) async fn reconcile(
    api: &Api,
    object: &Value,
    surroundings: &Surroundings<'_>,
) -> Result<Outcome, ApiError> {
    let outcome = bring_about(api, object, surroundings).await?;
    let generation = object["metadata"]["generation"].as_u64().unwrap_or(0);
    let old = &object["status"];
    let new = status::after(&outcome, generation, old, surroundings.now);
    if new != *old {
        api.set_status(&SKILL_TOPIC, object, &new).await?;
    }
    Ok(outcome)
}

async fn bring_about(
    api: &Api,
    object: &Value,
    surroundings: &Surroundings<'_>,
) -> Result<Outcome, ApiError> {
    let topic = match topic::read(object) {
        Ok(topic) => topic,
        Err(flaws) => return Ok(refused(&flaws)),
    };
    if let Some(rival) = &surroundings.rival {
        return Ok(Outcome::Conflict {
            message: format!(
                "spec.topic {} is that of the SkillTopic {rival} already: its workers would take each other's requests",
                topic.spec.topic
            ),
        });
    }
    let desired = match desired::objects(&topic, surroundings.workers, surroundings.has_keda) {
        Ok(desired) => desired,
        Err(flaw) => return Ok(refused(&[flaw])),
    };
    let found = match find(api, &topic, surroundings.has_keda).await? {
        Ok(found) => found,
        Err(message) => return Ok(Outcome::Conflict { message }),
    };
    apply(api, desired, found).await
}

fn refused(flaws: &[Flaw]) -> Outcome {
    let messages: Vec<String> = flaws.iter().map(Flaw::to_string).collect();
    Outcome::Refused {
        message: messages.join("; "),
    }
}

/// What is there under the topic's names. None of it may be somebody else's.
async fn find(
    api: &Api,
    topic: &SkillTopic,
    has_keda: bool,
) -> Result<Result<Vec<(&'static Resource, Value)>, String>, ApiError> {
    let name = desired::name(&topic.key.name);
    let mut found = Vec::new();
    for resource in KINDS {
        if *resource == SCALED_OBJECT && !has_keda {
            continue;
        }
        let Some(object) = api.get(resource, &topic.key.namespace, &name).await? else {
            continue;
        };
        if !is_owned_by(&object, &topic.uid) {
            return Ok(Err(format!(
                "there is a {} {name} that does not belong to this SkillTopic: remove or rename it",
                resource.kind
            )));
        }
        found.push((resource, object));
    }
    Ok(Ok(found))
}

fn is_owned_by(object: &Value, uid: &str) -> bool {
    object["metadata"]["ownerReferences"]
        .as_array()
        .is_some_and(|owners| {
            owners
                .iter()
                .any(|owner| owner["uid"] == uid && owner["controller"] == true)
        })
}

async fn apply(
    api: &Api,
    desired: Desired,
    found: Vec<(&'static Resource, Value)>,
) -> Result<Outcome, ApiError> {
    let mut deployment = Replicas::default();
    for object in &desired.objects {
        match api.apply(object.resource, &object.body).await {
            Ok(applied) if object.resource.kind == "Deployment" => {
                deployment = Replicas::of(&applied);
            }
            Ok(_) => {}
            Err(error) if error.is_about_the_request() => {
                return Ok(Outcome::NotApplied {
                    message: format!("the {} was not taken: {error}", object.resource.kind),
                });
            }
            Err(error) => return Err(error),
        }
    }
    for (resource, object) in found {
        if desired
            .objects
            .iter()
            .all(|wanted| wanted.resource != resource)
        {
            tracing::info!(kind = resource.kind, name = %object["metadata"]["name"], "removing what is no longer asked for");
            api.delete(resource, &object).await?;
        }
    }
    Ok(Outcome::Applied {
        scaling: desired.scaling,
        deployment,
    })
}
