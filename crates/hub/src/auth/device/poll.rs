//! `POST /api/v1/auth/device/token`: the program asks whether its user has decided (RFC 8628
//! §3.4, §3.5).

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use hub_db::{DbError, UnitOfWork};
use hub_model::UserId;
use hub_model::device::{self, Poll};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::api_tokens::hash_of;
use crate::auth::credential::too_many_attempts;
use crate::auth::refusal::refusal;
use crate::auth::service::AuthService;
use crate::auth::sessions::SessionTokens;
use crate::auth::throttle::TooManyFailures;
use crate::extract::Json;
use crate::problem::{Problem, ProblemBody};
use crate::rate_limit::ClientAddress;

/// The program's secret.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DevicePoll {
    device_code: String,
}

/// Why there are no tokens (yet).
#[derive(Debug, thiserror::Error)]
pub enum DevicePollError {
    #[error("the user has not decided yet; ask again")]
    Pending,
    #[error("you ask too often; wait {0} s between two polls from now on")]
    SlowDown(u32),
    #[error("the user said no")]
    Denied,
    #[error("this device code is unknown, spent, or has expired; begin again")]
    Expired,
    #[error("too many unknown device codes came from this address")]
    TooMany(TooManyFailures),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<DevicePollError> for Problem {
    fn from(error: DevicePollError) -> Self {
        let code = match error {
            DevicePollError::Db(error) => return error.into(),
            DevicePollError::TooMany(failures) => return too_many_attempts(failures),
            DevicePollError::SlowDown(seconds) => {
                return refusal(StatusCode::BAD_REQUEST, "slow-down", &error)
                    .with_header(RETRY_AFTER, HeaderValue::from(seconds));
            }
            DevicePollError::Pending => "authorization-pending",
            DevicePollError::Denied => "access-denied",
            DevicePollError::Expired => "expired-token",
        };
        refusal(StatusCode::BAD_REQUEST, code, &error)
    }
}

/// Poll a device sign-in
///
/// Answers with tokens once, after the user approved.
#[utoipa::path(
    post, path = "/api/v1/auth/device/token", tag = "auth", operation_id = "deviceToken",
    request_body = DevicePoll,
    responses(
        (status = 200, body = SessionTokens),
        (status = 400, body = ProblemBody, content_type = "application/problem+json", description = "`authorization-pending`, `slow-down`, `access-denied`, `expired-token`"),
        (status = 429, body = ProblemBody, content_type = "application/problem+json", description = "`too-many-attempts`, `rate-limited`"),
    )
)]
pub async fn poll(
    State(auth): State<Arc<AuthService>>,
    Extension(address): Extension<ClientAddress>,
    Json(request): Json<DevicePoll>,
) -> Result<Json<SessionTokens>, Problem> {
    Ok(Json(auth.poll_device(&request.device_code, address).await?))
}

impl AuthService {
    async fn poll_device(
        &self,
        secret: &str,
        address: ClientAddress,
    ) -> Result<SessionTokens, DevicePollError> {
        let attempt = self
            .guesses
            .begin_anonymous(address)
            .map_err(DevicePollError::TooMany)?;
        let mut unit = self.db.begin().await?;
        let code = unit.device_codes().lock_by_hash(&hash_of(secret)).await?;
        let code = code.ok_or(DevicePollError::Expired)?;
        attempt.succeeded();
        let (answer, after) = device::poll(&code, self.clock.now());
        unit.device_codes().update(&after).await?;
        let outcome = match answer {
            Poll::Approved(user) => self.tokens_for_device(&mut unit, user).await,
            Poll::AuthorizationPending => Err(DevicePollError::Pending),
            Poll::SlowDown { interval_seconds } => Err(DevicePollError::SlowDown(interval_seconds)),
            Poll::AccessDenied => Err(DevicePollError::Denied),
            Poll::ExpiredToken => Err(DevicePollError::Expired),
        };
        if !matches!(outcome, Err(DevicePollError::Db(_))) {
            // Also what was refused: the code remembers when it was polled.
            unit.commit().await?;
        }
        outcome
    }

    async fn tokens_for_device(
        &self,
        unit: &mut UnitOfWork,
        user: UserId,
    ) -> Result<SessionTokens, DevicePollError> {
        let user = unit.users().lock(user).await?.filter(|user| !user.disabled);
        let user = user.ok_or(DevicePollError::Denied)?;
        Ok(self.begin_session(unit, &user).await?)
    }
}
