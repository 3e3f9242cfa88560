//! Follows SkillTopics and their Deployments, and looks at each topic that may need it, one at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::api::{
    Api, ApiError, DEPLOYMENT, Event, Resource, SCALED_OBJECT, SKILL_TOPIC, WatchEnd,
};
use crate::backoff::{Backoff, Jitter};
use crate::desired::TOPIC_LABEL;
use crate::health::Health;
use crate::reconcile::{Surroundings, reconcile};
use crate::settings::Settings;
use crate::status::Outcome;
use crate::topic::{self, Key};

/// What the time is, for what is written into the cluster.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Changes that wait to be looked at; a watch that is further ahead waits.
const CHANGES_MAX: usize = 256;

/// Everything that the work needs. May be run again after it was dropped in the middle: each step leaves
/// the cluster in a state that the next look goes on from.
#[derive(Clone)]
pub struct Controller {
    pub api: Api,
    pub settings: Settings,
    pub clock: Clock,
    pub jitter: Jitter,
    pub health: Arc<Health>,
}

/// What is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Followed {
    Topics,
    Deployments,
}

/// What was heard of.
enum Change {
    /// Everything there is; what is not in it is gone.
    Listed(Followed, Vec<Value>),
    Applied(Followed, Value),
    Deleted(Followed, Value),
}

impl Controller {
    /// Works until it is dropped.
    pub async fn run(&self) {
        let (sender, mut changes) = mpsc::channel(CHANGES_MAX);
        // Ends with this future: a set that is dropped ends its tasks.
        let mut followers = JoinSet::new();
        for followed in [Followed::Topics, Followed::Deployments] {
            followers.spawn(follow(self.clone(), followed, sender.clone()));
        }
        drop(sender);
        let mut state = State::new(self);
        let mut resync = tokio::time::interval(self.settings.resync);
        loop {
            let due = state.next_due();
            tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => state.take(change),
                    // Only a panic ends both followers; whoever runs this starts anew.
                    None => return,
                },
                _ = resync.tick() => state.resync().await,
                () = wait_until(due) => state.look().await,
            }
        }
    }

    fn labels(followed: Followed) -> Option<&'static str> {
        (followed == Followed::Deployments).then_some(TOPIC_LABEL)
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What is known, and what is to be done when.
struct State<'a> {
    controller: &'a Controller,
    topics: BTreeMap<Key, Value>,
    due: BTreeMap<Key, Instant>,
    failing: BTreeMap<Key, Backoff>,
    has_keda: bool,
}

