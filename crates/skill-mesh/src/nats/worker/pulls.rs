//! What a worker has asked the server for, and what of it is still to come.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::{Message, StatusCode};
use bytes::Bytes;
use serde_json::json;
use tokio::time::Instant;

use crate::nats::names;

/// How long a pull stands on the server.
const STANDS: Duration = Duration::from_secs(10);
/// After that, and this long, the server's word that it has ended was lost.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait after the server refused a pull.
const REFUSED_PAUSE: Duration = Duration::from_millis(250);

pub(super) struct Pulls {
    subject: String,
    /// Oldest first: until when, and how many requests may still come.
    standing: VecDeque<(Instant, usize)>,
    not_before: Option<Instant>,
}

impl Pulls {
    pub(super) fn new(stream: &str) -> Self {
        Self {
            subject: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{}", names::CONSUMER),
            standing: VecDeque::new(),
            not_before: None,
        }
    }

    /// What to publish so that as many requests may come as there are free slots.
    pub(super) fn wish(&mut self, free: usize) -> Option<(String, Bytes)> {
        let now = Instant::now();
        self.standing.retain(|(until, _)| *until > now);
        let coming: usize = self.standing.iter().map(|(_, count)| count).sum();
        let count = free.saturating_sub(coming);
        if count == 0 || self.not_before.is_some_and(|moment| moment > now) {
            return None;
        }
        self.standing.push_back((now + STANDS + GRACE, count));
        let wish = json!({"batch": count, "expires": STANDS.as_nanos() as u64});
        Some((self.subject.clone(), wish.to_string().into()))
    }

    /// A request came.
    pub(super) fn filled(&mut self) {
        self.take(1);
    }

    /// The server says that a pull has ended; whether there is nothing to pull from any more.
    pub(super) fn ended(&mut self, message: &Message) -> bool {
        let status = message.status.unwrap_or(StatusCode::OK).as_u16();
        if status == 100 {
            return false;
        }
        let left = message
            .headers
            .as_ref()
            .and_then(|headers| headers.get("Nats-Pending-Messages"))
            .and_then(|left| left.as_str().parse().ok());
        match (left, self.standing.front()) {
            (Some(left), _) => self.take(left),
            (None, Some((_, count))) => self.take(*count),
            (None, None) => {}
        }
        if !matches!(status, 404 | 408) {
            self.not_before = Some(Instant::now() + REFUSED_PAUSE);
        }
        let text = message.description.as_deref().unwrap_or_default();
        status == 409 && text.to_ascii_lowercase().contains("deleted")
    }

    /// The server has forgotten all pulls.
    pub(super) fn forget(&mut self) {
        self.standing.clear();
        self.not_before = None;
    }

    fn take(&mut self, mut count: usize) {
        while count > 0
            && let Some((_, first)) = self.standing.front_mut()
        {
            let taken = count.min(*first);
            *first -= taken;
            count -= taken;
            if *first == 0 {
                self.standing.pop_front();
            }
        }
    }
}
