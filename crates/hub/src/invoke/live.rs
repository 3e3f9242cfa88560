//! An invocation that this process works on, as those see it who wait for it: its progress, and its end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hub_model::InvocationRecord;
use tokio::sync::watch;

/// How this process's work on an invocation ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    Over(Arc<InvocationRecord>),
    /// It is not over; whoever comes next goes on with it.
    Left,
    /// It is not over; another replica works on it.
    Elsewhere,
}

/// What somebody who listens has not seen yet.
pub(crate) struct News {
    /// Numbered from 1. The first may be later than the next expected: what came between was dropped.
    pub chunks: Vec<(u64, Arc<str>)>,
    pub end: Option<End>,
}

pub(crate) struct Live {
    state: Mutex<State>,
    /// Bumped with every change.
    changed: watch::Sender<u64>,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    /// The number of the last chunk.
    last: u64,
    chunks: VecDeque<Arc<str>>,
    bytes: usize,
    end: Option<End>,
}

impl Live {
    /// Keeps progress of at most `bytes_max`.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: watch::Sender::new(0),
            bytes_max,
        }
    }

    pub(crate) fn push(&self, mut chunk: String) {
        let fits = chunk.floor_char_boundary(self.bytes_max);
        chunk.truncate(fits);
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        state.last += 1;
        // An empty chunk takes room as well.
        state.bytes += chunk.len() + CHUNK_OVERHEAD;
        state.chunks.push_back(chunk.into());
        while state.bytes > self.bytes_max.saturating_add(CHUNK_OVERHEAD) {
            let Some(oldest) = state.chunks.pop_front() else {
                break;
            };
            state.bytes -= oldest.len() + CHUNK_OVERHEAD;
        }
        drop(state);
        self.bump();
    }

    /// The first end stands.
    pub(crate) fn end(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.bump();
    }

    /// What came after chunk number `after`, as soon as there is anything.
    pub(crate) async fn news(&self, after: u64) -> News {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let news = self.after(after);
            if !news.chunks.is_empty() || news.end.is_some() {
                return news;
            }
            // The sender lives as long as `self`, so this only ever waits.
            let _ = changed.changed().await;
        }
    }

    /// How it ended, once it has.
    pub(crate) async fn outcome(&self) -> End {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if let Some(end) = &self.lock().end {
                return end.clone();
            }
            let _ = changed.changed().await;
        }
    }

    fn after(&self, after: u64) -> News {
        let state = self.lock();
        let first = state.last - state.chunks.len() as u64 + 1;
        let numbered = (first..).zip(&state.chunks);
        News {
            chunks: numbered
                .filter(|(number, _)| *number > after)
                .map(|(number, chunk)| (number, Arc::clone(chunk)))
                .collect(),
            end: state.end.clone(),
        }
    }

    fn bump(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a chunk takes beside its text.
const CHUNK_OVERHEAD: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(news: &News) -> Vec<u64> {
        news.chunks.iter().map(|(number, _)| *number).collect()
    }

    #[tokio::test]
    async fn who_listens_again_gets_what_came_since() {
        let live = Live::new(1_000);
        live.push("one".into());
        live.push("two".into());
        assert_eq!(numbers(&live.news(0).await), [1, 2]);
        assert_eq!(numbers(&live.news(1).await), [2]);
        live.end(End::Left);
        assert!(matches!(live.news(2).await.end, Some(End::Left)));
        live.push("too late".into());
        assert_eq!(numbers(&live.news(0).await), [1, 2]);
    }

    #[tokio::test]
    async fn memory_is_bounded_and_the_newest_stays() {
        let live = Live::new(100);
        for _ in 0..10_000 {
            live.push(String::new());
            live.push("ä".repeat(40));
        }
        live.push("ä".repeat(4_000));
        let news = live.news(0).await;
        assert_eq!(news.chunks.last().map(|(number, _)| *number), Some(20_001));
        let held: usize = news.chunks.iter().map(|(_, chunk)| chunk.len()).sum();
        assert!(held <= 100, "{held}");
        assert!(news.chunks.len() <= 4, "{}", news.chunks.len());
    }
}
