//! The sharing proxy's loop: reads what came, asks the queue, sends what it says. It waits in one place,
//! [`Share::wait`], for as long as the next deadline is away, and never for a peer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use zmq::{DONTWAIT, Message, Socket};

use super::connections::{ConnectionId, Connections, Standing};
use super::held::Held;
use super::subscriptions::{Subscriptions, Wish};
use super::{Metrics, ProxyError, Settings};
use crate::control;
use crate::memory::refused;
use crate::protocol::{BadMessage, Envelope, Problem, Reply, open, topic_text};
use crate::queue::{Action, Key, Moment, Offer, Queue, WorkerId};
use crate::zmq_socket::{Frames, descriptor, disconnect, receive, send};

/// Messages read before the rest of the loop has its turn.
const BATCH: usize = 1000;
/// How often [`Metrics`] are renewed at most.
const METRICS_EVERY: Duration = Duration::from_millis(250);
/// How long to wait before trying an agent again that did not read.
const CLOGGED_RETRY: Duration = Duration::from_millis(10);
/// Slots that a worker may claim; far below the pipes' high-water mark, so that deliveries never meet it.
const SLOTS_MAX: usize = 10_000;

type Bytes = Arc<[u8]>;

pub(super) struct Share {
    xsub: Socket,
    xpub: Socket,
    connections: Connections,
    control: Socket,
    settings: Settings,
    metrics: watch::Sender<Arc<Metrics>>,
    queue: Queue<Bytes, Bytes>,
    subscriptions: Subscriptions,
    held: Held,
    /// Topics whose held replies wait for room and not for a subscription.
    clogged: BTreeSet<String>,
    out: Vec<Action<Bytes, Bytes>>,
    gone: Vec<ConnectionId>,
    began: Instant,
    /// Of this turn.
    now: Moment,
    measured: Moment,
    bad_messages: u64,
    kicked: u64,
    /// On which subscribers are accepted.
    port: u16,
}

impl Share {
    pub(super) fn new(
        xsub: Socket,
        xpub: Socket,
        connections: Connections,
        control: Socket,
        settings: Settings,
        metrics: watch::Sender<Arc<Metrics>>,
        port: u16,
    ) -> Self {
        Self {
            xsub,
            xpub,
            connections,
            control,
            metrics,
            queue: Queue::new(settings.queue.clone()),
            subscriptions: Subscriptions::new(settings.reply_prefixes.clone()),
            held: Held::new(settings.hold, settings.hold_bytes_max),
            settings,
            clogged: BTreeSet::new(),
            out: Vec::new(),
            gone: Vec::new(),
            began: Instant::now(),
            now: Duration::ZERO,
            measured: Duration::ZERO,
            bad_messages: 0,
            kicked: 0,
            port,
        }
    }

    pub(super) fn run(mut self) -> Result<(), ProxyError> {
        self.work().map_err(ProxyError::zmq("passing messages on"))
    }

    fn work(&mut self) -> zmq::Result<()> {
        // Everything, and the sign that requests are shared here.
        self.xsub.send(&b"\x01"[..], 0)?;
        self.xsub.send([&b"\x01"[..], control::PROXY].concat(), 0)?;
        let mut frames = Frames::new();
        let mut stop_by = None;
        loop {
            let stopped = self.wait(stop_by)?;
            self.now = self.began.elapsed();
            if stopped && stop_by.is_none() {
                stop_by = Some(self.now + self.settings.drain);
                self.queue.close(self.now, &mut self.out);
            }
            // In this order: a worker that answers and goes has answered first.
            self.read_publishers(&mut frames)?;
            self.read_subscribers()?;
            self.queue.tick(self.now, &mut self.out);
            self.perform()?;
            self.held.expire(self.now);
            for topic in std::mem::take(&mut self.clogged) {
                self.release(&topic)?;
            }
            self.measure();
            if stop_by.is_some_and(|by| self.queue.unanswered() == 0 || by <= self.now) {
                return Ok(());
            }
        }
    }

