//! The queue's bounds, what it calls requests, why it refuses them, and what it counts.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use skill_format::{Explain, Fault};

/// Bounds. With the defaults a queue holds at most 256 MiB of requests and 64 MiB of answers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Requests that wait on one topic.
    pub waiting_max: usize,
    /// Bytes of all requests that are not answered. Half of it where the topic has no worker.
    pub bytes_max: usize,
    /// Topics with waiting requests or workers; bounds what made-up topics can cost.
    pub topics_max: usize,
    /// How long a request may wait for a worker. SkillScale's agents wait for 30 s: a little less, so that
    /// they hear why.
    pub wait: Duration,
    /// How long a worker may take for a request before another one gets it; progress extends it.
    pub lease: Duration,
    /// How many workers a request may be given to, one after another.
    pub attempts_max: u32,
    /// How long an answer is kept for duplicates.
    pub memory: Duration,
    /// How many answers are kept.
    pub memory_count_max: usize,
    /// How many bytes of answers are kept.
    pub memory_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            waiting_max: 10_000,
            bytes_max: 256 * MIB,
            topics_max: 10_000,
            wait: Duration::from_secs(25),
            lease: Duration::from_secs(600),
            attempts_max: 3,
            memory: Duration::from_secs(120),
            memory_count_max: 100_000,
            memory_bytes_max: 64 * MIB,
        }
    }
}

/// What identifies a request: its id, among those with the same reply topic. Ids alone are too short
/// for that: of 100,000 ids of 8 hexadecimal digits two are equal more often than not.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// The reply topic must have no zero byte (the protocol's reader sees to that).
    pub fn new(reply_to: &str, request_id: &str) -> Self {
        let mut text = String::with_capacity(reply_to.len() + 1 + request_id.len());
        text.push_str(reply_to);
        text.push('\0');
        text.push_str(request_id);
        Self(text.into())
    }

    /// Where the answer goes.
    pub fn reply_to(&self) -> &str {
        self.0.split_once('\0').map_or("", |(reply_to, _)| reply_to)
    }

    /// What the answer repeats.
    pub fn request_id(&self) -> &str {
        self.0.split_once('\0').map_or("", |(_, id)| id)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}#{:?}", self.reply_to(), self.request_id())
    }
}

/// A request as it reaches the queue.
#[derive(Debug, Clone)]
pub struct Offer<Q> {
    /// Which one.
    pub key: Key,
    /// Matched exactly.
    pub topic: Arc<str>,
    /// What the worker gets.
    pub body: Q,
    /// Its size, for the bounds.
    pub bytes: usize,
}

/// Why there is an error instead of an answer. SkillScale's agents see the text alone, so the code
/// stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not accepted: too much is waiting already.
    #[error(
        "busy: topic {topic} has {waiting} requests waiting, and there is no room for this one; send it again later, or start more workers"
    )]
    Busy {
        /// The request's.
        topic: Arc<str>,
        /// What waits there.
        waiting: usize,
    },
    /// No worker was free in time.
    #[error(
        "deadline: no worker of topic {topic} was free within {} ms; start more workers, or send less",
        waited.as_millis()
    )]
    Deadline {
        /// The request's.
        topic: Arc<str>,
        /// Since it was accepted.
        waited: Duration,
    },
    /// No worker was there in time.
    #[error(
        "no-workers: topic {topic} has no worker, also after {} ms; start one, or look whether the topic is spelt as the worker spells it",
        waited.as_millis()
    )]
    NoWorkers {
        /// The request's.
        topic: Arc<str>,
        /// Since it was accepted.
        waited: Duration,
    },
    /// Every worker that got it was lost or stayed silent.
    #[error(
        "workers-lost: {attempts} workers got this request, and none answered; look whether it makes them crash before sending it again"
    )]
    WorkersLost {
        /// How many.
        attempts: u32,
    },
    /// The queue goes down.
    #[error("stopping: the proxy is going down; send it again")]
    Stopping,
}

impl Refusal {
    /// Of a request that no worker took in time.
    pub(crate) fn untaken(topic: Arc<str>, waited: Duration, is_served: bool) -> Self {
        if is_served {
            Self::Deadline { topic, waited }
        } else {
            Self::NoWorkers { topic, waited }
        }
    }
}

