//! `DELETE /api/v1/keys/{fingerprint}`: nothing new may be signed with this key. Its history
//! stays: who has a version that it signed must still be able to verify it.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use hub_model::{Event, Scope};

use super::read::{ReadKeyError, parse};
use crate::auth::principal::Principal;
use crate::auth::service::AuthService;
use crate::extract::Path;
use crate::problem::{Problem, ProblemBody};

/// Remove a key
///
/// It stays readable by its fingerprint, marked as removed. A key that got into wrong hands is
/// better revoked: sign the revocation with it and `POST` it.
#[utoipa::path(
    delete, path = "/api/v1/keys/{fingerprint}", tag = "keys", operation_id = "removeKey",
    params(("fingerprint" = String, Path)), security(("bearer" = [])),
    responses(
        (status = 204, description = "Removed"),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`authentication-required`"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`role-insufficient`, `scope-insufficient`"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`key-not-found`: you have no such key"),
    )
)]
pub async fn remove(
    State(auth): State<Arc<AuthService>>,
    principal: Principal,
    Path(fingerprint): Path<String>,
) -> Result<StatusCode, Problem> {
    principal.require(Scope::Keys)?;
    auth.remove_key(&principal, &parse(&fingerprint)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl AuthService {
    async fn remove_key(&self, owner: &Principal, fingerprint: &str) -> Result<(), ReadKeyError> {
        let now = self.clock.now();
        let mut unit = self.db.begin().await?;
        if !unit
            .keys()
            .remove(owner.user_id(), fingerprint, now)
            .await?
        {
            return Err(ReadKeyError::NotFound);
        }
        let event = Event::KeyRemoved {
            fingerprint: fingerprint.to_owned(),
            agent_id: owner.username().to_owned(),
        };
        unit.record(owner.tenant(), now, event);
        Ok(unit.commit().await?)
    }
}
