//! The sharing proxy: gives the queue what came, and sends what it says. It does no I/O and never waits.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use super::held::Held;
use super::outboxes::{ConnectionId, Outboxes};
use super::serve::{Rule, Side};
use super::subscriptions::{Subscriptions, Wish};
use super::{METRICS_EVERY, Metrics, Settings};
use crate::control;
use crate::memory::refused;
use crate::protocol::{BadMessage, Envelope, Problem, Reply, open, overlong, topic_text};
use crate::queue::{Action, Key, Moment, Offer, Queue, WorkerId};
use crate::zmtp::Item;

/// How long to wait before trying an agent again that did not read.
const CLOGGED_RETRY: Moment = Moment::from_millis(10);
/// Bytes that wait for an agent that does not read; more are held back.
const CLOGGED_BYTES: usize = 16 * 1024 * 1024;
/// Slots that a worker may claim.
const SLOTS_MAX: usize = 10_000;

type Bytes = Arc<[u8]>;

pub(super) struct Share {
    settings: Settings,
    metrics: watch::Sender<Arc<Metrics>>,
    queue: Queue<Bytes, Bytes>,
    subscriptions: Subscriptions,
    held: Held,
    /// Topics whose held replies wait for room and not for a subscription, and when they were last tried.
    clogged: BTreeSet<String>,
    tried: Moment,
    actions: Vec<Action<Bytes, Bytes>>,
    hearers: Vec<ConnectionId>,
    /// Subscribers' connections.
    connections: usize,
    measured: Moment,
    bad_messages: u64,
    stop_by: Option<Moment>,
}

impl Share {
    pub(super) fn new(settings: Settings, metrics: watch::Sender<Arc<Metrics>>) -> Self {
        Self {
            metrics,
            queue: Queue::new(settings.queue.clone()),
            subscriptions: Subscriptions::new(settings.reply_prefixes.clone()),
            held: Held::new(settings.hold, settings.hold_bytes_max),
            settings,
            clogged: BTreeSet::new(),
            tried: Moment::ZERO,
            actions: Vec::new(),
            hearers: Vec::new(),
            connections: 0,
            measured: Moment::ZERO,
            bad_messages: 0,
            stop_by: None,
        }
    }
}

impl Rule for Share {
    fn opened(&mut self, side: Side, id: ConnectionId, out: &mut Outboxes) {
        match side {
            Side::Publishers => {
                // Everything, and the sign that requests are shared here.
                out.wish(id, true, b"");
                out.wish(id, true, control::PROXY);
            }
            Side::Subscribers => self.connections += 1,
        }
    }

    fn message(&mut self, item: &Item<'_>, now: Moment, out: &mut Outboxes) {
        match *item {
            Item::Message { topic, payload, .. } if topic.first() == Some(&control::MARK) => {
                self.obey(topic, payload, now, out);
            }
            Item::Message {
                topic,
                payload,
                frames,
                ..
            } => self.sort(topic, payload, frames, now, out),
            Item::Overlong {
                beginning, bytes, ..
            } => self.complain(&overlong(beginning, bytes), now, out),
            Item::Command { .. } => {}
        }
    }

    fn wish(&mut self, id: ConnectionId, on: bool, prefix: &[u8], now: Moment, out: &mut Outboxes) {
        if let Some((name, slots)) = control::parse_announcement(prefix) {
            if on {
                let slots = slots.clamp(1, SLOTS_MAX);
                self.subscriptions.announce(id, name, slots);
            }
            return;
        }
        let Ok(topic) = topic_text(prefix) else {
            return;
        };
        if !on {
            if let Some(worker) = self.subscriptions.unsubscribe(id, topic) {
                self.queue.drain(worker);
            }
            return;
        }
        match self.subscriptions.subscribe(id, topic) {
            Wish::Nothing => {}
            Wish::Agent => self.release(topic, now, out),
            Wish::Worker(worker) => {
                let slots = self.subscriptions.slots(id);
                let slots = slots.unwrap_or(self.settings.foreign_slots);
                self.queue
                    .join(now, worker, topic, slots, &mut self.actions);
                self.release(topic, now, out);
            }
        }
    }

