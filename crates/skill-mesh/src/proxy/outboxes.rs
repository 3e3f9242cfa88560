//! What is to be sent to whom: written when the turn is over, and the rest when there is room.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::zmtp::{Outgoing, put_message, put_wish};

/// One connection, never used again for another.
pub(super) type ConnectionId = u64;

/// One connection's.
struct Outbox {
    stream: Arc<TcpStream>,
    out: Outgoing,
    /// Whether it is listed in [`Outboxes::fresh`].
    fresh: bool,
    /// Told when something had to stay here, so that whoever waits for the connection waits for room too.
    stuck: Rc<Notify>,
}

#[derive(Default)]
pub(super) struct Outboxes {
    boxes: HashMap<ConnectionId, Outbox>,
    /// Those to which something was added in this turn.
    fresh: Vec<ConnectionId>,
}

impl Outboxes {
    pub(super) fn open(&mut self, id: ConnectionId, stream: Arc<TcpStream>, stuck: Rc<Notify>) {
        let outbox = Outbox {
            stream,
            out: Outgoing::default(),
            fresh: false,
            stuck,
        };
        self.boxes.insert(id, outbox);
    }

    pub(super) fn close(&mut self, id: ConnectionId) {
        self.boxes.remove(&id);
    }

    /// To whoever is still there: that a connection ends is told elsewhere.
    pub(super) fn message(&mut self, to: ConnectionId, topic: &[u8], payload: &[u8]) {
        self.put(to, |out| put_message(out, topic, payload));
    }

    /// A message as it came.
    pub(super) fn forward(&mut self, to: ConnectionId, raw: &[u8]) {
        self.put(to, |out| out.extend_from_slice(raw));
    }

    /// A subscription, or its end.
    pub(super) fn wish(&mut self, to: ConnectionId, on: bool, prefix: &[u8]) {
        self.put(to, |out| put_wish(out, on, prefix));
    }

    pub(super) fn put<T>(
        &mut self,
        to: ConnectionId,
        put: impl FnOnce(&mut BytesMut) -> T,
    ) -> Option<T> {
        let outbox = self.boxes.get_mut(&to)?;
        if !outbox.fresh {
            outbox.fresh = true;
            self.fresh.push(to);
        }
        Some(put(outbox.out.buffer()))
    }

    /// Bytes that wait for room.
    pub(super) fn waiting(&self, to: ConnectionId) -> usize {
        self.boxes.get(&to).map_or(0, |outbox| outbox.out.len())
    }

    /// Whether there was no room for all of it.
    pub(super) fn is_stuck(&self, to: ConnectionId) -> bool {
        let outbox = self.boxes.get(&to);
        outbox.is_some_and(|outbox| !outbox.fresh && !outbox.out.is_empty())
    }

    /// Everybody's.
    pub(super) fn is_empty(&self) -> bool {
        self.boxes.values().all(|outbox| outbox.out.is_empty())
    }

    /// Whether something was added that was not tried to be written.
    pub(super) fn is_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Writes what was added.
    pub(super) fn flush(&mut self) {
        for id in std::mem::take(&mut self.fresh) {
            self.write(id);
        }
    }

    /// Writes what there is for one.
    pub(super) fn write(&mut self, to: ConnectionId) {
        let Some(outbox) = self.boxes.get_mut(&to) else {
            return;
        };
        outbox.fresh = false;
        if outbox.out.write_to(&outbox.stream).is_err() {
            // Whoever reads from the connection finds its end.
            *outbox.out.buffer() = BytesMut::new();
        } else if !outbox.out.is_empty() {
            outbox.stuck.notify_one();
        }
    }
}
