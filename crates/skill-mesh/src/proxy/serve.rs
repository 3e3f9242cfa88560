//! The proxy's connections. One thread serves all of them: what is read is acted upon at once, and what
//! comes of it is written when all that was readable has been read, so that a message crosses no thread.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::TcpListener as Bound;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinSet, LocalSet, spawn_local, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::outboxes::{ConnectionId, Outboxes};
use crate::queue::Moment;
use crate::zmtp::{Connection, Heart, Item, Role, answer, wish};

/// How long what was sent last may take to leave.
const LINGER: Duration = Duration::from_secs(2);
/// How often it is looked whether it has.
const LINGER_STEP: Duration = Duration::from_millis(5);
/// How long to wait when no connection can be accepted, as when descriptors have run out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// What part of the bytes of unfinished messages a connection may hold when there are too many.
const UNFINISHED_PART: usize = 64;
/// What one connection may have read before the others have their turn.
const READS_PER_TURN: usize = 4;

/// Which of the two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Publishers,
    Subscribers,
}

/// What a proxy does with what comes. Never waits.
pub(super) trait Rule {
    fn opened(&mut self, side: Side, id: ConnectionId, out: &mut Outboxes);
    /// Of a publisher.
    fn message(&mut self, item: &Item<'_>, now: Moment, out: &mut Outboxes);
    /// Of a subscriber: it subscribes, or no longer.
    fn wish(&mut self, id: ConnectionId, on: bool, prefix: &[u8], now: Moment, out: &mut Outboxes);
    /// Whether others wait for what comes from there: then it must give signs of life. Whoever only reads
    /// may take its time.
    fn is_waited_for(&self, id: ConnectionId) -> bool;
    fn closed(&mut self, side: Side, id: ConnectionId, now: Moment, out: &mut Outboxes);
    /// A turn is over, or [`Rule::next`] has come.
    fn settle(&mut self, now: Moment, out: &mut Outboxes);
    /// When to look at the clock again.
    fn next(&self) -> Moment;
    /// The proxy shall stop.
    fn stop(&mut self, now: Moment);
    /// Whether it can, once it shall.
    fn is_done(&self, now: Moment) -> bool;
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How often workers are asked for signs of life.
    pub heartbeat: Duration,
    /// How long they may owe one.
    pub silent: Duration,
    /// Bytes of messages that have not come as a whole.
    pub unfinished_bytes: usize,
}

struct State {
    rule: Box<dyn Rule>,
    outboxes: Outboxes,
}

struct Server {
    state: RefCell<State>,
    began: Instant,
    bounds: Bounds,
    last: Cell<ConnectionId>,
    /// Bytes of messages that have not come as a whole.
    unfinished: Cell<usize>,
    /// Told when there is something to write.
    fresh: Notify,
    /// When the clock is looked at next, and who is told that it should be earlier.
    armed: Cell<Moment>,
    earlier: Notify,
    stopping: Cell<bool>,
}

/// Serves until `stop` resolves and the rule is done.
pub(super) fn run(
    publishers: Bound,
    subscribers: Bound,
    rule: Box<dyn Rule>,
    bounds: Bounds,
    stop: oneshot::Receiver<()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async {
        let server = Rc::new(Server {
            state: RefCell::new(State {
                rule,
                outboxes: Outboxes::default(),
            }),
            began: Instant::now(),
            bounds,
            last: Cell::new(0),
            unfinished: Cell::new(0),
            fresh: Notify::new(),
            armed: Cell::new(Moment::ZERO),
            earlier: Notify::new(),
            stopping: Cell::new(false),
        });
        let publishers = TcpListener::from_std(publishers)?;
        let subscribers = TcpListener::from_std(subscribers)?;
        spawn_local(server.clone().write());
        spawn_local(accept(server.clone(), publishers, Side::Publishers));
        spawn_local(accept(server.clone(), subscribers, Side::Subscribers));
        server.keep_time(stop).await;
        Ok(())
    }))
}

async fn accept(server: Rc<Server>, listener: TcpListener, side: Side) {
    let mut connections = JoinSet::new();
    // Where descriptors have run out that is said once, not ten times a second until there are some.
    let mut is_failing = false;
    loop {
        // Those that have ended are forgotten.
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                is_failing = false;
                connections.spawn_local(server.clone().converse(stream, side));
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "connections cannot be accepted for the moment");
                }
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

impl Server {
    fn now(&self) -> Moment {
        self.began.elapsed()
    }

    /// Writes what the turns before have added. It has its own turn behind all connections that were
    /// readable, so that under load many messages leave in one call.
    async fn write(self: Rc<Self>) {
        loop {
            self.fresh.notified().await;
            self.state.borrow_mut().outboxes.flush();
        }
    }

    /// Acts, and has what comes of it sent.
    fn turn<T>(&self, act: impl FnOnce(&mut dyn Rule, Moment, &mut Outboxes) -> T) -> T {
        let state = &mut *self.state.borrow_mut();
        let now = self.now();
        let result = act(&mut *state.rule, now, &mut state.outboxes);
        state.rule.settle(now, &mut state.outboxes);
        if state.outboxes.is_fresh() {
            self.fresh.notify_one();
        }
        if self.stopping.get() || state.rule.next() < self.armed.get() {
            self.earlier.notify_one();
        }
        result
    }

