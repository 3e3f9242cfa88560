//! `GET /metrics`: for Prometheus.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue};

use crate::App;

/// What the hub counts about itself, in Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain"))
)]
pub async fn metrics(State(app): State<App>) -> Response {
    let metrics = app.metrics();
    metrics.set_gauge("hub_metadata_cache_bytes", app.cache().bytes() as f64);
    metrics.set_gauge("hub_search_documents", app.search().len() as f64);
    let pool = app.db().pool();
    metrics.set_gauge("hub_database_connections", f64::from(pool.open));
    metrics.set_gauge("hub_database_connections_idle", f64::from(pool.idle));
    if let Ok(last) = app.db().events().last_seq().await {
        metrics.set_gauge(
            "hub_outbox_lag_events",
            (last - app.seen_seq()).max(0) as f64,
        );
    }
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, text)], metrics.render()).into_response()
}
