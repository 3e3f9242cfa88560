//! `GET /api/v1/users`: all accounts.

use std::sync::Arc;

use axum::extract::State;
use hub_db::USERS_PER_PAGE_MAX;
use hub_model::Scope;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::account::view::UserView;
use crate::auth::principal::Principal;
use crate::auth::service::AuthService;
use crate::extract::{Json, Query};
use crate::problem::{Problem, ProblemBody};

const LIMIT_DEFAULT: u32 = 50;

/// Which accounts.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct UserListQuery {
    /// The last username of the page before.
    after: Option<String>,
    /// 1 to 200, by default 50.
    limit: Option<u32>,
}

/// A page of accounts, by username.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserList {
    users: Vec<UserView>,
    /// For `after`; null on the last page.
    next_after: Option<String>,
}

/// List accounts
#[utoipa::path(
    get, path = "/api/v1/users", tag = "users", operation_id = "listUsers",
    params(UserListQuery), security(("bearer" = [])),
    responses(
        (status = 200, body = UserList),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`authentication-required`"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`role-insufficient`, `scope-insufficient`"),
    )
)]
pub async fn list(
    State(auth): State<Arc<AuthService>>,
    principal: Principal,
    Query(query): Query<UserListQuery>,
) -> Result<Json<UserList>, Problem> {
    principal.require(Scope::Admin)?;
    let limit = query
        .limit
        .unwrap_or(LIMIT_DEFAULT)
        .clamp(1, USERS_PER_PAGE_MAX);
    // A NUL is in no username, and PostgreSQL does not take it as text.
    let after = query.after.map(|after| after.replace('\0', ""));
    let users = auth
        .db
        .users()
        .list(principal.tenant(), after.as_deref(), limit)
        .await?;
    let full = users.len() == limit as usize;
    let next_after = users
        .last()
        .filter(|_| full)
        .map(|user| user.username.clone());
    Ok(Json(UserList {
        users: users.into_iter().map(UserView::from).collect(),
        next_after,
    }))
}
