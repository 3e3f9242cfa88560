//! `GET /api/v1/skills/{name}/downloads`: downloads per day.

use axum::extract::State;
use hub_db::{DAYS_PER_READ_MAX, DbError};
use hub_model::day_of;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::find::{self, FindError};
use super::list_skills::invalid_parameter;
use crate::App;
use crate::extract::{Json, Path, Query};
use crate::problem::{Problem, ProblemBody, answers_with_problem};

const DAYS_DEFAULT: u32 = 30;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DownloadsParams {
    /// How many days back, today included; 1 to 366.
    #[param(minimum = 1, maximum = 366, default = 30)]
    days: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DayBody {
    /// In UTC.
    #[schema(format = Date, example = "2026-01-31")]
    day: String,
    downloads: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ListDownloadsError {
    #[error("days is 1 to {DAYS_PER_READ_MAX}")]
    Days,
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<ListDownloadsError> for Problem {
    fn from(error: ListDownloadsError) -> Self {
        match error {
            ListDownloadsError::Days => invalid_parameter("days", &error.to_string()),
            ListDownloadsError::Find(error) => error.into(),
            ListDownloadsError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(ListDownloadsError);

/// Downloads per day, oldest first. Days without any are left out, and the last
/// seconds' downloads may not be counted yet.
#[utoipa::path(
    get,
    path = "/api/v1/skills/{name}/downloads",
    tag = "catalogue",
    params(("name" = String, Path, description = "The skill's name"), DownloadsParams),
    responses(
        (status = 200, description = "Downloads per day", body = Vec<DayBody>),
        (status = 404, description = "`skill-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn list_downloads(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(params): Query<DownloadsParams>,
) -> Result<Json<Vec<DayBody>>, ListDownloadsError> {
    let days = params.days.unwrap_or(DAYS_DEFAULT);
    if !(1..=DAYS_PER_READ_MAX).contains(&days) {
        return Err(ListDownloadsError::Days);
    }
    let skill = find::skill(&app, &name).await?;
    let first_day = day_of(app.now()) - i64::from(days) + 1;
    let counts = app.db().downloads().days(skill.id, first_day).await?;
    let days = counts.into_iter().map(|count| DayBody {
        day: date(count.day),
        downloads: count.downloads,
    });
    Ok(Json(days.collect()))
}

/// `2026-01-31`, from days since 1970-01-01.
fn date(day: i64) -> String {
    const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
    let midnight = Timestamp::from_second(day.saturating_mul(SECONDS_PER_DAY));
    midnight
        .unwrap_or_default()
        .to_zoned(TimeZone::UTC)
        .date()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_are_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(20_778), "2026-11-21");
    }
}
