//! Who listens to what: workers to topics, agents to their reply topics.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::outboxes::ConnectionId;
use super::prefixes::Prefixes;
use crate::queue::WorkerId;

/// Subscriptions of one connection; bounds what made-up topics can cost.
const PER_CONNECTION_MAX: usize = 10_000;

/// What a subscriber's wish became.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// A new worker.
    Worker(WorkerId),
    /// A reply topic.
    Agent,
    /// It had that already, or has too many.
    Nothing,
}

#[derive(Debug, Default)]
struct Listener {
    /// By topic.
    workers: BTreeMap<Arc<str>, WorkerId>,
    /// Unsubscribed, but perhaps busy with what they had got.
    retired: Vec<WorkerId>,
    replies: Vec<Arc<str>>,
    /// What it announced: name and slots.
    announced: Option<(String, usize)>,
}

#[derive(Debug)]
pub(super) struct Subscriptions {
    reply_prefixes: Vec<String>,
    listeners: HashMap<ConnectionId, Listener>,
    replies: Prefixes,
    /// Where a worker is, and what it hears.
    workers: HashMap<WorkerId, (ConnectionId, Arc<str>)>,
    /// Workers' ids by topic, for replies to topics without an agent's prefix.
    by_topic: HashMap<Arc<str>, Vec<WorkerId>>,
    /// By announced name.
    announced: HashMap<String, ConnectionId>,
    next: WorkerId,
}

impl Subscriptions {
    pub(super) fn new(reply_prefixes: Vec<String>) -> Self {
        Self {
            reply_prefixes,
            listeners: HashMap::new(),
            replies: Prefixes::default(),
            workers: HashMap::new(),
            by_topic: HashMap::new(),
            announced: HashMap::new(),
            next: 0,
        }
    }

    pub(super) fn subscribe(&mut self, connection: ConnectionId, topic: &str) -> Wish {
        let listener = self.listeners.entry(connection).or_default();
        let is_known = listener.workers.contains_key(topic)
            || listener.replies.iter().any(|known| **known == *topic);
        let count = listener.workers.len() + listener.replies.len() + listener.retired.len();
        if is_known || count >= PER_CONNECTION_MAX {
            return Wish::Nothing;
        }
        let is_reply = |prefix: &String| topic.starts_with(prefix.as_str());
        if self.reply_prefixes.iter().any(is_reply) {
            listener.replies.push(topic.into());
            self.replies.add(topic.as_bytes(), connection);
            return Wish::Agent;
        }
        self.next += 1;
        let id = self.next;
        let topic: Arc<str> = topic.into();
        listener.workers.insert(topic.clone(), id);
        self.workers.insert(id, (connection, topic.clone()));
        self.by_topic.entry(topic).or_default().push(id);
        Wish::Worker(id)
    }

    /// Returns the worker that this was.
    pub(super) fn unsubscribe(
        &mut self,
        connection: ConnectionId,
        topic: &str,
    ) -> Option<WorkerId> {
        let listener = self.listeners.get_mut(&connection)?;
        if let Some(at) = listener.replies.iter().position(|known| **known == *topic) {
            listener.replies.swap_remove(at);
            self.replies.remove(topic.as_bytes(), connection);
            return None;
        }
        let id = listener.workers.remove(topic)?;
        listener.retired.push(id);
        self.workers.remove(&id);
        remove(&mut self.by_topic, topic, id);
        Some(id)
    }

    pub(super) fn announce(&mut self, connection: ConnectionId, name: &str, slots: usize) {
        self.announced.insert(name.to_owned(), connection);
        self.listeners.entry(connection).or_default().announced = Some((name.to_owned(), slots));
    }

    /// How many requests whoever is behind a connection runs at a time, if it said so.
    pub(super) fn slots(&self, connection: ConnectionId) -> Option<usize> {
        let (_, slots) = self.listeners.get(&connection)?.announced.as_ref()?;
        Some(*slots)
    }

    /// Whether a connection has, or had, workers.
    pub(super) fn has_workers(&self, connection: ConnectionId) -> bool {
        let listener = self.listeners.get(&connection);
        listener
            .is_some_and(|listener| !listener.workers.is_empty() || !listener.retired.is_empty())
    }

    /// Where the workers are that announced themselves so, which they are, and how many slots they said.
    pub(super) fn named(&self, name: &str) -> Option<(ConnectionId, Vec<WorkerId>, usize)> {
        let connection = *self.announced.get(name)?;
        let listener = self.listeners.get(&connection)?;
        let (_, slots) = listener.announced.as_ref()?;
        Some((
            connection,
            listener.workers.values().copied().collect(),
            *slots,
        ))
    }

    /// A connection has ended; returns its workers.
    pub(super) fn disconnect(&mut self, connection: ConnectionId) -> Vec<WorkerId> {
        let Some(listener) = self.listeners.remove(&connection) else {
            return Vec::new();
        };
        for topic in &listener.replies {
            self.replies.remove(topic.as_bytes(), connection);
        }
        if let Some((name, _)) = &listener.announced
            && self.announced.get(name) == Some(&connection)
        {
            self.announced.remove(name);
        }
        let mut gone = listener.retired;
        for (topic, id) in listener.workers {
            self.workers.remove(&id);
            remove(&mut self.by_topic, &topic, id);
            gone.push(id);
        }
        gone
    }

