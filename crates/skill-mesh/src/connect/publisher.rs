//! The connection on which requests, or replies, go. What is published waits until the other side has
//! subscribed to it.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::{ASK_EVERY, Again, Publication, SILENT_WITHIN};
use crate::control;
use crate::zmtp::{Connection, Endpoint, Heart, Outgoing, Role, answer, put_message, wish};

/// How long a publication waits for the other side's subscription.
const HOLD: Duration = Duration::from_secs(30);
/// Bytes of publications that wait so; beyond, the oldest are dropped.
const HOLD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long what was published last may take to leave when the link is closed.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes that are given to a connection before it has room for them: what it had is lost with it.
const AHEAD_BYTES: usize = 256 * 1024;

pub(super) struct Publisher {
    endpoint: Endpoint,
    line: Line,
}

/// What is to be published.
struct Line {
    commands: UnboundedReceiver<Publication>,
    shares: Arc<AtomicBool>,
    /// What the other side wants to hear: prefixes of topics.
    wanted: BTreeSet<Vec<u8>>,
    /// In order, each until when.
    waiting: VecDeque<(Instant, Publication)>,
    waiting_bytes: usize,
    /// What waits is to be looked through: something came, or was subscribed to, or did not fit.
    changed: bool,
    /// Nothing more is to be published; from then on this long.
    closing: Option<Instant>,
}

impl Publisher {
    pub(super) fn new(
        endpoint: Endpoint,
        commands: UnboundedReceiver<Publication>,
        shares: Arc<AtomicBool>,
    ) -> Self {
        Self {
            endpoint,
            line: Line {
                commands,
                shares,
                wanted: BTreeSet::new(),
                waiting: VecDeque::new(),
                waiting_bytes: 0,
                changed: false,
                closing: None,
            },
        }
    }

    /// Goes on until the link is closed and what was published has left.
    pub(super) async fn run(mut self) {
        let mut again = Again::new();
        let mut is_first = true;
        while !self.line.is_over() {
            let connect = async {
                if !std::mem::take(&mut is_first) {
                    again.wait().await;
                }
                Connection::to(&self.endpoint, Role::Publisher).await
            };
            // What is published meanwhile is kept.
            let connected = tokio::select! {
                connected = connect => connected,
                () = self.line.collect() => return,
            };
            let ended = match connected {
                Ok(connection) => {
                    again = Again::new();
                    self.line.converse(connection).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::debug!(endpoint = %self.endpoint, %error, "no connection to the proxy");
            }
        }
    }
}

impl Line {
    fn is_over(&self) -> bool {
        self.closing
            .is_some_and(|by| self.waiting.is_empty() || by <= Instant::now())
    }

    /// Takes what is published while there is no connection; returns when nothing more is worth waiting for.
    async fn collect(&mut self) {
        while !self.is_over() {
            let next = self.next();
            tokio::select! {
                publication = self.commands.recv(), if self.closing.is_none() => self.take(publication),
                () = sleep_until(next) => self.expire(),
            }
        }
    }

    /// When something waits for too long.
    fn next(&self) -> Instant {
        let first = self.waiting.front().map(|(until, _)| *until);
        let next = [first, self.closing].into_iter().flatten().min();
        next.unwrap_or_else(|| Instant::now() + HOLD)
    }

    async fn converse(&mut self, connection: Connection) -> io::Result<()> {
        let result = self.publish(connection).await;
        self.wanted.clear();
        self.shares.store(false, Ordering::Relaxed);
        result
    }

