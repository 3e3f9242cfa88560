//! What `read.rs` makes of a request: its members but for the time that it has, which is read beside it.

use serde::Deserialize;
use serde_json::Value;

// `read.rs` says `super` for what it reads: all of the protocol's, and the request of this module.
#[allow(clippy::wildcard_imports)]
use super::*;

#[path = "read.rs"]
pub(super) mod read;

pub(super) struct Request {
    pub request_id: String,
    pub reply_to: String,
    pub intent: String,
    pub timestamp: f64,
    pub progress: bool,
    pub trace: Option<TraceContext>,
}

pub(super) fn request(payload: &[u8]) -> Result<super::Request, BadMessage> {
    let plain = read::request(payload)?;
    Ok(super::Request {
        request_id: plain.request_id,
        reply_to: plain.reply_to,
        intent: plain.intent,
        timestamp: plain.timestamp,
        progress: plain.progress,
        timeout_ms: timeout_ms(payload),
        trace: plain.trace,
    })
}

pub(super) fn reply(payload: &[u8]) -> Result<Reply, BadMessage> {
    read::reply(payload)
}

/// A whole number from 1. Whatever else stands there is no time, and no error.
fn timeout_ms(payload: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Time {
        timeout_ms: Option<Value>,
    }
    let time: Time = serde_json::from_slice(payload).ok()?;
    time.timeout_ms?.as_u64().filter(|ms| *ms > 0)
}
