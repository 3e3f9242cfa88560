//! `POST /api/v1/auth/logout`: ends a session, at once.

use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;
use http::StatusCode;
use hub_db::DbError;
use hub_model::FamilyId;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::api_tokens::hash_of;
use crate::auth::principal::{MaybePrincipal, Via, authentication_required};
use crate::auth::service::AuthService;
use crate::extract::parse_json;
use crate::problem::{Problem, ProblemBody};

/// Names the session by its refresh token, for a client whose access token has expired.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogoutRequest {
    refresh_token: String,
}

/// Sign out
///
/// Ends the session of the access token in the header or, with a body, of a refresh token. An
/// unknown refresh token is no error (RFC 7009 §2.2): it is not good, which is what was asked for.
#[utoipa::path(
    post, path = "/api/v1/auth/logout", tag = "auth", operation_id = "logout",
    request_body = Option<LogoutRequest>, security((), ("bearer" = [])),
    responses(
        (status = 204, description = "The session has ended"),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`authentication-required`: neither token was sent"),
    )
)]
pub async fn logout(
    State(auth): State<Arc<AuthService>>,
    MaybePrincipal(principal): MaybePrincipal,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    if !body.is_empty() {
        let request: LogoutRequest = parse_json(&body)?;
        auth.end_session_of_refresh_token(&request.refresh_token)
            .await?;
        return Ok(StatusCode::NO_CONTENT);
    }
    match principal.map(|principal| principal.via()) {
        Some(Via::Session(family)) => auth.end_session(family).await?,
        // An API token has no session; it ends by `DELETE /api/v1/auth/tokens/{id}`.
        Some(Via::ApiToken(_)) | None => return Err(authentication_required()),
    }
    Ok(StatusCode::NO_CONTENT)
}

impl AuthService {
    async fn end_session_of_refresh_token(&self, text: &str) -> Result<(), DbError> {
        match self.db.refresh_tokens().by_hash(&hash_of(text)).await? {
            Some(token) => self.end_session(token.family).await,
            None => Ok(()),
        }
    }

    /// Ends one session. Its access tokens are refused from now on.
    pub(in crate::auth) async fn end_session(&self, family: FamilyId) -> Result<(), DbError> {
        let mut unit = self.db.begin().await?;
        unit.refresh_tokens()
            .revoke_family(family, self.clock.now())
            .await?;
        unit.commit().await?;
        self.sessions.forget(&family);
        Ok(())
    }
}
