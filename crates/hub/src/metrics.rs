//! What the hub counts about itself, as Prometheus text. The recorder is the
//! process's, as the `metrics` crate has it: hubs in one process count together.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use hub_model::InvocationRecord;

use crate::error::StartError;

/// Seconds. Metadata answers take tens of microseconds, publishes up to minutes.
const LATENCY_BUCKETS: [f64; 14] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0, 60.0,
];

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Cheap to clone.
#[derive(Clone)]
pub struct HubMetrics(Arc<Inner>);

struct Inner {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    cache_hits: Counter,
    cache_misses: Counter,
    downloads: Counter,
    publishes: Counter,
    search_seconds: Histogram,
    in_flight: Gauge,
    invocation_seconds: Histogram,
    invocations_running: Gauge,
    invocations_waiting: Gauge,
}

impl HubMetrics {
    /// The process's metrics; made, and offered to the macros of the `metrics`
    /// crate, at the first call.
    pub(crate) fn of_process() -> Result<Self, StartError> {
        static SHARED: OnceLock<HubMetrics> = OnceLock::new();
        if let Some(metrics) = SHARED.get() {
            return Ok(metrics.clone());
        }
        let fresh = Self::new()?;
        let metrics = SHARED.get_or_init(|| {
            // Fails when the embedding program has a recorder of its own; the
            // macros then go there.
            let _ = metrics::set_global_recorder(Arc::clone(&fresh.0.recorder));
            fresh
        });
        Ok(metrics.clone())
    }

    fn new() -> Result<Self, StartError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS)
            .map_err(|error| StartError::Metrics(error.to_string()))?
            .build_recorder();
        let recorder = Arc::new(recorder);
        describe(&recorder);
        let handle = recorder.handle();
        let counter = |name| recorder.register_counter(&Key::from_static_name(name), &METADATA);
        let lookups = |result| {
            let key = Key::from_parts(
                "hub_metadata_cache_lookups_total",
                vec![Label::from_static_parts("result", result)],
            );
            recorder.register_counter(&key, &METADATA)
        };
        let search = Key::from_static_name("hub_search_seconds");
        let gauge = |name| recorder.register_gauge(&Key::from_static_name(name), &METADATA);
        let invocation = Key::from_static_name("hub_invocation_seconds");
        let inner = Inner {
            cache_hits: lookups("hit"),
            cache_misses: lookups("miss"),
            downloads: counter("hub_downloads_total"),
            publishes: counter("hub_publishes_total"),
            search_seconds: recorder.register_histogram(&search, &METADATA),
            in_flight: gauge("hub_requests_in_flight"),
            invocation_seconds: recorder.register_histogram(&invocation, &METADATA),
            invocations_running: gauge("hub_invocations_in_flight"),
            invocations_waiting: gauge("hub_invocations_waiting"),
            handle,
            recorder,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        self.0.handle.render()
    }

    /// Moves histogram samples into their buckets. Without it they pile up
    /// between two scrapes.
    pub(crate) fn tidy(&self) {
        self.0.handle.run_upkeep();
    }

    /// Counts one finished request. `route` is the pattern, never the path: a
    /// label whose values strangers choose grows without bound.
    pub(crate) fn request(&self, method: &'static str, route: String, status: u16, took: Duration) {
        let route = Label::new("route", route);
        let latency = Key::from_parts("hub_request_seconds", vec![route.clone()]);
        let labels = vec![
            Label::from_static_parts("method", method),
            route,
            status_label(status),
        ];
        let requests = Key::from_parts("hub_requests_total", labels);
        self.0
            .recorder
            .register_counter(&requests, &METADATA)
            .increment(1);
        self.0
            .recorder
            .register_histogram(&latency, &METADATA)
            .record(took);
    }

    pub(crate) fn in_flight(&self) -> &Gauge {
        &self.0.in_flight
    }

    pub(crate) fn cache(&self, hit: bool) {
        if hit {
            &self.0.cache_hits
        } else {
            &self.0.cache_misses
        }
        .increment(1);
    }

    pub(crate) fn downloads(&self) -> &Counter {
        &self.0.downloads
    }

    pub(crate) fn publishes(&self) -> &Counter {
        &self.0.publishes
    }

    pub(crate) fn search_seconds(&self) -> &Histogram {
        &self.0.search_seconds
    }

    /// Counts an invocation that runs, as long as the result lives.
    pub(crate) fn invocation_runs(&self) -> Counted {
        Counted::up(&self.0.invocations_running)
    }

    /// The same for one that waits for its turn.
    pub(crate) fn invocation_waits(&self) -> Counted {
        Counted::up(&self.0.invocations_waiting)
    }

    /// Counts an invocation that this process ended, and how long it ran here.
    pub(crate) fn invocation_ended(&self, record: &InvocationRecord, took: Option<Duration>) {
        let outcome = match &record.error {
            Some(error) => error.fault.as_str(),
            None => record.status.as_str(),
        };
        let labels = vec![Label::from_static_parts("outcome", outcome)];
        let key = Key::from_parts("hub_invocations_total", labels);
        self.0
            .recorder
            .register_counter(&key, &METADATA)
            .increment(1);
        if let Some(took) = took {
            self.0.invocation_seconds.record(took);
        }
    }

    /// A number that is looked up when Prometheus asks.
    pub(crate) fn set_gauge(&self, name: &'static str, value: f64) {
        self.0
            .recorder
            .register_gauge(&Key::from_static_name(name), &METADATA)
            .set(value);
    }
}

/// One more in a gauge, as long as it lives.
pub(crate) struct Counted(Gauge);

impl Counted {
    fn up(gauge: &Gauge) -> Self {
        gauge.increment(1);
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

fn status_label(status: u16) -> Label {
    Label::new("status", status.to_string())
}

fn describe(recorder: &PrometheusRecorder) {
    let counters = [
        (
            "hub_requests_total",
            "Finished requests by method, route and status.",
        ),
        (
            "hub_metadata_cache_lookups_total",
            "Look-ups in the cache of rendered metadata.",
        ),
        (
            "hub_downloads_total",
            "Downloads that count: not HEAD, not 304, ranges from byte 0.",
        ),
        ("hub_publishes_total", "Versions published."),
        (
            "hub_invocations_total",
            "Invocations that ended, by outcome: `succeeded`, `cancelled`, or the code of what went wrong.",
        ),
    ];
    for (name, text) in counters {
        recorder.describe_counter(name.into(), None, text.into());
    }
    let histograms = [
        (
            "hub_request_seconds",
            "From the request's headers to the answer's headers, by route.",
        ),
        ("hub_search_seconds", "Time in the search index."),
        (
            "hub_invocation_seconds",
            "From handing an invocation over to its answer.",
        ),
    ];
    for (name, text) in histograms {
        recorder.describe_histogram(name.into(), None, text.into());
    }
    let gauges = [
        ("hub_requests_in_flight", "Requests being answered."),
        ("hub_invocations_in_flight", "Skills that run for callers."),
        (
            "hub_invocations_waiting",
            "Invocations that wait for their turn in this process.",
        ),
        ("hub_database_connections", "Open connections of the pool."),
        (
            "hub_database_connections_idle",
            "Idle connections of the pool.",
        ),
        (
            "hub_outbox_lag_events",
            "Committed events that this process has not handled.",
        ),
        ("hub_metadata_cache_bytes", "Rendered metadata in memory."),
        ("hub_search_documents", "Skills in the search index."),
    ];
    for (name, text) in gauges {
        recorder.describe_gauge(name.into(), None, text.into());
    }
}
