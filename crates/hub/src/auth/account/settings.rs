//! `GET /api/v1/auth/config`: which ways in this hub has.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::config::Registration;
use crate::auth::service::AuthService;
use crate::extract::Json;

/// Which ways in this hub has.
#[derive(Serialize, ToSchema)]
pub struct AuthSettings {
    /// `open` or `closed`.
    #[schema(example = "open")]
    registration: &'static str,
    /// Whether reading needs a token too.
    private: bool,
    oidc: Option<OidcName>,
}

/// The identity provider that may be used to sign in.
#[derive(Serialize, ToSchema)]
pub struct OidcName {
    /// What people call it.
    name: String,
}

/// How to sign in
#[utoipa::path(
    get, path = "/api/v1/auth/config", tag = "auth", operation_id = "authConfig",
    responses((status = 200, body = AuthSettings))
)]
pub async fn settings(State(auth): State<Arc<AuthService>>) -> Json<AuthSettings> {
    let config = auth.config();
    Json(AuthSettings {
        registration: match config.registration() {
            Registration::Open => "open",
            Registration::Closed => "closed",
        },
        private: config.private,
        oidc: config.oidc.as_ref().map(|oidc| OidcName {
            name: oidc.name.clone(),
        }),
    })
}