    async fn publish(&mut self, mut connection: Connection) -> io::Result<()> {
        let mut out = Outgoing::default();
        let mut heart = Heart::new(ASK_EVERY, SILENT_WITHIN);
        loop {
            // The first may have come along with the greeting.
            while let Some(item) = connection.next()? {
                match wish(&item) {
                    Some((on, prefix)) => self.heed(on, prefix),
                    None => answer(&item, out.buffer()),
                }
            }
            self.flush(&mut out);
            out.write_to(connection.stream())?;
            if out.is_empty() {
                if self.changed {
                    continue;
                }
                if self.is_over() {
                    let until = self.closing.unwrap_or_else(Instant::now);
                    return connection.finish(until).await;
                }
            } else if self.closing.is_some_and(|by| by <= Instant::now()) {
                // The other side does not read: it had its time.
                return Ok(());
            }
            let next = self.next();
            tokio::select! {
                biased;
                ready = connection.ready(!out.is_empty()) => {
                    let (to_read, _) = ready?;
                    if to_read && connection.read()? {
                        heart.heard();
                    }
                }
                publication = self.commands.recv(), if self.closing.is_none() => {
                    self.take(publication);
                    // All that is there goes out together.
                    while let Ok(publication) = self.commands.try_recv() {
                        self.take(Some(publication));
                    }
                }
                () = sleep_until(next) => self.expire(),
                () = heart.beat() => heart.ask(out.buffer())?,
            }
        }
    }

    /// A wish of the other side's.
    fn heed(&mut self, on: bool, prefix: &[u8]) {
        if prefix == control::PROXY {
            self.shares.store(on, Ordering::Relaxed);
        }
        if on {
            self.wanted.insert(prefix.to_vec());
            self.changed = true;
        } else {
            self.wanted.remove(prefix);
        }
    }

    /// Something is published, or never will be again.
    fn take(&mut self, publication: Option<Publication>) {
        let Some(publication) = publication else {
            self.closing = Some(Instant::now() + LINGER);
            return;
        };
        self.waiting_bytes += publication.1.len();
        self.waiting.push_back((Instant::now() + HOLD, publication));
        self.changed = true;
        while self.waiting_bytes > HOLD_BYTES_MAX
            && let Some((_, dropped)) = self.waiting.pop_front()
        {
            self.waiting_bytes -= dropped.1.len();
            tracing::warn!(
                "the proxy is not there, and too much waits for it: the oldest is dropped"
            );
        }
    }

    fn is_wanted(&self, topic: &[u8]) -> bool {
        self.wanted.iter().any(|prefix| topic.starts_with(prefix))
    }

    /// Gives the connection what the other side wants to hear; the rest waits on.
    fn flush(&mut self, out: &mut Outgoing) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let mut unwanted = Vec::new();
        while let Some((until, (topic, payload))) = self.waiting.pop_front() {
            if out.len() >= AHEAD_BYTES {
                self.waiting.push_front((until, (topic, payload)));
                self.changed = true;
                break;
            }
            if self.is_wanted(&topic) {
                self.waiting_bytes -= payload.len();
                put_message(out.buffer(), &topic, &payload);
            } else {
                unwanted.push((until, (topic, payload)));
            }
        }
        for publication in unwanted.into_iter().rev() {
            self.waiting.push_front(publication);
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while let Some((until, _)) = self.waiting.front()
            && *until <= now
            && let Some((_, (_, payload))) = self.waiting.pop_front()
        {
            self.waiting_bytes -= payload.len();
            tracing::warn!("nobody has subscribed to what was published; it is dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;
    use crate::zmtp::put_wish;

    #[tokio::test]
    async fn a_proxy_that_does_not_read_holds_up_the_end_no_longer_than_the_linger() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
        let (publications, commands) = mpsc::unbounded_channel();
        // More than the kernel takes for somebody who does not read.
        for _ in 0..32 {
            publications
                .send((b"T".to_vec(), vec![0; 1 << 20]))
                .unwrap();
        }
        let publisher = Publisher::new(endpoint.parse().unwrap(), commands, Arc::default());
        let ended = tokio::spawn(publisher.run());
        let (stream, _) = listener.accept().await.unwrap();
        let mut out = Outgoing::default();
        let stuck = Connection::accept(stream, Role::ForPublishers, out.buffer())
            .await
            .unwrap();
        put_wish(out.buffer(), true, b"");
        out.write_to(stuck.stream()).unwrap();
        drop(publications);
        // Well before it would be taken for dead.
        tokio::time::timeout(SILENT_WITHIN / 2, ended)
            .await
            .expect("it gives up")
            .unwrap();
    }
}
