//! A worker's and an agent's connection to a ZeroMQ proxy, ours or SkillScale's.
//!
//! Requests and replies are published on an XPUB socket instead of SkillScale's PUB, which drops what is
//! published before the other side has subscribed. Here it waits for that. On the wire the two are the
//! same. Both connections are made anew when they break, and live in the program's runtime.

mod publisher;
mod subscriber;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use skill_format::{Explain, Fault};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::control;
use crate::protocol::{Reply, Request, topic_text};
use crate::queue::Key;
use crate::transport::{
    AgentEnd, AgentOutlet, FromWorker, ToWorker, WallClock, WorkerEnd, WorkerOutlet,
};
use crate::zmtp::Endpoint;
use publisher::Publisher;
use subscriber::Subscriber;

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
    #[error("cannot connect to {endpoint:?}: {why}")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// What is wrong with it.
        why: String,
    },
    /// Not a topic.
    #[error("{topic:?} is no topic: it must have 1 to 255 bytes and no zero byte")]
    Topic {
        /// As it was given.
        topic: String,
    },
}

impl Explain for ConnectError {
    fn code(&self) -> &'static str {
        match self {
            Self::Endpoint { .. } => "mesh-bad-endpoint",
            Self::Topic { .. } => "mesh-bad-topic",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Endpoint { .. } => Some("give an address such as tcp://127.0.0.1:5444".into()),
            Self::Topic { .. } => Some("give a topic such as TOPIC_DATA_PROCESSING".into()),
        }
    }
}

/// Connects a worker for a topic, which runs at most `slots` requests at a time. The id must be one that
/// no other worker of the proxy has, such as 16 random hexadecimal digits. Must be called within a tokio
/// runtime.
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
    let hear = move |heard: &[u8], payload: &[u8]| {
        if *heard == *announcement {
            if *payload == *control::DRAINED {
                let _ = sender.send(ToWorker::Drained);
            }
            return None;
        }
        // Subscriptions are prefixes: `TOPIC_B` also lets `TOPIC_BETA` pass, which is somebody else's.
        if *heard != *topic {
            return None;
        }
        // A closed channel: the worker has ended, and so does this connection.
        match Request::parse(payload) {
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
    let (link, closed) = Link::open(endpoints, subscribe.to_vec(), Box::new(hear))?;
    let id = id.to_owned();
    Ok(WorkerEnd {
        incoming,
        outlet: Arc::new(WorkerLink { link, id }),
        closed,
    })
}

/// Connects an agent that waits for replies on `reply_topic`, see [`crate::agent::reply_topic`]. Must be
/// called within a tokio runtime.
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
        move |heard: &[u8], payload: &[u8]| {
            if *heard == *topic {
                match Reply::parse(payload) {
                    Ok(reply) => {
                        let _ = sender.send(reply);
                    }
                    Err(bad) => tracing::warn!(problem = %bad.problem, "a reply cannot be read"),
                }
            }
            None
        }
    };
    let (link, _) = Link::open(endpoints, vec![topic], Box::new(hear))?;
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

/// Topic and payload.
type Publication = (Vec<u8>, Vec<u8>);
/// Takes topic and payload of a message; may have something to say to it.
type Hear = Box<dyn FnMut(&[u8], &[u8]) -> Option<Publication> + Send>;

/// How long to wait before connecting again, from the first time to the last.
const AGAIN_MIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(1);
/// How often the proxy is asked for a sign of life, and how long it may owe one.
const ASK_EVERY: Duration = Duration::from_secs(5);
const SILENT_WITHIN: Duration = Duration::from_secs(15);

/// Waits a little longer each time.
struct Again(Duration);

impl Again {
    fn new() -> Self {
        Self(AGAIN_MIN)
    }

    async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(AGAIN_MAX);
    }
}

/// What the two connections are told through. They end some time after it is dropped.
struct Link {
    publications: mpsc::UnboundedSender<Publication>,
    shares: Arc<AtomicBool>,
}

impl Link {
    fn open(
        endpoints: &Endpoints,
        subscribe: Vec<Vec<u8>>,
        hear: Hear,
    ) -> Result<(Self, oneshot::Receiver<()>), ConnectError> {
        let address = |text: &str| {
            let parsed: Result<Endpoint, _> = text.parse();
            let refused = |why: String| ConnectError::Endpoint {
                endpoint: text.to_owned(),
                why,
            };
            match parsed {
                Ok(endpoint) if endpoint.port == 0 || endpoint.host == "*" => {
                    Err(refused("`*` is for those who listen".to_owned()))
                }
                parsed => parsed.map_err(|why| refused(why.to_string())),
            }
        };
        let (xsub, xpub) = (address(&endpoints.xsub)?, address(&endpoints.xpub)?);
        let (publications, commands) = mpsc::unbounded_channel();
        let shares = Arc::new(AtomicBool::new(false));
        let subscriber = Subscriber {
            endpoint: xpub,
            topics: subscribe,
            hear,
            publications: publications.downgrade(),
        };
        let subscriber = tokio::spawn(subscriber.run());
        let publisher = Publisher::new(xsub, commands, shares.clone());
        let (alive, closed) = oneshot::channel();
        tokio::spawn(async move {
            publisher.run().await;
            subscriber.abort();
            drop(alive);
        });
        let link = Self {
            publications,
            shares,
        };
        Ok((link, closed))
    }

    fn publish(&self, topic: &[u8], payload: Vec<u8>) {
        // An error: the runtime has ended, and with it whoever would wait for an answer.
        let _ = self.publications.send((topic.to_vec(), payload));
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

#[cfg(test)]
mod tests {
    use super::*;

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
