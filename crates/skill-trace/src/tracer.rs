//! Begins spans, and keeps those that have ended until somebody takes them, within a bound.

use std::sync::{Arc, OnceLock};

use metrics::{counter, describe_counter};
use tokio::sync::mpsc;

use crate::context::TraceContext;
use crate::sampler::{Decision, Sampler};
use crate::span::{Kind, Span, SpanData};

/// Counts spans that nobody had room or ears for.
pub const DROPPED: &str = "skills_trace_spans_dropped_total";
/// Counts spans that a collector has taken.
pub const EXPORTED: &str = "skills_trace_spans_exported_total";

/// Says what the metrics mean, to whoever exports them.
pub fn describe() {
    describe_counter!(EXPORTED, "Spans that the collector has taken");
    describe_counter!(
        DROPPED,
        "Spans that were dropped: the collector did not take them in time"
    );
}

/// Spans that have ended, for whoever sends them.
pub type Spans = mpsc::Receiver<SpanData>;

/// Clones are the same tracer.
#[derive(Clone)]
pub struct Tracer(Arc<Inner>);

struct Inner {
    sampler: Sampler,
    /// Nanoseconds since 1970.
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
    random: Box<dyn Fn() -> u64 + Send + Sync>,
    ended: mpsc::Sender<SpanData>,
}

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// Makes a tracer the process's. The first one stays; whether this is it.
pub fn install(tracer: Tracer) -> bool {
    TRACER.set(tracer).is_ok()
}

/// Begins a span as a child of `parent`, or of nothing. The name is made only if it is needed.
pub fn span(kind: Kind, parent: Option<&TraceContext>, name: impl FnOnce() -> String) -> Span {
    match TRACER.get() {
        Some(tracer) => tracer.span(kind, parent, name),
        None => Span::passing(parent.cloned()),
    }
}

impl Tracer {
    /// `clock` gives nanoseconds since 1970, `random` any number. At most `spans_max` spans that have ended wait
    /// to be taken; what comes then is dropped and counted.
    pub fn new(
        sampler: Sampler,
        spans_max: usize,
        clock: impl Fn() -> u64 + Send + Sync + 'static,
        random: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> (Self, Spans) {
        let (ended, spans) = mpsc::channel(spans_max.max(1));
        let inner = Inner {
            sampler,
            clock: Box::new(clock),
            random: Box::new(random),
            ended,
        };
        (Self(Arc::new(inner)), spans)
    }

    /// See [`span`].
    pub fn span(
        &self,
        kind: Kind,
        parent: Option<&TraceContext>,
        name: impl FnOnce() -> String,
    ) -> Span {
        let trace_id = match parent {
            Some(parent) => *parent.trace_id(),
            None => self.trace_id(),
        };
        let is_recorded = self.0.sampler.decide(&trace_id, parent) == Decision::Record;
        let context = match parent {
            Some(parent) => parent.child(self.span_id(), is_recorded),
            None => TraceContext::new(trace_id, self.span_id(), is_recorded),
        };
        if !is_recorded {
            // Handed on, so that nobody behind this one begins to record the rest.
            return Span::passing(Some(context));
        }
        let now = (self.0.clock)();
        let data = SpanData {
            context,
            parent: parent.map(TraceContext::span_id),
            name: name(),
            kind,
            began: now,
            ended: now,
            attributes: Vec::new(),
            error: None,
        };
        Span::begin(self, data)
    }

    pub(crate) fn child_of(&self, context: &TraceContext) -> TraceContext {
        context.child(self.span_id(), context.is_sampled())
    }

    pub(crate) fn record(&self, span: SpanData) {
        // Never waits: a collector that is slow or away slows nobody.
        if self.0.ended.try_send(span).is_err() {
            counter!(DROPPED).increment(1);
        }
    }

    fn trace_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(self.0.random)().to_be_bytes());
        id[8..].copy_from_slice(&(self.0.random)().to_be_bytes());
        id
    }

    fn span_id(&self) -> [u8; 8] {
        (self.0.random)().to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn tracer(sampler: &str, spans_max: usize) -> (Tracer, Spans) {
        let sampler = Sampler::from_names(sampler, None).unwrap();
        let next = AtomicU64::new(1);
        let random = move || next.fetch_add(1, Ordering::Relaxed);
        Tracer::new(sampler, spans_max, || 1_000, random)
    }

    #[test]
    fn spans_are_children_of_what_came_in_and_phases_are_theirs() {
        let (tracer, mut spans) = tracer("parentbased_always_on", 10);
        let parent = TraceContext::parse(PARENT, Some("a=1")).unwrap();
        let span = tracer.span(Kind::Consumer, Some(&parent), || "process T".into());
        let now = Instant::now();
        let run = span.reserve();
        let next = run.context().unwrap().clone();
        span.phase_as(&run, "run", now, now + Duration::from_nanos(50), Vec::new());
        let own = span.context().unwrap().clone();
        drop(span);
        let (run, process) = (spans.try_recv().unwrap(), spans.try_recv().unwrap());
        assert_eq!(process.context, own);
        assert_eq!(process.parent, Some(parent.span_id()));
        assert_eq!(process.context.trace_id(), parent.trace_id());
        assert_eq!(process.context.tracestate(), Some("a=1"));
        assert_eq!((run.context, run.parent), (next, Some(own.span_id())));
        assert_eq!(run.ended - run.began, 50);
        assert!(process.ended >= process.began);
    }

    #[test]
    fn what_is_not_sampled_is_handed_on_unsampled_and_not_recorded() {
        let (tracer, mut spans) = tracer("always_off", 10);
        let parent = TraceContext::parse(PARENT, None).unwrap();
        let span = tracer.span(Kind::Server, Some(&parent), || {
            unreachable!("no name is made")
        });
        let next = span.context().unwrap();
        assert!(!next.is_sampled() && next.trace_id() == parent.trace_id());
        assert!(!span.is_recorded());
        drop(span);
        assert!(spans.try_recv().is_err());
    }

    #[test]
    fn without_a_tracer_the_context_goes_through_as_it_came() {
        let parent = TraceContext::parse(PARENT, Some("a=1")).unwrap();
        let span = span(Kind::Producer, Some(&parent), || {
            unreachable!("no name is made")
        });
        assert_eq!(span.context(), Some(&parent));
        assert_eq!(span.reserve().context(), Some(&parent));
    }

    #[test]
    fn more_spans_than_there_is_room_for_are_dropped_and_nobody_waits() {
        let (tracer, mut spans) = tracer("always_on", 2);
        for _ in 0..5 {
            drop(tracer.span(Kind::Internal, None, || "x".into()));
        }
        assert!(spans.try_recv().is_ok() && spans.try_recv().is_ok());
        assert!(spans.try_recv().is_err());
    }
}
