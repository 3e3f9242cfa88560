//! Which worker gets which request, and that each request is answered once: a state machine without
//! I/O, clock or randomness. Every transport feeds it events and does what it says.
//!
//! A request is *accepted* when [`Queue::offer`] does not refuse it. From then on exactly one
//! [`Action::Reply`] or [`Action::Refuse`] follows, while its execution is at-least-once: a worker
//! that is lost in the middle may have done part of the work before another begins anew.
//!
//! ```text
//! offer ──► waiting ──► running ──► answered (remembered for duplicates, then forgotten)
//!             │  ▲         │
//!             │  └─────────┘ worker lost, drained, or silent beyond the lease; a limited number of times
//!             └──► refused: deadline
//! ```

mod answers;
mod settings;
mod workers;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use answers::Answers;
use settings::CountsByTopic;
pub use settings::{Counts, Key, Offer, Refusal, Settings, TopicCounts, TopicGauge};
use workers::{Topic, Worker};

/// Time since the transport began.
pub type Moment = Duration;

/// A worker's subscription of one topic, numbered by the transport.
pub type WorkerId = u64;

/// What a transport has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<Q, A> {
    /// Hand the request to this worker.
    Deliver {
        /// Whom.
        worker: WorkerId,
        /// Which request.
        key: Key,
        /// As it was offered.
        body: Q,
        /// Counted from 1.
        attempt: u32,
    },
    /// Send the answer to the key's reply topic.
    Reply {
        /// Which request.
        key: Key,
        /// As the worker gave it.
        answer: A,
    },
    /// Send an error to the key's reply topic.
    Refuse {
        /// Which request.
        key: Key,
        /// Why.
        refusal: Refusal,
    },
}

/// The final word on a request.
#[derive(Debug, Clone)]
enum Answer<A> {
    Given(A),
    Refused(Refusal),
}

/// A request that was accepted and is not answered.
#[derive(Debug)]
struct Live<Q> {
    key: Key,
    topic: Arc<str>,
    body: Q,
    bytes: usize,
    accepted: Moment,
    attempts: u32,
    /// Nobody while it waits.
    worker: Option<WorkerId>,
    /// When waiting, or the attempt, has lasted too long.
    timer: Moment,
}

/// The queue, for request bodies `Q` and answers `A` that are cheap to clone.
#[derive(Debug)]
pub struct Queue<Q, A> {
    settings: Settings,
    topics: HashMap<Arc<str>, Topic>,
    workers: HashMap<WorkerId, Worker>,
    /// By number, in the order of acceptance.
    live: HashMap<u64, Live<Q>>,
    numbers: HashMap<Key, u64>,
    answers: Answers<Answer<A>>,
    /// One entry per live request.
    timers: BTreeSet<(Moment, u64)>,
    /// Slots that stay taken by requests that were taken away from a silent worker.
    stuck: HashMap<Key, (WorkerId, u64)>,
    next: u64,
    bytes: usize,
    closing: bool,
    counts: Counts,
    by_topic: CountsByTopic,
}

impl<Q: Clone, A: Clone> Queue<Q, A> {
    /// An empty queue.
    pub fn new(settings: Settings) -> Self {
        Self {
            answers: Answers::new(&settings),
            settings,
            topics: HashMap::new(),
            workers: HashMap::new(),
            live: HashMap::new(),
            numbers: HashMap::new(),
            timers: BTreeSet::new(),
            stuck: HashMap::new(),
            next: 0,
            bytes: 0,
            closing: false,
            counts: Counts::default(),
            by_topic: CountsByTopic::default(),
        }
    }

    /// A request came.
    pub fn offer(&mut self, now: Moment, offer: Offer<Q>, out: &mut Vec<Action<Q, A>>) {
        self.tick(now, out);
        let key = offer.key.clone();
        if self.numbers.contains_key(&key) {
            self.counts.duplicates += 1;
            return;
        }
        if let Some(answer) = self.answers.get(&key) {
            self.counts.duplicates += 1;
            out.push(spoken(key, answer.clone()));
            return;
        }
        if let Some(refusal) = self.overload(&offer) {
            self.counts.refuse(&refusal);
            self.by_topic.refuse(&offer.topic, &refusal);
            out.push(Action::Refuse { key, refusal });
            return;
        }
        self.accept(now, offer, out);
    }

