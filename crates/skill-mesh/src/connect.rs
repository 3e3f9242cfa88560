//! A worker's and an agent's connection to a ZeroMQ proxy, ours or SkillScale's.
//!
//! Requests and replies are published on an XPUB socket instead of SkillScale's PUB, which drops what is
//! published before the other side has subscribed. Here it waits for that. On the wire the two are the
//! same.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as sync_mpsc};
use std::time::{Duration, Instant};

use skill_format::{Explain, Fault};
use tokio::sync::{mpsc, oneshot};
use zmq::{Context, DONTWAIT, Message, Socket, SocketType};

use crate::control;
use crate::protocol::{Reply, Request, topic_text};
use crate::queue::Key;
use crate::transport::{
    AgentEnd, AgentOutlet, FromWorker, ToWorker, WallClock, WorkerEnd, WorkerOutlet,
};
use crate::zmq_socket::{Frames, block_signals, receive, send, set_no_drop};

/// Where the proxy listens.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// For publishers: `SKILLSCALE_PROXY_XSUB`.
    pub xsub: String,
    /// For subscribers: `SKILLSCALE_PROXY_XPUB`.
    pub xpub: String,
}

impl Default for Endpoints {
    /// SkillScale's, on this machine.
    fn default() -> Self {
        Self {
            xsub: "tcp://127.0.0.1:5444".into(),
            xpub: "tcp://127.0.0.1:5555".into(),
        }
    }
}

/// Why there is no connection. That the proxy is not there (yet) is no error: ZeroMQ goes on trying.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not an address.
    #[error("cannot connect to {endpoint:?}: {source}")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// libzmq's.
        source: zmq::Error,
    },
    /// Not a topic.
    #[error("{topic:?} is no topic: it must have 1 to 255 bytes and no zero byte")]
    Topic {
        /// As it was given.
        topic: String,
    },
    /// Sockets or a thread cannot be made.
    #[error("cannot set up the connection to the mesh: {why}")]
    Setup {
        /// What the system says.
        why: String,
    },
}

impl Explain for ConnectError {
    fn code(&self) -> &'static str {
        match self {
            Self::Endpoint { .. } => "mesh-bad-endpoint",
            Self::Topic { .. } => "mesh-bad-topic",
            Self::Setup { .. } => "mesh-setup",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Endpoint { .. } | Self::Topic { .. } => Fault::BadInput,
            Self::Setup { .. } => Fault::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Endpoint { .. } => Some("give an address such as tcp://127.0.0.1:5444".into()),
            Self::Topic { .. } => Some("give a topic such as TOPIC_DATA_PROCESSING".into()),
            Self::Setup { .. } => Some("look at the limit of open files (ulimit -n)".into()),
        }
    }
}

/// Connects a worker for a topic, which runs at most `slots` requests at a time. The id must be one that
/// no other worker of the proxy has, such as 16 random hexadecimal digits.
///
/// # Errors
/// See [`ConnectError`].
pub fn worker(
    endpoints: &Endpoints,
    topic: &str,
    slots: usize,
    id: &str,
    clock: WallClock,
) -> Result<WorkerEnd, ConnectError> {
    check_topic(topic)?;
    let announcement = control::announcement(id, slots);
    let subscribe = [announcement.clone(), topic.as_bytes().to_vec()];
    let (sender, incoming) = mpsc::unbounded_channel();
    let topic = topic.as_bytes().to_vec();
    let hear = move |frames: &Frames| {
        if *frames.topic == *announcement {
            if *frames.payload == *control::DRAINED {
                let _ = sender.send(ToWorker::Drained);
            }
            return None;
        }
        if !is_exactly(&topic, &frames.topic) {
            return None;
        }
        // A closed channel: the worker has ended, and so does this connection.
        match Request::parse(&frames.payload) {
            Ok(request) => {
                let _ = sender.send(ToWorker::Request(Arc::new(request)));
                None
            }
            Err(bad) => {
                let reply_to = bad.reply_to.clone()?;
                let reply = Reply::failure(bad.request_id.clone(), bad.to_string()).at(clock());
                Some((reply_to.into_bytes(), reply.to_json()))
            }
        }
    };
    let (link, closed) = Link::open(endpoints, &subscribe, Box::new(hear))?;
    let id = id.to_owned();
    Ok(WorkerEnd {
        incoming,
        outlet: Arc::new(WorkerLink { link, id }),
        closed,
    })
}

