//! An invocation as server-sent events: `progress` while it runs, `result` at its end, comments in between so that the
//! connection is seen to live.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use hub_model::{InvocationId, InvocationRecord};
use tokio::sync::OwnedSemaphorePermit;

use super::body::InvocationBody;
use super::live::{End, Live};
use super::{answer, store};
use crate::App;

/// How often the database is asked about an invocation that another replica works on.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Somebody who waits for an invocation.
pub(super) struct Watch {
    app: App,
    id: InvocationId,
    live: Option<Arc<Live>>,
}

/// What a watch saw.
pub(super) enum Seen {
    Progress(Vec<(u64, Arc<str>)>),
    Over(Arc<InvocationRecord>),
    /// The hub stops, or the invocation is not there any more.
    Gone,
}

impl Watch {
    pub fn new(app: &App, id: InvocationId) -> Self {
        Self::of(app, id, app.gateway().live(id))
    }

    pub fn of(app: &App, id: InvocationId, live: Option<Arc<Live>>) -> Self {
        let app = app.clone();
        Self { app, id, live }
    }

    /// The end, whatever comes before it.
    pub async fn end(&mut self) -> Seen {
        let app = self.app.clone();
        tokio::select! {
            biased;
            seen = self.reach_end() => seen,
            () = app.gateway().waiting_ends() => Seen::Gone,
        }
    }

    async fn reach_end(&mut self) -> Seen {
        if let Some(live) = &self.live
            && let End::Over(record) = live.outcome().await
        {
            return Seen::Over(record);
        }
        self.elsewhere().await
    }

    /// What comes after progress number `after`.
    async fn next(&mut self, after: u64) -> Seen {
        let app = self.app.clone();
        tokio::select! {
            biased;
            seen = self.news(after) => seen,
            () = app.gateway().waiting_ends() => Seen::Gone,
        }
    }

    async fn news(&mut self, after: u64) -> Seen {
        if let Some(live) = &self.live {
            let news = live.news(after).await;
            match news.end {
                _ if !news.chunks.is_empty() => return Seen::Progress(news.chunks),
                Some(End::Over(record)) => return Seen::Over(record),
                _ => self.live = None,
            }
        }
        self.elsewhere().await
    }

    /// Asks the database until it is over. A failed look is no answer; the next one may be.
    async fn elsewhere(&mut self) -> Seen {
        loop {
            match store::find(&self.app, self.id).await {
                Ok(Some(record)) if record.status.is_over() => return Seen::Over(Arc::new(record)),
                Ok(Some(_)) => {}
                Ok(None) => return Seen::Gone,
                Err(error) => {
                    tracing::warn!(%error, "cannot look after an invocation; trying again")
                }
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// The events of an invocation after progress number `after`. The place is given back when the stream ends or its
/// reader leaves.
pub(super) fn events(
    app: &App,
    record: &InvocationRecord,
    watch: Watch,
    after: u64,
    place: OwnedSemaphorePermit,
) -> Response {
    let seconds = app.config().invoke.keep_alive_seconds;
    let keep_alive = KeepAlive::new()
        .interval(Duration::from_secs(seconds))
        .text("keep-alive");
    let state = Events {
        watch,
        after,
        ready: VecDeque::new(),
        is_over: false,
        _place: place,
    };
    let events = stream::unfold(state, |mut state| async move {
        let event = state.next().await?;
        Some((Ok::<_, Infallible>(event), state))
    });
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    // Some proxies collect answers unless they are told not to.
    let unbuffered = http::HeaderValue::from_static("no");
    response
        .headers_mut()
        .insert("x-accel-buffering", unbuffered);
    answer::located(response, record)
}

struct Events {
    watch: Watch,
    after: u64,
    ready: VecDeque<Event>,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

impl Events {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            match self.watch.next(self.after).await {
                Seen::Progress(chunks) => {
                    for (number, chunk) in chunks {
                        self.after = number;
                        self.ready.push_back(progress(number, &chunk));
                    }
                }
                Seen::Over(record) => {
                    self.is_over = true;
                    self.ready.push_back(result(&record));
                }
                Seen::Gone => self.is_over = true,
            }
        }
    }
}

/// As JSON, so that a line end in a chunk stays one.
fn progress(number: u64, chunk: &str) -> Event {
    let data = serde_json::json!({ "chunk": chunk });
    let event = Event::default().event("progress").id(number.to_string());
    event.data(data.to_string())
}

fn result(record: &InvocationRecord) -> Event {
    // Strings and numbers only: serialising them has no way to fail.
    let data = serde_json::to_string(&InvocationBody::from(record)).unwrap_or_default();
    Event::default().event("result").data(data)
}