    fn overload(&self, offer: &Offer<Q>) -> Option<Refusal> {
        if self.closing {
            return Some(Refusal::Stopping);
        }
        let topic = self.topics.get(&*offer.topic);
        let waiting = topic.map_or(0, Topic::waiting);
        let is_served = topic.is_some_and(|topic| !topic.members().is_empty());
        // Requests that nobody may ever take leave half of the room to those that somebody does.
        let bytes_max = self.settings.bytes_max / if is_served { 1 } else { 2 };
        let full = waiting >= self.settings.waiting_max
            || self.bytes + offer.bytes > bytes_max
            || (topic.is_none() && self.topics.len() >= self.settings.topics_max);
        full.then(|| Refusal::Busy {
            topic: offer.topic.clone(),
            waiting,
        })
    }

    fn accept(&mut self, now: Moment, offer: Offer<Q>, out: &mut Vec<Action<Q, A>>) {
        let number = self.next;
        self.next += 1;
        self.counts.accepted += 1;
        self.bytes += offer.bytes;
        self.numbers.insert(offer.key.clone(), number);
        let topic = offer.topic;
        let live = Live {
            key: offer.key,
            topic: topic.clone(),
            body: offer.body,
            bytes: offer.bytes,
            accepted: now,
            attempts: 0,
            worker: None,
            timer: now + self.settings.wait,
        };
        self.timers.insert((live.timer, number));
        self.live.insert(number, live);
        self.topics.entry(topic.clone()).or_default().wait(number);
        self.feed(now, &topic, out);
    }

    /// Gives waiting requests to free workers, oldest to least busy.
    fn feed(&mut self, now: Moment, topic: &Arc<str>, out: &mut Vec<Action<Q, A>>) {
        let Some(entry) = self.topics.get_mut(topic) else {
            return;
        };
        while let Some((number, id)) = entry.pair() {
            let (Some(live), Some(worker)) =
                (self.live.get_mut(&number), self.workers.get_mut(&id))
            else {
                debug_assert!(
                    false,
                    "a topic knows only live requests and present workers"
                );
                continue;
            };
            entry.take(worker, id, number);
            live.worker = Some(id);
            live.attempts += 1;
            set_timer(&mut self.timers, live, number, now + self.settings.lease);
            self.counts.delivered += 1;
            out.push(Action::Deliver {
                worker: id,
                key: live.key.clone(),
                body: live.body.clone(),
                attempt: live.attempts,
            });
        }
        if entry.is_unused() {
            self.topics.remove(topic);
        }
    }

    /// A worker for a topic came, and runs at most `slots` requests at a time.
    pub fn join(
        &mut self,
        now: Moment,
        worker: WorkerId,
        topic: &str,
        slots: usize,
        out: &mut Vec<Action<Q, A>>,
    ) {
        self.leave(now, worker, out);
        let topic = self.topic(topic);
        let mut joined = Worker::new(topic.clone(), slots.max(1));
        self.topics
            .entry(topic.clone())
            .or_default()
            .join(&mut joined, worker);
        self.workers.insert(worker, joined);
        self.feed(now, &topic, out);
    }

    /// A worker gets no more requests, but may still answer those it has.
    pub fn drain(&mut self, worker: WorkerId) {
        if let Some(entry) = self.workers.get_mut(&worker)
            && let Some(topic) = self.topics.get_mut(&entry.topic)
        {
            topic.retire(entry, worker);
        }
    }

    /// A worker is gone: what it has not answered goes to others.
    pub fn leave(&mut self, now: Moment, worker: WorkerId, out: &mut Vec<Action<Q, A>>) {
        let Some(mut gone) = self.workers.remove(&worker) else {
            return;
        };
        if let Some(topic) = self.topics.get_mut(&gone.topic) {
            topic.leave(&mut gone, worker);
        }
        self.stuck.retain(|_, (holder, _)| *holder != worker);
        for number in std::mem::take(&mut gone.running) {
            let live = self.live.get(&number);
            if live.is_some_and(|live| live.worker == Some(worker)) {
                self.hand_on(now, number, out);
            }
        }
        self.feed(now, &gone.topic, out);
    }