    fn is_waited_for(&self, id: ConnectionId) -> bool {
        self.subscriptions.has_workers(id)
    }

    fn closed(&mut self, side: Side, id: ConnectionId, now: Moment, _out: &mut Outboxes) {
        if side == Side::Subscribers {
            self.connections -= 1;
            for worker in self.subscriptions.disconnect(id) {
                self.queue.leave(now, worker, &mut self.actions);
            }
        }
    }

    fn settle(&mut self, now: Moment, out: &mut Outboxes) {
        self.queue.tick(now, &mut self.actions);
        self.perform(now, out);
        self.held.expire(now);
        if !self.clogged.is_empty() && now >= self.tried + CLOGGED_RETRY {
            self.tried = now;
            for topic in std::mem::take(&mut self.clogged) {
                self.release(&topic, now, out);
            }
        }
        self.measure(now);
    }

    fn next(&self) -> Moment {
        let clogged = (!self.clogged.is_empty()).then(|| self.tried + CLOGGED_RETRY);
        let next = [
            self.queue.next_tick(),
            self.held.next_expiry(),
            clogged,
            self.stop_by,
        ];
        let next = next.into_iter().flatten().min();
        let measure = self.measured + METRICS_EVERY;
        next.map_or(measure, |next| next.min(measure))
    }

    fn stop(&mut self, now: Moment) {
        self.stop_by = Some(now + self.settings.drain);
        self.queue.close(now, &mut self.actions);
    }

    fn is_done(&self, now: Moment) -> bool {
        self.queue.unanswered() == 0 || self.stop_by.is_some_and(|by| by <= now)
    }
}

impl Share {
    fn sort(
        &mut self,
        topic: &[u8],
        payload: &[u8],
        frames: usize,
        now: Moment,
        out: &mut Outboxes,
    ) {
        let read = open(payload).and_then(|envelope| match topic_text(topic) {
            Ok(topic) if frames == 2 => Ok((topic, envelope)),
            topic => Err(misaddressed(topic.err(), frames, &envelope)),
        });
        match read {
            Ok((
                topic,
                Envelope::Request {
                    request_id,
                    reply_to,
                },
            )) => {
                let offer = Offer {
                    key: Key::new(&reply_to, &request_id),
                    topic: self.queue.topic(topic),
                    bytes: payload.len(),
                    body: Bytes::from(payload),
                };
                self.queue.offer(now, offer, &mut self.actions);
            }
            Ok((
                topic,
                Envelope::Reply {
                    request_id,
                    progress,
                },
            )) => {
                let key = Key::new(topic, &request_id);
                if !progress {
                    let answer = Bytes::from(payload);
                    let bytes = answer.len();
                    self.queue
                        .answer(now, &key, answer, bytes, &mut self.actions);
                } else if self.queue.progress(now, &key) {
                    self.reply(topic, payload, now, out);
                }
            }
            Err(bad) => self.complain(&bad, now, out),
        }
    }

    /// What our own workers say beside the protocol.
    fn obey(&mut self, topic: &[u8], payload: &[u8], now: Moment, out: &mut Outboxes) {
        // What the worker was given before is sent before.
        self.perform(now, out);
        match topic {
            control::DRAIN => {
                let Ok(name) = std::str::from_utf8(payload) else {
                    return;
                };
                if let Some((connection, workers, slots)) = self.subscriptions.named(name) {
                    for worker in workers {
                        self.queue.drain(worker);
                    }
                    let announcement = control::announcement(name, slots);
                    out.message(connection, &announcement, control::DRAINED);
                }
            }
            control::HAND_BACK => {
                let Some((name, key)) = control::parse_hand_back(payload) else {
                    return;
                };
                let named = self.subscriptions.named(name);
                for worker in named.into_iter().flat_map(|(_, ids, _)| ids) {
                    self.queue.hand_back(now, worker, &key, &mut self.actions);
                }
            }
            _ => {}
        }
    }

