//! Workers and agents on NATS JetStream: no proxy, several hosts, and requests that outlive every program
//! of the mesh.
//!
//! ```text
//! agent ──► TOPIC_X ──► stream skills-topic-TOPIC_X ──► consumer "workers" ──► one of the workers
//!   ▲                   (work queue: a request stays until it is acknowledged)      │ 1. stores the answer
//!   │                                                                               ▼
//!   └── AGENT_REPLY_… ◄── 2. publishes what is stored ◄── stream skills-replies (the first answer stays)
//!                         3. acknowledges the request
//! ```
//!
//! The stream of answers decides: an answer or refusal counts when it is the first under its request's
//! subject, whoever wrote it. So a worker that dies after step 1 or 2 leaves a request that is delivered
//! again, and that is answered from the stream, not run again. A request that was delivered more often than
//! [`queue::Settings::attempts_max`](crate::queue::Settings) is buried by the worker that gets it next: its
//! caller gets the error, and the request goes to the stream `skills-dead-letters`.
//!
//! Whoever reads or writes plain NATS can take part: a request is the JSON of [`crate::protocol`] on the
//! topic's subject, its answer the JSON on the subject of its `reply_to`.

mod agent;
mod connect;
mod gauges;
mod link;
mod names;
mod replies;
mod streams;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::protocol::topic_text;
use crate::queue::{self, Counts};
use crate::transport::{AgentEnd, WallClock, WorkerEnd};

pub use connect::{ConnectError, connect};
pub use gauges::{Gauge, GaugesError};
use link::Link;

/// Which server, and who we are there.
#[derive(Clone, Default)]
pub struct Options {
    /// `nats://host:4222` or `tls://…`, several with commas between them; user and password, or a token,
    /// may stand in it.
    pub url: String,
    /// A token, where none stands in the URL.
    pub token: Option<String>,
    /// A file with a user's JWT and key, as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// Certificates (PEM) to trust in place of the system's.
    pub ca: Option<PathBuf>,
    /// A client's certificate and its key (PEM).
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Options {
    /// The server and nothing else.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }
}

/// How the mesh is kept on the server. Whoever comes first makes a stream; a worker brings its topic's
/// stream up to its own settings.
#[derive(Clone)]
pub struct Settings {
    /// Bounds, as far as JetStream has them: `waiting_max` requests and `bytes_max` bytes per topic, running
    /// ones included; `wait`, `lease`, `attempts_max`; answers and the ids of requests are known for
    /// `memory`, within `memory_count_max` and `memory_bytes_max`. `mode` and `topics_max` do not apply.
    pub queue: queue::Settings,
    /// How long a worker may be silent before its requests go to another one. A third of it is how often a
    /// worker tells that it is at work.
    pub ack_wait: Duration,
    /// How many servers of a cluster keep each stream.
    pub replicas: usize,
    /// How long buried requests are kept.
    pub dead_letters: Duration,
    /// For the refusals' timestamps.
    pub clock: WallClock,
}

impl Settings {
    /// 5 s of silence, one server, a week for the dead letters, and 256 MiB of answers.
    pub fn new(clock: WallClock) -> Self {
        Self {
            queue: queue::Settings {
                memory_bytes_max: 256 * 1024 * 1024,
                ..queue::Settings::default()
            },
            ack_wait: Duration::from_secs(5),
            replicas: 1,
            dead_letters: Duration::from_secs(7 * 24 * 3600),
            clock,
        }
    }
}

/// A connection to a NATS server. Clones share it; it comes back by itself, for ever.
#[derive(Clone)]
pub struct Nats(Arc<Link>);

impl Nats {
    /// Waits until JetStream answers.
    ///
    /// # Errors
    /// What the server said, or that it said nothing within the limit.
    pub async fn ready(&self, limit: Duration) -> Result<(), ConnectError> {
        connect::ready(&self.0, limit).await
    }

    /// A worker for a topic, which runs at most `slots` requests at a time. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`ConnectError::Topic`].
    pub fn worker(&self, topic: &str, slots: usize) -> Result<WorkerEnd, ConnectError> {
        check(topic)?;
        Ok(worker::open(self.0.clone(), topic, slots))
    }

    /// An agent that waits for replies on `reply_topic`, see [`crate::agent::reply_topic`]. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// [`ConnectError::Topic`].
    pub fn agent(&self, reply_topic: impl Into<String>) -> Result<AgentEnd, ConnectError> {
        let reply_topic = reply_topic.into();
        check(&reply_topic)?;
        Ok(agent::open(self.0.clone(), reply_topic))
    }

    /// What the workers and agents of this connection have seen so far. `late` are answers that came second,
    /// `handed_on` deliveries of requests that somebody had before.
    pub fn counts(&self) -> Counts {
        self.0.counts()
    }

    /// How each topic is doing, as the server sees it.
    ///
    /// # Errors
    /// [`GaugesError`].
    pub async fn gauges(&self) -> Result<Vec<Gauge>, GaugesError> {
        gauges::read(&self.0).await
    }
}

fn check(topic: &str) -> Result<(), ConnectError> {
    topic_text(topic.as_bytes())
        .map(|_| ())
        .map_err(|_| ConnectError::Topic {
            topic: topic.to_owned(),
        })
}
