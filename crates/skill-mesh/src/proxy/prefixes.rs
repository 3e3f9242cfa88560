//! Who hears what: a subscription lets pass whatever begins with it.

use std::collections::{BTreeMap, HashMap};

use super::outboxes::ConnectionId;

#[derive(Debug, Default)]
pub(super) struct Prefixes {
    listeners: HashMap<Box<[u8]>, Vec<ConnectionId>>,
    /// Number of prefixes by length, so that a topic is looked up once for each length that there is.
    lengths: BTreeMap<usize, usize>,
}

impl Prefixes {
    /// A connection that has not subscribed to this prefix does; says whether it is the first.
    pub(super) fn add(&mut self, prefix: &[u8], connection: ConnectionId) -> bool {
        if let Some(listeners) = self.listeners.get_mut(prefix) {
            listeners.push(connection);
            return false;
        }
        self.listeners.insert(prefix.into(), vec![connection]);
        *self.lengths.entry(prefix.len()).or_default() += 1;
        true
    }

    /// A connection no longer hears this; says whether it was the last.
    pub(super) fn remove(&mut self, prefix: &[u8], connection: ConnectionId) -> bool {
        let Some(listeners) = self.listeners.get_mut(prefix) else {
            return false;
        };
        listeners.retain(|known| *known != connection);
        if !listeners.is_empty() {
            return false;
        }
        self.listeners.remove(prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
        true
    }

    /// All who hear a topic, each once.
    pub(super) fn hearers(&self, topic: &[u8], found: &mut Vec<ConnectionId>) {
        found.clear();
        for length in self.lengths.keys() {
            let Some(prefix) = topic.get(..*length) else {
                return;
            };
            for listener in self.listeners.get(prefix).into_iter().flatten() {
                // Only whoever has subscribed to two prefixes of it is met twice.
                if self.lengths.len() == 1 || !found.contains(listener) {
                    found.push(*listener);
                }
            }
        }
    }

    /// Every prefix that somebody has subscribed to.
    pub(super) fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.listeners.keys().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_heard_once_by_whoever_subscribed_to_a_prefix_of_it() {
        let mut all = Prefixes::default();
        assert!(all.add(b"AB", 1));
        assert!(!all.add(b"AB", 2));
        assert!(all.add(b"ABC", 1));
        assert!(all.add(b"", 3));
        let hearers = |all: &Prefixes, topic: &[u8]| {
            let mut found = Vec::new();
            all.hearers(topic, &mut found);
            found.sort_unstable();
            found
        };
        assert_eq!(hearers(&all, b"ABCD"), [1, 2, 3]);
        assert_eq!(hearers(&all, b"A"), [3]);
        assert!(!all.remove(b"AB", 1));
        assert!(all.remove(b"AB", 2));
        assert_eq!(hearers(&all, b"AB"), [3]);
        assert!(!all.remove(b"AB", 2), "it is not there");
        assert_eq!(all.all().count(), 2);
    }
}
