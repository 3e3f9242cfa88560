//! The two ends of a transport, a worker's and an agent's, the same whatever carries the messages.
//!
//! To add a transport, make a [`WorkerEnd`] and an [`AgentEnd`] whose outlets carry what they are
//! given, and run the conformance suite in `tests/it` on it.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::protocol::{Reply, Request};
use crate::queue::Key;

/// Seconds since 1970, for the timestamps in messages. Passed in, so that a test can hold it still.
pub type WallClock = Arc<dyn Fn() -> f64 + Send + Sync>;

/// What a worker hears.
#[derive(Debug)]
pub enum ToWorker {
    /// To be run.
    Request(Arc<Request>),
    /// The answer to [`FromWorker::Drain`]: no request comes after this, and all that the worker had said
    /// before is known.
    Drained,
}

/// What a worker says.
#[derive(Debug)]
pub enum FromWorker {
    /// A reply, the last one to its request or news of it.
    Reply(Key, Reply),
    /// Somebody else should run this.
    HandBack(Key),
    /// No more requests, please.
    Drain,
}

/// Carries what a worker says. Never blocks.
pub trait WorkerOutlet: Send + Sync {
    /// Sends it, or keeps it until it can be sent.
    fn send(&self, message: FromWorker);

    /// Whether the other side shares requests out, so that [`FromWorker::HandBack`] and
    /// [`FromWorker::Drain`] are understood. SkillScale's proxy does not.
    fn shares(&self) -> bool;
}

/// A worker's end of a transport. Dropping it is what the death of the worker is.
pub struct WorkerEnd {
    pub(crate) incoming: mpsc::UnboundedReceiver<ToWorker>,
    pub(crate) outlet: Arc<dyn WorkerOutlet>,
    /// Resolves when everything is sent, once the outlet is dropped.
    pub(crate) closed: oneshot::Receiver<()>,
}

/// Carries what an agent asks. Never blocks.
pub trait AgentOutlet: Send + Sync {
    /// Sends the request to the topic, or keeps it until it can be sent.
    fn publish(&self, topic: &str, request: &Request);

    /// Nobody waits for the answer to this request any more.
    fn forget(&self, request_id: &str) {
        let _ = request_id;
    }

    /// Whether the other side knows a request that it sees again, so that sending it again is safe.
    fn shares(&self) -> bool;
}

/// An agent's end of a transport.
pub struct AgentEnd {
    pub(crate) reply_topic: String,
    pub(crate) incoming: mpsc::UnboundedReceiver<Reply>,
    pub(crate) outlet: Arc<dyn AgentOutlet>,
}
