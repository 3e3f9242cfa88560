//! Skills behind topics: agents send intents, workers run the matching skill, each accepted request
//! is answered once.
//!
//! The delivery rules stand in [`queue`], a state machine without I/O. A transport feeds it: the
//! ZeroMQ [`proxy`], compatible with SkillScale's agents and servers, or [`memory`] within one process. On
//! [`nats`] the server keeps the same rules, and keeps requests.
//! A [`worker`] runs requests on any transport, an [`agent`] sends them. This crate does not know what
//! runs a skill (see [`worker::Executor`]), nor the registry, nor where settings come from.
//!
//! What a program needs:
//!
//! ```no_run
//! # use std::{future::Future, sync::Arc};
//! # use skill_mesh::{agent, connect, proxy, transport::WallClock, worker};
//! # async fn everything(
//! #     clock: WallClock, executor: Arc<impl worker::Executor>, settings: worker::Settings,
//! #     stop: impl Future<Output = ()> + Clone,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! // A proxy:
//! proxy::run(proxy::Settings::new(clock.clone()), stop.clone()).await?;
//!
//! // A worker, whose id is 16 random hexadecimal digits:
//! let proxy = connect::Endpoints::default();
//! let end = connect::worker(&proxy, "TOPIC_X", settings.slots, "7f3a90c214e55b08", clock.clone())?;
//! let summary = worker::run(end, executor, settings, stop).await;
//!
//! // A call:
//! let end = connect::agent(&proxy, agent::reply_topic(&mut rand::rng()))?;
//! let agent = agent::Agent::new(end, agent::Settings::new(clock));
//! let content = agent.call("TOPIC_X", r#"{"skill": "csv-analyzer", "data": "a,b"}"#).await?;
//! # Ok(()) }
//! ```
//!
//! Each accepted request gets one answer, but may be executed more than once: when a worker is lost in the
//! middle, nobody knows how far it came, and another one begins anew. A skill whose effects must not be
//! doubled has to recognise the request, for example by writing its result under a name that follows from
//! the intent. [`queue::Settings::attempts_max`] of 1 turns repetition off: such a request is then answered
//! with an error.

pub mod agent;
pub mod connect;
mod control;
pub mod matcher;
pub mod memory;
pub mod nats;
pub mod protocol;
pub mod proxy;
pub mod queue;
pub mod transport;
pub mod worker;
pub mod zmtp;
