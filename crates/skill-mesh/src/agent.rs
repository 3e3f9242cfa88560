//! The asking side: sends intents to topics and awaits their answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::Rng;
use skill_format::{Explain, Fault};
use skill_trace::{Kind, Span, TraceContext};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::protocol::{Code, PAYLOAD_BYTES_MAX, REPLY_PREFIX, Reply, Request, Status, topic_text};
use crate::transport::{AgentEnd, AgentOutlet, WallClock};

/// How an agent asks.
#[derive(Clone)]
pub struct Settings {
    /// How long a request may take, which it says to whoever runs it. SkillScale's agents wait for 30 s.
    pub timeout: Duration,
    /// How much longer to wait for the answer: for the one that says that the time is over.
    pub grace: Duration,
    /// After how long without an answer the request is sent again, in case it was lost with a proxy.
    /// Only done where the other side knows duplicates, so that nothing is run twice for it.
    pub resend: Duration,
    /// For the requests' timestamps.
    pub clock: WallClock,
}

impl Settings {
    /// 30 s for an answer, sent again every 5 s.
    pub fn new(clock: WallClock) -> Self {
        Self {
            timeout: Duration::from_secs(30),
            // A skill whose time is over gets 2 s to end by itself; its answer then has as long.
            grace: Duration::from_secs(4),
            resend: Duration::from_secs(5),
            clock,
        }
    }
}

/// What came instead of a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The topic's name cannot be one.
    #[error("{topic:?} is no topic: it must have 1 to 255 bytes and no zero byte")]
    Topic {
        /// As it was given.
        topic: String,
    },
    /// More than a request may carry.
    #[error("the intent has {bytes} bytes, at most {PAYLOAD_BYTES_MAX} fit into a request as JSON")]
    TooLarge {
        /// Of the request as JSON.
        bytes: usize,
    },
    /// The answer is an error: the worker's, or the proxy's.
    #[error("{error}")]
    Failed {
        /// Which kind of error, as it says or as its text tells.
        code: Option<Code>,
        /// As it came.
        error: String,
    },
    /// No answer in time.
    #[error("no answer from topic {topic} within {} ms", waited.as_millis())]
    Timeout {
        /// Which topic.
        topic: String,
        /// How long.
        waited: Duration,
    },
    /// The transport has ended.
    #[error("the connection to the mesh is closed")]
    Closed,
}

impl Explain for CallError {
    fn code(&self) -> &'static str {
        match self {
            Self::Topic { .. } => "mesh-bad-topic",
            Self::TooLarge { .. } => "mesh-message-too-large",
            Self::Failed { code, .. } => code.map_or("mesh-call-failed", Code::as_str),
            Self::Timeout { .. } => "mesh-no-answer",
            Self::Closed => "mesh-closed",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Topic { .. } | Self::TooLarge { .. } => Fault::BadInput,
            Self::Failed { code, .. } => code.map_or(Fault::Unavailable, Code::fault),
            Self::Timeout { .. } | Self::Closed => Fault::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Timeout { .. } => Some(
                "look whether a worker serves the topic, the mesh is up, and its two addresses are not swapped; where a worker has it, the request may still be running"
                    .into(),
            ),
            Self::TooLarge { .. } => {
                Some("pass large data by reference, such as a path or a URL".into())
            }
            Self::Topic { .. } | Self::Failed { .. } | Self::Closed => None,
        }
    }
}

/// Calls that wait, by request; nothing once the transport has ended.
type Pending = Option<HashMap<String, mpsc::UnboundedSender<Reply>>>;

/// Sends requests and sorts replies. Clones share one reply topic.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
    /// What the requests are a part of.
    parent: Option<TraceContext>,
}

struct Inner {
    reply_topic: String,
    outlet: Arc<dyn AgentOutlet>,
    settings: Settings,
    /// The next request's id: unique for the reply topic, and nothing more is needed.
    next: AtomicU64,
    pending: Arc<Mutex<Pending>>,
}

/// A new reply topic: SkillScale's prefix and 16 hexadecimal digits.
pub fn reply_topic(random: &mut impl Rng) -> String {
    format!("{REPLY_PREFIX}{:016x}", random.random::<u64>())
}

impl Agent {
    /// An agent on a transport; must be called within a tokio runtime.
    pub fn new(end: AgentEnd, settings: Settings) -> Self {
        let pending = Arc::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(sort(end.incoming, pending.clone()));
        let inner = Inner {
            reply_topic: end.reply_topic,
            outlet: end.outlet,
            settings,
            next: AtomicU64::new(0),
            pending,
        };
        Self {
            inner: Arc::new(inner),
            parent: None,
        }
    }

    /// The same agent for requests that are a part of this trace.
    #[must_use]
    pub fn within(&self, parent: Option<TraceContext>) -> Self {
        Self {
            inner: self.inner.clone(),
            parent,
        }
    }

    /// Sends an intent to a topic and awaits the result, of which what is no text becomes U+FFFD.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&self, topic: &str, intent: &str) -> Result<String, CallError> {
        let result = self.call_for_bytes(topic, intent).await?;
        Ok(String::from_utf8(result)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// The same for any result.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_for_bytes(&self, topic: &str, intent: &str) -> Result<Vec<u8>, CallError> {
        let timeout = self.inner.settings.timeout;
        let request = self.request(topic, intent, self.next_id(), false, timeout)?;
        self.ask(topic, request, timeout, &mut |_| {}).await
    }