    /// Where a worker is, and its topic; nowhere once it has unsubscribed or gone.
    pub(super) fn worker(&self, id: WorkerId) -> Option<(ConnectionId, &str)> {
        self.workers.get(&id).map(|(at, topic)| (*at, &**topic))
    }

    /// Who hears a reply: agents that subscribed to its topic or to a prefix of it, or else those who wait
    /// on a topic that does not look like an agent's.
    pub(super) fn hearers(&self, topic: &str, found: &mut Vec<ConnectionId>) {
        self.replies.hearers(topic.as_bytes(), found);
        if found.is_empty() {
            let unusual = self.by_topic.get(topic).into_iter().flatten();
            found.extend(unusual.filter_map(|id| self.workers.get(id).map(|(at, _)| *at)));
        }
    }
}

fn remove(by_topic: &mut HashMap<Arc<str>, Vec<WorkerId>>, topic: &str, id: WorkerId) {
    if let Some(ids) = by_topic.get_mut(topic) {
        ids.retain(|known| *known != id);
        if ids.is_empty() {
            by_topic.remove(topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriptions() -> Subscriptions {
        Subscriptions::new(vec!["AGENT_REPLY_".into()])
    }

    fn worker(wish: Wish) -> WorkerId {
        match wish {
            Wish::Worker(id) => id,
            other => panic!("no worker: {other:?}"),
        }
    }

    fn hearers(all: &Subscriptions, topic: &str) -> Vec<ConnectionId> {
        let mut found = Vec::new();
        all.hearers(topic, &mut found);
        found
    }

    #[test]
    fn every_subscription_of_a_topic_is_a_worker_of_its_own() {
        let mut all = subscriptions();
        let first = worker(all.subscribe(1, "TOPIC_B"));
        let second = worker(all.subscribe(2, "TOPIC_B"));
        assert_ne!(first, second);
        assert_eq!(all.subscribe(1, "TOPIC_B"), Wish::Nothing);
        assert_eq!(all.worker(first), Some((1, "TOPIC_B")));
        assert_eq!(all.disconnect(1), [first]);
        assert_eq!(all.worker(first), None);
        assert_eq!(all.worker(second), Some((2, "TOPIC_B")));
    }

    #[test]
    fn agents_topics_are_heard_by_whoever_subscribed_to_a_prefix() {
        let mut all = subscriptions();
        assert_eq!(all.subscribe(1, "AGENT_REPLY_ab"), Wish::Agent);
        assert_eq!(hearers(&all, "AGENT_REPLY_ab"), [1]);
        assert_eq!(hearers(&all, "AGENT_REPLY_abc"), [1]);
        assert_eq!(hearers(&all, "AGENT_REPLY_a"), Vec::<ConnectionId>::new());
        assert_eq!(all.subscribe(2, "AGENT_REPLY_ab"), Wish::Agent);
        assert_eq!(all.unsubscribe(1, "AGENT_REPLY_ab"), None);
        assert_eq!(hearers(&all, "AGENT_REPLY_ab"), [2]);
        all.disconnect(2);
        assert!(hearers(&all, "AGENT_REPLY_ab").is_empty());
    }

    #[test]
    fn a_reply_topic_that_looks_like_a_workers_is_heard_by_whoever_subscribed_to_it() {
        let mut all = subscriptions();
        worker(all.subscribe(1, "my/replies"));
        assert_eq!(hearers(&all, "my/replies"), [1]);
        all.unsubscribe(1, "my/replies");
        assert!(hearers(&all, "my/replies").is_empty());
    }

    #[test]
    fn a_connection_cannot_fill_the_memory_with_topics() {
        let mut all = subscriptions();
        for n in 0..PER_CONNECTION_MAX {
            assert_ne!(all.subscribe(1, &format!("T{n}")), Wish::Nothing);
        }
        assert_eq!(all.subscribe(1, "one more"), Wish::Nothing);
        assert_ne!(all.subscribe(2, "one more"), Wish::Nothing);
    }

    #[test]
    fn who_unsubscribed_still_counts_as_a_worker_until_the_connection_ends() {
        let mut all = subscriptions();
        let id = worker(all.subscribe(1, "T"));
        assert_eq!(all.unsubscribe(1, "T"), Some(id));
        let again = worker(all.subscribe(1, "T"));
        assert_eq!(all.disconnect(1), [id, again]);
        assert!(all.by_topic.is_empty() && all.workers.is_empty());
    }

    #[test]
    fn an_announced_worker_is_found_by_its_name_and_not_after_its_end() {
        let mut all = subscriptions();
        all.announce(1, "abc", 7);
        let id = worker(all.subscribe(1, "T"));
        assert_eq!(all.slots(1), Some(7));
        assert_eq!(all.named("abc"), Some((1, vec![id], 7)));
        // It has connected anew before its old connection is known to be dead.
        all.announce(2, "abc", 7);
        all.disconnect(1);
        assert_eq!(all.named("abc"), Some((2, vec![], 7)));
        all.disconnect(2);
        assert_eq!(all.named("abc"), None);
    }
}
