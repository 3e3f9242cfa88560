//! Sends spans to a collector, in batches, by OTLP over HTTP in JSON. What the collector does not take is tried
//! again, then dropped and counted; a request never hears of it.

use std::time::Duration;

use metrics::counter;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, StatusCode};
use skill_client::http::build_plain;
use skill_trace::{DROPPED, EXPORTED, SpanData, Spans, export_request};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::settings::Settings;
use crate::failure::Failure;

/// How often a batch is sent before it is given up.
const ATTEMPTS: u32 = 5;
/// Between the first two attempts; doubled each time.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

pub struct Exporter {
    settings: Settings,
    client: Client,
    /// Something was lost, and that has been said.
    is_failing: bool,
}

/// Why a batch was not taken.
enum Refused {
    /// Another attempt may do.
    ForNow(String, Option<Duration>),
    ForGood(String),
}

impl Exporter {
    pub fn new(settings: Settings) -> Result<Self, Failure> {
        let builder = Client::builder()
            .timeout(settings.timeout)
            .default_headers(settings.headers.clone())
            .redirect(reqwest::redirect::Policy::none());
        let client = if settings.endpoint.scheme() == "http" {
            build_plain(builder)
        } else {
            // An error means that a provider is installed already, which serves as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
            builder.build()
        };
        let client = client.map_err(|error| {
            Failure::failed("otel-setup", format!("spans cannot be sent: {error}"))
        })?;
        Ok(Self {
            settings,
            client,
            is_failing: false,
        })
    }

    /// Until `stop`, and then what is left, once.
    pub async fn run(mut self, mut spans: Spans, stop: CancellationToken) {
        let mut batch = Vec::new();
        while self.fill(&mut batch, &mut spans, &stop).await {
            self.deliver(&batch, &stop).await;
            batch.clear();
        }
        spans.close();
        loop {
            while batch.len() < self.settings.batch_max
                && let Ok(span) = spans.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            let taken = self.send(&batch).await;
            self.note(batch.len(), &taken);
            batch.clear();
            if taken.is_err() {
                return lose(spans.len());
            }
        }
    }

    /// Gathers spans until there are enough or the first has waited long enough; false when it is to stop.
    async fn fill(
        &self,
        batch: &mut Vec<SpanData>,
        spans: &mut Spans,
        stop: &CancellationToken,
    ) -> bool {
        tokio::select! {
            () = stop.cancelled() => return false,
            got = spans.recv_many(batch, self.settings.batch_max) => if got == 0 {
                return false;
            },
        }
        let until = Instant::now() + self.settings.delay;
        while batch.len() < self.settings.batch_max {
            let room = self.settings.batch_max - batch.len();
            tokio::select! {
                () = stop.cancelled() => return false,
                got = timeout_at(until, spans.recv_many(batch, room)) => match got {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                },
            }
        }
        true
    }

    /// Sends a batch until it is taken or given up. Told to stop it makes the attempt that is under way its last.
    async fn deliver(&mut self, batch: &[SpanData], stop: &CancellationToken) {
        let mut pause = PAUSE;
        for attempt in 1.. {
            let taken = self.send(batch).await;
            let after = match &taken {
                Err(Refused::ForNow(why, after)) if attempt < ATTEMPTS => {
                    self.complain(why);
                    after.unwrap_or(pause).min(PAUSE_MAX)
                }
                _ => return self.note(batch.len(), &taken),
            };
            pause *= 2;
            tokio::select! {
                () = sleep(after) => {}
                () = stop.cancelled() => {
                    let taken = self.send(batch).await;
                    return self.note(batch.len(), &taken);
                }
            }
        }
    }

    async fn send(&self, batch: &[SpanData]) -> Result<(), Refused> {
        let scope = ("skills", env!("CARGO_PKG_VERSION"));
        let body = export_request(&self.settings.resource, scope, batch);
        let request = self.client.post(self.settings.endpoint.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(|error| {
            // The address may hold a password.
            Refused::ForNow(chain(&error.without_url()), None)
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let why = format!("it answers {status}");
        let may_pass = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        if !may_pass {
            return Err(Refused::ForGood(why));
        }
        let after = response.headers().get(RETRY_AFTER);
        let seconds = after.and_then(|value| value.to_str().ok()?.parse().ok());
        Err(Refused::ForNow(why, seconds.map(Duration::from_secs)))
    }

    fn note(&mut self, spans: usize, taken: &Result<(), Refused>) {
        match taken {
            Ok(()) => {
                counter!(EXPORTED).increment(spans as u64);
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(Refused::ForNow(why, _) | Refused::ForGood(why)) => {
                lose(spans);
                self.complain(why);
            }
        }
    }

    /// Once, until it goes well again.
    fn complain(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let host = self.settings.endpoint.host_str().unwrap_or_default();
            tracing::warn!(
                collector = host,
                why,
                "the OpenTelemetry collector does not take spans; requests are not affected"
            );
        }
    }
}

fn lose(spans: usize) {
    if spans > 0 {
        counter!(DROPPED).increment(spans as u64);
    }
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
