//! Reads on when a request is refused before its body was read. A client that is
//! still sending while the server closes sees a broken connection instead of the
//! answer; so what it sends is taken and thrown away, within bounds.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures::future::poll_fn;
use hyper::body::{Frame, SizeHint};

/// Who sends more than this after the refusal is cut off: twice the largest
/// archive of the default configuration.
const DISCARDED_BYTES_MAX: u64 = 50 * 1024 * 1024;

/// And who takes longer than this.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Passes the request on; reads what it left of the body if it was refused.
pub async fn linger(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let shared = Shared(Arc::new(Mutex::new(body)));
    let request = Request::from_parts(parts, Body::new(shared.clone()));
    let response = next.run(request).await;
    if response.status().is_client_error() {
        // Past the bound the connection is simply closed.
        let _ = tokio::time::timeout(TIME_MAX, shared.discard()).await;
    }
    response
}

/// The body, in the hands of the endpoint and of this layer.
#[derive(Clone)]
struct Shared(Arc<Mutex<Body>>);

impl Shared {
    async fn discard(mut self) {
        let mut discarded = 0;
        while discarded < DISCARDED_BYTES_MAX {
            let frame = poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await;
            let Some(Ok(frame)) = frame else { return };
            discarded += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.lock()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}
