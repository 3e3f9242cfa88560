//! The limiter as a middleware. Stands behind `auth::layer`, which says who asks and from where.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use tower::{Layer, Service};

use super::address::ClientAddress;
use super::class::Class;
use super::client::Client;
use super::limiter::RateLimiter;
use super::{gcra::Decision, headers};
use crate::auth::Principal;
use crate::problem::Problem;

/// Charges every request to its client's quota and refuses it with 429 `rate-limited` when the
/// quota is used up. Both answers carry the `RateLimit-*` headers.
pub fn layer(limiter: Arc<RateLimiter>) -> RateLimitLayer {
    RateLimitLayer(limiter)
}

/// See [`layer`].
#[derive(Clone)]
pub struct RateLimitLayer(Arc<RateLimiter>);

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimitService<S>;

    fn layer(&self, inner: S) -> RateLimitService<S> {
        RateLimitService {
            limiter: Arc::clone(&self.0),
            inner,
        }
    }
}

/// See [`layer`].
#[derive(Clone)]
pub struct RateLimitService<S> {
    limiter: Arc<RateLimiter>,
    inner: S,
}

impl<S> Service<Request> for RateLimitService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The service that was polled ready is the one to call; its clone waits for its turn.
        let waiting = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, waiting);
        let uri = request.uri();
        let class = Class::of(request.method(), uri.path(), uri.query());
        let Some(class) = class.filter(|_| self.limiter.config().enabled) else {
            return Box::pin(inner.call(request));
        };
        let limiter = Arc::clone(&self.limiter);
        let client = client_of(&request);
        Box::pin(async move {
            let (rate, decision) = limiter.check(class, client).await;
            let mut response = if decision.allowed {
                inner.call(request).await?
            } else {
                refusal(class, decision)
            };
            headers::write(response.headers_mut(), class, rate, decision);
            Ok(response)
        })
    }
}

fn client_of(request: &Request) -> Client {
    let extensions = request.extensions();
    let user = extensions.get::<Principal>().map(Principal::user_id);
    let address = extensions.get::<ClientAddress>();
    Client::of(user, address.copied().unwrap_or(ClientAddress(None)))
}

fn refusal(class: Class, decision: Decision) -> Response {
    metrics::counter!("hub_rate_limited_total", "class" => class.as_str()).increment(1);
    let wait = decision.retry_after_seconds;
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate-limited",
        format!(
            "Too many {} requests. Try again in {wait} s.",
            class.as_str()
        ),
    )
    .with_header(RETRY_AFTER, HeaderValue::from(wait))
    .into_response()
}
