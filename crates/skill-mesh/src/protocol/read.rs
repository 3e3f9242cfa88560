//! Reading payloads: quickly and only as far as needed for whoever passes them on, wholly for whoever
//! answers them, and as far as possible where they are broken.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use skill_trace::TraceContext;

use super::{
    BadMessage, Code, PAYLOAD_BYTES_MAX, Problem, REQUEST_ID_BYTES_MAX, Reply, Request, Status,
    TOPIC_BYTES_MAX,
};

/// What whoever passes a message on has to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope<'a> {
    /// From an agent. Its intent is there, but unread.
    Request {
        /// Its id.
        request_id: Cow<'a, str>,
        /// Where its answer goes.
        reply_to: Cow<'a, str>,
    },
    /// From a worker.
    Reply {
        /// The request's id.
        request_id: Cow<'a, str>,
        /// Not the last reply to its request.
        progress: bool,
    },
}

#[derive(Deserialize)]
struct Quick<'a> {
    #[serde(borrow, default)]
    request_id: Cow<'a, str>,
    #[serde(borrow, default)]
    reply_to: Cow<'a, str>,
    #[serde(borrow, default)]
    status: Cow<'a, str>,
    #[serde(default)]
    intent: Option<IgnoredAny>,
}

/// Reads as much of a payload as is needed to pass it on.
///
/// # Errors
/// What is wrong, with the reply topic where one could be read.
pub fn open(payload: &[u8]) -> Result<Envelope<'_>, BadMessage> {
    if let Err(problem) = size(payload) {
        return Err(bad(payload, problem));
    }
    // The slow way is for whatever is not written as SkillScale writes it.
    let Ok(quick) = serde_json::from_slice::<Quick<'_>>(payload) else {
        return open_slowly(payload);
    };
    if is_reply(&quick.status, &quick.reply_to, quick.intent.is_some()) {
        let progress = quick.status == "progress";
        let request_id = quick.request_id;
        bounded_id(&request_id).map_err(|problem| bad(payload, problem))?;
        return Ok(Envelope::Reply {
            request_id,
            progress,
        });
    }
    if quick.intent.is_none() || quick.request_id.is_empty() {
        return open_slowly(payload);
    }
    bounded_id(&quick.request_id)
        .and_then(|()| topic("reply_to", &quick.reply_to))
        .map_err(|problem| bad(payload, problem))?;
    Ok(Envelope::Request {
        request_id: quick.request_id,
        reply_to: quick.reply_to,
    })
}

fn open_slowly(payload: &[u8]) -> Result<Envelope<'static>, BadMessage> {
    let value = object(payload)?;
    let status = value.get("status").and_then(Value::as_str).unwrap_or("");
    let reply_to = value.get("reply_to").and_then(Value::as_str).unwrap_or("");
    if is_reply(status, reply_to, value.get("intent").is_some()) {
        let reply = reply(payload)?;
        return Ok(Envelope::Reply {
            request_id: Cow::Owned(reply.request_id),
            progress: reply.status == Status::Progress,
        });
    }
    let request = request(payload)?;
    Ok(Envelope::Request {
        request_id: Cow::Owned(request.request_id),
        reply_to: Cow::Owned(request.reply_to),
    })
}

fn is_reply(status: &str, reply_to: &str, intent: bool) -> bool {
    !status.is_empty() && reply_to.is_empty() && !intent
}

pub(super) fn request(payload: &[u8]) -> Result<Request, BadMessage> {
    let mut value = object(payload)?;
    let read = (|| {
        let reply_to = text(&mut value, "reply_to")?;
        topic("reply_to", &reply_to)?;
        let request_id = text(&mut value, "request_id")?;
        bounded_id(&request_id)?;
        let intent = match value.get_mut("intent").map(Value::take) {
            Some(Value::String(intent)) => intent,
            Some(intent @ (Value::Object(_) | Value::Array(_))) => intent.to_string(),
            Some(Value::Null) | None => return Err(Problem::Missing { field: "intent" }),
            Some(other) => return Err(wrong_type("intent", &other)),
        };
        Ok(Request {
            request_id,
            reply_to,
            intent,
            timestamp: timestamp(&value),
            progress: value.get("progress") == Some(&Value::Bool(true)),
            timeout_ms: timeout_ms(&value),
            trace: trace(&value),
        })
    })();
    read.map_err(|problem| bad(payload, problem))
}

pub(super) fn reply(payload: &[u8]) -> Result<Reply, BadMessage> {
    let mut value = object(payload)?;
    let read = (|| {
        let request_id = text(&mut value, "request_id")?;
        bounded_id(&request_id)?;
        let status = match text(&mut value, "status")?.as_str() {
            "success" => Status::Success,
            "progress" => Status::Progress,
            _ => Status::Error,
        };
        let mut optional = |field| match value.get_mut(field).map(Value::take) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
        };
        let content = optional("content");
        let error = optional("error");
        let code = value.get("code").and_then(Value::as_str);
        let encoded = value.get("content_base64").and_then(Value::as_str);
        Ok(Reply {
            bytes: encoded.and_then(|text| STANDARD.decode(text).ok()),
            code: code.and_then(Code::parse),
            request_id,
            status,
            content,
            error,
            timestamp: timestamp(&value),
        })
    })();
    read.map_err(|problem| bad(payload, problem))
}

/// A topic frame as text.
///
/// # Errors
/// When it is empty, too long, not UTF-8 or has a zero byte.
pub fn topic_text(frame: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(frame).map_err(|_| Problem::Topic { field: "topic" })?;
    topic("topic", text)?;
    Ok(text)
}

