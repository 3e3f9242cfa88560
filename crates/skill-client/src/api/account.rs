//! Accounts, sign-in, API tokens.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ApiError, Client};
use crate::config::{Credentials, Secret};

/// How a registry lets people in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthConfig {
    /// `open` or `closed`.
    pub registration: String,
    /// Whether reading needs a token too.
    #[serde(default)]
    pub private: bool,
    pub oidc: Option<OidcProvider>,
}

/// Another place that vouches for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcProvider {
    pub name: String,
}

/// What a sign-in gives.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    pub access_token: Secret,
    /// Seconds.
    pub expires_in: Option<i64>,
    pub refresh_token: Option<Secret>,
}

impl Tokens {
    /// What is stored of a session that followed `former`.
    pub(super) fn credentials(self, former: &Credentials, now: Timestamp) -> Credentials {
        Credentials {
            refresh_token: self.refresh_token.or_else(|| former.refresh_token.clone()),
            username: former.username.clone(),
            expires_at: ends_at(self.expires_in, now),
            token: self.access_token,
        }
    }

    /// What is stored of a new session.
    pub fn into_credentials(self, username: Option<String>, now: Timestamp) -> Credentials {
        Credentials {
            username,
            expires_at: ends_at(self.expires_in, now),
            token: self.access_token,
            refresh_token: self.refresh_token,
        }
    }
}

fn ends_at(seconds: Option<i64>, now: Timestamp) -> Option<Timestamp> {
    now.checked_add(SignedDuration::from_secs(seconds?)).ok()
}

/// Who the registry thinks is asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    pub username: String,
    /// `reader`, `publisher` or `admin`.
    pub role: String,
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The skills that the token is limited to; `None` for all.
    pub skills: Option<Vec<String>>,
    pub tenant: Option<String>,
    /// `session` or `api-token`.
    pub via: Option<String>,
    /// The API token's id and name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_name: Option<String>,
    /// When the API token ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A sign-in that is finished in a browser (RFC 8628).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceCode {
    pub device_code: Secret,
    /// To be typed on the page.
    pub user_code: String,
    pub verification_uri: String,
    pub verification_uri_complete: Option<String>,
    /// Seconds.
    pub expires_in: u64,
    /// Seconds between two questions.
    pub interval: Option<u64>,
}

/// What became of a device sign-in so far.
#[derive(Debug)]
pub enum DeviceState {
    /// Not confirmed yet.
    Pending,
    /// Asked too often: wait five seconds longer (RFC 8628, section 3.5).
    SlowDown,
    Granted(Tokens),
}

/// An API token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiToken {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Patterns of skill names; none means all.
    #[serde(default)]
    pub skills: Option<Vec<String>>,
    pub created_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

/// A new API token. Its secret is shown once.
#[derive(Debug, Clone, Deserialize)]
pub struct NewApiToken {
    #[serde(flatten)]
    pub info: ApiToken,
    pub token: Secret,
}

/// What a new API token may do.
#[derive(Debug, Clone, Default)]
pub struct TokenRequest {
    pub name: String,
    /// `read`, `publish`, `yank`, `owners`, `keys`, `admin`.
    pub scopes: Vec<String>,
    /// Patterns of skill names; none means all.
    pub skills: Vec<String>,
    pub expires_in_days: Option<u32>,
}

#[derive(Deserialize)]
struct ApiTokens {
    tokens: Vec<ApiToken>,
}

impl Client {
    /// How the registry lets people in.
    pub async fn auth_config(&self) -> Result<AuthConfig, ApiError> {
        self.read_anonymously(&["auth", "config"]).await
    }

    /// Makes an account.
    pub async fn register(
        &self,
        username: &str,
        password: &Secret,
        email: Option<&str>,
    ) -> Result<(), ApiError> {
        let body = json!({"username": username, "password": password, "email": email});
        self.post_anonymously(&["auth", "register"], &body)
            .await
            .map(|_: serde::de::IgnoredAny| ())
    }

    /// Signs in. The result is not stored: see [`crate::ConfigFile::update`].
    pub async fn login(&self, username: &str, password: &Secret) -> Result<Tokens, ApiError> {
        self.post_anonymously(
            &["auth", "login"],
            &json!({"username": username, "password": password}),
        )
        .await
    }

    /// Ends the session at the registry. An API token has none: it is revoked by its id.
    pub async fn logout(&self) -> Result<(), ApiError> {
        self.end_session().await
    }

    /// Who the registry thinks is asking.
    pub async fn me(&self) -> Result<Me, ApiError> {
        self.read(&["auth", "me"]).await
    }

    /// Changes the password.
    pub async fn change_password(&self, current: &Secret, new: &Secret) -> Result<(), ApiError> {
        self.put_nothing(
            &["auth", "password"],
            &json!({"currentPassword": current, "newPassword": new}),
        )
        .await
    }

    /// Begins a sign-in in a browser.
    pub async fn device_code(&self, client_name: &str) -> Result<DeviceCode, ApiError> {
        self.post_anonymously(&["auth", "device"], &json!({"clientName": client_name}))
            .await
    }

    /// Asks what became of a sign-in in a browser.
    pub async fn device_state(&self, code: &DeviceCode) -> Result<DeviceState, ApiError> {
        let body = json!({"deviceCode": code.device_code});
        match self
            .post_anonymously(&["auth", "device", "token"], &body)
            .await
        {
            Ok(tokens) => Ok(DeviceState::Granted(tokens)),
            Err(error) if error.is("authorization-pending") => Ok(DeviceState::Pending),
            Err(error) if error.is("slow-down") => Ok(DeviceState::SlowDown),
            Err(error) => Err(error),
        }
    }

    /// Makes an API token.
    pub async fn create_token(&self, wanted: &TokenRequest) -> Result<NewApiToken, ApiError> {
        let mut body = json!({"name": wanted.name, "scopes": wanted.scopes});
        if !wanted.skills.is_empty() {
            body["skills"] = json!(wanted.skills);
        }
        if let Some(days) = wanted.expires_in_days {
            body["expiresInDays"] = json!(days);
        }
        self.post(&["auth", "tokens"], &body).await
    }

    /// The account's API tokens.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, ApiError> {
        self.read(&["auth", "tokens"])
            .await
            .map(|list: ApiTokens| list.tokens)
    }

    /// Revokes an API token.
    pub async fn revoke_token(&self, id: &str) -> Result<(), ApiError> {
        self.delete(&["auth", "tokens", id], &[]).await
    }

    async fn end_session(&self) -> Result<(), ApiError> {
        match self.session.refresh_token().await {
            // Works even if the access token has ended.
            Some(token) => {
                let body = json!({"refreshToken": token});
                let request = super::json_request(
                    reqwest::Method::POST,
                    self.url(&["auth", "logout"]),
                    &body,
                );
                self.send(&request, super::DOCUMENT_BYTES_MAX)
                    .await
                    .map(drop)
            }
            None => {
                let request =
                    crate::http::Request::new(reqwest::Method::POST, self.url(&["auth", "logout"]));
                self.send_as_user(request, super::DOCUMENT_BYTES_MAX)
                    .await
                    .map(drop)
            }
        }
    }

    /// Another access token for a refresh token, which then no longer works.
    pub(super) async fn renew(&self, refresh_token: &Secret) -> Result<Tokens, ApiError> {
        self.post_anonymously(
            &["auth", "refresh"],
            &json!({"refreshToken": refresh_token}),
        )
        .await
    }
}
