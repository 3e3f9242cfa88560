//! From the `Authorization` header to a [`Principal`], or to the reason why not.

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use hub_db::DbError;

use super::api_tokens::ApiTokenText;
use super::bearer;
use super::principal::Principal;
use super::service::AuthService;
use super::signing::TokenError;
use super::throttle::TooManyFailures;
use crate::problem::Problem;
use crate::rate_limit::ClientAddress;

/// Why a credential was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("the Authorization header holds no well-formed bearer token")]
    Malformed,
    #[error("the token is unknown, revoked or not this hub's")]
    Invalid,
    #[error("the token has expired")]
    Expired,
    #[error("the session has ended")]
    SessionEnded,
    #[error("too many wrong tokens came from this address")]
    TooMany(TooManyFailures),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl AuthService {
    /// Whose request this is; `None` if it has no credential.
    pub(super) async fn principal_of(
        &self,
        headers: &HeaderMap,
        address: ClientAddress,
    ) -> Result<Option<Principal>, CredentialError> {
        let token = bearer::token(headers).map_err(|_| CredentialError::Malformed)?;
        let Some(token) = token else { return Ok(None) };
        if ApiTokenText::looks_like_one(token) {
            let token = ApiTokenText::parse(token).ok_or(CredentialError::Invalid)?;
            self.principal_of_api_token(&token, address).await.map(Some)
        } else {
            self.principal_of_access_token(token).await.map(Some)
        }
    }
}

impl From<TokenError> for CredentialError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => Self::Expired,
            TokenError::NotYetValid | TokenError::Invalid => Self::Invalid,
        }
    }
}

impl From<CredentialError> for Problem {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Malformed => unauthorized(
                "invalid-token",
                "The Authorization header holds no well-formed bearer token.",
            ),
            CredentialError::Invalid => unauthorized(
                "invalid-token",
                "This token is unknown, revoked, or not one of this hub's.",
            ),
            CredentialError::Expired => unauthorized(
                "token-expired",
                "This token has expired. Refresh it, or sign in again.",
            ),
            CredentialError::SessionEnded => {
                unauthorized("session-ended", "This session has ended. Sign in again.")
            }
            CredentialError::TooMany(failures) => too_many_attempts(failures),
            CredentialError::Db(error) => error.into(),
        }
    }
}

/// 401 with the challenge of RFC 6750 §3.1.
fn unauthorized(code: &'static str, detail: &'static str) -> Problem {
    let challenge = HeaderValue::from_static("Bearer realm=\"skills\", error=\"invalid_token\"");
    Problem::new(StatusCode::UNAUTHORIZED, code, detail).with_header(WWW_AUTHENTICATE, challenge)
}

/// 429 for whoever guesses.
pub(super) fn too_many_attempts(failures: TooManyFailures) -> Problem {
    let wait = failures.retry_after_seconds;
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-attempts",
        format!("Too many failed attempts. Try again in {wait} s."),
    )
    .with_header(RETRY_AFTER, HeaderValue::from(wait))
}
