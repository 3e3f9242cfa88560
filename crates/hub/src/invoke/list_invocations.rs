//! `GET /api/v1/invocations`: the caller's own.

use axum::extract::State;
use hub_db::{DbError, INVOCATIONS_PER_READ_MAX};
use hub_model::{InvocationId, Scope};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::InvocationBody;
use crate::App;
use crate::auth::Principal;
use crate::catalogue::list_skills::invalid_parameter;
use crate::extract::{Json, Query};
use crate::problem::{Problem, ProblemBody, answers_with_problem};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct InvocationListParams {
    /// `nextAfter` of the page before.
    after: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvocationListBody {
    /// Newest first, without their outputs. A token that is good for some skills only shows theirs.
    invocations: Vec<InvocationBody>,
    /// For `after`; null on the last page.
    next_after: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ListInvocationsError {
    #[error(transparent)]
    Denied(Problem),
    #[error("limit is 1 to {INVOCATIONS_PER_READ_MAX}")]
    Limit,
    #[error("after is an invocation's id")]
    After,
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<ListInvocationsError> for Problem {
    fn from(error: ListInvocationsError) -> Self {
        match error {
            ListInvocationsError::Denied(problem) => problem,
            ListInvocationsError::Limit => invalid_parameter("limit", &error.to_string()),
            ListInvocationsError::After => invalid_parameter("after", &error.to_string()),
            ListInvocationsError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(ListInvocationsError);

/// The caller's invocations that are still kept, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/invocations",
    tag = "invocations",
    params(InvocationListParams),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "A page of invocations", body = InvocationListBody),
        (status = 403, description = "`scope-insufficient`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn list_invocations(
    State(app): State<App>,
    principal: Principal,
    Query(params): Query<InvocationListParams>,
) -> Result<Json<InvocationListBody>, ListInvocationsError> {
    let may = principal.require(Scope::Invoke);
    may.map_err(ListInvocationsError::Denied)?;
    let limit = params.limit.unwrap_or(20);
    if !(1..=INVOCATIONS_PER_READ_MAX).contains(&limit) {
        return Err(ListInvocationsError::Limit);
    }
    let after: Option<InvocationId> = params
        .after
        .map(|id| id.parse())
        .transpose()
        .map_err(|_| ListInvocationsError::After)?;
    let user = principal.user_id();
    let page = app.db().invocations().of_user(user, after, limit).await?;
    let is_full = page.len() == limit as usize;
    let last = page.last().filter(|_| is_full);
    Ok(Json(InvocationListBody {
        next_after: last.map(|last| last.id.to_string()),
        invocations: page
            .iter()
            .filter(|one| principal.require_for(Scope::Invoke, &one.skill).is_ok())
            .map(InvocationBody::from)
            .collect(),
    }))
}