impl<'a> State<'a> {
    fn new(controller: &'a Controller) -> Self {
        Self {
            controller,
            topics: BTreeMap::new(),
            due: BTreeMap::new(),
            failing: BTreeMap::new(),
            has_keda: false,
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    fn enqueue(&mut self, key: Key) {
        self.due.insert(key, Instant::now());
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Listed(Followed::Topics, objects) => {
                self.topics = objects
                    .into_iter()
                    .filter_map(|object| Some((Key::of(&object)?, object)))
                    .collect();
                self.due.clear();
                self.failing.retain(|key, _| self.topics.contains_key(key));
                self.everything();
                self.controller.health.listed(self.topics.len());
            }
            Change::Listed(Followed::Deployments, _) => self.everything(),
            Change::Applied(Followed::Topics, object) => self.applied(object),
            Change::Deleted(Followed::Topics, object) => {
                if let Some(key) = Key::of(&object) {
                    tracing::info!(topic = %key, "gone; the cluster removes what belonged to it");
                    self.topics.remove(&key);
                    self.due.remove(&key);
                    self.failing.remove(&key);
                    self.others_with_the_topic_of(&object);
                    self.controller.health.listed(self.topics.len());
                }
            }
            Change::Applied(Followed::Deployments, object)
            | Change::Deleted(Followed::Deployments, object) => {
                let owner = object["metadata"]["labels"][TOPIC_LABEL].as_str();
                if let (Some(key), Some(name)) = (Key::of(&object), owner) {
                    let key = Key {
                        name: name.to_owned(),
                        ..key
                    };
                    if self.topics.contains_key(&key) {
                        self.enqueue(key);
                    }
                }
            }
        }
    }

    fn applied(&mut self, object: Value) {
        let Some(key) = Key::of(&object) else { return };
        let generation = |object: &Value| object["metadata"]["generation"].as_u64();
        let old = self.topics.insert(key.clone(), object.clone());
        // A new status is our own work as a rule.
        if old.as_ref().and_then(generation) != generation(&object) {
            if let Some(old) = old {
                self.others_with_the_topic_of(&old);
            }
            self.failing.remove(&key);
            self.enqueue(key);
        }
        self.controller.health.listed(self.topics.len());
    }

    /// Topics that were refused for the sake of this one.
    fn others_with_the_topic_of(&mut self, object: &Value) {
        let same: Vec<Key> = self
            .topics
            .iter()
            .filter(|(_, other)| other["spec"]["topic"] == object["spec"]["topic"])
            .map(|(key, _)| key.clone())
            .collect();
        for key in same {
            self.enqueue(key);
        }
    }

    fn everything(&mut self) {
        let keys: Vec<Key> = self.topics.keys().cloned().collect();
        for key in keys {
            self.enqueue(key);
        }
    }

    /// Looks at everything anew: a change may have been missed, and KEDA may have come or gone.
    async fn resync(&mut self) {
        let keda = &SCALED_OBJECT;
        match self
            .controller
            .api
            .has_group(keda.group, keda.version)
            .await
        {
            Ok(has_keda) => self.has_keda = has_keda,
            Err(error) => tracing::warn!(%error, "cannot ask whether there are ScaledObjects"),
        }
        self.everything();
    }

    /// Looks at the topic that has waited longest.
    async fn look(&mut self) {
        let first = self.due.iter().min_by_key(|(_, due)| **due);
        let Some(key) = first.map(|(key, _)| key.clone()) else {
            return;
        };
        self.due.remove(&key);
        let Some(object) = self.topics.get(&key) else {
            return;
        };
        if !object["metadata"]["deletionTimestamp"].is_null() {
            return;
        }
        let surroundings = Surroundings {
            workers: &self.controller.settings.workers,
            has_keda: self.has_keda,
            rival: self.rival(&key, object),
            now: (self.controller.clock)(),
        };
        let result = reconcile(&self.controller.api, object, &surroundings).await;
        self.controller.health.looked(&result);
        match result {
            Ok(Outcome::Applied { .. }) => {
                tracing::debug!(topic = %key, "as it should be");
                self.failing.remove(&key);
            }
            // The next spec may be better; this one stays what it is.
            Ok(Outcome::Refused { message }) => {
                tracing::warn!(topic = %key, message, "refused");
                self.failing.remove(&key);
            }
            Ok(Outcome::Conflict { message } | Outcome::NotApplied { message }) => {
                tracing::warn!(topic = %key, message, "not carried out");
                self.again(key);
            }
            // The watch brings the newer state; the cluster is well.
            Err(error) if error.is_conflict() => self.again(key),
            Err(error) => {
                tracing::warn!(topic = %key, %error, "failed");
                self.again(key);
            }
        }
    }

    fn again(&mut self, key: Key) {
        let settings = &self.controller.settings;
        let wait = self
            .failing
            .entry(key.clone())
            .or_insert_with(|| Backoff::new(settings.retry_min, settings.retry_max))
            .fail((self.controller.jitter)());
        self.due.insert(key, Instant::now() + wait);
    }

    /// The older SkillTopic with the same topic, if this one came later. All workers share one mesh, so
    /// namespaces make no difference.
    fn rival(&self, key: &Key, object: &Value) -> Option<String> {
        let age = |key: &Key, object: &Value| {
            let created = object["metadata"]["creationTimestamp"].as_str();
            (created.unwrap_or_default().to_owned(), key.clone())
        };
        let own = age(key, object);
        self.topics
            .iter()
            .filter(|(other, _)| *other != key)
            .filter(|(_, other)| {
                ["topic", "transport"]
                    .iter()
                    .all(|field| other["spec"][field] == object["spec"][field])
            })
            .filter(|(other, its)| age(other, its) < own && topic::read(its).is_ok())
            .map(|(other, _)| other.to_string())
            .next()
    }
}

/// Tells all changes of a kind for ever: a list, then what a watch brings, and again from the last version;
/// anew with a list when that is too old.
async fn follow(controller: Controller, followed: Followed, changes: mpsc::Sender<Change>) {
    let settings = &controller.settings;
    let mut backoff = Backoff::new(settings.retry_min, settings.retry_max);
    let mut version = None;
    loop {
        let ended = step(&controller, followed, &mut version, &changes, &mut backoff).await;
        let error = match ended {
            Ok(WatchEnd::Over) => continue,
            Ok(WatchEnd::Expired) => {
                version = None;
                continue;
            }
            Ok(WatchEnd::Failed(error)) | Err(error) => error,
        };
        if error.is_expired() {
            version = None;
        }
        let wait = backoff.fail((controller.jitter)());
        tracing::warn!(what = resource(followed).plural, %error, ?wait, "cannot be followed; trying again");
        tokio::time::sleep(wait).await;
    }
}

fn resource(followed: Followed) -> &'static Resource {
    match followed {
        Followed::Topics => &SKILL_TOPIC,
        Followed::Deployments => &DEPLOYMENT,
    }
}

async fn step(
    controller: &Controller,
    followed: Followed,
    version: &mut Option<String>,
    changes: &mpsc::Sender<Change>,
    backoff: &mut Backoff,
) -> Result<WatchEnd, ApiError> {
    let (api, resource) = (&controller.api, resource(followed));
    let namespace = controller.settings.namespace.as_deref();
    let labels = Controller::labels(followed);
    let from = match version {
        Some(version) => version.clone(),
        None => {
            let list = api.list(resource, namespace, labels).await?;
            *version = Some(list.version.clone());
            tell(changes, Change::Listed(followed, list.items)).await;
            list.version
        }
    };
    let mut watch = api.watch(resource, namespace, labels, &from).await?;
    loop {
        let (object, gone) = match watch.next().await {
            Ok(Event::Bookmark(newer)) => {
                *version = Some(newer);
                continue;
            }
            Ok(Event::Applied(object)) => (object, false),
            Ok(Event::Deleted(object)) => (object, true),
            Err(end) => return Ok(end),
        };
        backoff.reset();
        if let Some(newer) = object["metadata"]["resourceVersion"].as_str() {
            *version = Some(newer.to_owned());
        }
        let change = if gone {
            Change::Deleted(followed, object)
        } else {
            Change::Applied(followed, object)
        };
        tell(changes, change).await;
    }
}

async fn tell(changes: &mpsc::Sender<Change>, change: Change) {
    // Nobody listens only while the whole is being dropped.
    let _ = changes.send(change).await;
}

/// Waits that suit a cluster: look at all every five minutes, and try again after 1 s to a minute.
pub const RESYNC: Duration = Duration::from_secs(300);
pub const RETRY_MIN: Duration = Duration::from_secs(1);
pub const RETRY_MAX: Duration = Duration::from_secs(60);