    /// A worker will not run a request that it got; this costs no attempt. Whoever hands back is going: it
    /// gets nothing more, or else the same request would come back to it for ever.
    pub fn hand_back(
        &mut self,
        now: Moment,
        worker: WorkerId,
        key: &Key,
        out: &mut Vec<Action<Q, A>>,
    ) {
        self.drain(worker);
        let Some(&number) = self.numbers.get(key) else {
            return;
        };
        let Some(live) = self.live.get_mut(&number) else {
            return;
        };
        if live.worker != Some(worker) {
            return;
        }
        live.attempts = live.attempts.saturating_sub(1);
        let topic = live.topic.clone();
        self.release(worker, number);
        self.hand_on(now, number, out);
        self.feed(now, &topic, out);
    }

    /// Queues a request anew that its worker will not answer, or gives it up.
    fn hand_on(&mut self, now: Moment, number: u64, out: &mut Vec<Action<Q, A>>) {
        let Some(live) = self.live.get_mut(&number) else {
            return;
        };
        if live.attempts >= self.settings.attempts_max {
            let attempts = live.attempts;
            return self.give_up(now, number, Refusal::WorkersLost { attempts }, out);
        }
        live.worker = None;
        set_timer(&mut self.timers, live, number, now + self.settings.wait);
        self.counts.handed_on += 1;
        self.topics
            .entry(live.topic.clone())
            .or_default()
            .wait(number);
    }

    /// An answer came, from whomever: the first one counts.
    pub fn answer(
        &mut self,
        now: Moment,
        key: &Key,
        answer: A,
        bytes: usize,
        out: &mut Vec<Action<Q, A>>,
    ) {
        self.tick(now, out);
        let key = key.clone();
        if let Some((worker, number)) = self.stuck.remove(&key) {
            let topic = self.release(worker, number);
            self.finish_if_live(now, &key, answer, bytes, out);
            if let Some(topic) = topic {
                self.feed(now, &topic, out);
            }
            return;
        }
        self.finish_if_live(now, &key, answer, bytes, out);
    }

    fn finish_if_live(
        &mut self,
        now: Moment,
        key: &Key,
        answer: A,
        bytes: usize,
        out: &mut Vec<Action<Q, A>>,
    ) {
        if let Some(&number) = self.numbers.get(key) {
            self.counts.answered += 1;
            return self.finish(now, number, Answer::Given(answer), bytes, out);
        }
        if self.answers.get(key).is_some() {
            self.counts.late += 1;
            return;
        }
        // A predecessor may have handed the request out; later, it is one that was forgotten.
        if now < self.settings.memory {
            self.counts.passed_on += 1;
            let kept = Answer::Given(answer.clone());
            self.answers.insert(now, key.clone(), kept, bytes);
            let key = key.clone();
            out.push(Action::Reply { key, answer });
        } else {
            self.counts.unknown += 1;
        }
    }

    /// Whether news of this request may be passed on; they also extend its lease.
    pub fn progress(&mut self, now: Moment, key: &Key) -> bool {
        let Some(&number) = self.numbers.get(key) else {
            return false;
        };
        let Some(live) = self.live.get_mut(&number) else {
            return false;
        };
        if live.worker.is_some() {
            set_timer(&mut self.timers, live, number, now + self.settings.lease);
        }
        true
    }

    /// Takes a live request away and says its final word.
    fn finish(
        &mut self,
        now: Moment,
        number: u64,
        answer: Answer<A>,
        bytes: usize,
        out: &mut Vec<Action<Q, A>>,
    ) {
        let Some(live) = self.live.remove(&number) else {
            return;
        };
        match &answer {
            Answer::Given(_) => self.by_topic.answer(&live.topic),
            Answer::Refused(refusal) => self.by_topic.refuse(&live.topic, refusal),
        }
        self.numbers.remove(&live.key);
        self.timers.remove(&(live.timer, number));
        self.bytes -= live.bytes;
        match live.worker {
            Some(worker) => {
                self.release(worker, number);
            }
            None => {
                if let Some(topic) = self.topics.get_mut(&live.topic) {
                    topic.forget(number);
                }
            }
        }
        self.answers
            .insert(now, live.key.clone(), answer.clone(), bytes);
        out.push(spoken(live.key, answer));
        self.feed(now, &live.topic, out);
    }

