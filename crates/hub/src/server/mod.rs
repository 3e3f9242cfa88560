//! Serves an [`App`] on a listener until told to stop, then drains. Takes its
//! listener and its stop signal as arguments; knows no URL.
//!
//! Stopping goes in this order: `/readyz` turns 503, the listener closes, idle
//! connections close, requests in flight and invocations that run finish (or
//! are cut at the deadline), download counts are written, the database closes.

mod guarded_io;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::App;
use crate::config::LimitsConfig;
use guarded_io::GuardedIo;

/// Serves until `shutdown` completes, then drains for at most
/// `limits.drain_seconds_max`. Returns when the last connection is gone and
/// what was held in memory is written.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) {
    let limits = app.config().limits.clone();
    let acceptor = Acceptor::new(&app, &limits);
    let graceful = GracefulShutdown::new();
    let cut = CancellationToken::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer, permit) = tokio::select! {
            accepted = acceptor.accept(&listener) => accepted,
            () = &mut shutdown => break,
        };
        let connection = graceful.watch(acceptor.connection(stream, peer));
        let cut = cut.clone();
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "connection ended early");
                },
                () = cut.cancelled() => {}
            }
            drop(permit);
        });
    }
    app.begin_drain();
    drop(listener);
    let open = graceful.count();
    tracing::info!(connections = open, "draining");
    let quiet = futures::future::join(graceful.shutdown(), app.gateway().idle());
    if tokio::time::timeout(limits.drain(), quiet).await.is_err() {
        tracing::warn!(
            seconds = limits.drain_seconds_max,
            "cutting requests and invocations that did not finish"
        );
    }
    cut.cancel();
    app.finish().await;
}

struct Acceptor {
    router: Router,
    builder: Arc<Builder<TokioExecutor>>,
    places: Arc<Semaphore>,
    header_time: Duration,
    idle_time: Duration,
}

impl Acceptor {
    fn new(app: &App, limits: &LimitsConfig) -> Self {
        Self {
            router: app.router(),
            builder: Arc::new(http_builder(limits)),
            places: Arc::new(Semaphore::new(limits.connections_max)),
            header_time: Duration::from_secs(limits.header_seconds_max),
            idle_time: limits.idle(),
        }
    }

    /// The next connection, once there is a place for it. An error of `accept`
    /// is either that connection's own or a lack of file descriptors; both pass.
    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit) {
        loop {
            let Ok(permit) = self.places.clone().acquire_owned().await else {
                // The semaphore is never closed; should that change, wait for the stop signal.
                std::future::pending::<()>().await;
                continue;
            };
            match listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, permit),
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections; trying again");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> impl hyper_util::server::graceful::GracefulConnection<
        Error = Box<dyn std::error::Error + Send + Sync>,
    > + Send
    + use<> {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
        }
        let io = TokioIo::new(GuardedIo::new(stream, self.header_time, self.idle_time));
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request)
        });
        self.builder
            .serve_connection_with_upgrades(io, service)
            .into_owned()
    }
}

/// How long to wait for a file descriptor to become free.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn http_builder(limits: &LimitsConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let header_bytes = limits.header_bytes_max;
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits.header_seconds_max))
        // The request line is in the same buffer.
        .max_buf_size(header_bytes + limits.uri_bytes_max + 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.idle())
        .keep_alive_timeout(limits.idle())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX));
    builder
}

/// Requests that one HTTP/2 connection may have in flight; 100 is RFC 9113's
/// suggested minimum.
const HTTP2_STREAMS_MAX: u32 = 100;
