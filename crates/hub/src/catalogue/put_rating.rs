//! `PUT /api/v1/skills/{name}/rating`: one rating per user and skill.

use axum::extract::State;
use hub_db::{DbError, UnitOfWork};
use hub_model::rating::{self, InvalidRating};
use hub_model::{Event, RatingSummary, Scope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::curate::{Change, CurateError, find_for};
use super::deprecate::invalid_text;
use crate::App;
use crate::auth::Principal;
use crate::extract::{Json, Path};
use crate::problem::{Problem, ProblemBody, answers_with_problem};
use crate::transaction::{in_transaction, retries_with_database};

#[derive(Debug, Deserialize, ToSchema)]
pub struct RatingBody {
    /// Whole stars.
    #[schema(minimum = 1, maximum = 5)]
    rating: i64,
}

/// The skill's rating from now on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RatingSummaryBody {
    /// Mean of all ratings, 0 while there is none.
    rating: f64,
    rating_count: u64,
}

impl From<RatingSummary> for RatingSummaryBody {
    fn from(summary: RatingSummary) -> Self {
        Self {
            rating: summary.mean(),
            rating_count: summary.count,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RateError {
    #[error(transparent)]
    Rating(#[from] InvalidRating),
    #[error(transparent)]
    Curate(#[from] CurateError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<RateError> for Problem {
    fn from(error: RateError) -> Self {
        match error {
            RateError::Rating(error) => invalid_text("rating", &error.to_string()),
            RateError::Curate(error) => error.into(),
            RateError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(RateError);
retries_with_database!(RateError);

/// Rates a skill, or changes one's rating.
#[utoipa::path(
    put,
    path = "/api/v1/skills/{name}/rating",
    tag = "catalogue",
    params(("name" = String, Path, description = "The skill's name")),
    request_body = RatingBody,
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The skill's rating from now on", body = RatingSummaryBody),
        (status = 404, description = "`skill-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn put_rating(
    State(app): State<App>,
    principal: Principal,
    Path(name): Path<String>,
    Json(body): Json<RatingBody>,
) -> Result<Json<RatingSummaryBody>, RateError> {
    let stars = rating::parse(body.rating)?;
    let skill = find_for(&app, &principal, Scope::Read, &name).await?;
    let change = Change::new(&app, &principal, &skill);
    let summary = in_transaction(&app, &change, move |unit, change| {
        Box::pin(rate(unit, change, stars))
    })
    .await?;
    change.forget_old();
    Ok(Json(summary.into()))
}

async fn rate(
    unit: &mut UnitOfWork,
    change: &Change<'_>,
    stars: u8,
) -> Result<RatingSummary, RateError> {
    change.lock(unit).await?;
    change.must_have_versions(unit).await?;
    let (tenant, user) = (change.app.tenant(), change.principal.user_id());
    let summary = unit
        .ratings()
        .put(tenant, change.skill.id, user, stars, change.now)
        .await?;
    change.record(unit, rated(change, Some(stars), summary));
    Ok(summary)
}

pub(crate) fn rated(change: &Change<'_>, rating: Option<u8>, summary: RatingSummary) -> Event {
    Event::SkillRated {
        skill: change.skill_ref(),
        rating,
        mean: summary.mean(),
        count: summary.count,
        agent_id: change.agent_id(),
    }
}