impl Explain for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "mesh-busy",
            Self::Deadline { .. } => "mesh-deadline",
            Self::NoWorkers { .. } => "mesh-no-workers",
            Self::WorkersLost { .. } => "mesh-workers-lost",
            Self::Stopping => "mesh-stopping",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Unavailable
    }
}

/// What has happened since the queue began. Only ever grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that will be answered once.
    pub accepted: u64,
    /// Requests given to workers, each attempt for itself.
    pub delivered: u64,
    /// First answers by workers.
    pub answered: u64,
    /// Requests that were known already.
    pub duplicates: u64,
    /// Further answers to an answered request, dropped.
    pub late: u64,
    /// Answers to requests that were never seen, dropped.
    pub unknown: u64,
    /// Answers to requests that were never seen, passed on: a predecessor's, or when broadcasting.
    pub passed_on: u64,
    /// Requests queued anew because their worker was lost, drained or silent.
    pub handed_on: u64,
    /// Broadcast requests that nobody heard.
    pub lost: u64,
    /// See [`Refusal::Busy`].
    pub busy: u64,
    /// See [`Refusal::Deadline`].
    pub deadline: u64,
    /// See [`Refusal::NoWorkers`].
    pub no_workers: u64,
    /// See [`Refusal::WorkersLost`].
    pub workers_lost: u64,
    /// See [`Refusal::Stopping`].
    pub stopping: u64,
}

impl Counts {
    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        *match refusal {
            Refusal::Busy { .. } => &mut self.busy,
            Refusal::Deadline { .. } => &mut self.deadline,
            Refusal::NoWorkers { .. } => &mut self.no_workers,
            Refusal::WorkersLost { .. } => &mut self.workers_lost,
            Refusal::Stopping => &mut self.stopping,
        } += 1;
    }
}

/// How the requests of a topic ended. Only ever grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicCounts {
    /// Answered by a worker.
    pub answered: u64,
    /// See [`Refusal::Busy`].
    pub busy: u64,
    /// See [`Refusal::Deadline`].
    pub deadline: u64,
    /// See [`Refusal::NoWorkers`].
    pub no_workers: u64,
    /// See [`Refusal::WorkersLost`].
    pub workers_lost: u64,
    /// See [`Refusal::Stopping`].
    pub stopping: u64,
}

impl TopicCounts {
    fn refuse(&mut self, refusal: &Refusal) {
        *match refusal {
            Refusal::Busy { .. } => &mut self.busy,
            Refusal::Deadline { .. } => &mut self.deadline,
            Refusal::NoWorkers { .. } => &mut self.no_workers,
            Refusal::WorkersLost { .. } => &mut self.workers_lost,
            Refusal::Stopping => &mut self.stopping,
        } += 1;
    }
}

/// Topics that are counted each for itself: whoever asks may make names up.
const TOPICS_COUNTED_MAX: usize = 1_000;

/// How requests ended, by topic; those of topics beyond the first thousand under the empty name.
#[derive(Debug, Default)]
pub(super) struct CountsByTopic(HashMap<Arc<str>, TopicCounts>);

impl CountsByTopic {
    pub(super) fn answer(&mut self, topic: &Arc<str>) {
        self.of(topic).answered += 1;
    }

    pub(super) fn refuse(&mut self, topic: &Arc<str>, refusal: &Refusal) {
        self.of(topic).refuse(refusal);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Arc<str>, TopicCounts)> + '_ {
        self.0
            .iter()
            .map(|(topic, counts)| (topic.clone(), *counts))
    }

    fn of(&mut self, topic: &Arc<str>) -> &mut TopicCounts {
        let is_known = self.0.contains_key(topic);
        let topic = if is_known || self.0.len() < TOPICS_COUNTED_MAX {
            topic.clone()
        } else {
            "".into()
        };
        self.0.entry(topic).or_default()
    }
}

/// How a topic is doing at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicGauge {
    /// Its name.
    pub topic: Arc<str>,
    /// Requests without a worker.
    pub waiting: usize,
    /// How long the first of them has been there.
    pub oldest: Duration,
    /// Slots taken.
    pub running: usize,
    /// Workers that are there, draining ones too.
    pub workers: usize,
}
