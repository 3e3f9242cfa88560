//! The ZeroMQ proxy: publishers connect to its XSUB (5444), subscribers to its XPUB (5555), as with
//! SkillScale's, whose agents and servers work with it unchanged.
//!
//! SkillScale's proxy copies each request to every server of a topic, and to those whose topic is a
//! prefix of it. This one shares them: a request goes to one connection, whose subscription is exactly its
//! topic. Which one is the business of [`crate::queue`]. A connection that ends is a dead worker; heartbeats
//! end those of workers that are stopped or unreachable.
//!
//! Who subscribes to a topic that begins with one of [`Settings::reply_prefixes`] is an agent, who else is a
//! worker. An agent may wait on another topic, but whatever else is published there it gets as a worker
//! would.
//!
//! There is no authentication, as in SkillScale: whoever reaches the ports can ask, answer and read. Keep
//! them to a private network.
//!
//! One thing no proxy can mend: a PUB socket drops what is published before its connection is up. Agents
//! that must lose nothing use XPUB instead and await the proxy's subscription, as [`crate::connect`] does.

mod broadcast;
mod held;
mod outboxes;
mod prefixes;
mod serve;
mod share;
mod subscriptions;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use skill_format::{Explain, Fault};
use tokio::sync::{oneshot, watch};

use crate::protocol::REPLY_PREFIX;
use crate::queue::{self, Counts, TopicCounts, TopicGauge};
use crate::transport::WallClock;
use crate::zmtp::Endpoint;

/// Whether a request goes to one worker of its topic or to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One worker; answered once.
    Share,
    /// All workers that are there, as in SkillScale: nothing waits, and each of them answers.
    Broadcast,
}

/// How a proxy works.
#[derive(Clone)]
pub struct Settings {
    /// To one or to all.
    pub mode: Mode,
    /// Where publishers connect to, such as `tcp://0.0.0.0:5444`; port `*` is any free one.
    pub xsub: String,
    /// Where subscribers connect to, such as `tcp://0.0.0.0:5555`. Both must be TCP.
    pub xpub: String,
    /// The bounds of delivery where requests are shared.
    pub queue: queue::Settings,
    /// How many requests a server gets at a time that does not say how many it runs: SkillScale's run
    /// four.
    pub foreign_slots: usize,
    /// Topics that begin like this are agents', see the module's documentation.
    pub reply_prefixes: Vec<String>,
    /// How long a reply waits for its agent's subscription.
    pub hold: Duration,
    /// Bytes of all replies that wait so.
    pub hold_bytes_max: usize,
    /// How often workers are asked whether they are alive.
    pub heartbeat: Duration,
    /// After how long without a sign of life a worker's connection is closed.
    pub heartbeat_timeout: Duration,
    /// Bytes of messages that have not come as a whole, of all connections together. Beyond it a connection
    /// ends that holds a large part of them.
    pub unfinished_bytes_max: usize,
    /// How long running requests may take when the proxy stops.
    pub drain: Duration,
    /// For the timestamps of its own error replies.
    pub clock: WallClock,
}

impl Settings {
    /// SkillScale's ports on every interface, sharing.
    pub fn new(clock: WallClock) -> Self {
        Self {
            mode: Mode::Share,
            xsub: "tcp://0.0.0.0:5444".into(),
            xpub: "tcp://0.0.0.0:5555".into(),
            queue: queue::Settings::default(),
            foreign_slots: 4,
            reply_prefixes: vec![REPLY_PREFIX.into()],
            hold: Duration::from_secs(30),
            hold_bytes_max: 64 * 1024 * 1024,
            heartbeat: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(5),
            unfinished_bytes_max: 256 * 1024 * 1024,
            drain: Duration::from_secs(10),
            clock,
        }
    }
}

/// Why a proxy cannot begin, or go on.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Not an address to listen on.
    #[error("{endpoint:?} is no address to listen on: {why}")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// What is wrong with it.
        why: String,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {endpoint}: {source}")]
    Bind {
        /// As it was given.
        endpoint: String,
        /// The system's.
        source: io::Error,
    },
    /// The thread that serves the connections cannot be started, or cannot go on.
    #[error("the proxy cannot serve its connections: {source}")]
    Serve {
        /// The system's.
        source: io::Error,
    },
    /// The thread ended without saying why.
    #[error("the proxy's thread ended unexpectedly")]
    Thread,
}

impl Explain for ProxyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Endpoint { .. } | Self::Bind { .. } => "mesh-cannot-listen",
            Self::Serve { .. } => "mesh-cannot-serve",
            Self::Thread => "mesh-proxy-ended",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Endpoint { .. } => Fault::BadInput,
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Fault::Conflict
            }
            Self::Bind { .. } => Fault::BadInput,
            Self::Serve { .. } | Self::Thread => Fault::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => Some(
                "another program listens there, perhaps another proxy; choose another port".into(),
            ),
            Self::Endpoint { .. } | Self::Bind { .. } => {
                Some("give an address such as tcp://0.0.0.0:5444".into())
            }
            Self::Serve { .. } => Some("look at the limit of open files (ulimit -n)".into()),
            Self::Thread => None,
        }
    }
}

