//! `GET /api/v1/skills/{name}/ratings`.

use axum::extract::State;
use hub_db::{DbError, RATINGS_OFFSET_MAX, RATINGS_PER_READ_MAX};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::time;
use super::find::{self, FindError};
use super::list_skills::invalid_parameter;
use crate::App;
use crate::extract::{Json, Path, Query};
use crate::problem::{Problem, ProblemBody, answers_with_problem};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RatingsParams {
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// How many to skip, at most 10,000.
    #[param(minimum = 0, maximum = 10_000, default = 0)]
    offset: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RatingsBody {
    /// Mean of all ratings, 0 while there is none.
    rating: f64,
    rating_count: u64,
    /// Newest first.
    ratings: Vec<UserRatingBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserRatingBody {
    username: String,
    #[schema(minimum = 1, maximum = 5)]
    rating: u8,
    #[schema(format = DateTime)]
    updated_at: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ListRatingsError {
    #[error("limit is 1 to {RATINGS_PER_READ_MAX}")]
    Limit,
    #[error("offset is at most {RATINGS_OFFSET_MAX}")]
    Offset,
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<ListRatingsError> for Problem {
    fn from(error: ListRatingsError) -> Self {
        match error {
            ListRatingsError::Limit => invalid_parameter("limit", &error.to_string()),
            ListRatingsError::Offset => invalid_parameter("offset", &error.to_string()),
            ListRatingsError::Find(error) => error.into(),
            ListRatingsError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(ListRatingsError);

/// Who rated a skill, and how.
#[utoipa::path(
    get,
    path = "/api/v1/skills/{name}/ratings",
    tag = "catalogue",
    params(("name" = String, Path, description = "The skill's name"), RatingsParams),
    responses(
        (status = 200, description = "The ratings, newest first", body = RatingsBody),
        (status = 404, description = "`skill-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn list_ratings(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(params): Query<RatingsParams>,
) -> Result<Json<RatingsBody>, ListRatingsError> {
    let limit = params.limit.unwrap_or(20);
    if !(1..=RATINGS_PER_READ_MAX).contains(&limit) {
        return Err(ListRatingsError::Limit);
    }
    let offset = params.offset.unwrap_or(0);
    if offset > RATINGS_OFFSET_MAX {
        return Err(ListRatingsError::Offset);
    }
    let skill = find::skill(&app, &name).await?;
    let ratings = app.db().ratings().of(skill.id, limit, offset).await?;
    Ok(Json(RatingsBody {
        rating: skill.rating.mean(),
        rating_count: skill.rating.count,
        ratings: ratings
            .into_iter()
            .map(|rating| UserRatingBody {
                username: rating.username,
                rating: rating.rating,
                updated_at: time(rating.updated_at),
            })
            .collect(),
    }))
}