    /// A turn in which nothing has come but the time.
    fn settle(&self) {
        let state = &mut *self.state.borrow_mut();
        state.rule.settle(self.now(), &mut state.outboxes);
        state.outboxes.flush();
    }

    async fn keep_time(&self, mut stop: oneshot::Receiver<()>) {
        while !(self.stopping.get() && self.state.borrow().rule.is_done(self.now())) {
            let next = self.state.borrow().rule.next();
            self.armed.set(next);
            tokio::select! {
                () = sleep_until(self.began + next) => {}
                () = self.earlier.notified() => {}
                // An error: whoever ran the proxy has dropped it.
                _ = &mut stop, if !self.stopping.get() => {
                    self.stopping.set(true);
                    self.turn(|rule, now, _| rule.stop(now));
                }
            }
            self.settle();
        }
        let until = Instant::now() + LINGER;
        let _ = timeout_at(until, async {
            while !self.state.borrow().outboxes.is_empty() {
                sleep(LINGER_STEP).await;
            }
        })
        .await;
    }

    async fn converse(self: Rc<Self>, stream: TcpStream, side: Side) {
        let role = match side {
            Side::Publishers => Role::ForPublishers,
            Side::Subscribers => Role::ForSubscribers,
        };
        let mut first = BytesMut::new();
        let mut connection = match Connection::accept(stream, role, &mut first).await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(?side, %error, "a connection is refused");
                return;
            }
        };
        let id = self.last.get() + 1;
        self.last.set(id);
        let stuck = Rc::new(Notify::new());
        self.turn(|rule, _, out| {
            out.open(id, connection.stream().clone(), stuck.clone());
            out.put(id, |out| out.unsplit(first));
            rule.opened(side, id, out);
        });
        let mut unfinished = 0;
        let end = self
            .listen(id, side, &mut connection, &stuck, &mut unfinished)
            .await;
        self.unfinished.set(self.unfinished.get() - unfinished);
        tracing::debug!(?side, ?end, "a connection has ended");
        if side == Side::Subscribers {
            // A worker that answers and goes has answered first: what has come on other connections by
            // now is read before this one's end is acted upon.
            for _ in 0..READS_PER_TURN {
                yield_now().await;
            }
        }
        self.turn(|rule, now, out| {
            out.close(id);
            rule.closed(side, id, now, out);
        });
    }

    async fn listen(
        &self,
        id: ConnectionId,
        side: Side,
        connection: &mut Connection,
        stuck: &Notify,
        unfinished: &mut usize,
    ) -> io::Result<()> {
        let mut heart = Heart::new(self.bounds.heartbeat, self.bounds.silent);
        // What came along with the greeting.
        self.act(id, side, connection)?;
        loop {
            let full = self.state.borrow().outboxes.is_stuck(id);
            tokio::select! {
                biased;
                // First: a peer whose answer lies here unread is not silent.
                ready = connection.ready(full) => {
                    let (to_read, to_write) = ready?;
                    if to_write {
                        self.state.borrow_mut().outboxes.write(id);
                    }
                    if to_read {
                        heart.heard();
                        self.take_in(id, side, connection)?;
                        self.bound(unfinished, connection.pending())?;
                    }
                }
                () = stuck.notified() => {}
                () = heart.beat(), if side == Side::Subscribers => {
                    if self.state.borrow().rule.is_waited_for(id) {
                        self.turn(|_, _, out| out.put(id, |out| heart.ask(out))).unwrap_or(Ok(()))?;
                    }
                }
            }
        }
    }

    /// Reads and acts.
    fn take_in(&self, id: ConnectionId, side: Side, connection: &mut Connection) -> io::Result<()> {
        for _ in 0..READS_PER_TURN {
            if !connection.read()? {
                break;
            }
            self.act(id, side, connection)?;
        }
        Ok(())
    }

    /// Many that each send a large message halfway must not fill the memory together.
    fn bound(&self, unfinished: &mut usize, pending: usize) -> io::Result<()> {
        let all = self.unfinished.get() - *unfinished + pending;
        self.unfinished.set(all);
        *unfinished = pending;
        let bytes_max = self.bounds.unfinished_bytes;
        if all > bytes_max && pending > bytes_max / UNFINISHED_PART {
            tracing::warn!(
                bytes = all,
                "too many large messages are unfinished; one is given up"
            );
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(())
    }

    /// Acts upon what was read.
    fn act(&self, id: ConnectionId, side: Side, connection: &mut Connection) -> io::Result<()> {
        self.turn(|rule, now, out| {
            while let Some(item) = connection.next()? {
                match (side, wish(&item), &item) {
                    (Side::Publishers, _, Item::Message { .. } | Item::Overlong { .. }) => {
                        rule.message(&item, now, out);
                    }
                    (Side::Subscribers, Some((on, prefix)), _) => {
                        rule.wish(id, on, prefix, now, out);
                    }
                    _ => {
                        out.put(id, |out| answer(&item, out));
                    }
                }
            }
            Ok(())
        })
    }
}
