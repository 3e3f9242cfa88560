//! Everything to everybody, as SkillScale's proxy does it, or rather libzmq's `zmq_proxy` for it: what a
//! subscriber does not read in time is dropped for it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::watch;

use super::outboxes::{ConnectionId, Outboxes};
use super::prefixes::Prefixes;
use super::serve::{Rule, Side};
use super::{METRICS_EVERY, Metrics};
use crate::queue::Moment;
use crate::zmtp::Item;

/// Bytes that wait for a subscriber that does not read.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) struct Broadcast {
    publishers: BTreeSet<ConnectionId>,
    /// By subscriber, so that each subscription counts once.
    subscribers: HashMap<ConnectionId, HashSet<Box<[u8]>>>,
    prefixes: Prefixes,
    hearers: Vec<ConnectionId>,
    metrics: watch::Sender<Arc<Metrics>>,
    seen: Metrics,
    measured: Moment,
}

impl Broadcast {
    pub(super) fn new(metrics: watch::Sender<Arc<Metrics>>) -> Self {
        Self {
            publishers: BTreeSet::new(),
            subscribers: HashMap::new(),
            prefixes: Prefixes::default(),
            hearers: Vec::new(),
            metrics,
            seen: Metrics::default(),
            measured: Moment::ZERO,
        }
    }

    /// Publishers send what somebody wants to hear.
    fn tell_publishers(&self, on: bool, prefix: &[u8], out: &mut Outboxes) {
        for publisher in &self.publishers {
            out.wish(*publisher, on, prefix);
        }
    }
}

impl Rule for Broadcast {
    fn opened(&mut self, side: Side, id: ConnectionId, out: &mut Outboxes) {
        match side {
            Side::Publishers => {
                self.publishers.insert(id);
                for prefix in self.prefixes.all() {
                    out.wish(id, true, prefix);
                }
            }
            Side::Subscribers => {
                self.subscribers.insert(id, HashSet::new());
            }
        }
    }

    fn message(&mut self, item: &Item<'_>, _now: Moment, out: &mut Outboxes) {
        let Item::Message { topic, raw, .. } = item else {
            return;
        };
        let mut hearers = std::mem::take(&mut self.hearers);
        self.prefixes.hearers(topic, &mut hearers);
        if hearers.is_empty() {
            self.seen.counts.lost += 1;
        }
        for hearer in &hearers {
            if out.waiting(*hearer) > WAITING_BYTES_MAX {
                self.seen.dropped += 1;
            } else {
                self.seen.counts.delivered += 1;
                out.forward(*hearer, raw);
            }
        }
        self.hearers = hearers;
    }

    fn wish(
        &mut self,
        id: ConnectionId,
        on: bool,
        prefix: &[u8],
        _now: Moment,
        out: &mut Outboxes,
    ) {
        let Some(own) = self.subscribers.get_mut(&id) else {
            return;
        };
        if on {
            if own.insert(prefix.into()) && self.prefixes.add(prefix, id) {
                self.tell_publishers(true, prefix, out);
            }
        } else if own.remove(prefix) && self.prefixes.remove(prefix, id) {
            self.tell_publishers(false, prefix, out);
        }
    }

    fn is_waited_for(&self, _id: ConnectionId) -> bool {
        // Nobody takes over from a subscriber that is gone.
        false
    }

    fn closed(&mut self, side: Side, id: ConnectionId, _now: Moment, out: &mut Outboxes) {
        match side {
            Side::Publishers => {
                self.publishers.remove(&id);
            }
            Side::Subscribers => {
                for prefix in self.subscribers.remove(&id).into_iter().flatten() {
                    if self.prefixes.remove(&prefix, id) {
                        self.tell_publishers(false, &prefix, out);
                    }
                }
            }
        }
    }

    fn settle(&mut self, now: Moment, _out: &mut Outboxes) {
        if now >= self.measured + METRICS_EVERY {
            self.measured = now;
            self.seen.connections = self.subscribers.len();
            self.metrics.send_replace(Arc::new(self.seen.clone()));
        }
    }

    fn next(&self) -> Moment {
        self.measured + METRICS_EVERY
    }

    fn stop(&mut self, _now: Moment) {}

    fn is_done(&self, _now: Moment) -> bool {
        true
    }
}