/// How often [`Metrics`] are renewed at most.
const METRICS_EVERY: Duration = Duration::from_millis(250);

/// What the proxy is doing, for whoever exports it. When broadcasting, of the counts only what was delivered
/// and what nobody heard.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// What has happened to requests.
    pub counts: Counts,
    /// How the requests of each topic ended, see [`crate::queue::Queue::counts_by_topic`].
    pub outcomes: Vec<(Arc<str>, TopicCounts)>,
    /// How each topic is doing.
    pub topics: Vec<TopicGauge>,
    /// Subscribers' connections.
    pub connections: usize,
    /// Messages that could not be understood.
    pub bad_messages: u64,
    /// Replies that wait for their agent.
    pub held: usize,
    /// Replies that waited too long, dropped.
    pub held_dropped: u64,
    /// When broadcasting: messages that a subscriber did not read in time, dropped for it.
    pub dropped: u64,
}

/// A proxy that listens and does not yet work.
pub struct Proxy {
    publishers: TcpListener,
    subscribers: TcpListener,
    settings: Settings,
    xsub_endpoint: String,
    xpub_endpoint: String,
    metrics: watch::Sender<Arc<Metrics>>,
}

impl Proxy {
    /// Listens.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub fn bind(settings: Settings) -> Result<Self, ProxyError> {
        let (publishers, xsub_endpoint) = listen(&settings.xsub)?;
        let (subscribers, xpub_endpoint) = listen(&settings.xpub)?;
        Ok(Self {
            publishers,
            subscribers,
            settings,
            xsub_endpoint,
            xpub_endpoint,
            metrics: watch::Sender::new(Arc::default()),
        })
    }

    /// Where publishers connect to, with the port that was taken.
    pub fn xsub_endpoint(&self) -> &str {
        &self.xsub_endpoint
    }

    /// Where subscribers connect to, with the port that was taken.
    pub fn xpub_endpoint(&self) -> &str {
        &self.xpub_endpoint
    }

    /// What the proxy is doing, renewed four times a second.
    pub fn metrics(&self) -> watch::Receiver<Arc<Metrics>> {
        self.metrics.subscribe()
    }

    /// Works until `stop` resolves. Then what waits is refused, what runs may end within
    /// [`Settings::drain`], and this returns.
    ///
    /// # Errors
    /// When the system fails it; the proxy has ended then.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), ProxyError> {
        let Self {
            publishers,
            subscribers,
            settings,
            metrics,
            ..
        } = self;
        let (finished, mut done) = oneshot::channel();
        let (stopper, stopped) = oneshot::channel();
        // A thread of its own: a busy program around it delays no message, and the connections share what
        // they know without locks.
        std::thread::Builder::new()
            .name("mesh-proxy".into())
            .spawn(move || {
                let bounds = serve::Bounds {
                    heartbeat: settings.heartbeat,
                    silent: settings.heartbeat_timeout,
                    unfinished_bytes: settings.unfinished_bytes_max,
                };
                let rule: Box<dyn serve::Rule> = match settings.mode {
                    Mode::Share => Box::new(share::Share::new(settings, metrics)),
                    Mode::Broadcast => Box::new(broadcast::Broadcast::new(metrics)),
                };
                let result = serve::run(publishers, subscribers, rule, bounds, stopped);
                let _ = finished.send(result.map_err(|source| ProxyError::Serve { source }));
            })
            .map_err(|source| ProxyError::Serve { source })?;
        tokio::select! {
            () = stop => drop(stopper),
            result = &mut done => return result.unwrap_or(Err(ProxyError::Thread)),
        }
        done.await.unwrap_or(Err(ProxyError::Thread))
    }
}

/// Listens on an address as ZeroMQ writes it; returns it with the port that was taken.
fn listen(text: &str) -> Result<(TcpListener, String), ProxyError> {
    let endpoint: Endpoint = text.parse().map_err(|why| ProxyError::Endpoint {
        endpoint: text.to_owned(),
        why: format!("{why}"),
    })?;
    let failed = |source| ProxyError::Bind {
        endpoint: text.to_owned(),
        source,
    };
    let listener = if endpoint.host == "*" {
        // IPv6 takes IPv4 along, where there is any.
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, endpoint.port)).or_else(|error| {
            match error.kind() {
                io::ErrorKind::AddrInUse => Err(error),
                _ => TcpListener::bind((Ipv4Addr::UNSPECIFIED, endpoint.port)),
            }
        })
    } else {
        TcpListener::bind((endpoint.host.as_str(), endpoint.port))
    };
    let listener = listener.map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, format!("tcp://{bound}")))
}

/// Listens and works until `stop` resolves: [`Proxy::bind`] and [`Proxy::run`].
///
/// # Errors
/// See [`ProxyError`].
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) -> Result<(), ProxyError> {
    Proxy::bind(settings)?.run(stop).await
}
