//! `GET /api/v1/health`: the registry's state and statistics, for people and
//! dashboards. Probes of a load balancer use `/healthz` and `/readyz`.

use axum::extract::State;
use hub_db::DbError;
use hub_model::Stats;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::extract::Json;
use crate::problem::{Problem, answers_with_problem};

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthBody {
    /// `ok`, or `draining` while the hub stops.
    #[schema(example = "ok")]
    status: &'static str,
    /// The hub's own version.
    version: &'static str,
    uptime_seconds: u64,
    stats: StatsBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StatsBody {
    /// Skills that can be installed.
    skills: u64,
    /// Versions that are not deleted.
    versions: u64,
    downloads: u64,
    /// Users who ever published.
    publishers: u64,
}

impl From<Stats> for StatsBody {
    fn from(stats: Stats) -> Self {
        let Stats {
            skills,
            versions,
            downloads,
            publishers,
        } = stats;
        Self {
            skills,
            versions,
            downloads,
            publishers,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct HealthError(#[from] DbError);

impl From<HealthError> for Problem {
    fn from(HealthError(error): HealthError) -> Self {
        error.into()
    }
}

answers_with_problem!(HealthError);

/// The hub's state and statistics.
#[utoipa::path(
    get,
    path = "/api/v1/health",
    tag = "operations",
    responses((status = 200, description = "The hub answers", body = HealthBody))
)]
pub async fn health(State(app): State<App>) -> Result<Json<HealthBody>, HealthError> {
    let stats = app.db().stats().of(app.tenant()).await?;
    Ok(Json(HealthBody {
        status: if app.is_draining() { "draining" } else { "ok" },
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: app.uptime_seconds(),
        stats: stats.into(),
    }))
}
