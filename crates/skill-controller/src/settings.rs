//! What an operator decides for all topics: where workers find the mesh, and what they run.

use std::time::Duration;

/// How the controller works, the same for all topics.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The namespace to look after; all of them where there is none.
    pub namespace: Option<String>,
    pub workers: Workers,
    /// How often everything is compared anew, whether or not anything was heard of.
    pub resync: Duration,
    /// How long to wait after a first failure, and at most after many.
    pub retry_min: Duration,
    pub retry_max: Duration,
}

/// What workers need to know of their surroundings.
#[derive(Debug, Clone)]
pub struct Workers {
    /// The image of topics that name none.
    pub image: String,
    pub zeromq: Option<Zeromq>,
    pub nats: Option<Nats>,
}

/// The mesh's proxy, and the Prometheus server that knows its queues.
#[derive(Debug, Clone)]
pub struct Zeromq {
    /// `tcp://HOST:5444`
    pub xsub: String,
    /// `tcp://HOST:5555`
    pub xpub: String,
    /// `http://HOST:9090`. Without it workers over ZeroMQ are not scaled.
    pub prometheus: Option<String>,
}

/// A NATS server with JetStream.
#[derive(Debug, Clone)]
pub struct Nats {
    /// `nats://HOST:4222`
    pub url: String,
    /// `HOST:8222`, where KEDA asks how much is waiting. Without it workers over NATS are not scaled.
    pub monitoring: Option<String>,
    /// The account whose streams these are; `$G` where the server has no accounts.
    pub account: String,
}
