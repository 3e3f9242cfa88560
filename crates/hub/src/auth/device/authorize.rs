//! `POST /api/v1/auth/device`: begins a device authorization (RFC 8628 §3.1, §3.2).

use std::sync::Arc;

use axum::extract::State;
use hub_db::{Conflict, DbError};
use hub_model::{DeviceCode, DeviceCodeId, DeviceState};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::UserCode;
use crate::auth::api_tokens::hash_of;
use crate::auth::random;
use crate::auth::refusal::invalid_field;
use crate::auth::service::AuthService;
use crate::extract::Json;
use crate::problem::{Problem, ProblemBody};

/// Lets secret scanners find a leaked device code.
const DEVICE_PREFIX: &str = "skd_";
const CLIENT_NAME_LENGTH_MAX: usize = 80;
/// Of 25.6 billion codes, the chance that even one draw is taken is below one in a million.
const DRAWS_MAX: usize = 3;

/// The program that asks.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceRequest {
    /// What the user is shown, 1 to 80 characters.
    #[schema(example = "skills on build-3")]
    client_name: String,
}

/// RFC 8628 §3.2.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceAuthorization {
    /// The program's secret, for polling.
    #[schema(example = "skd_…")]
    device_code: String,
    /// What the user types.
    #[schema(example = "BCDF-GHJK")]
    user_code: String,
    /// Where the user types it.
    verification_uri: String,
    /// The same with the code filled in.
    verification_uri_complete: String,
    /// Life of the codes, in seconds.
    expires_in: u32,
    /// Least seconds between two polls.
    interval: u32,
}

/// Why no authorization was begun.
#[derive(Debug, thiserror::Error)]
pub enum DeviceRequestError {
    #[error(
        "a client's name has 1 to {CLIENT_NAME_LENGTH_MAX} characters and no control characters"
    )]
    ClientName,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<DeviceRequestError> for Problem {
    fn from(error: DeviceRequestError) -> Self {
        match error {
            DeviceRequestError::Db(error) => error.into(),
            DeviceRequestError::ClientName => {
                invalid_field("invalid-client-name", "clientName", &error)
            }
        }
    }
}

/// Begin a device sign-in
#[utoipa::path(
    post, path = "/api/v1/auth/device", tag = "auth", operation_id = "deviceAuthorization",
    request_body = DeviceRequest,
    responses(
        (status = 200, body = DeviceAuthorization),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid-client-name`"),
    )
)]
pub async fn authorize(
    State(auth): State<Arc<AuthService>>,
    Json(request): Json<DeviceRequest>,
) -> Result<Json<DeviceAuthorization>, Problem> {
    Ok(Json(auth.begin_device(&request.client_name).await?))
}

impl AuthService {
    async fn begin_device(
        &self,
        client_name: &str,
    ) -> Result<DeviceAuthorization, DeviceRequestError> {
        let client_name = client_name.trim();
        let length = client_name.chars().count();
        if !(1..=CLIENT_NAME_LENGTH_MAX).contains(&length) || client_name.chars().any(is_hidden) {
            return Err(DeviceRequestError::ClientName);
        }
        let device_code = format!("{DEVICE_PREFIX}{}", random::text());
        let user_code = self.insert_device_code(client_name, &device_code).await?;
        Ok(DeviceAuthorization {
            device_code,
            verification_uri: format!("{}/device", self.public_base),
            verification_uri_complete: format!("{}/device?user_code={user_code}", self.public_base),
            user_code: user_code.to_string(),
            expires_in: self.config.device.code_seconds,
            interval: self.config.device.interval_seconds,
        })
    }

    async fn insert_device_code(
        &self,
        client_name: &str,
        secret: &str,
    ) -> Result<UserCode, DbError> {
        let mut draws = 0;
        loop {
            draws += 1;
            let user_code = UserCode::generate();
            let code = self.device_code(client_name, secret, &user_code);
            let mut unit = self.db.begin().await?;
            match unit.device_codes().insert(&code).await {
                Err(DbError::Conflict(Conflict::UserCode)) if draws < DRAWS_MAX => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    unit.commit().await?;
                    return Ok(user_code);
                }
            }
        }
    }

    fn device_code(&self, client_name: &str, secret: &str, user_code: &UserCode) -> DeviceCode {
        let now = self.clock.now();
        DeviceCode {
            id: DeviceCodeId::generate(now, &mut random::generator()),
            tenant: self.tenant(),
            hash: hash_of(secret),
            user_code: user_code.to_string(),
            client_name: client_name.to_owned(),
            state: DeviceState::Pending,
            user_id: None,
            interval_seconds: self.config.device.interval_seconds,
            created_at: now,
            expires_at: now + SignedDuration::from_secs(self.config.device.code_seconds.into()),
            last_polled_at: None,
        }
    }
}

/// Control characters, and those that turn or hide text: the name is what the user decides by.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
