//! `GET /device`: the page in the state that fits: sign in, type the code, or decide.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use hub_db::DbError;
use hub_model::{DeviceCode, DeviceState, UserRecord};
use jiff::Timestamp;
use serde::Deserialize;

use super::Cookie;
use super::forms::{VISIT_LIFE, Visit};
use super::html::{OidcLink, Page, Step};
use crate::auth::device::UserCode;
use crate::auth::service::AuthService;
use crate::auth::throttle::TooManyFailures;
use crate::extract::Query;
use crate::problem::Problem;
use crate::rate_limit::ClientAddress;

pub(super) const TITLE: &str = "Connect a device";

/// What the link of the device's screen brings along.
#[derive(Deserialize)]
pub struct ShowQuery {
    user_code: Option<String>,
}

/// `GET /device`
pub async fn show(
    State(auth): State<Arc<AuthService>>,
    Extension(address): Extension<ClientAddress>,
    headers: HeaderMap,
    Query(query): Query<ShowQuery>,
) -> Result<Response, Problem> {
    let visit = auth.visit(&headers);
    let user = auth.page_user(&headers).await?;
    let typed = query.user_code.unwrap_or_default();
    let mut response = match &user {
        None => auth.sign_in_page(&visit, &typed, None, StatusCode::OK),
        Some(user) => auth.code_page(&visit, user, &typed, address).await?,
    };
    if visit.is_new {
        let cookie = Cookie::Visit.set(&visit.id, VISIT_LIFE, auth.is_https());
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Why a code leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    #[error("This code is unknown or has expired. Look at your device again.")]
    Unknown,
    #[error("This code was answered already.")]
    Answered,
    #[error("Too many wrong codes. Try again in {} s.", .0.retry_after_seconds)]
    TooMany(TooManyFailures),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl AuthService {
    pub(super) fn sign_in_page(
        &self,
        visit: &Visit,
        typed: &str,
        notice: Option<String>,
        status: StatusCode,
    ) -> Response {
        let user_code = UserCode::parse(typed).map_or(String::new(), |code| code.to_string());
        let oidc = self.config.oidc.as_ref().map(|oidc| OidcLink {
            name: &oidc.name,
            href: self.oidc_href(&user_code),
        });
        Page {
            title: TITLE,
            notice,
            step: Step::SignIn {
                user_code: &user_code,
                oidc,
            },
            action: &self.page_path(),
            form: &self.form_token(visit),
            username: None,
        }
        .respond(status)
    }

    async fn code_page(
        &self,
        visit: &Visit,
        user: &UserRecord,
        typed: &str,
        address: ClientAddress,
    ) -> Result<Response, Problem> {
        if typed.is_empty() {
            return Ok(self.user_page(visit, user, None, Step::Enter, StatusCode::OK));
        }
        match self.find_code(user, typed, address).await {
            Ok(code) => {
                let step = Step::Decide {
                    user_code: &code.user_code,
                    client_name: &code.client_name,
                    minutes: ago(code.created_at, self.clock.now()),
                };
                Ok(self.user_page(visit, user, None, step, StatusCode::OK))
            }
            Err(error) => self.code_error_page(visit, user, error),
        }
    }

    pub(super) fn code_error_page(
        &self,
        visit: &Visit,
        user: &UserRecord,
        error: CodeError,
    ) -> Result<Response, Problem> {
        let status = match error {
            CodeError::Db(error) => return Err(error.into()),
            CodeError::Unknown => StatusCode::NOT_FOUND,
            CodeError::Answered => StatusCode::CONFLICT,
            CodeError::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        };
        Ok(self.user_page(visit, user, Some(error.to_string()), Step::Enter, status))
    }

    pub(super) fn user_page(
        &self,
        visit: &Visit,
        user: &UserRecord,
        notice: Option<String>,
        step: Step<'_>,
        status: StatusCode,
    ) -> Response {
        Page {
            title: TITLE,
            notice,
            step,
            action: &self.page_path(),
            form: &self.form_token(visit),
            username: Some(&user.username),
        }
        .respond(status)
    }

    /// The code that somebody typed, if it waits for an answer. Wrong codes are counted against
    /// the user and the address: see `auth.throttle`.
    pub(super) async fn find_code(
        &self,
        user: &UserRecord,
        typed: &str,
        address: ClientAddress,
    ) -> Result<DeviceCode, CodeError> {
        let account = user.id.to_string();
        let attempt = self
            .user_codes
            .begin(&account, address)
            .map_err(CodeError::TooMany)?;
        let code = UserCode::parse(typed).ok_or(CodeError::Unknown)?;
        let found = self
            .db
            .device_codes()
            .by_user_code(self.tenant(), code.as_str())
            .await?;
        let now = self.clock.now();
        let code = found
            .filter(|code| code.expires_at > now)
            .ok_or(CodeError::Unknown)?;
        attempt.succeeded();
        if code.state == DeviceState::Pending {
            Ok(code)
        } else {
            Err(CodeError::Answered)
        }
    }

    fn page_path(&self) -> String {
        format!("{}/device", self.base_path())
    }

    fn oidc_href(&self, user_code: &str) -> String {
        let back = match user_code {
            "" => "/device".to_owned(),
            code => format!("/device?user_code={code}"),
        };
        let back: String = form_urlencoded::byte_serialize(back.as_bytes()).collect();
        format!(
            "{}/api/v1/auth/oidc/login?returnTo={back}",
            self.base_path()
        )
    }
}

fn ago(then: Timestamp, now: Timestamp) -> String {
    match now.duration_since(then).as_mins() {
        ..=0 => "less than a minute ago".to_owned(),
        1 => "a minute ago".to_owned(),
        minutes => format!("{minutes} minutes ago"),
    }
}
