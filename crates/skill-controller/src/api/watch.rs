//! One watch: a line of JSON per change, until the server ends it.

use bytes::BytesMut;
use serde_json::Value;

use super::ApiError;

/// How long the server should keep a watch open. Ending it now and then spreads the load over API servers.
pub(super) const SECONDS: u32 = 290;
/// Most bytes of one change: etcd keeps objects of at most 1.5 MiB.
const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A change.
#[derive(Debug)]
pub enum Event {
    /// The object is new or different.
    Applied(Value),
    /// The object is gone; this is its last state.
    Deleted(Value),
    /// Nothing happened up to this version.
    Bookmark(String),
}

/// Why a watch brings no more.
#[derive(Debug)]
pub enum WatchEnd {
    /// The server ended it in peace: go on from the last version.
    Over,
    /// The version is too old: list again.
    Expired,
    Failed(ApiError),
}

/// An open watch.
#[derive(Debug)]
pub struct Watch {
    response: reqwest::Response,
    buffer: BytesMut,
}

impl Watch {
    pub(super) fn new(response: reqwest::Response) -> Self {
        Self {
            response,
            buffer: BytesMut::new(),
        }
    }

    /// The next change.
    pub async fn next(&mut self) -> Result<Event, WatchEnd> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                match event(&line)? {
                    Some(event) => return Ok(event),
                    None => continue,
                }
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(WatchEnd::Failed(ApiError::TooLarge {
                    bytes_max: LINE_BYTES_MAX,
                }));
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) => return Err(WatchEnd::Over),
                Err(source) => {
                    return Err(WatchEnd::Failed(ApiError::BrokenOff {
                        source: source.without_url(),
                    }));
                }
            }
        }
    }
}

/// What a line says; nothing where it is of a type that later servers may have.
fn event(line: &[u8]) -> Result<Option<Event>, WatchEnd> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let mut line: Value = serde_json::from_slice(line).map_err(|source| {
        WatchEnd::Failed(ApiError::Unreadable {
            what: "a watch".to_owned(),
            source,
        })
    })?;
    let object = line["object"].take();
    Ok(match line["type"].as_str() {
        Some("ADDED" | "MODIFIED") => Some(Event::Applied(object)),
        Some("DELETED") => Some(Event::Deleted(object)),
        Some("BOOKMARK") => object["metadata"]["resourceVersion"]
            .as_str()
            .map(|version| Event::Bookmark(version.to_owned())),
        Some("ERROR") if object["code"] == 410 => return Err(WatchEnd::Expired),
        Some("ERROR") => {
            let code = object["code"]
                .as_u64()
                .and_then(|code| u16::try_from(code).ok());
            let status = code.and_then(|code| http::StatusCode::from_u16(code).ok());
            return Err(WatchEnd::Failed(ApiError::refused(
                status.unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR),
                &object,
            )));
        }
        _ => None,
    })
}
