//! `GET /api/v1/tags`: the tags in use.

use axum::extract::State;
use hub_db::{DbError, TAGS_PER_READ_MAX};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::list_skills::invalid_parameter;
use crate::App;
use crate::extract::{Json, Query};
use crate::problem::{Problem, answers_with_problem};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TagsParams {
    /// 1 to 1,000.
    #[param(minimum = 1, maximum = 1_000, default = 1_000)]
    limit: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TagsBody {
    /// The most used first.
    tags: Vec<TagBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TagBody {
    name: String,
    /// Skills that carry it.
    count: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ListTagsError {
    #[error("limit is 1 to {TAGS_PER_READ_MAX}")]
    Limit,
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<ListTagsError> for Problem {
    fn from(error: ListTagsError) -> Self {
        match error {
            ListTagsError::Limit => invalid_parameter("limit", &error.to_string()),
            ListTagsError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(ListTagsError);

/// The tags in use, the most used first.
#[utoipa::path(
    get,
    path = "/api/v1/tags",
    tag = "catalogue",
    params(TagsParams),
    responses((status = 200, description = "The tags", body = TagsBody))
)]
pub async fn list_tags(
    State(app): State<App>,
    Query(params): Query<TagsParams>,
) -> Result<Json<TagsBody>, ListTagsError> {
    let limit = params.limit.unwrap_or(TAGS_PER_READ_MAX);
    if !(1..=TAGS_PER_READ_MAX).contains(&limit) {
        return Err(ListTagsError::Limit);
    }
    let tags = app.db().tags().list(app.tenant(), limit).await?;
    let tags = tags.into_iter().map(|tag| TagBody {
        name: tag.name,
        count: tag.count,
    });
    Ok(Json(TagsBody {
        tags: tags.collect(),
    }))
}
