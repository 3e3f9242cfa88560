//! `GET /api/v1/auth/me`: who the hub thinks you are.

use std::sync::Arc;

use axum::extract::State;
use hub_model::{NamePattern, Role, ScopeSet, TokenId};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::principal::{Principal, Via};
use crate::auth::service::AuthService;
use crate::extract::Json;
use crate::problem::{Problem, ProblemBody};

/// The account, and what this credential may do in its name.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    username: String,
    #[schema(value_type = String, example = "publisher")]
    role: Role,
    /// What both the role and the token allow.
    #[schema(value_type = Vec<String>)]
    scopes: ScopeSet,
    /// The skills that the token is limited to; null: every skill.
    #[schema(value_type = Option<Vec<String>>)]
    skills: Option<Vec<NamePattern>>,
    tenant: String,
    /// `session` or `api-token`.
    #[schema(example = "session")]
    via: &'static str,
    /// The API token's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "01931b7e-3d5c-7c1e-9a53-0b6f1c2d3e4f")]
    token_id: Option<TokenId>,
    /// What the API token is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_name: Option<String>,
    /// When the API token ends. A session goes on as long as it is used, within the hub's bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Who am I
#[utoipa::path(
    get, path = "/api/v1/auth/me", tag = "auth", operation_id = "me", security(("bearer" = [])),
    responses(
        (status = 200, body = Me),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`authentication-required`, `invalid-token`, `token-expired`, `session-ended`"),
    )
)]
pub async fn me(
    State(auth): State<Arc<AuthService>>,
    principal: Principal,
) -> Result<Json<Me>, Problem> {
    let tenant = auth.db.tenants().by_id(principal.tenant()).await?;
    let (via, token_id) = match principal.via() {
        Via::Session(_) => ("session", None),
        Via::ApiToken(id) => ("api-token", Some(id)),
    };
    let token = match token_id {
        Some(id) => auth.db.api_tokens().by_id(principal.tenant(), id).await?,
        None => None,
    };
    let grant = principal.grant();
    Ok(Json(Me {
        username: principal.username().to_owned(),
        role: grant.role,
        scopes: grant.effective_scopes(),
        skills: grant.skills.clone(),
        tenant: tenant.map_or_else(|| principal.tenant().to_string(), |tenant| tenant.name),
        via,
        token_id,
        expires_at: token.as_ref().and_then(|token| token.expires_at),
        token_name: token.map(|token| token.name),
    }))
}