/// Connects an agent that waits for replies on `reply_topic`, see [`crate::agent::reply_topic`].
///
/// # Errors
/// See [`ConnectError`].
pub fn agent(
    endpoints: &Endpoints,
    reply_topic: impl Into<String>,
) -> Result<AgentEnd, ConnectError> {
    let reply_topic = reply_topic.into();
    check_topic(&reply_topic)?;
    let (sender, incoming) = mpsc::unbounded_channel();
    let topic = reply_topic.clone().into_bytes();
    let hear = {
        let topic = topic.clone();
        move |frames: &Frames| {
            if is_exactly(&topic, &frames.topic) {
                match Reply::parse(&frames.payload) {
                    Ok(reply) => {
                        let _ = sender.send(reply);
                    }
                    Err(bad) => tracing::warn!(problem = %bad.problem, "a reply cannot be read"),
                }
            }
            None
        }
    };
    let (link, _) = Link::open(endpoints, &[topic], Box::new(hear))?;
    Ok(AgentEnd {
        reply_topic,
        incoming,
        outlet: Arc::new(link),
    })
}

fn check_topic(topic: &str) -> Result<(), ConnectError> {
    topic_text(topic.as_bytes())
        .map(|_| ())
        .map_err(|_| ConnectError::Topic {
            topic: topic.to_owned(),
        })
}

/// Subscriptions are prefixes: `TOPIC_B` also lets `TOPIC_BETA` pass, which is somebody else's.
fn is_exactly(topic: &[u8], frame: &[u8]) -> bool {
    frame
        .strip_prefix(topic)
        .is_some_and(|rest| rest.first().is_none_or(|byte| *byte == control::MARK))
}

type Publication = (Vec<u8>, Vec<u8>);
type Hear = Box<dyn FnMut(&Frames) -> Option<Publication> + Send>;

/// What the thread with the sockets is told through.
struct Link {
    publications: Option<sync_mpsc::Sender<Publication>>,
    wake: Mutex<Socket>,
    shares: Arc<AtomicBool>,
}

impl Link {
    fn open(
        endpoints: &Endpoints,
        subscribe: &[Vec<u8>],
        hear: Hear,
    ) -> Result<(Self, oneshot::Receiver<()>), ConnectError> {
        let setup = |error: zmq::Error| ConnectError::Setup {
            why: error.to_string(),
        };
        let context = Context::new();
        let (publications, commands) = sync_mpsc::channel();
        let shares = Arc::new(AtomicBool::new(false));
        let (line, wake) =
            Line::new(&context, subscribe, hear, commands, shares.clone()).map_err(setup)?;
        for (socket, endpoint) in [
            (&line.subscriber, &endpoints.xpub),
            (&line.publisher, &endpoints.xsub),
        ] {
            socket
                .connect(endpoint)
                .map_err(|source| ConnectError::Endpoint {
                    endpoint: endpoint.clone(),
                    source,
                })?;
        }
        let (alive, closed) = oneshot::channel();
        std::thread::Builder::new()
            .name("mesh-link".into())
            .spawn(move || {
                block_signals();
                if let Err(error) = line.run() {
                    tracing::error!(%error, "the connection to the mesh has ended");
                }
                // Waits until what was sent has left, as long as the sockets' linger allows.
                drop(context);
                drop(alive);
            })
            .map_err(|error| ConnectError::Setup {
                why: error.to_string(),
            })?;
        let link = Self {
            publications: Some(publications),
            wake: Mutex::new(wake),
            shares,
        };
        Ok((link, closed))
    }

    fn publish(&self, topic: &[u8], payload: Vec<u8>) {
        if let Some(publications) = &self.publications {
            // Ended with an error, which was logged: callers see their time-out.
            let _ = publications.send((topic.to_vec(), payload));
        }
        self.wake();
    }

    fn wake(&self) {
        let wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
        // Full of wake-ups is as good as woken.
        let _ = wake.send(&b""[..], DONTWAIT);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.publications = None;
        self.wake();
    }
}

