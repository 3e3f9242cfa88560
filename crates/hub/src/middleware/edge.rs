//! The outermost layer: names the request, opens its span, catches panics,
//! renders problems with the request's id, counts, and writes one line.

use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use rand::RngCore;
use tracing::Instrument;

use super::trace;
use crate::App;
use crate::problem::Problem;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs a request inside its span and finishes its answer.
pub async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("(none)", MatchedPath::as_str);
    let path = request.uri().path().to_owned();

    let span = tracing::info_span!("request", id = %id, %method, route);
    let mut trace = trace::begin(&method, route, &path, request.headers());
    if let Some(context) = trace.context() {
        request.extensions_mut().insert(context.clone());
    }
    let in_flight = app.metrics().in_flight().clone();
    in_flight.increment(1);
    // A future that is dropped half-way (its client left) must count down too.
    let guard = OnDrop(|| in_flight.decrement(1));
    let answer = AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .instrument(span.clone())
        .await;
    drop(guard);

    let mut response =
        answer.unwrap_or_else(|panic| Problem::internal(Panicked::of(&*panic)).into_response());
    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = &problem {
        render(&mut response, problem, &id);
    }
    let status = response.status().as_u16();
    let took = started.elapsed();
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    trace::end(&mut trace, status, problem.as_ref());
    app.metrics()
        .request(method_label(&method), route.to_owned(), status, took);
    let _in_span = span.enter();
    log(&path, status, took.as_secs_f64() * 1000.0, problem.as_ref());
    response
}

/// One line per request. A failure of ours carries its cause, here and nowhere else.
fn log(path: &str, status: u16, latency_ms: f64, problem: Option<&Problem>) {
    let code = problem.map(Problem::code);
    match problem.and_then(Problem::cause) {
        Some(cause) if status >= 500 => {
            let cause = chain(cause);
            tracing::error!(target: "hub::access", path, status, latency_ms, code, %cause, "failed");
        }
        Some(cause) => {
            tracing::info!(target: "hub::access", path, status, latency_ms, code, cause = %chain(cause), "answered");
        }
        None => tracing::info!(target: "hub::access", path, status, latency_ms, code, "answered"),
    }
}

fn chain(error: &(dyn std::error::Error + Send + Sync)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn render(response: &mut Response, problem: &Problem, id: &str) {
    let body = problem.body(Some(id));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = Body::from(body);
}

/// The client's or proxy's id if it is a plain token, else a fresh one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_plain_token(id))
        .map_or_else(fresh_id, str::to_owned)
}

fn is_plain_token(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
}

/// Unique across processes by its first half, within one by its second. It
/// guards nothing, so it need not be unguessable.
fn fresh_id() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| rand::rng().next_u64());
    static REQUEST: AtomicU64 = AtomicU64::new(1);
    format!(
        "{:016x}-{:x}",
        *PROCESS,
        REQUEST.fetch_add(1, Ordering::Relaxed)
    )
}

/// Methods that strangers make up share one label.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a handler panicked: {0}")]
struct Panicked(String);

impl Panicked {
    fn of(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned());
        Self(text.unwrap_or_else(|| "without a message".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_token_is_taken_over() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, value.parse().expect("a header"));
            request_id(&headers)
        };
        assert_eq!(of("abc-1.2_3"), "abc-1.2_3");
        assert_ne!(of("a b"), "a b");
        assert_ne!(of("\"quoted\""), "\"quoted\"");
        let long = "x".repeat(65);
        assert_ne!(of(&long), long);
        assert_ne!(fresh_id(), fresh_id());
    }
}
