//! One piece of work in a trace. Begun by [`crate::span`], ended when dropped.

use std::time::Instant;

use crate::context::TraceContext;
use crate::tracer::Tracer;

/// Bytes of a text in a span; a skill's whole complaint belongs into the answer.
const TEXT_BYTES_MAX: usize = 256;

/// Which part of a conversation a span is. The numbers are OTLP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Int(i64),
    Bool(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(shortened(text).to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Int(number.into())
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Bool(is)
    }
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// A span that has ended. Times are nanoseconds since 1970.
#[derive(Debug, Clone)]
pub struct SpanData {
    pub context: TraceContext,
    pub parent: Option<[u8; 8]>,
    pub name: String,
    pub kind: Kind,
    pub began: u64,
    pub ended: u64,
    pub attributes: Vec<(&'static str, Value)>,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// A span that goes on. Where nothing is recorded it only carries the context on.
pub struct Span {
    context: Option<TraceContext>,
    open: Option<Box<Open>>,
}

struct Open {
    tracer: Tracer,
    /// The same moment as [`SpanData::began`], by a clock that never jumps.
    began: Instant,
    data: SpanData,
}

/// A child span whose id is known before it begins, so that others can be its children.
pub struct Reserved(Option<TraceContext>);

impl Reserved {
    /// What whoever works within it is to continue.
    pub fn context(&self) -> Option<&TraceContext> {
        self.0.as_ref()
    }
}

impl Span {
    /// Records nothing, and hands this on.
    pub fn passing(context: Option<TraceContext>) -> Self {
        Self {
            context,
            open: None,
        }
    }

    pub(crate) fn begin(tracer: &Tracer, data: SpanData) -> Self {
        Self {
            context: Some(data.context.clone()),
            open: Some(Box::new(Open {
                tracer: tracer.clone(),
                began: Instant::now(),
                data,
            })),
        }
    }

    /// What whoever comes next is to continue: this span, or, where nothing is recorded, what came in.
    pub fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// Whether attributes are worth the effort.
    pub fn is_recorded(&self) -> bool {
        self.open.is_some()
    }

    /// Sets an attribute, of the semantic conventions where they have one.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.open {
            open.data.attributes.push((key, value.into()));
        }
    }

    /// It went wrong: a stable code, and what is to be said of it.
    pub fn fail(&mut self, code: &str, why: &str) {
        self.set("error.type", code);
        if let Some(open) = &mut self.open {
            open.data.error = Some(shortened(why).to_owned());
        }
    }

    /// A part of this that is over.
    pub fn phase(&self, name: &'static str, from: Instant, until: Instant) {
        self.phase_as(&self.reserve(), name, from, until, Vec::new());
    }

    /// A part of this that is about to begin.
    pub fn reserve(&self) -> Reserved {
        Reserved(match &self.open {
            Some(open) => Some(open.tracer.child_of(&open.data.context)),
            None => self.context.clone(),
        })
    }

    /// The same once it is over.
    pub fn phase_as(
        &self,
        reserved: &Reserved,
        name: &'static str,
        from: Instant,
        until: Instant,
        attributes: Vec<(&'static str, Value)>,
    ) {
        let (Some(open), Some(context)) = (&self.open, &reserved.0) else {
            return;
        };
        open.tracer.record(SpanData {
            context: context.clone(),
            parent: Some(open.data.context.span_id()),
            name: name.to_owned(),
            kind: Kind::Internal,
            began: open.at(from),
            ended: open.at(until),
            attributes,
            error: None,
        });
    }
}

impl Open {
    fn at(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.began).as_nanos();
        self.data
            .began
            .saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.data.ended = open.at(Instant::now());
            open.tracer.record(open.data);
        }
    }
}