    fn complain(&mut self, bad: &BadMessage, now: Moment, out: &mut Outboxes) {
        self.bad_messages += 1;
        tracing::debug!(problem = %bad.problem, "a message could not be understood");
        if let Some(reply_to) = &bad.reply_to {
            let time = (self.settings.clock)();
            let reply = Reply::failure(bad.request_id.clone(), bad.to_string()).at(time);
            self.reply(reply_to, &reply.to_json(), now, out);
        }
    }

    fn perform(&mut self, now: Moment, out: &mut Outboxes) {
        // What cannot be delivered comes back as further actions.
        while !self.actions.is_empty() {
            let mut actions = std::mem::take(&mut self.actions);
            for action in actions.drain(..) {
                match action {
                    Action::Deliver {
                        worker, key, body, ..
                    } => self.deliver(worker, &key, &body, now, out),
                    Action::Reply { key, answer } => self.reply(key.reply_to(), &answer, now, out),
                    Action::Refuse { key, refusal } => {
                        let reply = refused(&key, &refusal, (self.settings.clock)());
                        self.reply(key.reply_to(), &reply.to_json(), now, out);
                    }
                }
            }
            if self.actions.is_empty() {
                // Its memory is used again.
                self.actions = actions;
            }
        }
    }

    fn deliver(
        &mut self,
        worker: WorkerId,
        key: &Key,
        body: &Bytes,
        now: Moment,
        out: &mut Outboxes,
    ) {
        match self.subscriptions.worker(worker) {
            // However much it does not read: its slots are the bound, and its heartbeat.
            Some((connection, topic)) => out.message(connection, topic.as_bytes(), body),
            None => self.queue.hand_back(now, worker, key, &mut self.actions),
        }
    }

    fn reply(&mut self, topic: &str, payload: &[u8], now: Moment, out: &mut Outboxes) {
        // Behind those that wait already.
        if self.held.has(topic) {
            return self.held.keep(now, topic, payload.into());
        }
        let mut hearers = std::mem::take(&mut self.hearers);
        self.subscriptions.hearers(topic, &mut hearers);
        if hearers.iter().any(|to| out.waiting(*to) > CLOGGED_BYTES) {
            self.held.keep(now, topic, payload.into());
            self.clogged.insert(topic.to_owned());
        } else if hearers.is_empty() {
            self.held.keep(now, topic, payload.into());
        } else {
            for hearer in &hearers {
                out.message(*hearer, topic.as_bytes(), payload);
            }
        }
        self.hearers = hearers;
    }

    /// Sends what was held for a topic.
    fn release(&mut self, topic: &str, now: Moment, out: &mut Outboxes) {
        for payload in self.held.take(topic) {
            self.reply(topic, &payload, now, out);
        }
    }

    fn measure(&mut self, now: Moment) {
        if now < self.measured + METRICS_EVERY {
            return;
        }
        self.measured = now;
        self.metrics.send_replace(Arc::new(Metrics {
            counts: self.queue.counts().clone(),
            outcomes: self.queue.counts_by_topic().collect(),
            topics: self.queue.gauges(now).collect(),
            connections: self.connections,
            bad_messages: self.bad_messages,
            held: self.held.len(),
            held_dropped: self.held.dropped,
            dropped: 0,
        }));
    }
}

/// The payload is well, the frames around it are not.
fn misaddressed(topic: Option<Problem>, frames: usize, envelope: &Envelope<'_>) -> BadMessage {
    let problem = topic.unwrap_or(Problem::Frames { frames });
    let (request_id, reply_to) = match envelope {
        Envelope::Request {
            request_id,
            reply_to,
        } => (request_id.to_string(), Some(reply_to.to_string())),
        Envelope::Reply { .. } => (String::new(), None),
    };
    BadMessage {
        problem,
        reply_to,
        request_id,
    }
}
