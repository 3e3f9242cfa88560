//! One TCP connection between two sockets.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, timeout};

use super::frame::{Decoder, Item, put_command};
use super::handshake::{
    GREETING_BYTES, Mismatch, Role, check_greeting, check_ready, greeting, put_ready,
};
use super::{Endpoint, MESSAGE_BYTES_MAX};

/// How long a peer may take to say what it is.
const BEGIN_WITHIN: Duration = Duration::from_secs(30);
/// How long a peer that has greeted may wait for our word before it says its own.
const FIRST_WORD_WITHIN: Duration = Duration::from_millis(100);
/// How long a connection may be idle before the other machine is asked whether it is there, and how often then.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
/// What is read at a time: between these two, as much as tends to come.
const ROOM_MIN: usize = 4 * 1024;
const ROOM_MAX: usize = 256 * 1024;
/// What an emptied buffer may keep of memory.
const IDLE_BYTES: usize = 256 * 1024;
/// The longest context of a PING (RFC 37).
const CONTEXT_BYTES_MAX: usize = 16;

/// A connection whose peer has said what it is.
pub(crate) struct Connection {
    stream: Arc<TcpStream>,
    decoder: Decoder,
    room: usize,
}

impl Connection {
    /// Connects.
    pub(crate) async fn to(endpoint: &Endpoint, role: Role) -> io::Result<Self> {
        let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
        let mut connection = Self::new(stream)?;
        let mut out = Outgoing::default();
        out.buffer().extend_from_slice(&greeting());
        put_ready(out.buffer(), role);
        in_time(async {
            connection.send(&mut out).await?;
            connection.hear_greeting().await?;
            connection.hear_ready(role).await
        })
        .await?;
        Ok(connection)
    }

