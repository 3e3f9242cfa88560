//! Who listens to what: workers under private names, agents under their reply topics.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::connections::ConnectionId;
use crate::queue::WorkerId;

/// What a subscriber's wish became.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Anew: to be subscribed under the private name.
    Worker { id: WorkerId, private: Arc<[u8]> },
    /// A reply topic: to be subscribed as it is.
    Agent,
    /// It had that already.
    Known,
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
    /// Number of subscribers by reply topic.
    replies: HashMap<Arc<str>, usize>,
    /// Number of reply topics by length: a subscription is a prefix of what it lets pass.
    lengths: BTreeMap<usize, usize>,
    private: HashMap<WorkerId, Arc<[u8]>>,
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
            replies: HashMap::new(),
            lengths: BTreeMap::new(),
            private: HashMap::new(),
            by_topic: HashMap::new(),
            announced: HashMap::new(),
            next: 0,
        }
    }

    pub(super) fn subscribe(&mut self, connection: ConnectionId, topic: &str) -> Wish {
        let listener = self.listeners.entry(connection).or_default();
        let is_reply = |prefix: &String| topic.starts_with(prefix.as_str());
        if self.reply_prefixes.iter().any(is_reply) {
            if listener.replies.iter().any(|known| **known == *topic) {
                return Wish::Known;
            }
            let topic: Arc<str> = topic.into();
            listener.replies.push(topic.clone());
            *self.lengths.entry(topic.len()).or_default() += 1;
            *self.replies.entry(topic).or_default() += 1;
            return Wish::Agent;
        }
        if listener.workers.contains_key(topic) {
            return Wish::Known;
        }
        self.next += 1;
        let id = self.next;
        let private: Arc<[u8]> = format!("{topic}\0{id}").into_bytes().into();
        let topic: Arc<str> = topic.into();
        listener.workers.insert(topic.clone(), id);
        self.private.insert(id, private.clone());
        self.by_topic.entry(topic).or_default().push(id);
        Wish::Worker { id, private }
    }

    /// Returns the worker that this was, with its private name.
    pub(super) fn unsubscribe(
        &mut self,
        connection: ConnectionId,
        topic: &str,
    ) -> Option<(WorkerId, Arc<[u8]>)> {
        let listener = self.listeners.get_mut(&connection)?;
        if let Some(at) = listener.replies.iter().position(|known| **known == *topic) {
            listener.replies.swap_remove(at);
            self.forget_reply(topic);
            return None;
        }
        let id = listener.workers.remove(topic)?;
        listener.retired.push(id);
        remove(&mut self.by_topic, topic, id);
        // It hears nothing under this name any more; the queue has been told to drain it.
        let private = self.private.remove(&id)?;
        Some((id, private))
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

    /// The workers that announced themselves so, and how many slots they said.
    pub(super) fn named(&self, name: &str) -> Option<(Vec<WorkerId>, usize)> {
        let listener = self.listeners.get(self.announced.get(name)?)?;
        let (_, slots) = listener.announced.as_ref()?;
        Some((listener.workers.values().copied().collect(), *slots))
    }

    /// A connection has ended; returns its workers.
    pub(super) fn disconnect(&mut self, connection: ConnectionId) -> Vec<WorkerId> {
        let Some(listener) = self.listeners.remove(&connection) else {
            return Vec::new();
        };
        for topic in &listener.replies {
            self.forget_reply(topic);
        }
        if let Some((name, _)) = &listener.announced
            && self.announced.get(name) == Some(&connection)
        {
            self.announced.remove(name);
        }
        let mut gone = listener.retired;
        for (topic, id) in listener.workers {
            self.private.remove(&id);
            remove(&mut self.by_topic, &topic, id);
            gone.push(id);
        }
        gone
    }

    pub(super) fn private_name(&self, worker: WorkerId) -> Option<&Arc<[u8]>> {
        self.private.get(&worker)
    }

    /// Whether somebody hears what is sent to a reply topic as it is.
    pub(super) fn hears(&self, topic: &str) -> bool {
        self.replies.contains_key(topic)
            || self.lengths.keys().any(|length| {
                topic
                    .get(..*length)
                    .is_some_and(|prefix| self.replies.contains_key(prefix))
            })
    }

    /// Those who wait for replies on a topic that does not look like an agent's.
    pub(super) fn unusual(&self, topic: &str) -> &[WorkerId] {
        self.by_topic.get(topic).map_or(&[], Vec::as_slice)
    }

    fn forget_reply(&mut self, topic: &str) {
        if let Some(count) = self.lengths.get_mut(&topic.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&topic.len());
            }
        }
        if let Some(count) = self.replies.get_mut(topic) {
            *count -= 1;
            if *count == 0 {
                self.replies.remove(topic);
            }
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

    fn worker(wish: Wish) -> (WorkerId, Vec<u8>) {
        match wish {
            Wish::Worker { id, private } => (id, private.to_vec()),
            other => panic!("no worker: {other:?}"),
        }
    }

    #[test]
    fn every_worker_of_a_topic_has_a_name_of_its_own_that_begins_with_the_topic() {
        let mut all = subscriptions();
        let (first, name) = worker(all.subscribe(1, "TOPIC_B"));
        assert!(name.starts_with(b"TOPIC_B\0"));
        let (second, other) = worker(all.subscribe(2, "TOPIC_B"));
        assert_ne!((first, name), (second, other));
        assert_eq!(all.subscribe(1, "TOPIC_B"), Wish::Known);
        assert_eq!(all.disconnect(1), [first]);
        assert!(all.private_name(first).is_none());
        assert!(all.private_name(second).is_some());
    }

    #[test]
    fn agents_topics_are_heard_by_whoever_subscribed_to_a_prefix() {
        let mut all = subscriptions();
        assert_eq!(all.subscribe(1, "AGENT_REPLY_ab"), Wish::Agent);
        assert!(all.hears("AGENT_REPLY_ab"));
        assert!(all.hears("AGENT_REPLY_abc"));
        assert!(!all.hears("AGENT_REPLY_a"));
        assert_eq!(all.subscribe(2, "AGENT_REPLY_ab"), Wish::Agent);
        assert_eq!(all.unsubscribe(1, "AGENT_REPLY_ab"), None);
        assert!(all.hears("AGENT_REPLY_ab"));
        all.disconnect(2);
        assert!(!all.hears("AGENT_REPLY_ab"));
        assert!(all.lengths.is_empty() && all.replies.is_empty());
    }

    #[test]
    fn who_unsubscribed_still_counts_as_a_worker_until_the_connection_ends() {
        let mut all = subscriptions();
        let (id, _) = worker(all.subscribe(1, "T"));
        assert_eq!(all.unsubscribe(1, "T").map(|(id, _)| id), Some(id));
        let (again, _) = worker(all.subscribe(1, "T"));
        assert_eq!(all.disconnect(1), [id, again]);
        assert!(all.by_topic.is_empty() && all.private.is_empty());
    }

    #[test]
    fn an_announced_worker_is_found_by_its_name_and_not_after_its_end() {
        let mut all = subscriptions();
        all.announce(1, "abc", 7);
        let (id, _) = worker(all.subscribe(1, "T"));
        assert_eq!(all.slots(1), Some(7));
        assert_eq!(all.named("abc"), Some((vec![id], 7)));
        // It has connected anew before its old connection is known to be dead.
        all.announce(2, "abc", 7);
        all.disconnect(1);
        assert_eq!(all.named("abc"), Some((vec![], 7)));
        all.disconnect(2);
        assert_eq!(all.named("abc"), None);
    }
}
