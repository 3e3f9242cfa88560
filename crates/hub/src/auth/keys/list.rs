//! `GET /api/v1/keys` and `GET /api/v1/users/{username}/keys`: keys by their owner.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use hub_db::DbError;
use hub_model::{Scope, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use super::KeyView;
use crate::auth::account::login::normalized_username;
use crate::auth::principal::Principal;
use crate::auth::refusal::refusal;
use crate::auth::service::AuthService;
use crate::extract::{Json, Path};
use crate::problem::{Problem, ProblemBody};

/// An account's keys that were not removed, oldest first.
#[derive(Serialize, ToSchema)]
pub struct KeyList {
    keys: Vec<KeyView>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListKeysError {
    #[error("there is no account of this name")]
    NoUser,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<ListKeysError> for Problem {
    fn from(error: ListKeysError) -> Self {
        match error {
            ListKeysError::Db(error) => error.into(),
            ListKeysError::NoUser => refusal(StatusCode::NOT_FOUND, "user-not-found", &error),
        }
    }
}

/// List your keys
#[utoipa::path(
    get, path = "/api/v1/keys", tag = "keys", operation_id = "listKeys", security(("bearer" = [])),
    responses(
        (status = 200, body = KeyList),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`authentication-required`"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`role-insufficient`, `scope-insufficient`"),
    )
)]
pub async fn list_own(
    State(auth): State<Arc<AuthService>>,
    principal: Principal,
) -> Result<Json<KeyList>, Problem> {
    principal.require(Scope::Keys)?;
    keys_of(&auth, principal.user_id(), principal.username()).await
}

/// List a user's keys
#[utoipa::path(
    get, path = "/api/v1/users/{username}/keys", tag = "keys", operation_id = "listUserKeys",
    params(("username" = String, Path)),
    responses(
        (status = 200, body = KeyList),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`user-not-found`"),
    )
)]
pub async fn list_of_user(
    State(auth): State<Arc<AuthService>>,
    Path(username): Path<String>,
) -> Result<Json<KeyList>, Problem> {
    let name = normalized_username(&username);
    let user = auth.db.users().by_username(auth.tenant(), &name).await?;
    let user = user.ok_or(ListKeysError::NoUser)?;
    keys_of(&auth, user.id, &user.username).await
}

async fn keys_of(
    auth: &AuthService,
    user: UserId,
    username: &str,
) -> Result<Json<KeyList>, Problem> {
    let records = auth.db.keys().of_user(user).await?;
    let keys = records
        .into_iter()
        .map(|record| KeyView::new(record, username));
    Ok(Json(KeyList {
        keys: keys.collect::<Result<_, _>>()?,
    }))
}