    fn give_up(&mut self, now: Moment, number: u64, refusal: Refusal, out: &mut Vec<Action<Q, A>>) {
        self.counts.refuse(&refusal);
        self.finish(now, number, Answer::Refused(refusal), 0, out);
    }

    /// Frees the slot that a request takes at a worker; returns the worker's topic.
    fn release(&mut self, worker: WorkerId, number: u64) -> Option<Arc<str>> {
        let entry = self.workers.get_mut(&worker)?;
        let topic = entry.topic.clone();
        self.topics.get_mut(&topic)?.put_back(entry, worker, number);
        Some(topic)
    }

    /// Lets time pass: deadlines, leases, and the memory of answers.
    pub fn tick(&mut self, now: Moment, out: &mut Vec<Action<Q, A>>) {
        self.answers.forget(now);
        while let Some(&(timer, number)) = self.timers.first()
            && timer <= now
        {
            let Some(live) = self.live.get(&number) else {
                debug_assert!(false, "a timer belongs to a live request");
                self.timers.pop_first();
                continue;
            };
            let topic = live.topic.clone();
            let Some(worker) = live.worker else {
                let waited = now.saturating_sub(live.accepted);
                let members = self.topics.get(&topic).map(Topic::members);
                let is_served = members.is_some_and(|members| !members.is_empty());
                let refusal = Refusal::untaken(topic, waited, is_served);
                self.give_up(now, number, refusal, out);
                continue;
            };
            // Its slot stays taken: whoever was silent that long should not get the next one too.
            self.stuck.insert(live.key.clone(), (worker, number));
            self.hand_on(now, number, out);
            self.feed(now, &topic, out);
        }
    }

    /// When [`Queue::tick`] has something to do next.
    pub fn next_tick(&self) -> Option<Moment> {
        let timer = self.timers.first().map(|(timer, _)| *timer);
        timer.into_iter().chain(self.answers.next_expiry()).min()
    }

    /// Refuses what waits and whatever comes from now on; what runs may still be answered.
    pub fn close(&mut self, now: Moment, out: &mut Vec<Action<Q, A>>) {
        self.closing = true;
        let waiting: BTreeSet<u64> = self
            .live
            .iter()
            .filter_map(|(number, live)| live.worker.is_none().then_some(*number))
            .collect();
        for number in waiting {
            self.give_up(now, number, Refusal::Stopping, out);
        }
    }

    /// A topic's name, shared with the queue where it knows the topic.
    pub fn topic(&self, name: &str) -> Arc<str> {
        self.topics
            .get_key_value(name)
            .map_or_else(|| name.into(), |(name, _)| name.clone())
    }

    /// Accepted and not answered.
    pub fn unanswered(&self) -> usize {
        self.live.len()
    }

    /// What has happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How the requests of each topic ended, in no order; topics beyond the first thousand together under
    /// the empty name.
    pub fn counts_by_topic(&self) -> impl Iterator<Item = (Arc<str>, TopicCounts)> + '_ {
        self.by_topic.iter()
    }

    /// How each topic is doing, in no order.
    pub fn gauges(&self, now: Moment) -> impl Iterator<Item = TopicGauge> + '_ {
        self.topics.iter().map(move |(name, topic)| TopicGauge {
            topic: name.clone(),
            waiting: topic.waiting(),
            oldest: topic
                .oldest()
                .and_then(|number| self.live.get(&number))
                .map_or(Duration::ZERO, |live| now.saturating_sub(live.accepted)),
            running: topic
                .members()
                .iter()
                .filter_map(|worker| self.workers.get(worker))
                .map(|worker| worker.running.len())
                .sum(),
            workers: topic.members().len(),
        })
    }
}

fn spoken<Q, A>(key: Key, answer: Answer<A>) -> Action<Q, A> {
    match answer {
        Answer::Given(answer) => Action::Reply { key, answer },
        Answer::Refused(refusal) => Action::Refuse { key, refusal },
    }
}

fn set_timer<Q>(
    timers: &mut BTreeSet<(Moment, u64)>,
    live: &mut Live<Q>,
    number: u64,
    timer: Moment,
) {
    timers.remove(&(live.timer, number));
    live.timer = timer;
    timers.insert((timer, number));
}