impl AgentOutlet for Link {
    fn publish(&self, topic: &str, request: &Request) {
        Link::publish(self, topic.as_bytes(), request.to_json());
    }

    fn shares(&self) -> bool {
        self.shares.load(Ordering::Relaxed)
    }
}

struct WorkerLink {
    link: Link,
    id: String,
}

impl WorkerOutlet for WorkerLink {
    fn send(&self, message: FromWorker) {
        match message {
            FromWorker::Reply(key, reply) => {
                self.link
                    .publish(Key::reply_to(&key).as_bytes(), reply.to_json());
            }
            FromWorker::HandBack(key) => {
                let payload = control::hand_back(&self.id, &key);
                self.link.publish(control::HAND_BACK, payload);
            }
            FromWorker::Drain => {
                let payload = self.id.clone().into_bytes();
                self.link.publish(control::DRAIN, payload);
            }
        }
    }

    fn shares(&self) -> bool {
        self.link.shares.load(Ordering::Relaxed)
    }
}

const HIGH_WATER: i32 = 100_000;
/// How long a publication waits for the other side's subscription.
const HOLD: Duration = Duration::from_secs(30);
/// Bytes of publications that wait so; beyond, the oldest are dropped.
const HOLD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long what was published last may take to leave when the link is closed.
const LINGER: Duration = Duration::from_secs(2);
/// How long to wait before trying again when the pipe to the proxy is full.
const FULL_RETRY: Duration = Duration::from_millis(10);

/// The thread's side.
struct Line {
    subscriber: Socket,
    publisher: Socket,
    woken: Socket,
    hear: Hear,
    commands: sync_mpsc::Receiver<Publication>,
    shares: Arc<AtomicBool>,
    /// What the other side wants to hear: prefixes of topics.
    wanted: BTreeSet<Vec<u8>>,
    /// In order, each until when.
    waiting: VecDeque<(Instant, Publication)>,
    waiting_bytes: usize,
    /// Sending again may succeed.
    changed: bool,
    full: bool,
    /// Nothing more is to be published; from then on this long.
    closing: Option<Instant>,
}

impl Line {
    fn new(
        context: &Context,
        subscribe: &[Vec<u8>],
        hear: Hear,
        commands: sync_mpsc::Receiver<Publication>,
        shares: Arc<AtomicBool>,
    ) -> zmq::Result<(Self, Socket)> {
        let subscriber = context.socket(SocketType::SUB)?;
        let mut publisher = context.socket(SocketType::XPUB)?;
        set_no_drop(&mut publisher)?;
        for socket in [&subscriber, &publisher] {
            socket.set_sndhwm(HIGH_WATER)?;
            socket.set_rcvhwm(HIGH_WATER)?;
            socket.set_linger(i32::try_from(LINGER.as_millis()).unwrap_or(i32::MAX))?;
            socket.set_reconnect_ivl(50)?;
            socket.set_reconnect_ivl_max(1000)?;
            socket.set_ipv6(true)?;
            socket.set_tcp_keepalive(1)?;
        }
        // Before connecting, so that the announcement is there when the topic is.
        for topic in subscribe {
            subscriber.set_subscribe(topic)?;
        }
        let woken = context.socket(SocketType::PAIR)?;
        woken.bind("inproc://wake")?;
        let wake = context.socket(SocketType::PAIR)?;
        wake.set_linger(0)?;
        wake.connect("inproc://wake")?;
        let line = Self {
            subscriber,
            publisher,
            woken,
            hear,
            commands,
            shares,
            wanted: BTreeSet::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            changed: false,
            full: false,
            closing: None,
        };
        Ok((line, wake))
    }

    fn run(mut self) -> zmq::Result<()> {
        let mut frames = Frames::new();
        loop {
            self.wait()?;
            self.read_wishes()?;
            while receive(&self.subscriber, &mut frames)? {
                if let Some(publication) = (self.hear)(&frames) {
                    self.keep(publication);
                }
            }
            self.read_commands()?;
            self.flush()?;
            let late = self.closing.is_some_and(|by| by <= Instant::now());
            if self.closing.is_some() && (self.waiting.is_empty() || late) {
                return Ok(());
            }
        }
    }

