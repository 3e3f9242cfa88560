//! Replies whose reader is not there yet, or is not reading: kept for a while, within bounds.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::queue::Moment;

/// A reply, and its number among all.
type Numbered = (u64, Arc<[u8]>);

#[derive(Debug)]
pub(super) struct Held {
    keep: Duration,
    bytes_max: usize,
    topics: HashMap<Arc<str>, VecDeque<Numbered>>,
    /// Oldest first: when it is dropped, its number, its topic.
    ages: VecDeque<(Moment, u64, Arc<str>)>,
    next: u64,
    bytes: usize,
    count: usize,
    pub(super) dropped: u64,
}

impl Held {
    pub(super) fn new(keep: Duration, bytes_max: usize) -> Self {
        Self {
            keep,
            bytes_max,
            topics: HashMap::new(),
            ages: VecDeque::new(),
            next: 0,
            bytes: 0,
            count: 0,
            dropped: 0,
        }
    }

    pub(super) fn keep(&mut self, now: Moment, topic: &str, reply: Arc<[u8]>) {
        let topic: Arc<str> = self
            .topics
            .get_key_value(topic)
            .map_or_else(|| topic.into(), |(name, _)| name.clone());
        self.next += 1;
        self.count += 1;
        self.bytes += reply.len();
        self.ages
            .push_back((now + self.keep, self.next, topic.clone()));
        self.topics
            .entry(topic)
            .or_default()
            .push_back((self.next, reply));
        while self.bytes > self.bytes_max {
            self.drop_oldest();
        }
    }

    pub(super) fn has(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// Everything for a topic, oldest first.
    pub(super) fn take(&mut self, topic: &str) -> impl Iterator<Item = Arc<[u8]>> + use<> {
        let replies = self.topics.remove(topic).unwrap_or_default();
        self.count -= replies.len();
        self.bytes -= replies.iter().map(|(_, reply)| reply.len()).sum::<usize>();
        replies.into_iter().map(|(_, reply)| reply)
    }

    pub(super) fn expire(&mut self, now: Moment) {
        while self.ages.front().is_some_and(|(until, ..)| *until <= now) {
            self.drop_oldest();
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Moment> {
        self.ages.front().map(|(until, ..)| *until)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    fn drop_oldest(&mut self) {
        let Some((_, number, topic)) = self.ages.pop_front() else {
            return;
        };
        let Some(replies) = self.topics.get_mut(&topic) else {
            return;
        };
        // What was taken in the meantime is no longer in front, or the topic is a later one's.
        if replies.front().is_some_and(|(first, _)| *first == number)
            && let Some((_, reply)) = replies.pop_front()
        {
            self.bytes -= reply.len();
            self.count -= 1;
            self.dropped += 1;
        }
        if replies.is_empty() {
            self.topics.remove(&topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn held() -> Held {
        Held::new(10 * SECOND, 10)
    }

    fn taken(held: &mut Held, topic: &str) -> Vec<Vec<u8>> {
        held.take(topic).map(|reply| reply.to_vec()).collect()
    }

    #[test]
    fn replies_are_taken_in_their_order_and_once() {
        let mut held = held();
        held.keep(SECOND, "A", b"1".as_slice().into());
        held.keep(SECOND, "B", b"2".as_slice().into());
        held.keep(SECOND, "A", b"3".as_slice().into());
        assert_eq!(taken(&mut held, "A"), [b"1", b"3"]);
        assert_eq!(taken(&mut held, "A"), Vec::<Vec<u8>>::new());
        assert_eq!((held.len(), held.bytes), (1, 1));
    }

    #[test]
    fn replies_are_dropped_in_time_and_beyond_their_bytes() {
        let mut held = held();
        held.keep(SECOND, "A", b"12345".as_slice().into());
        held.keep(2 * SECOND, "B", b"67890".as_slice().into());
        held.keep(3 * SECOND, "C", b"x".as_slice().into());
        assert!(!held.has("A"), "the oldest made room");
        assert_eq!(held.next_expiry(), Some(12 * SECOND));
        held.expire(12 * SECOND);
        assert!(!held.has("B") && held.has("C"));
        assert_eq!(held.dropped, 2);
    }

    #[test]
    fn the_age_of_a_taken_reply_does_not_drop_a_later_one() {
        let mut held = held();
        held.keep(SECOND, "A", b"1".as_slice().into());
        taken(&mut held, "A");
        held.keep(5 * SECOND, "A", b"2".as_slice().into());
        held.expire(11 * SECOND);
        assert!(held.has("A"));
        assert_eq!(held.dropped, 0);
    }
}
