//! `GET /api/v1/auth/oidc/login`: sends the browser to the provider.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use hub_db::DbError;
use hub_model::{OidcLogin, SecretHash};
use jiff::SignedDuration;
use serde::Deserialize;
use utoipa::IntoParams;

use super::provider::{Authorization, OidcClient, OidcError};
use super::return_to::ReturnTo;
use crate::auth::api_tokens::hash_of;
use crate::auth::pages::{Cookie, page_or_problem};
use crate::auth::refusal::refusal;
use crate::auth::service::AuthService;
use crate::extract::Query;
use crate::problem::{Problem, ProblemBody};

/// How long somebody may take to sign in at the provider.
const LOGIN_LIFE: SignedDuration = SignedDuration::from_mins(10);

/// Where to go afterwards.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct OidcLoginQuery {
    /// A path of this hub; by default the device page.
    #[param(example = "/device?user_code=BCDF-GHJK")]
    return_to: Option<String>,
}

/// Why the browser is not sent to the provider.
#[derive(Debug, thiserror::Error)]
pub enum OidcLoginError {
    #[error("this hub has no identity provider")]
    NotConfigured,
    #[error("`returnTo` is a path of this hub that begins with one slash")]
    ReturnTo,
    #[error(transparent)]
    Provider(#[from] OidcError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<OidcLoginError> for Problem {
    fn from(error: OidcLoginError) -> Self {
        match error {
            OidcLoginError::Db(error) => error.into(),
            OidcLoginError::Provider(error) => provider_unavailable(error),
            OidcLoginError::NotConfigured => {
                refusal(StatusCode::NOT_FOUND, "oidc-not-configured", &error)
            }
            OidcLoginError::ReturnTo => {
                refusal(StatusCode::BAD_REQUEST, "invalid-return-to", &error)
            }
        }
    }
}

/// The provider's fault: the client may try again, the operator finds the cause in the log.
pub(super) fn provider_unavailable(error: OidcError) -> Problem {
    let detail = "The identity provider cannot be used at this moment.";
    Problem::new(StatusCode::BAD_GATEWAY, "oidc-provider-unavailable", detail).caused_by(error)
}

/// Sign in through the identity provider
#[utoipa::path(
    get, path = "/api/v1/auth/oidc/login", tag = "auth", operation_id = "oidcLogin",
    params(OidcLoginQuery),
    responses(
        (status = 302, description = "To the provider"),
        (status = 400, body = ProblemBody, content_type = "application/problem+json", description = "`invalid-return-to`"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`oidc-not-configured`"),
        (status = 502, body = ProblemBody, content_type = "application/problem+json", description = "`oidc-provider-unavailable`"),
    )
)]
pub async fn login(
    State(auth): State<Arc<AuthService>>,
    headers: HeaderMap,
    Query(query): Query<OidcLoginQuery>,
) -> Response {
    match auth.begin_oidc(query.return_to.as_deref()).await {
        Ok(response) => response,
        Err(error) => page_or_problem(&headers, error.into()),
    }
}

impl AuthService {
    async fn begin_oidc(&self, return_to: Option<&str>) -> Result<Response, OidcLoginError> {
        let oidc = self.oidc.as_ref().ok_or(OidcLoginError::NotConfigured)?;
        let return_to = match return_to {
            Some(path) => ReturnTo::parse(path).ok_or(OidcLoginError::ReturnTo)?,
            None => ReturnTo::device_page(),
        };
        let authorization = self.remember_oidc(oidc, &return_to).await?;
        let url = HeaderValue::try_from(authorization.url.as_str())
            .map_err(|_| OidcLoginError::ReturnTo)?;
        let cookie = Cookie::OidcState.set(&authorization.state, LOGIN_LIFE, self.is_https());
        Ok((StatusCode::FOUND, [(LOCATION, url), (SET_COOKIE, cookie)]).into_response())
    }

    async fn remember_oidc(
        &self,
        oidc: &OidcClient,
        return_to: &ReturnTo,
    ) -> Result<Authorization, OidcLoginError> {
        let authorization = oidc.authorize().await?;
        let now = self.clock.now();
        let login = OidcLogin {
            tenant: self.tenant(),
            state: hash_of(&authorization.state),
            nonce: SecretHash::new(authorization.nonce.as_str()),
            verifier: SecretHash::new(authorization.verifier.as_str()),
            then: Some(return_to.as_str().to_owned()),
            created_at: now,
            expires_at: now + LOGIN_LIFE,
        };
        let mut unit = self.db.begin().await?;
        unit.oidc().insert_login(&login).await?;
        unit.commit().await?;
        Ok(authorization)
    }
}
