//! The ZeroMQ proxy: publishers connect to its XSUB (5444), subscribers to its XPUB (5555), as with
//! SkillScale's, whose agents and servers work with it unchanged.
//!
//! SkillScale's proxy copies each request to every server of a topic, and to those whose topic is a
//! prefix of it. This one shares them: every server's subscription of `TOPIC_X` becomes one of
//! `TOPIC_X\0<number>`, which no other has, and a request goes out under one of these names. The
//! server's own filter, which compares prefixes, lets it pass. Which server gets it is the business of
//! [`crate::queue`]. A connection that ends is a dead worker; libzmq's heartbeats end those of workers
//! that are stopped or unreachable.
//!
//! Topics that begin with one of [`Settings::reply_prefixes`] are agents' and stay as they are. An agent
//! may wait on another topic, but then sees `\0<number>` after its name.
//!
//! There is no authentication, as in SkillScale: whoever reaches the ports can ask, answer and read. Keep
//! them to a private network.
//!
//! One thing no proxy can mend: a PUB socket drops what is published before its connection is up. Agents
//! that must lose nothing use XPUB instead and await the proxy's subscription, as [`crate::connect`] does.

mod broadcast;
mod connections;
mod held;
mod share;
mod subscriptions;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use skill_format::{Explain, Fault};
use tokio::sync::{oneshot, watch};
use zmq::{Context, Socket, SocketType};

use crate::protocol::REPLY_PREFIX;
use crate::queue::{self, Counts, Mode, TopicCounts, TopicGauge};
use crate::transport::WallClock;
use crate::zmq_socket::{block_signals, set_manual, set_no_drop};

/// How a proxy works.
#[derive(Clone)]
pub struct Settings {
    /// Where publishers connect to, such as `tcp://0.0.0.0:5444`; port `*` is any free one.
    pub xsub: String,
    /// Where subscribers connect to, such as `tcp://0.0.0.0:5555`. Both must be TCP.
    pub xpub: String,
    /// The bounds of delivery, and whether requests are shared or broadcast.
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
    /// How often subscribers are asked whether they are alive.
    pub heartbeat: Duration,
    /// After how long without a sign of life a subscriber's connection is closed.
    pub heartbeat_timeout: Duration,
    /// How long running requests may take when the proxy stops.
    pub drain: Duration,
    /// For the timestamps of its own error replies.
    pub clock: WallClock,
}

impl Settings {
    /// SkillScale's ports on every interface, sharing.
    pub fn new(clock: WallClock) -> Self {
        Self {
            xsub: "tcp://0.0.0.0:5444".into(),
            xpub: "tcp://0.0.0.0:5555".into(),
            queue: queue::Settings::default(),
            foreign_slots: 4,
            reply_prefixes: vec![REPLY_PREFIX.into()],
            hold: Duration::from_secs(30),
            hold_bytes_max: 64 * 1024 * 1024,
            heartbeat: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(5),
            drain: Duration::from_secs(10),
            clock,
        }
    }
}

/// Why a proxy cannot begin, or go on.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// An address cannot be listened on.
    #[error("cannot listen on {endpoint}: {source}")]
    Bind {
        /// As it was given.
        endpoint: String,
        /// libzmq's.
        source: zmq::Error,
    },
    /// Sockets cannot be made or used.
    #[error("ZeroMQ failed while {doing}: {source}")]
    Zmq {
        /// What.
        doing: &'static str,
        /// libzmq's.
        source: zmq::Error,
    },
    /// The thread ended without saying why.
    #[error("the proxy's thread ended unexpectedly")]
    Thread,
}

impl Explain for ProxyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "mesh-cannot-listen",
            Self::Zmq { .. } => "mesh-zeromq",
            Self::Thread => "mesh-proxy-ended",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Bind { source, .. } if *source != zmq::Error::EADDRINUSE => Fault::BadInput,
            Self::Bind { .. } => Fault::Conflict,
            Self::Zmq { .. } | Self::Thread => Fault::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Bind {
                source: zmq::Error::EADDRINUSE,
                ..
            } => Some(
                "another program listens there, perhaps another proxy; choose another port".into(),
            ),
            Self::Bind { .. } => Some("give an address such as tcp://0.0.0.0:5444".into()),
            Self::Zmq { .. } => Some("look at the limit of open files (ulimit -n)".into()),
            Self::Thread => None,
        }
    }
}

impl ProxyError {
    fn zmq(doing: &'static str) -> impl FnOnce(zmq::Error) -> Self {
        move |source| Self::Zmq { doing, source }
    }
}

/// What the proxy is doing, for whoever exports it. When broadcasting, libzmq forwards by itself and
/// nothing is counted.
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
    /// Connections ended because it was unclear whose subscription it was.
    pub kicked: u64,
}

/// A proxy that listens and does not yet work.
pub struct Proxy {
    sockets: Sockets,
    settings: Settings,
    xsub_endpoint: String,
    xpub_endpoint: String,
    metrics: watch::Sender<Arc<Metrics>>,
}

/// Declared in the order in which they must go: sockets before their context.
struct Sockets {
    xsub: Socket,
    xpub: Socket,
    connections: Option<connections::Connections>,
    control: Socket,
    stop: Socket,
    context: Context,
}

