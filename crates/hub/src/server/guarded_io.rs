//! A socket that gives up on a client who goes silent: one that connects and
//! never speaks, and one that asks for much and never reads. Knows no HTTP;
//! hyper times the headers and the body layer times request bodies.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

pub(super) struct GuardedIo<S> {
    socket: S,
    /// Runs until the first byte arrives: HTTP version detection has no time-out of its own.
    first_byte: Option<Pin<Box<Sleep>>>,
    /// Runs while the socket takes no more bytes.
    write_stall: Option<Pin<Box<Sleep>>>,
    write_time_max: Duration,
}

impl<S> GuardedIo<S> {
    pub(super) fn new(socket: S, first_byte_max: Duration, write_time_max: Duration) -> Self {
        Self {
            socket,
            first_byte: Some(Box::pin(tokio::time::sleep(first_byte_max))),
            write_stall: None,
            write_time_max,
        }
    }

    fn stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_stall = None;
            return outcome;
        }
        let deadline = Instant::now() + self.write_time_max;
        let timer = self
            .write_stall
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if outcome.is_ready() {
            self.first_byte = None;
            return outcome;
        }
        match self
            .first_byte
            .as_mut()
            .map(|timer| timer.as_mut().poll(cx))
        {
            Some(Poll::Ready(())) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            _ => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.stalled(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.stalled(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.socket).poll_flush(cx);
        self.stalled(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Short, so that being cut is soon seen.
    const SHORT: Duration = Duration::from_millis(20);
    /// Longer than any test runs.
    const NEVER: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn a_client_that_never_speaks_is_cut() {
        let (socket, _client) = tokio::io::duplex(64);
        let mut io = GuardedIo::new(socket, SHORT, NEVER);
        let error = io.read_u8().await.expect_err("silence");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_spoke_once_may_be_silent() {
        let (socket, mut client) = tokio::io::duplex(64);
        let mut io = GuardedIo::new(socket, SHORT, NEVER);
        client.write_u8(7).await.expect("room");
        assert_eq!(io.read_u8().await.expect("a byte"), 7);
        let silent = tokio::time::timeout(SHORT * 5, io.read_u8()).await;
        assert!(
            silent.is_err(),
            "the guard must not cut a connection that is merely idle"
        );
    }

    #[tokio::test]
    async fn a_client_that_never_reads_is_cut() {
        let (socket, _client) = tokio::io::duplex(4);
        let mut io = GuardedIo::new(socket, NEVER, SHORT);
        let error = io.write_all(&[0; 64]).await.expect_err("a full pipe");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn progress_restarts_the_time_for_a_reader() {
        let (socket, mut client) = tokio::io::duplex(4);
        let time = Duration::from_secs(2);
        let mut io = GuardedIo::new(socket, NEVER, time);
        io.write_all(&[0; 4]).await.expect("room");
        let stalled = tokio::time::timeout(SHORT, io.write_u8(1)).await;
        assert!(
            stalled.is_err() && io.write_stall.is_some(),
            "a full pipe starts the time"
        );
        client.read_exact(&mut [0; 4]).await.expect("reads");
        io.write_u8(1).await.expect("room again");
        assert!(io.write_stall.is_none(), "a written byte ends it");
    }
}
