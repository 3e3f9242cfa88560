//! The port to whatever runs skills. The program that runs the hub implements it; the hub knows nothing else of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use hub_model::{InvocationId, TenantId};
use skill_trace::TraceContext;

use super::live::Live;

/// Runs skills.
///
/// The same invocation may be handed over more than once, with the same id: after the hub ended in the middle, and when
/// it lost its database for so long that another replica took over. An implementation passes the id on, so that a
/// duplicate is recognised and answered, not run again.
pub trait Invoker: Send + Sync {
    /// Runs a skill and waits for its result. May be dropped when the hub stops; the work then goes on or not, and is
    /// asked for again under the same id. Ends soon after `invocation.timeout`, with [`InvokeError::NoAnswer`] if need be.
    fn invoke(
        &self,
        invocation: Invocation,
        progress: Progress,
    ) -> BoxFuture<'_, Result<Output, InvokeError>>;
}

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Unique for ever; the request's id on the way to the skill.
    pub id: InvocationId,
    pub tenant: TenantId,
    /// Who asks.
    pub username: String,
    /// The skill's name, as the catalogue spells it.
    pub skill: String,
    /// The entry point; `None` is the skill's first.
    pub entry: Option<String>,
    /// What the skill reads: text, JSON, or any bytes.
    pub input: Bytes,
    /// How long it may take.
    pub timeout: Duration,
    /// What it is a part of; nothing where it is taken up again after its first process has ended.
    pub trace: Option<TraceContext>,
}

/// What a skill wrote.
#[derive(Debug, Clone)]
pub struct Output {
    pub bytes: Bytes,
    /// The version that ran, if it is known.
    pub version: Option<String>,
}

/// Why there is no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// No room; the skill did not run.
    #[error("every worker is busy, and none was free in time")]
    Busy,
    /// Nobody has the skill; it did not run.
    #[error("{0}")]
    NotServed(String),
    /// The input is not what the skill takes; it did not run.
    #[error("{0}")]
    InvalidInput(String),
    /// The skill ran and failed, and this is what it said.
    #[error("{0}")]
    Failed(String),
    /// Nothing came back in time; the skill may have run.
    #[error("no answer within {} s", waited.as_secs())]
    NoAnswer { waited: Duration },
    /// The connection to whatever runs skills was lost; the skill may have run.
    #[error("the connection to the mesh is closed")]
    Closed,
}

/// Takes what a skill says while it runs. Never waits: what nobody has read in time is dropped, the oldest first.
#[derive(Clone)]
pub struct Progress(pub(super) Arc<Live>);

impl Progress {
    /// Tells whoever listens.
    pub fn send(&self, chunk: impl Into<String>) {
        self.0.push(chunk.into());
    }
}