    /// Waits for a message or a deadline; says whether the proxy shall stop.
    fn wait(&self, stop_by: Option<Moment>) -> zmq::Result<bool> {
        let now = self.began.elapsed();
        let next = [
            self.queue.next_tick(),
            self.held.next_expiry(),
            (!self.clogged.is_empty()).then(|| now + CLOGGED_RETRY),
            stop_by,
            Some(self.measured + METRICS_EVERY),
        ];
        let next = next.into_iter().flatten().min().unwrap_or(now);
        // Rounded up: a deadline is past when it is looked at.
        let micros = next.saturating_sub(now).as_micros();
        let timeout = i64::try_from(micros.div_ceil(1000)).unwrap_or(1000);
        let mut items = [
            self.xsub.as_poll_item(zmq::POLLIN),
            self.xpub.as_poll_item(zmq::POLLIN),
            self.connections.socket().as_poll_item(zmq::POLLIN),
            self.control.as_poll_item(zmq::POLLIN),
        ];
        match zmq::poll(&mut items, timeout) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error),
        }
        Ok(items[3].is_readable() && {
            let mut message = Message::new();
            self.control.recv(&mut message, DONTWAIT).is_ok()
        })
    }

    fn read_subscribers(&mut self) -> zmq::Result<()> {
        let mut message = Message::new();
        for _ in 0..BATCH {
            self.bury()?;
            match self.xpub.recv(&mut message, DONTWAIT) {
                Ok(()) => {}
                Err(zmq::Error::EAGAIN) => {
                    self.connections.all_read();
                    return Ok(());
                }
                Err(zmq::Error::EINTR) => continue,
                Err(error) => return Err(error),
            }
            let Some(from) = descriptor(&mut message) else {
                // A connection has ended, which the monitor tells more exactly.
                continue;
            };
            // Before the message is acted upon: see `connections`.
            self.bury()?;
            match self.connections.standing(from) {
                Standing::Gone => {}
                Standing::Doubtful => {
                    self.kicked += 1;
                    disconnect(from, self.port);
                }
                Standing::Alive(connection) => self.heed(connection, &message)?,
            }
        }
        Ok(())
    }

    /// Takes leave of connections that have ended.
    fn bury(&mut self) -> zmq::Result<()> {
        self.connections.update(&mut self.gone)?;
        for connection in std::mem::take(&mut self.gone) {
            for worker in self.subscriptions.disconnect(connection) {
                self.queue.leave(self.now, worker, &mut self.out);
            }
        }
        Ok(())
    }

    /// Acts upon a subscription or its end. No call on the socket may come before those on it here.
    fn heed(&mut self, connection: ConnectionId, message: &[u8]) -> zmq::Result<()> {
        let Some((&kind, topic)) = message.split_first() else {
            return Ok(());
        };
        if let Some((name, slots)) = control::parse_announcement(topic) {
            if kind == 1 {
                self.xpub.set_subscribe(topic)?;
                let slots = slots.clamp(1, SLOTS_MAX);
                self.subscriptions.announce(connection, name, slots);
            }
            return Ok(());
        }
        let Ok(name) = topic_text(topic) else {
            return Ok(());
        };
        match kind {
            0 => {
                if let Some((worker, private)) = self.subscriptions.unsubscribe(connection, name) {
                    self.xpub.set_unsubscribe(&private)?;
                    self.queue.drain(worker);
                } else {
                    self.xpub.set_unsubscribe(topic)?;
                }
                Ok(())
            }
            1 => match self.subscriptions.subscribe(connection, name) {
                Wish::Known => Ok(()),
                Wish::Agent => {
                    self.xpub.set_subscribe(topic)?;
                    self.release(name)
                }
                Wish::Worker { id, private } => {
                    self.xpub.set_subscribe(&private)?;
                    let slots = self.subscriptions.slots(connection);
                    let slots = slots.unwrap_or(self.settings.foreign_slots);
                    self.queue.join(self.now, id, name, slots, &mut self.out);
                    self.release(name)
                }
            },
            _ => Ok(()),
        }
    }

    fn read_publishers(&mut self, frames: &mut Frames) -> zmq::Result<()> {
        for _ in 0..BATCH {
            match receive(&self.xsub, frames) {
                Ok(true) => self.sort(frames)?,
                Ok(false) => return Ok(()),
                Err(zmq::Error::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sort(&mut self, frames: &Frames) -> zmq::Result<()> {
        if frames.topic.first() == Some(&control::MARK) {
            return self.obey(&frames.topic, &frames.payload);
        }
        let read = open(&frames.payload).and_then(|envelope| match topic_text(&frames.topic) {
            Ok(topic) if frames.count == 2 => Ok((topic, envelope)),
            topic => Err(misaddressed(topic.err(), frames.count, &envelope)),
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
                    bytes: frames.payload.len(),
                    body: Bytes::from(&*frames.payload),
                };
                self.queue.offer(self.now, offer, &mut self.out);
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
                    let answer = Bytes::from(&*frames.payload);
                    let bytes = answer.len();
                    self.queue
                        .answer(self.now, &key, answer, bytes, &mut self.out);
                } else if self.queue.progress(self.now, &key) {
                    self.reply(topic, &frames.payload)?;
                }
            }
            Err(bad) => self.complain(&bad)?,
        }
        Ok(())
    }

    /// What our own workers say beside the protocol.
    fn obey(&mut self, topic: &[u8], payload: &[u8]) -> zmq::Result<()> {
        // What the worker was given before is sent before.
        self.perform()?;
        match topic {
            control::DRAIN => {
                let Ok(name) = std::str::from_utf8(payload) else {
                    return Ok(());
                };
                if let Some((workers, slots)) = self.subscriptions.named(name) {
                    for worker in workers {
                        self.queue.drain(worker);
                    }
                    let announcement = control::announcement(name, slots);
                    send(&self.xpub, &announcement, control::DRAINED)?;
                }
            }
            control::HAND_BACK => {
                let Some((name, key)) = control::parse_hand_back(payload) else {
                    return Ok(());
                };
                for worker in self
                    .subscriptions
                    .named(name)
                    .into_iter()
                    .flat_map(|(ids, _)| ids)
                {
                    self.queue.hand_back(self.now, worker, &key, &mut self.out);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn complain(&mut self, bad: &BadMessage) -> zmq::Result<()> {
        self.bad_messages += 1;
        tracing::debug!(problem = %bad.problem, "a message could not be understood");
        if let Some(reply_to) = &bad.reply_to {
            let time = (self.settings.clock)();
            let reply = Reply::failure(bad.request_id.clone(), bad.to_string()).at(time);
            self.reply(reply_to, &reply.to_json())?;
        }
        Ok(())
    }

    fn perform(&mut self) -> zmq::Result<()> {
        // What cannot be delivered comes back as further actions.
        while !self.out.is_empty() {
            for action in std::mem::take(&mut self.out) {
                match action {
                    Action::Deliver {
                        worker, key, body, ..
                    } => self.deliver(worker, &key, &body)?,
                    Action::Reply { key, answer } => self.reply(key.reply_to(), &answer)?,
                    Action::Refuse { key, refusal } => {
                        let reply = refused(&key, &refusal, (self.settings.clock)());
                        self.reply(key.reply_to(), &reply.to_json())?;
                    }
                }
            }
        }
        Ok(())
    }

    fn deliver(&mut self, worker: WorkerId, key: &Key, body: &Bytes) -> zmq::Result<()> {
        if let Some(private) = self.subscriptions.private_name(worker)
            && send(&self.xpub, private, body)?
        {
            return Ok(());
        }
        // It does not read: others may, until it connects anew.
        tracing::warn!(
            worker,
            "a worker does not read what it is sent; it gets nothing more"
        );
        self.queue.hand_back(self.now, worker, key, &mut self.out);
        Ok(())
    }

    fn reply(&mut self, topic: &str, payload: &[u8]) -> zmq::Result<()> {
        if self.held.has(topic) {
            // Behind those that wait already.
            self.held.keep(self.now, topic, payload.into());
        } else if self.subscriptions.hears(topic) {
            if !send(&self.xpub, topic.as_bytes(), payload)? {
                self.held.keep(self.now, topic, payload.into());
                self.clogged.insert(topic.to_owned());
            }
        } else if self.subscriptions.unusual(topic).is_empty() {
            self.held.keep(self.now, topic, payload.into());
        } else {
            for id in self.subscriptions.unusual(topic) {
                if let Some(private) = self.subscriptions.private_name(*id) {
                    send(&self.xpub, private, payload)?;
                }
            }
        }
        Ok(())
    }

    /// Sends what was held for a topic.
    fn release(&mut self, topic: &str) -> zmq::Result<()> {
        for payload in self.held.take(topic) {
            self.reply(topic, &payload)?;
        }
        Ok(())
    }

    fn measure(&mut self) {
        if self.now < self.measured + METRICS_EVERY {
            return;
        }
        self.measured = self.now;
        self.metrics.send_replace(Arc::new(Metrics {
            counts: self.queue.counts().clone(),
            outcomes: self.queue.counts_by_topic().collect(),
            topics: self.queue.gauges(self.now).collect(),
            connections: self.connections.len(),
            bad_messages: self.bad_messages,
            held: self.held.len(),
            held_dropped: self.held.dropped,
            kicked: self.kicked,
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
