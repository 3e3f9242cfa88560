//! `GET /api/v1/skills/{name}/dependents`: whose latest version depends on it.

use axum::extract::State;
use hub_db::DbError;
use hub_model::VersionId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::find::{self, FindError};
use super::list_skills::invalid_parameter;
use crate::App;
use crate::extract::{Json, Path, Query};
use crate::problem::{Problem, ProblemBody, answers_with_problem};

const LIMIT_MAX: u32 = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DependentsParams {
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 100)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DependentsBody {
    dependents: Vec<DependentBody>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DependentBody {
    name: String,
    version: String,
    /// The versions that it accepts.
    #[schema(example = "^1.0")]
    range: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ListDependentsError {
    #[error("limit is 1 to {LIMIT_MAX}")]
    Limit,
    #[error("the cursor is not valid: use nextCursor of the previous page, unchanged")]
    Cursor,
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<ListDependentsError> for Problem {
    fn from(error: ListDependentsError) -> Self {
        match error {
            ListDependentsError::Limit => invalid_parameter("limit", &error.to_string()),
            ListDependentsError::Cursor => invalid_parameter("cursor", &error.to_string()),
            ListDependentsError::Find(error) => error.into(),
            ListDependentsError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(ListDependentsError);

/// Skills whose latest version depends on this one.
#[utoipa::path(
    get,
    path = "/api/v1/skills/{name}/dependents",
    tag = "catalogue",
    params(("name" = String, Path, description = "The skill's name"), DependentsParams),
    responses(
        (status = 200, description = "Who depends on it", body = DependentsBody),
        (status = 404, description = "`skill-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn list_dependents(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(params): Query<DependentsParams>,
) -> Result<Json<DependentsBody>, ListDependentsError> {
    let limit = params.limit.unwrap_or(LIMIT_MAX);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ListDependentsError::Limit);
    }
    let after = params
        .cursor
        .map(|cursor| cursor.parse::<VersionId>())
        .transpose();
    let after = after.map_err(|_| ListDependentsError::Cursor)?;
    let skill = find::skill(&app, &name).await?;
    // One more than asked for tells whether there is a next page.
    let mut found = app
        .db()
        .dependents()
        .current(app.tenant(), &skill.name_key, after, limit + 1)
        .await?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = found
        .last()
        .filter(|_| has_more)
        .map(|dependent| dependent.version_id.to_string());
    let dependents = found.into_iter().map(|dependent| DependentBody {
        name: dependent.name,
        version: dependent.version,
        range: dependent.range,
    });
    Ok(Json(DependentsBody {
        dependents: dependents.collect(),
        next_cursor,
    }))
}
