//! One trace through agent, mesh, worker and skill: W3C trace context, spans, and their OTLP form.
//!
//! As with `tracing` and `metrics`, spans go to whoever has installed a [`Tracer`] for the process, and cost
//! next to nothing where nobody has: [`span`] then only hands on the context that came in, so that a trace goes
//! through programs that record none of it. This crate does not know where spans are sent, nor any environment.
//!
//! ```
//! # use skill_trace::{Kind, TraceContext};
//! # let request = (TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None), 7);
//! let mut span = skill_trace::span(Kind::Consumer, request.0.as_ref(), || "process TOPIC_X".to_owned());
//! span.set("messaging.message.body.size", request.1);
//! // What the next program is to continue:
//! let next = span.context();
//! # let _ = next;
//! span.fail("skill-crashed", "exit=1");
//! // Dropped: it ends, and is recorded if somebody records.
//! ```

mod context;
mod otlp;
mod sampler;
mod span;
mod tracer;

pub use context::TraceContext;
pub use otlp::{Resource, export_request};
pub use sampler::{Decision, Sampler};
pub use span::{Kind, Reserved, Span, SpanData, Value};
pub use tracer::{DROPPED, EXPORTED, Spans, Tracer, describe, install, span};