/// What is wrong with a payload that is too large to be read as a whole.
pub(crate) fn overlong(beginning: &[u8], bytes: u64) -> BadMessage {
    let problem = Problem::TooLarge {
        bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        max: PAYLOAD_BYTES_MAX,
    };
    bad(beginning, problem)
}

fn size(payload: &[u8]) -> Result<(), Problem> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Problem::TooLarge {
            bytes: payload.len(),
            max: PAYLOAD_BYTES_MAX,
        });
    }
    Ok(())
}

fn object(payload: &[u8]) -> Result<serde_json::Map<String, Value>, BadMessage> {
    size(payload).map_err(|problem| bad(payload, problem))?;
    serde_json::from_slice(payload).map_err(|error| {
        let problem = Problem::Json {
            line: error.line(),
            column: error.column(),
            why: error.to_string(),
        };
        bad(payload, problem)
    })
}

fn text(
    value: &mut serde_json::Map<String, Value>,
    field: &'static str,
) -> Result<String, Problem> {
    match value.get_mut(field).map(Value::take) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::String(_) | Value::Null) | None => Err(Problem::Missing { field }),
        Some(other) => Err(wrong_type(field, &other)),
    }
}

fn wrong_type(field: &'static str, value: &Value) -> Problem {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Problem::Type { field, found }
}

fn timestamp(value: &serde_json::Map<String, Value>) -> f64 {
    value
        .get("timestamp")
        .and_then(Value::as_f64)
        .unwrap_or(0.0)
}

/// A whole number from 1. Whatever else stands there is no time, and no error.
fn timeout_ms(value: &serde_json::Map<String, Value>) -> Option<u64> {
    let time = value.get("timeout_ms")?.as_u64()?;
    (time > 0).then_some(time)
}

/// Whatever else stands there is nobody's trace, and no error.
fn trace(value: &serde_json::Map<String, Value>) -> Option<TraceContext> {
    let text = |field| value.get(field).and_then(Value::as_str);
    TraceContext::parse(text("traceparent")?, text("tracestate"))
}

fn bounded_id(id: &str) -> Result<(), Problem> {
    bounded("request_id", id, REQUEST_ID_BYTES_MAX)
}

fn bounded(field: &'static str, text: &str, max: usize) -> Result<(), Problem> {
    if text.len() > max {
        return Err(Problem::TooLong {
            field,
            bytes: text.len(),
            max,
        });
    }
    Ok(())
}

fn topic(field: &'static str, text: &str) -> Result<(), Problem> {
    bounded(field, text, TOPIC_BYTES_MAX)?;
    if text.contains('\0') {
        return Err(Problem::Topic { field });
    }
    if text.is_empty() {
        return Err(Problem::Missing { field });
    }
    Ok(())
}

/// Finds out whom to tell about a broken payload.
fn bad(payload: &[u8], problem: Problem) -> BadMessage {
    let (reply_to, request_id) = sender(payload);
    BadMessage {
        problem,
        reply_to: reply_to.filter(|text| topic("reply_to", text).is_ok()),
        request_id: request_id
            .filter(|text| bounded_id(text).is_ok())
            .unwrap_or_default(),
    }
}

/// Reply topic and id. Where [`open`] can read them it is these and no others: whoever passed the message on
/// waits for the answer under just that key.
fn sender(payload: &[u8]) -> (Option<String>, Option<String>) {
    let some = |text: Cow<'_, str>| (!text.is_empty()).then(|| text.into_owned());
    match serde_json::from_slice::<Quick<'_>>(payload) {
        Ok(quick) => (some(quick.reply_to), some(quick.request_id)),
        Err(_) => (salvage(payload, "reply_to"), salvage(payload, "request_id")),
    }
}

/// The text of a member of a payload that need not be JSON as a whole: of the outermost object as far as
/// that can be told, else of whatever is there near the beginning or the end.
fn salvage(payload: &[u8], field: &str) -> Option<String> {
    const NEAR_BYTES: usize = 64 * 1024;
    let beginning = &payload[..payload.len().min(NEAR_BYTES)];
    let end = &payload[payload.len().saturating_sub(NEAR_BYTES)..];
    outermost(payload, field)
        .or_else(|| anywhere(beginning, field))
        .or_else(|| anywhere(end, field))
}

fn outermost(payload: &[u8], field: &str) -> Option<String> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = payload.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let text = &payload[at..];
                let length = end_of_string(text)?;
                at += length + 1;
                let is_field = depth == 1 && text[..length] == *field.as_bytes();
                if is_field && let Some(value) = value_behind(&text[length + 1..]) {
                    return value;
                }
            }
            _ => {}
        }
    }
    None
}

/// Where the quotation mark is that ends a string.
fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn anywhere(payload: &[u8], field: &str) -> Option<String> {
    let name = format!("\"{field}\"");
    let mut rest = payload;
    loop {
        let at = rest
            .windows(name.len())
            .position(|window| window == name.as_bytes())?;
        rest = &rest[at + name.len()..];
        if let Some(value) = value_behind(rest) {
            return value;
        }
    }
}

/// What stands behind a member's name, if one does: its text, where it is complete and not empty, or its
/// number.
fn value_behind(rest: &[u8]) -> Option<Option<String>> {
    let value = rest.trim_ascii_start().strip_prefix(b":")?;
    let first = serde_json::Deserializer::from_slice(value)
        .into_iter::<Value>()
        .next();
    Some(match first {
        Some(Ok(Value::String(text))) if !text.is_empty() => Some(text),
        Some(Ok(Value::Number(number))) => Some(number.to_string()),
        _ => None,
    })
}
