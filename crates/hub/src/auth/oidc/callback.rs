//! `GET /api/v1/auth/oidc/callback`: the browser comes back from the provider.
//!
//! The `state` must be the one in this browser's cookie (else somebody could sign a victim in as
//! themselves), and the one that the database holds, which gives it out once.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use hub_db::DbError;
use hub_model::OidcLogin;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use utoipa::IntoParams;

use super::account::{self, AccountError};
use super::login::provider_unavailable;
use super::policy::{self, NotAllowed};
use super::provider::{OidcClient, OidcError, error_code};
use super::return_to::ReturnTo;
use crate::auth::api_tokens::hash_of;
use crate::auth::pages::{Cookie, page_or_problem};
use crate::auth::refusal::refusal;
use crate::auth::service::AuthService;
use crate::extract::Query;
use crate::problem::{Problem, ProblemBody};

/// What the provider sends along (RFC 6749 §4.1.2, RFC 9207).
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OidcCallbackQuery {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// Why the browser is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum OidcCallbackError {
    #[error("this hub has no identity provider")]
    NotConfigured,
    #[error(
        "this sign-in was not begun in this browser, is finished, or took too long; begin again"
    )]
    State,
    #[error("the identity provider sent neither a code nor an error")]
    Incomplete,
    #[error("the identity provider did not sign you in: {0}")]
    Refused(String),
    #[error(transparent)]
    Provider(OidcError),
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<OidcError> for OidcCallbackError {
    fn from(error: OidcError) -> Self {
        match error {
            OidcError::Refused(code) => Self::Refused(code),
            other => Self::Provider(other),
        }
    }
}

impl From<OidcCallbackError> for Problem {
    fn from(error: OidcCallbackError) -> Self {
        use OidcCallbackError as E;
        let (status, code) = match error {
            E::Db(error) | E::Account(AccountError::Db(error)) => return error.into(),
            E::Provider(error @ OidcError::IdToken(_)) => return not_accepted(error),
            E::Provider(error) => return provider_unavailable(error),
            E::NotConfigured => (StatusCode::NOT_FOUND, "oidc-not-configured"),
            E::State => (StatusCode::BAD_REQUEST, "oidc-state-invalid"),
            E::Incomplete => (StatusCode::BAD_REQUEST, "oidc-answer-incomplete"),
            E::Refused(_) => (StatusCode::FORBIDDEN, "oidc-refused"),
            E::NotAllowed(_) => (StatusCode::FORBIDDEN, "oidc-not-allowed"),
            E::Account(AccountError::Disabled) => (StatusCode::FORBIDDEN, "account-disabled"),
            E::Account(AccountError::Unknown) => (StatusCode::FORBIDDEN, "account-unknown"),
            E::Account(AccountError::NoUsername) => (StatusCode::CONFLICT, "username-taken"),
        };
        refusal(status, code, &error)
    }
}

/// Which check failed is for the log: whoever forges tokens should not be told.
fn not_accepted(error: OidcError) -> Problem {
    let detail = "The identity provider's answer was not accepted. Begin again.";
    Problem::new(StatusCode::FORBIDDEN, "oidc-token-invalid", detail).caused_by(error)
}

/// The identity provider's redirect
#[utoipa::path(
    get, path = "/api/v1/auth/oidc/callback", tag = "auth", operation_id = "oidcCallback",
    params(OidcCallbackQuery),
    responses(
        (status = 303, description = "Signed in; to the path that the sign-in began with"),
        (status = 400, body = ProblemBody, content_type = "application/problem+json", description = "`oidc-state-invalid`, `oidc-answer-incomplete`"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`oidc-refused`, `oidc-token-invalid`, `oidc-not-allowed`, `account-disabled`, `account-unknown`"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "`oidc-not-configured`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`username-taken`"),
        (status = 502, body = ProblemBody, content_type = "application/problem+json", description = "`oidc-provider-unavailable`"),
    )
)]
pub async fn callback(
    State(auth): State<Arc<AuthService>>,
    headers: HeaderMap,
    Query(query): Query<OidcCallbackQuery>,
) -> Response {
    let mut response = match auth.finish_oidc(&headers, &query).await {
        Ok(response) => response,
        Err(error) => page_or_problem(&headers, error.into()),
    };
    response
        .headers_mut()
        .append(SET_COOKIE, Cookie::OidcState.clear(auth.is_https()));
    response
}

impl AuthService {
    async fn finish_oidc(
        &self,
        headers: &HeaderMap,
        query: &OidcCallbackQuery,
    ) -> Result<Response, OidcCallbackError> {
        let oidc = self.oidc.as_ref().ok_or(OidcCallbackError::NotConfigured)?;
        let login = self.take_oidc(headers, query.state.as_deref()).await?;
        if let Some(error) = &query.error {
            return Err(OidcCallbackError::Refused(error_code(error)));
        }
        oidc.check_response_issuer(query.iss.as_deref()).await?;
        let code = query.code.as_deref().ok_or(OidcCallbackError::Incomplete)?;
        let user = self.oidc_user(oidc, &login, code).await?;
        let session = self.seal_page_session(&user);
        let return_to = login.then.as_deref().and_then(ReturnTo::parse);
        let return_to = return_to.unwrap_or_else(ReturnTo::device_page);
        let location = format!("{}{}", self.base_path(), return_to.as_str());
        let location = HeaderValue::try_from(location).map_err(|_| OidcCallbackError::State)?;
        let cookie = Cookie::PageSession.set(&session, self.page_session_life(), self.is_https());
        Ok((
            StatusCode::SEE_OTHER,
            [(LOCATION, location), (SET_COOKIE, cookie)],
        )
            .into_response())
    }

    async fn oidc_user(
        &self,
        oidc: &OidcClient,
        login: &OidcLogin,
        code: &str,
    ) -> Result<hub_model::UserRecord, OidcCallbackError> {
        let claims = oidc
            .claims(code, login.verifier.expose(), login.nonce.expose())
            .await?;
        let person = policy::judge(&claims, oidc.config())?;
        Ok(account::sign_in(self, &person, oidc.config()).await?)
    }

    /// The sign-in that this `state` belongs to, which is over from now on.
    async fn take_oidc(
        &self,
        headers: &HeaderMap,
        state: Option<&str>,
    ) -> Result<OidcLogin, OidcCallbackError> {
        let state = state.ok_or(OidcCallbackError::State)?;
        let own = Cookie::OidcState
            .read(headers, self.is_https())
            .ok_or(OidcCallbackError::State)?;
        if !bool::from(own.as_bytes().ct_eq(state.as_bytes())) {
            return Err(OidcCallbackError::State);
        }
        let mut unit = self.db.begin().await?;
        let login = unit.oidc().take_login(&hash_of(state)).await?;
        unit.commit().await?;
        login
            .filter(|login| login.expires_at > self.clock.now())
            .ok_or(OidcCallbackError::State)
    }
}
