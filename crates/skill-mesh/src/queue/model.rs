//! Random histories, checked against what the queue promises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Offer { topic: u8, id: u8 },
    Join { worker: u8, topic: u8, slots: usize },
    Leave { worker: u8 },
    Drain { worker: u8 },
    HandBack { worker: u8 },
    Answer { worker: u8 },
    Forged { id: u8 },
    Wait { seconds: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..3u8, any::<u8>()).prop_map(|(topic, id)| Event::Offer { topic, id }),
        3 => (0..5u8, 0..3u8, 1..4usize).prop_map(|(worker, topic, slots)| Event::Join { worker, topic, slots }),
        2 => (0..5u8).prop_map(|worker| Event::Leave { worker }),
        1 => (0..5u8).prop_map(|worker| Event::Drain { worker }),
        1 => (0..5u8).prop_map(|worker| Event::HandBack { worker }),
        5 => (0..5u8).prop_map(|worker| Event::Answer { worker }),
        1 => any::<u8>().prop_map(|id| Event::Forged { id }),
        2 => (0..40u64).prop_map(|seconds| Event::Wait { seconds }),
    ]
}

fn settings() -> Settings {
    Settings {
        waiting_max: 5,
        wait: Duration::from_secs(30),
        lease: Duration::from_secs(20),
        attempts_max: 3,
        memory: Duration::from_secs(60),
        ..Settings::default()
    }
}

struct Present {
    topic: String,
    slots: usize,
    draining: bool,
    /// What it got and has not answered, as a worker sees it.
    has: Vec<Key>,
}

/// What an outside observer knows.
struct World {
    queue: Queue<u8, u8>,
    now: Moment,
    workers: BTreeMap<WorkerId, Present>,
    topics: BTreeMap<Key, String>,
    /// Accepted and without a final word.
    open: BTreeSet<Key>,
    accepted: u64,
    finals: u64,
}

impl World {
    fn new() -> Self {
        Self {
            queue: Queue::new(settings()),
            now: Duration::from_secs(1000),
            workers: BTreeMap::new(),
            topics: BTreeMap::new(),
            open: BTreeSet::new(),
            accepted: 0,
            finals: 0,
        }
    }

    fn apply(&mut self, event: Event) {
        let mut out = Vec::new();
        let now = self.now;
        match event {
            Event::Offer { topic, id } => self.offer(topic, id, &mut out),
            Event::Join {
                worker,
                topic,
                slots,
            } => {
                let topic = format!("T{topic}");
                let present = Present {
                    topic: topic.clone(),
                    slots,
                    draining: false,
                    has: Vec::new(),
                };
                self.workers.insert(worker.into(), present);
                self.queue.join(now, worker.into(), &topic, slots, &mut out);
            }
            Event::Leave { worker } => {
                self.workers.remove(&worker.into());
                self.queue.leave(now, worker.into(), &mut out);
            }
            Event::Drain { worker } => {
                if let Some(present) = self.workers.get_mut(&worker.into()) {
                    present.draining = true;
                }
                self.queue.drain(worker.into());
            }
            Event::HandBack { worker } => {
                if let Some(key) = self.pop(worker) {
                    if let Some(present) = self.workers.get_mut(&worker.into()) {
                        present.draining = true;
                    }
                    self.queue.hand_back(now, worker.into(), &key, &mut out);
                }
            }
            Event::Answer { worker } => {
                if let Some(key) = self.pop(worker) {
                    self.queue.answer(now, &key, worker, 1, &mut out);
                }
            }
            Event::Forged { id } => {
                let key = Key::new("R", &id.to_string());
                if !self.open.contains(&key) {
                    self.queue.answer(now, &key, id, 1, &mut out);
                    assert!(
                        !out.iter().any(|act| matches!(act, Action::Reply { .. })),
                        "nobody asked"
                    );
                }
            }
            Event::Wait { seconds } => {
                self.now += Duration::from_secs(seconds);
                self.queue.tick(self.now, &mut out);
            }
        }
        self.observe(out);
        self.check();
    }

    fn pop(&mut self, worker: u8) -> Option<Key> {
        self.workers.get_mut(&worker.into())?.has.pop()
    }

    fn offer(&mut self, topic: u8, id: u8, out: &mut Vec<Action<u8, u8>>) {
        let key = Key::new("R", &id.to_string());
        let topic = format!("T{topic}");
        let before = self.queue.counts().accepted;
        let offer = Offer {
            key: key.clone(),
            topic: topic.as_str().into(),
            body: id,
            bytes: 1,
        };
        // What is due is said before, so that an answer that is repeated is told from a first one.
        self.queue.tick(self.now, out);
        self.observe(std::mem::take(out));
        self.queue.offer(self.now, offer, out);
        if self.queue.counts().accepted > before {
            self.accepted += 1;
            self.topics.insert(key.clone(), topic);
            assert!(self.open.insert(key), "accepted twice");
        } else {
            // A duplicate's answer or a refusal at the door, never work.
            assert!(out.len() <= 1);
            assert!(!matches!(out.first(), Some(Action::Deliver { .. })));
            out.clear();
        }
    }

    fn observe(&mut self, out: Vec<Action<u8, u8>>) {
        for action in out {
            match action {
                Action::Deliver {
                    worker,
                    key,
                    attempt,
                    ..
                } => {
                    assert!(self.open.contains(&key), "work for an answered request");
                    assert!(attempt <= settings().attempts_max);
                    let present = self.workers.get_mut(&worker).expect("delivered to nobody");
                    assert!(!present.draining, "delivered to a draining worker");
                    assert_eq!(present.topic, self.topics[&key], "topics match exactly");
                    present.has.push(key);
                }
                Action::Reply { key, .. } | Action::Refuse { key, .. } => {
                    assert!(self.open.remove(&key), "a second final word on {key:?}");
                    self.finals += 1;
                }
            }
        }
    }

    fn check(&self) {
        assert_eq!(self.accepted, self.finals + self.open.len() as u64);
        assert_eq!(self.queue.unanswered(), self.open.len());
        assert_eq!(self.queue.timers.len(), self.open.len());
        assert_eq!(self.queue.bytes, self.open.len());
        for gauge in self.queue.gauges(self.now) {
            assert!(gauge.waiting <= settings().waiting_max + 20);
        }
        for (id, worker) in &self.queue.workers {
            let present = &self.workers[id];
            assert!(worker.running.len() <= present.slots, "too much at once");
            let idle = !present.draining && worker.running.len() < present.slots;
            let waiting = self.queue.topics[&worker.topic].waiting();
            assert!(!idle || waiting == 0, "work waits beside an idle worker");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_accepted_request_gets_exactly_one_final_word(
        events in prop::collection::vec(event(), 0..120),
    ) {
        let mut world = World::new();
        for event in events {
            world.apply(event);
        }
        // Nothing is open for ever: a wait and as many leases as attempts, and all is said.
        for _ in 0..8 {
            world.apply(Event::Wait { seconds: 31 });
        }
        prop_assert!(world.open.is_empty(), "left open: {:?}", world.open);
        prop_assert!(world.queue.numbers.is_empty() && world.queue.live.is_empty());
        world.apply(Event::Wait { seconds: 61 });
        for worker in 0..5 {
            world.apply(Event::Leave { worker });
        }
        prop_assert!(world.queue.topics.is_empty(), "topics are left behind");
        prop_assert!(world.queue.stuck.is_empty(), "stuck slots are left behind");
    }
}
