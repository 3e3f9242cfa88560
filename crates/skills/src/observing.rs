//! A small HTTP server beside a proxy or a worker: `/metrics` for Prometheus, `/healthz` and `/readyz` for
//! whoever starts and stops it. Knows nothing of what it reports.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::failure::Failure;

/// Connections at a time: a scraper and a few probes. One more takes the place of the oldest.
const CONNECTIONS_MAX: usize = 64;
/// How long a client may take to send its request.
const HEADER_WITHIN: Duration = Duration::from_secs(2);

/// What is told.
pub trait Report: Send + Sync + 'static {
    /// The Prometheus text.
    fn metrics(&self) -> String;
    /// Whether requests should be sent here now.
    fn is_ready(&self) -> bool;
}

/// Listens, so that an address in use is an error before anything else begins.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::bad_input(
            "metrics-address",
            format!("metrics cannot be served at {address}: {error}"),
        )
        .with_help("choose another port with --metrics, or `--metrics off`")
    })
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, report: Arc<dyn Report>) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, mostly: they become free again.
                tracing::warn!(%error, "a connection for metrics cannot be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS_MAX
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        open.push_back(tokio::spawn(answer(stream, report.clone())).abort_handle());
    }
}

async fn answer(stream: TcpStream, report: Arc<dyn Report>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(&request, &*report);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection for metrics broke off");
    }
}

fn respond(request: &Request<Incoming>, report: &dyn Report) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, text) = match request.uri().path() {
        _ if !is_read => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
        "/metrics" => (StatusCode::OK, report.metrics()),
        "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
        "/readyz" if report.is_ready() => (StatusCode::OK, "ready\n".to_owned()),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
        _ => (
            StatusCode::NOT_FOUND,
            "there is /metrics, /healthz and /readyz\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    // The version of Prometheus's text format.
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
