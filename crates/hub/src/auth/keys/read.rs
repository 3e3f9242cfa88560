//! `GET /api/v1/keys/{fingerprint}`: a key, for whoever verifies.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use hub_db::DbError;
use skill_signing::Fingerprint;

use super::KeyView;
use crate::auth::refusal::refusal;
use crate::auth::service::AuthService;
use crate::extract::{Json, Path};
use crate::problem::{Problem, ProblemBody};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum ReadKeyError {
    #[error("no key with this fingerprint is registered here")]
    NotFound,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<ReadKeyError> for Problem {
    fn from(error: ReadKeyError) -> Self {
        match error {
            ReadKeyError::Db(error) => error.into(),
            ReadKeyError::NotFound => refusal(StatusCode::NOT_FOUND, "key-not-found", &error),
        }
    }
}

/// Read a key
///
/// Removed keys are readable too: what they signed can still be verified.
#[utoipa::path(
    get, path = "/api/v1/keys/{fingerprint}", tag = "keys", operation_id = "getKey",
    params(("fingerprint" = String, Path, description = "Hex, of the primary key")),
    responses(
        (status = 200, body = KeyView),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`key-not-found`"),
    )
)]
pub async fn read(
    State(auth): State<Arc<AuthService>>,
    Path(fingerprint): Path<String>,
) -> Result<Json<KeyView>, Problem> {
    let fingerprint = parse(&fingerprint)?;
    let record = auth
        .db
        .keys()
        .by_fingerprint(auth.tenant(), &fingerprint)
        .await?;
    let record = record.ok_or(ReadKeyError::NotFound)?;
    let owner = auth
        .db
        .users()
        .by_id(record.user_id)
        .await?
        .ok_or(DbError::NotFound)?;
    Ok(Json(KeyView::new(record, &owner.username)?))
}

/// The fingerprint as it is stored; what is none, no key has.
pub(super) fn parse(text: &str) -> Result<String, ReadKeyError> {
    let fingerprint: Fingerprint = text.parse().map_err(|_| ReadKeyError::NotFound)?;
    Ok(fingerprint.to_string())
}
