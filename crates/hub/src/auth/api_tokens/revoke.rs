//! `DELETE /api/v1/auth/tokens/{id}`: makes an API token useless, at once.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use hub_db::DbError;
use hub_model::TokenId;

use crate::auth::principal::{Principal, Via};
use crate::auth::refusal::refusal;
use crate::auth::service::AuthService;
use crate::extract::Path;
use crate::problem::{Problem, ProblemBody};

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    #[error("you have no API token with this id")]
    NotFound,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Db(error) => error.into(),
            RevokeError::NotFound => refusal(StatusCode::NOT_FOUND, "token-not-found", &error),
        }
    }
}

/// Revoke an API token
///
/// A session may revoke any token of its user, an API token only itself.
#[utoipa::path(
    delete, path = "/api/v1/auth/tokens/{id}", tag = "auth", operation_id = "revokeApiToken",
    params(("id" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 204, description = "Revoked"),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`authentication-required`, `invalid-token`"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`session-required`"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`token-not-found`"),
    )
)]
pub async fn revoke(
    State(auth): State<Arc<AuthService>>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: TokenId = id.parse().map_err(|_| RevokeError::NotFound)?;
    if principal.via() != Via::ApiToken(id) {
        principal.require_session()?;
    }
    auth.revoke_api_token(&principal, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl AuthService {
    async fn revoke_api_token(&self, owner: &Principal, id: TokenId) -> Result<(), RevokeError> {
        let now = self.clock.now();
        let mut unit = self.db.begin().await?;
        if !unit.api_tokens().revoke(owner.user_id(), id, now).await? {
            return Err(RevokeError::NotFound);
        }
        unit.commit().await?;
        self.api_tokens.forget(&id);
        Ok(())
    }
}
