//! What the controller tells of itself over HTTP: `/healthz`, `/readyz`, and `/metrics` for Prometheus.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::api::ApiError;
use crate::election::Role;
use crate::status::Outcome;

/// Probes and a Prometheus server; more is an attack.
const CONNECTIONS_MAX: usize = 64;
const HEADER_SECONDS_MAX: u64 = 10;
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Figures that only grow, and what is the case.
#[derive(Debug, Default)]
pub struct Health {
    answered: AtomicBool,
    leads: AtomicBool,
    topics: AtomicUsize,
    applied: AtomicU64,
    refused: AtomicU64,
    conflicts: AtomicU64,
    not_applied: AtomicU64,
    failed: AtomicU64,
}

impl Health {
    /// The replica's role: the API server has answered.
    pub fn role(&self, role: Role) {
        self.answered.store(true, Ordering::Relaxed);
        self.leads.store(role == Role::Leader, Ordering::Relaxed);
    }

    pub(crate) fn listed(&self, topics: usize) {
        self.answered.store(true, Ordering::Relaxed);
        self.topics.store(topics, Ordering::Relaxed);
    }

    pub(crate) fn looked(&self, result: &Result<Outcome, ApiError>) {
        let counter = match result {
            Ok(Outcome::Applied { .. }) => &self.applied,
            Ok(Outcome::Refused { .. }) => &self.refused,
            Ok(Outcome::Conflict { .. }) => &self.conflicts,
            Ok(Outcome::NotApplied { .. }) => &self.not_applied,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        let figure = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "# HELP skills_controller_leader Whether this replica leads.\n\
             # TYPE skills_controller_leader gauge\n\
             skills_controller_leader {}\n\
             # HELP skills_controller_topics SkillTopics that are looked after.\n\
             # TYPE skills_controller_topics gauge\n\
             skills_controller_topics {}\n\
             # HELP skills_controller_reconciles_total Looks at a SkillTopic, by what came of them.\n\
             # TYPE skills_controller_reconciles_total counter\n",
            u8::from(self.leads.load(Ordering::Relaxed)),
            self.topics.load(Ordering::Relaxed),
        );
        for (outcome, counter) in [
            ("applied", &self.applied),
            ("refused", &self.refused),
            ("conflict", &self.conflicts),
            ("not_applied", &self.not_applied),
            ("failed", &self.failed),
        ] {
            let _ = writeln!(
                text,
                "skills_controller_reconciles_total{{outcome=\"{outcome}\"}} {}",
                figure(counter)
            );
        }
        text
    }

    fn answer(&self, path: &str) -> (StatusCode, String) {
        match path {
            "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
            "/readyz" if self.answered.load(Ordering::Relaxed) => {
                (StatusCode::OK, "ready\n".to_owned())
            }
            "/readyz" => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the Kubernetes API has not answered yet\n".to_owned(),
            ),
            "/metrics" => (StatusCode::OK, self.metrics()),
            _ => (
                StatusCode::NOT_FOUND,
                "there are /healthz, /readyz and /metrics\n".to_owned(),
            ),
        }
    }
}

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, health: Arc<Health>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Most likely there are no descriptors left: trying at once would only burn time.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let health = Arc::clone(&health);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (status, text) = health.answer(request.uri().path());
                async move { Ok::<_, Infallible>(response(status, text)) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(HEADER_SECONDS_MAX))
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "a connection broke off");
            }
            drop(place);
        });
    }
}

fn response(status: StatusCode, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}