    /// Meets a peer that has connected. `first` is what is still to be sent before anything else: our own
    /// READY waits for the peer's, so that what it asks for can leave with it. A publisher of libzmq drops
    /// what it publishes between our READY and our subscription; this way it learns of both at once.
    pub(crate) async fn accept(
        stream: TcpStream,
        role: Role,
        first: &mut BytesMut,
    ) -> io::Result<Self> {
        let mut connection = Self::new(stream)?;
        let mut out = Outgoing::default();
        out.buffer().extend_from_slice(&greeting());
        put_ready(first, role);
        in_time(async {
            connection.send(&mut out).await?;
            connection.hear_greeting().await?;
            match timeout(FIRST_WORD_WITHIN, connection.hear_ready(role)).await {
                Ok(heard) => heard,
                // It may be one that waits for ours.
                Err(_) => {
                    out.buffer().unsplit(first.split());
                    connection.send(&mut out).await?;
                    connection.hear_ready(role).await
                }
            }
        })
        .await?;
        Ok(connection)
    }

    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        // A peer whose machine is gone says nothing, not even that.
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_AFTER)
            .with_interval(KEEPALIVE_EVERY);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        Ok(Self {
            stream: Arc::new(stream),
            decoder: Decoder::new(MESSAGE_BYTES_MAX),
            room: ROOM_MIN,
        })
    }

    async fn send(&self, out: &mut Outgoing) -> io::Result<()> {
        while !out.is_empty() {
            self.stream.writable().await?;
            out.write_to(&self.stream)?;
        }
        Ok(())
    }

    async fn hear_greeting(&self) -> io::Result<()> {
        let mut theirs = [0; GREETING_BYTES];
        let mut have = 0;
        while let Some(room) = theirs.get_mut(have..).filter(|room| !room.is_empty()) {
            self.stream.readable().await?;
            have += match self.stream.try_read(room) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if is_retry(&error) => 0,
                Err(error) => return Err(error),
            };
        }
        check_greeting(&theirs).map_err(io::Error::other)
    }

    /// Loses nothing when it is dropped halfway.
    async fn hear_ready(&mut self, role: Role) -> io::Result<()> {
        loop {
            match self.decoder.next().map_err(io::Error::other)? {
                Some(Item::Command { name, body }) => {
                    return check_ready(role, name, body).map_err(io::Error::other);
                }
                Some(Item::Message { .. } | Item::Overlong { .. }) => {
                    return Err(io::Error::other(Mismatch::Unsaid));
                }
                None => {}
            }
            self.stream.readable().await?;
            self.read()?;
        }
    }

    pub(crate) fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// Waits until there is something to read or, if that is wanted, room to write.
    pub(crate) async fn ready(&self, to_write: bool) -> io::Result<(bool, bool)> {
        let interest = if to_write {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        let ready = self.stream.ready(interest).await?;
        Ok((ready.is_readable(), ready.is_writable()))
    }

    /// Takes in a part of what is there; `false` when nothing is.
    ///
    /// # Errors
    /// When the connection has ended.
    pub(crate) fn read(&mut self) -> io::Result<bool> {
        let buffer = self.decoder.room(self.room);
        match self.stream.try_read_buf(buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) if read >= self.room => {
                self.room = (self.room * 2).min(ROOM_MAX);
                Ok(true)
            }
            Ok(read) => {
                if read < self.room / 4 {
                    self.room = (self.room / 2).max(ROOM_MIN);
                }
                Ok(true)
            }
            Err(error) if is_retry(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Says that nothing more comes, and waits until the peer has read everything and closes: to close a
    /// connection with something unread in it would take back what is on its way.
    pub(crate) async fn finish(self, until: Instant) -> io::Result<()> {
        let Some(mut stream) = Arc::into_inner(self.stream) else {
            return Ok(());
        };
        stream.shutdown().await?;
        let mut rest = tokio::io::sink();
        let _ = tokio::time::timeout_at(until, tokio::io::copy(&mut stream, &mut rest)).await;
        Ok(())
    }

    /// Bytes of a message that has not come as a whole.
    pub(crate) fn pending(&self) -> usize {
        self.decoder.pending()
    }

    /// The next message or command of what was taken in.
    pub(crate) fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        self.decoder.next().map_err(io::Error::other)
    }
}

async fn in_time(meeting: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it does not say what it is");
    timeout(BEGIN_WITHIN, meeting).await.map_err(late)?
}

fn is_retry(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// What is still to be written.
#[derive(Debug, Default)]
pub(crate) struct Outgoing(BytesMut);

impl Outgoing {
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Writes as much as there is room for.
    pub(crate) fn write_to(&mut self, stream: &TcpStream) -> io::Result<()> {
        while !self.0.is_empty() {
            match stream.try_write(&self.0) {
                Ok(written) => self.0.advance(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.0.capacity() > IDLE_BYTES {
            self.0 = BytesMut::new();
        } else {
            self.0.clear();
        }
        Ok(())
    }
}

/// Asks a peer for signs of life, and answers when it asks.
#[derive(Debug)]
pub(crate) struct Heart {
    every: Interval,
    within: Duration,
    /// Since when it owes an answer.
    asked: Option<Instant>,
}

impl Heart {
    /// Asks every so often; whoever says nothing within that time is dead.
    pub(crate) fn new(every: Duration, within: Duration) -> Self {
        let every = every.max(Duration::from_millis(1));
        let mut every = tokio::time::interval_at(Instant::now() + every, every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            every,
            within,
            asked: None,
        }
    }

    /// Something has come.
    pub(crate) fn heard(&mut self) {
        self.asked = None;
    }

    /// Waits until it is time to ask.
    pub(crate) async fn beat(&mut self) {
        self.every.tick().await;
    }

    /// Writes a PING.
    ///
    /// # Errors
    /// When the peer has owed an answer for too long.
    pub(crate) fn ask(&mut self, out: &mut BytesMut) -> io::Result<()> {
        let now = Instant::now();
        if self.asked.is_some_and(|since| now - since >= self.within) {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "it gives no sign of life",
            ));
        }
        self.asked.get_or_insert(now);
        // A time to live of 0: the peer is to judge by its own measure.
        put_command(out, b"PING", &[0, 0]);
        Ok(())
    }
}

/// Writes the answer that an item asks for, if it is a PING.
pub(crate) fn answer(item: &Item<'_>, out: &mut BytesMut) {
    if let Item::Command {
        name: b"PING",
        body,
    } = item
    {
        let context = body.get(2..).unwrap_or_default();
        let context = context.get(..CONTEXT_BYTES_MAX).unwrap_or(context);
        put_command(out, b"PONG", context);
    }
}
