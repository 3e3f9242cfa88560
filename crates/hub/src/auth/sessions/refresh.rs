//! `POST /api/v1/auth/refresh`: the next pair of tokens for a refresh token, once.
//!
//! A refresh token that comes a second time was stolen, either before or after its owner used
//! it. Nobody can tell which of the two bearers is the owner, so the whole session ends
//! (RFC 9700 §4.14.2).

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use hub_db::{DbError, UnitOfWork};
use hub_model::refresh::{self as refresh_rule, RefreshRefused};
use hub_model::{RefreshToken, UserRecord};
use serde::Deserialize;
use utoipa::ToSchema;

use super::begin::{SessionTokens, began_at};
use crate::auth::api_tokens::hash_of;
use crate::auth::refusal::refusal;
use crate::auth::service::AuthService;
use crate::extract::Json;
use crate::problem::{Problem, ProblemBody};

/// The refresh token to use up.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefreshRequest {
    refresh_token: String,
}

/// Why there are no new tokens. All but the last are one answer to the client: which of them it
/// is would only help a thief.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    #[error("the hub never made this refresh token, or has forgotten it")]
    Unknown,
    #[error(transparent)]
    Refused(#[from] RefreshRefused),
    #[error("the account is gone or disabled")]
    Account,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Db(error) => error.into(),
            RefreshError::Unknown | RefreshError::Refused(_) | RefreshError::Account => refusal(
                StatusCode::UNAUTHORIZED,
                "invalid-refresh-token",
                &"this refresh token is not good (any more); sign in again",
            ),
        }
    }
}

/// Refresh a session
///
/// Each refresh token works once. Using one twice ends the session.
#[utoipa::path(
    post, path = "/api/v1/auth/refresh", tag = "auth", operation_id = "refresh",
    request_body = RefreshRequest,
    responses(
        (status = 200, body = SessionTokens),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`invalid-refresh-token`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid-body`"),
    )
)]
pub async fn refresh(
    State(auth): State<Arc<AuthService>>,
    Json(request): Json<RefreshRequest>,
) -> Result<Json<SessionTokens>, Problem> {
    Ok(Json(auth.refresh_session(&request.refresh_token).await?))
}

impl AuthService {
    async fn refresh_session(&self, text: &str) -> Result<SessionTokens, RefreshError> {
        let mut unit = self.db.begin().await?;
        let token = unit.refresh_tokens().lock_by_hash(&hash_of(text)).await?;
        let token = token.ok_or(RefreshError::Unknown)?;
        let now = self.clock.now();
        if let Err(refused) = refresh_rule::decide(&token, now) {
            if refused.ends_the_family() {
                self.end_stolen_session(unit, &token).await?;
            }
            return Err(refused.into());
        }
        let user = account_of(&mut unit, &token).await?;
        unit.refresh_tokens().mark_used(token.id, now).await?;
        let began_at = began_at(token.family).unwrap_or(token.issued_at);
        let tokens = self
            .continue_session(&mut unit, &user, token.family, began_at)
            .await?;
        unit.commit().await?;
        Ok(tokens)
    }

    async fn end_stolen_session(
        &self,
        mut unit: UnitOfWork,
        token: &RefreshToken,
    ) -> Result<(), DbError> {
        unit.refresh_tokens()
            .revoke_family(token.family, self.clock.now())
            .await?;
        unit.commit().await?;
        self.sessions.forget(&token.family);
        metrics::counter!("hub_refresh_tokens_reused_total").increment(1);
        tracing::warn!(user = %token.user_id, session = %token.family, "a refresh token was used twice; its session has ended");
        Ok(())
    }
}

async fn account_of(
    unit: &mut UnitOfWork,
    token: &RefreshToken,
) -> Result<UserRecord, RefreshError> {
    let user = unit.users().by_id(token.user_id).await?;
    user.filter(|user| !user.disabled)
        .ok_or(RefreshError::Account)
}
