//! Running skills for callers over HTTP: the gateway to whatever runs them, which stands behind the port [`Invoker`].
//! Knows no mesh and no protocol but HTTP.
//!
//! The way of an invocation: `invoke_skill.rs` reads and authorises; `gateway.rs` finds it a place; one transaction
//! accepts it, with its event (`store.rs`); a task of its own hands it to the invoker (`run.rs`), whoever waits for it
//! or not; one transaction ends it, with its event and what it is metered as. Whoever waits or listens looks at
//! `live.rs`, or at the database if another replica runs it.
//!
//! Nothing that was accepted is lost with a process: the row has a lease, which the process extends while it lives. An
//! invocation whose lease has lapsed is handed over again under the same id (`resume.rs`), which the other side knows
//! as a duplicate if it has it already.

mod answer;
mod ask;
mod config;
mod gateway;
mod input_check;
mod live;
mod port;
mod prefer;
mod resume;
mod run;
mod store;
mod stream;

pub mod body;
pub mod cancel;
pub mod get_invocation;
pub mod get_usage;
pub mod invoke_skill;
pub mod list_invocations;
pub mod stream_events;

pub use config::InvokeConfig;
pub use port::{Invocation, InvokeError, Invoker, Output, Progress};

pub(crate) use gateway::Gateway;
pub(crate) use resume::{keep_leases, resume};