    /// The same with news while it goes on.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_with_news(
        &self,
        topic: &str,
        intent: &str,
        mut news: impl FnMut(String) + Send,
    ) -> Result<Vec<u8>, CallError> {
        let timeout = self.inner.settings.timeout;
        let request = self.request(topic, intent, self.next_id(), true, timeout)?;
        self.ask(topic, request, timeout, &mut news).await
    }

    /// The same for a request that has an id already, unique for ever, and its own time-out. Asked again under
    /// this id on the same reply topic, also by another process, it gets the first answer and is not run again.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_as(
        &self,
        id: String,
        topic: &str,
        intent: &str,
        timeout: Duration,
        mut news: impl FnMut(String) + Send,
    ) -> Result<Vec<u8>, CallError> {
        let request = self.request(topic, intent, id, true, timeout)?;
        self.ask(topic, request, timeout, &mut news).await
    }

    async fn ask(
        &self,
        topic: &str,
        mut request: Request,
        timeout: Duration,
        news: &mut (dyn FnMut(String) + Send),
    ) -> Result<Vec<u8>, CallError> {
        let mut span = self.span(topic, &request);
        request.trace = span.context().cloned();
        let answer = self.answer(topic, &request, timeout, news).await;
        if let Err(error) = &answer {
            span.fail(error.code(), &error.to_string());
        }
        answer
    }

    /// Open until the answer is there. Dropped with the request where nobody waits any more.
    fn span(&self, topic: &str, request: &Request) -> Span {
        let name = || format!("send {topic}");
        let mut span = skill_trace::span(Kind::Producer, self.parent.as_ref(), name);
        if span.is_recorded() {
            describe(&mut span, "send", topic, request);
        }
        span
    }

    async fn answer(
        &self,
        topic: &str,
        request: &Request,
        timeout: Duration,
        news: &mut (dyn FnMut(String) + Send),
    ) -> Result<Vec<u8>, CallError> {
        let (sender, mut replies) = mpsc::unbounded_channel();
        let _entry = Entry::new(&self.inner, &request.request_id, sender)?;
        let settings = &self.inner.settings;
        let began = Instant::now();
        let patience = timeout.saturating_add(settings.grace);
        // At once, and not by the first tick of a timer, which comes with the next millisecond.
        self.inner.outlet.publish(topic, request);
        let every = settings.resend.max(Duration::from_millis(1));
        let mut resend = tokio::time::interval_at(began + every, every);
        loop {
            tokio::select! {
                biased;
                reply = replies.recv() => match reply {
                    None => return Err(CallError::Closed),
                    Some(reply) => match reply.status {
                        Status::Success => return Ok(reply.into_bytes()),
                        Status::Error => return Err(CallError::Failed {
                            code: reply.code(),
                            error: reply.error,
                        }),
                        Status::Progress => news(reply.content),
                    },
                },
                () = tokio::time::sleep(patience.saturating_sub(began.elapsed())) => {
                    return Err(CallError::Timeout { topic: topic.to_owned(), waited: patience });
                }
                _ = resend.tick() => {
                    if self.inner.outlet.shares() {
                        self.inner.outlet.publish(topic, request);
                    }
                }
            }
        }
    }

    fn next_id(&self) -> String {
        format!("{:08x}", self.inner.next.fetch_add(1, Ordering::Relaxed))
    }

    fn request(
        &self,
        topic: &str,
        intent: &str,
        request_id: String,
        progress: bool,
        timeout: Duration,
    ) -> Result<Request, CallError> {
        topic_text(topic.as_bytes()).map_err(|_| CallError::Topic {
            topic: topic.to_owned(),
        })?;
        let request = Request {
            request_id,
            reply_to: self.inner.reply_topic.clone(),
            intent: intent.to_owned(),
            timestamp: (self.inner.settings.clock)(),
            progress,
            timeout_ms: Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            trace: None,
        };
        let bytes = request.to_json().len();
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(CallError::TooLarge { bytes });
        }
        Ok(request)
    }
}

/// What a span says of its request, in the words of OpenTelemetry's conventions for messaging. The intent is
/// the caller's own.
pub fn describe(span: &mut Span, operation: &str, topic: &str, request: &Request) {
    // Whatever carries it: the frames are SkillScale's.
    span.set("messaging.system", "skillscale");
    span.set("messaging.operation.name", operation);
    span.set("messaging.operation.type", operation);
    span.set("messaging.destination.name", topic);
    span.set("messaging.message.id", request.request_id.as_str());
    span.set("messaging.message.body.size", request.intent.len());
}

/// Hands replies to whoever waits for them, until the transport ends.
async fn sort(mut incoming: mpsc::UnboundedReceiver<Reply>, pending: Arc<Mutex<Pending>>) {
    while let Some(reply) = incoming.recv().await {
        // Nobody waits any more after a time-out, or for the second of two answers.
        if let Some(calls) = &*lock(&pending)
            && let Some(sender) = calls.get(&reply.request_id)
        {
            let _ = sender.send(reply);
        }
    }
    *lock(&pending) = None;
}

fn lock(pending: &Mutex<Pending>) -> MutexGuard<'_, Pending> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that is waited for, as long as this lives.
struct Entry<'a> {
    agent: &'a Inner,
    id: &'a str,
}

impl<'a> Entry<'a> {
    fn new(
        agent: &'a Inner,
        id: &'a str,
        sender: mpsc::UnboundedSender<Reply>,
    ) -> Result<Self, CallError> {
        let mut calls = lock(&agent.pending);
        let calls = calls.as_mut().ok_or(CallError::Closed)?;
        calls.insert(id.to_owned(), sender);
        Ok(Self { agent, id })
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(calls) = &mut *lock(&self.agent.pending) {
            calls.remove(self.id);
        }
        self.agent.outlet.forget(self.id);
    }
}
