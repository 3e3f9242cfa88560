//! `GET /healthz` (the process lives) and `GET /readyz` (it can serve).

use std::future::Future;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::extract::Json;

/// A probe that waits longer than this is a failed one.
const CHECK_TIME_MAX: Duration = Duration::from_secs(3);

#[derive(Debug, Serialize, ToSchema)]
pub struct ReadyBody {
    /// `ready`, or why not: `draining`, `starting`, `unavailable`.
    #[schema(example = "ready")]
    status: &'static str,
    database: &'static str,
    blobs: &'static str,
    search: &'static str,
}

/// Whether the process lives.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    responses((status = 200, description = "It does", body = String))
)]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the hub can serve: 503 while it starts, drains, or lacks its database
/// or blob store.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    responses(
        (status = 200, description = "It can", body = ReadyBody),
        (status = 503, description = "It cannot", body = ReadyBody),
    )
)]
pub async fn readyz(State(app): State<App>) -> Response {
    let (database, blobs) = tokio::join!(check(app.db().ping()), check(app.blobs().check()));
    let status = match (app.is_draining(), database && blobs, app.is_search_ready()) {
        (true, _, _) => "draining",
        (false, false, _) => "unavailable",
        (false, true, false) => "starting",
        (false, true, true) => "ready",
    };
    let body = ReadyBody {
        status,
        database: word(database),
        blobs: word(blobs),
        search: if app.is_search_ready() {
            "ok"
        } else {
            "building"
        },
    };
    let code = if status == "ready" {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (code, no_store, Json(body)).into_response()
}

async fn check<E: std::fmt::Display>(answer: impl Future<Output = Result<(), E>>) -> bool {
    match tokio::time::timeout(CHECK_TIME_MAX, answer).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            false
        }
        Err(_) => {
            tracing::warn!(
                seconds = CHECK_TIME_MAX.as_secs(),
                "not ready: no answer in time"
            );
            false
        }
    }
}

fn word(is_well: bool) -> &'static str {
    if is_well { "ok" } else { "unavailable" }
}