    fn wait(&self) -> zmq::Result<()> {
        let now = Instant::now();
        let next = [
            self.waiting.front().map(|(until, _)| *until),
            self.full.then(|| now + FULL_RETRY),
            self.closing,
        ];
        let timeout = next.into_iter().flatten().min().map_or(-1, |next| {
            let micros = next.saturating_duration_since(now).as_micros();
            i64::try_from(micros.div_ceil(1000)).unwrap_or(i64::MAX)
        });
        let mut items = [
            self.subscriber.as_poll_item(zmq::POLLIN),
            self.publisher.as_poll_item(zmq::POLLIN),
            self.woken.as_poll_item(zmq::POLLIN),
        ];
        match zmq::poll(&mut items, timeout) {
            Ok(_) | Err(zmq::Error::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn read_wishes(&mut self) -> zmq::Result<()> {
        let mut wish = Message::new();
        while receive_one(&self.publisher, &mut wish)? {
            let Some((kind, topic)) = wish.split_first() else {
                continue;
            };
            if topic == control::PROXY {
                self.shares.store(*kind == 1, Ordering::Relaxed);
            }
            if *kind == 1 {
                self.wanted.insert(topic.to_vec());
                self.changed = true;
            } else {
                self.wanted.remove(topic);
            }
        }
        Ok(())
    }

    fn read_commands(&mut self) -> zmq::Result<()> {
        let mut wake = Message::new();
        while receive_one(&self.woken, &mut wake)? {}
        loop {
            match self.commands.try_recv() {
                Ok(publication) => self.keep(publication),
                Err(sync_mpsc::TryRecvError::Empty) => return Ok(()),
                Err(sync_mpsc::TryRecvError::Disconnected) => {
                    self.closing.get_or_insert_with(|| Instant::now() + LINGER);
                    return Ok(());
                }
            }
        }
    }

    fn keep(&mut self, publication: Publication) {
        self.waiting_bytes += publication.1.len();
        self.waiting.push_back((Instant::now() + HOLD, publication));
        self.changed = true;
        while self.waiting_bytes > HOLD_BYTES_MAX
            && let Some((_, dropped)) = self.waiting.pop_front()
        {
            self.waiting_bytes -= dropped.1.len();
            tracing::warn!(
                "the proxy is not there, and too much waits for it: the oldest is dropped"
            );
        }
    }

    /// Publishes what the other side wants to hear; the rest waits on.
    fn flush(&mut self) -> zmq::Result<()> {
        let now = Instant::now();
        let expired = self.waiting.front().is_some_and(|(until, _)| *until <= now);
        if !(self.changed || self.full || expired) {
            return Ok(());
        }
        self.changed = false;
        self.full = false;
        for (until, (topic, payload)) in std::mem::take(&mut self.waiting) {
            let heard = self.wanted.iter().any(|prefix| topic.starts_with(prefix));
            if heard && !self.full && send(&self.publisher, &topic, &payload)? {
                self.waiting_bytes -= payload.len();
            } else if until <= now {
                self.waiting_bytes -= payload.len();
                tracing::warn!("nobody has subscribed to what was published; it is dropped");
            } else {
                self.full |= heard;
                self.waiting.push_back((until, (topic, payload)));
            }
        }
        Ok(())
    }
}

fn receive_one(socket: &Socket, message: &mut Message) -> zmq::Result<bool> {
    match socket.recv(message, DONTWAIT) {
        Ok(()) => Ok(true),
        Err(zmq::Error::EAGAIN) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_compared_whole() {
        assert!(is_exactly(b"TOPIC_B", b"TOPIC_B"));
        assert!(is_exactly(b"TOPIC_B", b"TOPIC_B\x0017"));
        assert!(!is_exactly(b"TOPIC_B", b"TOPIC_BETA"));
        assert!(!is_exactly(b"TOPIC_B", b"TOPIC_"));
    }

    #[test]
    fn what_is_no_address_or_topic_is_refused() {
        let endpoints = Endpoints {
            xsub: "nowhere".into(),
            xpub: "tcp://127.0.0.1:1".into(),
        };
        let error = agent(&endpoints, "R").err().expect("refused");
        assert_eq!(error.code(), "mesh-bad-endpoint");
        let error = agent(&endpoints, "").err().expect("refused");
        assert_eq!(error.code(), "mesh-bad-topic");
    }
}
