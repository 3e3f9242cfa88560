//! `POST /device`: signs in, approves, denies, signs out. Every form carries proof that this
//! browser was shown it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use hub_model::device::{self, DeviceRefused};
use hub_model::{DeviceCode, UserRecord};
use serde::Deserialize;

use super::Cookie;
use super::forms::Visit;
use super::html::{Step, page_or_problem};
use super::show::CodeError;
use crate::auth::account::login::SignInError;
use crate::auth::device::UserCode;
use crate::auth::refusal::refusal;
use crate::auth::service::AuthService;
use crate::problem::Problem;
use crate::rate_limit::ClientAddress;

/// A form takes a few hundred bytes.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// What the page's forms send.
#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    form: String,
    action: Action,
    #[serde(default)]
    user_code: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    SignIn,
    SignOut,
    Approve,
    Deny,
}

/// Why a form is not acted on at all.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    #[error("this is not a form of this page")]
    Malformed,
    #[error("this form was not shown to this browser, or too long ago; open the page again")]
    Forged,
}

impl From<FormError> for Problem {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Malformed => refusal(StatusCode::BAD_REQUEST, "invalid-form", &error),
            FormError::Forged => refusal(StatusCode::FORBIDDEN, "forged-form", &error),
        }
    }
}

/// `POST /device`
pub async fn submit(
    State(auth): State<Arc<AuthService>>,
    Extension(address): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let form = match read(&auth, &headers, &body) {
        Ok(form) => form,
        Err(error) => return Ok(page_or_problem(&headers, error.into())),
    };
    match form.action {
        Action::SignIn => auth.page_sign_in(&headers, form, address).await,
        Action::SignOut => Ok(auth.page_redirect("", Cookie::PageSession.clear(auth.is_https()))),
        Action::Approve | Action::Deny => auth.page_decide(&headers, form, address).await,
    }
}

fn read(auth: &AuthService, headers: &HeaderMap, body: &[u8]) -> Result<Form, FormError> {
    if body.len() > FORM_BYTES_MAX {
        return Err(FormError::Malformed);
    }
    let form: Form = serde_urlencoded::from_bytes(body).map_err(|_| FormError::Malformed)?;
    if auth.is_own_form(headers, &form.form) {
        Ok(form)
    } else {
        Err(FormError::Forged)
    }
}

impl AuthService {
    async fn page_sign_in(
        &self,
        headers: &HeaderMap,
        form: Form,
        address: ClientAddress,
    ) -> Result<Response, Problem> {
        let failed = match self.sign_in(&form.username, &form.password, address).await {
            Ok(user) => {
                let session = self.seal_page_session(&user);
                let life = self.page_session_life();
                let cookie = Cookie::PageSession.set(&session, life, self.is_https());
                return Ok(self.page_redirect(&form.user_code, cookie));
            }
            Err(SignInError::Db(error)) => return Err(error.into()),
            Err(SignInError::Hash(error)) => return Err(error.into()),
            Err(error) => error,
        };
        let status = Problem::from(failed).status();
        let notice = match status {
            StatusCode::TOO_MANY_REQUESTS => "Too many failed attempts. Try again later.",
            StatusCode::FORBIDDEN => "This account is disabled. Ask the hub's administrator.",
            _ => "The username or the password is wrong.",
        };
        let visit = self.visit(headers);
        Ok(self.sign_in_page(&visit, &form.user_code, Some(notice.to_owned()), status))
    }

    async fn page_decide(
        &self,
        headers: &HeaderMap,
        form: Form,
        address: ClientAddress,
    ) -> Result<Response, Problem> {
        let visit = self.visit(headers);
        let Some(user) = self.page_user(headers).await? else {
            let notice = Some("Sign in again to decide.".to_owned());
            return Ok(self.sign_in_page(
                &visit,
                &form.user_code,
                notice,
                StatusCode::UNAUTHORIZED,
            ));
        };
        match self.decide(&user, &form, address).await {
            Ok(()) => Ok(self.decided_page(&visit, &user, form.action)),
            Err(error) => self.code_error_page(&visit, &user, error),
        }
    }

    async fn decide(
        &self,
        user: &UserRecord,
        form: &Form,
        address: ClientAddress,
    ) -> Result<(), CodeError> {
        // Counts wrong codes; what follows decides on the locked row.
        let code = self.find_code(user, &form.user_code, address).await?;
        let now = self.clock.now();
        let mut unit = self.db.begin().await?;
        let code = unit
            .device_codes()
            .lock_by_user_code(self.tenant(), &code.user_code)
            .await?;
        let code: DeviceCode = code.ok_or(CodeError::Unknown)?;
        let after = match form.action {
            Action::Approve => device::approve(&code, user.id, now),
            _ => device::deny(&code, now),
        };
        let after = after.map_err(|refused| match refused {
            DeviceRefused::Expired => CodeError::Unknown,
            DeviceRefused::Answered => CodeError::Answered,
        })?;
        unit.device_codes().update(&after).await?;
        Ok(unit.commit().await?)
    }

    fn decided_page(&self, visit: &Visit, user: &UserRecord, action: Action) -> Response {
        let message = match action {
            Action::Approve => "Your device is connected. You can close this window.",
            _ => "Your device was refused. You can close this window.",
        };
        self.user_page(visit, user, None, Step::Done { message }, StatusCode::OK)
    }

    /// Back to the page, so that reloading it sends no form again.
    fn page_redirect(&self, typed: &str, cookie: HeaderValue) -> Response {
        let path = match UserCode::parse(typed) {
            Some(code) => format!("{}/device?user_code={code}", self.base_path()),
            None => format!("{}/device", self.base_path()),
        };
        match HeaderValue::try_from(path) {
            Ok(path) => (
                StatusCode::SEE_OTHER,
                [(LOCATION, path), (SET_COOKIE, cookie)],
            )
                .into_response(),
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}
