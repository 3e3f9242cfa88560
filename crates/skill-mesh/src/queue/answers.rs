//! The bounded, expiring memory of answers, from which duplicates are served.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::{Key, Moment, Settings};

#[derive(Debug)]
pub(super) struct Answers<T> {
    memory: Duration,
    count_max: usize,
    bytes_max: usize,
    by_key: HashMap<Key, T>,
    /// Oldest first, with when it is forgotten and how large it is.
    ages: VecDeque<(Moment, Key, usize)>,
    bytes: usize,
}

impl<T> Answers<T> {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            memory: settings.memory,
            count_max: settings.memory_count_max,
            bytes_max: settings.memory_bytes_max,
            by_key: HashMap::new(),
            ages: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<&T> {
        self.by_key.get(key)
    }

    /// Keeps an answer; what is too much for the bounds is forgotten, oldest first.
    pub(super) fn insert(&mut self, now: Moment, key: Key, answer: T, bytes: usize) {
        self.by_key.insert(key.clone(), answer);
        self.ages.push_back((now + self.memory, key, bytes));
        self.bytes += bytes;
        while self.ages.len() > self.count_max || self.bytes > self.bytes_max {
            self.forget_oldest();
        }
    }

    pub(super) fn forget(&mut self, now: Moment) {
        while self.next_expiry().is_some_and(|expiry| expiry <= now) {
            self.forget_oldest();
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Moment> {
        self.ages.front().map(|(expiry, _, _)| *expiry)
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key, bytes)) = self.ages.pop_front() {
            self.by_key.remove(&key);
            self.bytes -= bytes;
        }
    }
}
