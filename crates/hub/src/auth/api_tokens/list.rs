//! `GET /api/v1/auth/tokens`: one's own API tokens, without their secrets.

use std::sync::Arc;

use axum::extract::State;
use hub_model::{ApiToken, NamePattern, ScopeSet, TokenId};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::principal::Principal;
use crate::auth::service::AuthService;
use crate::extract::Json;
use crate::problem::{Problem, ProblemBody};

/// An API token, without its secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiTokenView {
    #[schema(value_type = String, example = "01931b7e-3d5c-7c1e-9a53-0b6f1c2d3e4f")]
    id: TokenId,
    name: String,
    #[schema(value_type = Vec<String>)]
    scopes: ScopeSet,
    #[schema(value_type = Option<Vec<String>>)]
    skills: Option<Vec<NamePattern>>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// To the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

impl From<ApiToken> for ApiTokenView {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scopes: token.scopes,
            skills: token.skills,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}

/// The tokens that were not revoked, newest first.
#[derive(Serialize, ToSchema)]
pub struct ApiTokenList {
    tokens: Vec<ApiTokenView>,
}

/// List your API tokens
#[utoipa::path(
    get, path = "/api/v1/auth/tokens", tag = "auth", operation_id = "listApiTokens",
    security(("bearer" = [])),
    responses(
        (status = 200, body = ApiTokenList),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`authentication-required`, `invalid-token`"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`session-required`: an API token may not list the others"),
    )
)]
pub async fn list(
    State(auth): State<Arc<AuthService>>,
    principal: Principal,
) -> Result<Json<ApiTokenList>, Problem> {
    principal.require_session()?;
    let tokens = auth.db.api_tokens().of_user(principal.user_id()).await?;
    Ok(Json(ApiTokenList {
        tokens: tokens.into_iter().map(ApiTokenView::from).collect(),
    }))
}