impl Proxy {
    /// Listens.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub fn bind(settings: Settings) -> Result<Self, ProxyError> {
        for endpoint in [&settings.xsub, &settings.xpub] {
            if !is_tcp(endpoint) {
                return Err(ProxyError::Bind {
                    endpoint: endpoint.clone(),
                    source: zmq::Error::EPROTONOSUPPORT,
                });
            }
        }
        let sockets = Sockets::new(&settings).map_err(ProxyError::zmq("making sockets"))?;
        let listen = |socket: &Socket, endpoint: &str| {
            socket
                .bind(endpoint)
                .and_then(|()| socket.get_last_endpoint())
                .map(|bound| bound.map_or_else(|_| endpoint.to_owned(), plain))
                .map_err(|source| ProxyError::Bind {
                    endpoint: endpoint.to_owned(),
                    source,
                })
        };
        let xsub_endpoint = listen(&sockets.xsub, &settings.xsub)?;
        let xpub_endpoint = listen(&sockets.xpub, &settings.xpub)?;
        Ok(Self {
            sockets,
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
    /// When ZeroMQ fails; the proxy has ended then.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), ProxyError> {
        let Self {
            sockets,
            settings,
            metrics,
            xpub_endpoint,
            ..
        } = self;
        let port = port(&xpub_endpoint);
        let Sockets {
            xsub,
            xpub,
            connections,
            control,
            stop: stopper,
            context,
        } = sockets;
        let (finished, mut done) = oneshot::channel();
        // A thread of its own: it waits in zmq_poll.
        std::thread::Builder::new()
            .name("mesh-proxy".into())
            .spawn(move || {
                block_signals();
                let result = match connections {
                    Some(connections) => {
                        share::Share::new(xsub, xpub, connections, control, settings, metrics, port)
                            .run()
                    }
                    None => broadcast::run(xsub, xpub, control),
                };
                // Waits until what was sent has left, as long as the sockets' linger allows.
                drop(context);
                let _ = finished.send(result);
            })
            .map_err(|_| ProxyError::Thread)?;
        let stopper = Stopper(stopper);
        tokio::select! {
            () = stop => drop(stopper),
            result = &mut done => return result.unwrap_or(Err(ProxyError::Thread)),
        }
        done.await.unwrap_or(Err(ProxyError::Thread))
    }
}

/// Tells the thread to stop, also when the future that ran the proxy is dropped.
struct Stopper(Socket);

impl Drop for Stopper {
    fn drop(&mut self) {
        // The thread may have ended already, with its end of the pair.
        let _ = self.0.send(broadcast::TERMINATE, zmq::DONTWAIT);
    }
}

/// Listens and works until `stop` resolves: [`Proxy::bind`] and [`Proxy::run`].
///
/// # Errors
/// See [`ProxyError`].
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) -> Result<(), ProxyError> {
    Proxy::bind(settings)?.run(stop).await
}

/// Messages per pipe before senders wait, or before an agent that does not read is full.
const HIGH_WATER: i32 = 100_000;
/// How long what was sent last may take to leave.
const LINGER_MS: i32 = 2_000;

impl Sockets {
    fn new(settings: &Settings) -> zmq::Result<Self> {
        // One I/O thread, the default: `connections` counts on its order of events.
        let context = Context::new();
        let xsub = context.socket(SocketType::XSUB)?;
        let mut xpub = context.socket(SocketType::XPUB)?;
        for socket in [&xsub, &xpub] {
            socket.set_sndhwm(HIGH_WATER)?;
            socket.set_rcvhwm(HIGH_WATER)?;
            socket.set_linger(LINGER_MS)?;
            socket.set_backlog(1024)?;
            socket.set_ipv6(true)?;
            socket.set_tcp_keepalive(1)?;
            // What is read whole into memory is bounded on the way in: a payload and a little more.
            socket.set_maxmsgsize(MESSAGE_BYTES_MAX)?;
        }
        let mut connections = None;
        if settings.queue.mode == Mode::Share {
            set_manual(&mut xpub)?;
            set_no_drop(&mut xpub)?;
            xpub.set_heartbeat_ivl(milliseconds(settings.heartbeat))?;
            xpub.set_heartbeat_timeout(milliseconds(settings.heartbeat_timeout))?;
            connections = Some(connections::Connections::watch(&context, &xpub)?);
        }
        let control = context.socket(SocketType::PAIR)?;
        control.bind("inproc://control")?;
        let stop = context.socket(SocketType::PAIR)?;
        stop.set_linger(0)?;
        stop.connect("inproc://control")?;
        Ok(Self {
            xsub,
            xpub,
            connections,
            control,
            stop,
            context,
        })
    }
}

/// A frame above this ends the connection that sent it. Above the protocol's bound, so that whoever is
/// only a little too large gets a reply instead.
const MESSAGE_BYTES_MAX: i64 = 2 * crate::protocol::PAYLOAD_BYTES_MAX as i64;

/// Libzmq takes a port modulo 65,536 instead of refusing it.
fn is_tcp(endpoint: &str) -> bool {
    endpoint
        .strip_prefix("tcp://")
        .and_then(|address| address.rsplit_once(':'))
        .is_some_and(|(_, port)| port == "*" || port.parse::<u16>().is_ok())
}

/// An IPv4 address as everybody writes it: libzmq, listening for both, tells it as one of IPv6, which peers
/// without IPv6 cannot connect to.
fn plain(endpoint: String) -> String {
    let mapped = endpoint
        .strip_prefix("tcp://[::ffff:")
        .and_then(|rest| rest.split_once("]:"));
    match mapped {
        Some((address, port)) => format!("tcp://{address}:{port}"),
        None => endpoint,
    }
}

/// Of an address that libzmq gives for a bound TCP socket.
fn port(endpoint: &str) -> u16 {
    endpoint
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .unwrap_or_default()
}

fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
