//! SkillScale's wire protocol: two frames, a topic and a JSON object, exactly as its agents and
//! servers write them, read leniently and within bounds. Knows no sockets and no queue.
//!
//! ```text
//! request  [topic,    {"request_id", "reply_to", "intent" (text), "timestamp" (seconds)}]
//! reply    [reply_to, {"request_id", "status": "success" | "error", "content", "error", "timestamp"}]
//! ```
//!
//! Five additions, which SkillScale's programs pass over, as they do any member that they do not know: a
//! request may say `"progress": true`, and only such a request is answered by replies with
//! `"status": "progress"` before the last one; a request may say in `"timeout_ms"` how long its asker wants
//! it to take; a request may carry the W3C's `"traceparent"` and `"tracestate"`; a reply with an error may
//! say its `"code"`; and one whose result is no text has it in `"content_base64"`, and what can be read of
//! it in `"content"`.

mod code;
mod error;
mod read;

#[cfg(test)]
mod tests;

use std::time::Duration;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use skill_trace::TraceContext;

pub use code::Code;
pub use error::{BadMessage, Problem};
pub(crate) use read::overlong;
pub use read::{Envelope, open, topic_text};

/// Bytes of a whole payload. Intents are texts such as a CSV file; 16 MiB is a hundred times what the
/// original could take before its environment overflowed.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a topic or reply topic.
pub const TOPIC_BYTES_MAX: usize = 255;
/// Bytes of a request's id.
pub const REQUEST_ID_BYTES_MAX: usize = 255;
/// What SkillScale's agents begin their reply topics with.
pub const REPLY_PREFIX: &str = "AGENT_REPLY_";

/// What an agent asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// Chosen by the agent; the answer repeats it. Unique for the agent's reply topic.
    pub request_id: String,
    /// The topic on which the agent waits.
    pub reply_to: String,
    /// What to do: plain text, or a JSON object as text, see [`crate::matcher`].
    pub intent: String,
    /// Seconds since 1970; 0 where the agent wrote none.
    pub timestamp: f64,
    /// Whether replies before the last one are welcome.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub progress: bool,
    /// Milliseconds from `timestamp` after which the asker wants no more of it. Where there is none, whoever
    /// runs it decides alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The span that the work is a part of.
    #[serde(flatten)]
    pub trace: Option<TraceContext>,
}

impl Request {
    /// Reads a payload: unknown fields are skipped, a number is taken as an id, an intent that is
    /// an object instead of text is taken as its JSON text.
    ///
    /// # Errors
    /// What is wrong, with the reply topic where one could be read.
    pub fn parse(payload: &[u8]) -> Result<Self, BadMessage> {
        read::request(payload)
    }

    /// How much of its time is left at `now`, in seconds since 1970; `None` where it has no end. The clocks
    /// are two machines': where they say that it comes from the future, or that its time was over before
    /// it arrived, they say nothing, and the whole time counts.
    pub fn time_left(&self, now: f64) -> Option<Duration> {
        let time = Duration::from_millis(self.timeout_ms?);
        let waited = Duration::try_from_secs_f64(now - self.timestamp).unwrap_or_default();
        let left = time.saturating_sub(waited);
        Some(if left.is_zero() { time } else { left })
    }

    /// The payload as it goes over the wire.
    pub fn to_json(&self) -> Vec<u8> {
        json(self)
    }
}

/// How a request ended, or that it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `content` is the result.
    Success,
    /// `error` says what went wrong.
    Error,
    /// `content` is news of a request that goes on.
    Progress,
}

fn in_base64<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = bytes.as_deref().unwrap_or_default();
    serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
}

/// What an agent gets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reply {
    /// The request's.
    pub request_id: String,
    /// How it ended.
    pub status: Status,
    /// The result as text; empty after an error.
    pub content: String,
    /// The result itself where it is not text; `content` has what can be read of it.
    #[serde(
        rename = "content_base64",
        skip_serializing_if = "Option::is_none",
        serialize_with = "in_base64"
    )]
    pub bytes: Option<Vec<u8>>,
    /// What went wrong; empty after a success.
    pub error: String,
    /// Seconds since 1970; 0 where the writer has no clock.
    pub timestamp: f64,
    /// Which kind of error it is, where the writer says it; see [`Reply::code`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

impl Reply {
    /// An answer with a result.
    pub fn success(request_id: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            request_id: request_id.into(),
            status: Status::Success,
            content: content.into(),
            bytes: None,
            error: String::new(),
            timestamp: 0.0,
            code: None,
        }
    }

    /// An answer with a result that may be no text.
    pub fn of_bytes(request_id: impl Into<String>, result: Vec<u8>) -> Self {
        match String::from_utf8(result) {
            Ok(text) => Self::success(request_id, text),
            Err(error) => {
                let bytes = error.into_bytes();
                Self {
                    bytes: Some(bytes.clone()),
                    ..Self::success(request_id, String::from_utf8_lossy(&bytes))
                }
            }
        }
    }

    /// The result, whatever it is.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.unwrap_or_else(|| self.content.into_bytes())
    }

    /// An answer that says what went wrong, of the kind that its text begins with, if it does.
    pub fn failure(request_id: impl Into<String>, error: impl Into<String>) -> Self {
        let error = error.into();
        Self {
            request_id: request_id.into(),
            status: Status::Error,
            content: String::new(),
            bytes: None,
            code: Code::of_text(&error),
            error,
            timestamp: 0.0,
        }
    }

    /// The same, of this kind.
    #[must_use]
    pub fn of_kind(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Which kind of error it is: as it says, else as its text does.
    pub fn code(&self) -> Option<Code> {
        self.code.or_else(|| Code::of_text(&self.error))
    }

    /// News of a request that goes on.
    pub fn progress(request_id: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            status: Status::Progress,
            ..Self::success(request_id, content)
        }
    }

    /// The same at another time, in seconds since 1970.
    pub fn at(mut self, timestamp: f64) -> Self {
        self.timestamp = timestamp;
        self
    }

    /// Reads a payload as leniently as [`Request::parse`]; an unknown status is an error's.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(payload: &[u8]) -> Result<Self, BadMessage> {
        read::reply(payload)
    }

    /// The payload as it goes over the wire.
    pub fn to_json(&self) -> Vec<u8> {
        json(self)
    }
}

/// Text, numbers and flags only, so that writing cannot fail: JSON writes NaN as `null`.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
