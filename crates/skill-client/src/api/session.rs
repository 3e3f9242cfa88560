//! Who is asking: a token that was passed in, or a stored session that is renewed when it ends.
//! Two processes that renew at once do not lose each other's result.

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::ApiError;
use super::account::Tokens;
use crate::config::{ConfigFile, Credentials, RegistryUrl, Secret};

/// An access token is renewed this long before it ends, so that it does not end on its way.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_secs(30);

/// The credentials for one registry.
#[derive(Debug)]
pub(super) struct Session {
    current: Mutex<Option<Credentials>>,
    /// Where a renewed session is stored.
    file: Option<ConfigFile>,
}

impl Session {
    pub fn new(credentials: Option<Credentials>, file: Option<ConfigFile>) -> Self {
        Self {
            current: Mutex::new(credentials),
            file,
        }
    }

    /// The token that gives the next access token.
    pub async fn refresh_token(&self) -> Option<Secret> {
        self.current.lock().await.as_ref()?.refresh_token.clone()
    }

    /// The token to send, renewed by `renew` if it has ended.
    pub async fn token(
        &self,
        registry: &RegistryUrl,
        now: Timestamp,
        renew: impl AsyncFnOnce(&Secret) -> Result<Tokens, ApiError>,
    ) -> Result<Option<Secret>, ApiError> {
        // Held while renewing: a refresh token works once.
        let mut current = self.current.lock().await;
        let ends_soon = |credentials: &Credentials| {
            credentials.refresh_token.is_some()
                && credentials
                    .expires_at
                    .is_some_and(|at| at.duration_since(now) <= RENEW_BEFORE)
        };
        if let Some(ended) = current
            .as_ref()
            .filter(|credentials| ends_soon(credentials))
            .cloned()
        {
            *current = Some(self.renewed(registry, &ended, now, renew).await?);
        }
        Ok(current
            .as_ref()
            .map(|credentials| credentials.token.clone()))
    }

    /// After the registry refused `refused`: another token to try, or `None`.
    pub async fn token_after_refusal(
        &self,
        registry: &RegistryUrl,
        refused: &Secret,
        now: Timestamp,
        renew: impl AsyncFnOnce(&Secret) -> Result<Tokens, ApiError>,
    ) -> Result<Option<Secret>, ApiError> {
        let mut current = self.current.lock().await;
        let Some(credentials) = current.clone() else {
            return Ok(None);
        };
        if credentials.token != *refused {
            return Ok(Some(credentials.token));
        }
        if credentials.refresh_token.is_none() {
            return Ok(None);
        }
        let renewed = self.renewed(registry, &credentials, now, renew).await?;
        let token = renewed.token.clone();
        *current = Some(renewed);
        Ok(Some(token))
    }

    /// Under the lock of the configuration: what another process renewed meanwhile, else what
    /// `renew` gives, stored before the lock is released.
    async fn renewed(
        &self,
        registry: &RegistryUrl,
        ended: &Credentials,
        now: Timestamp,
        renew: impl AsyncFnOnce(&Secret) -> Result<Tokens, ApiError>,
    ) -> Result<Credentials, ApiError> {
        let session_ended = || ApiError::SessionEnded {
            registry: registry.to_string(),
        };
        let refresh_token = ended.refresh_token.as_ref().ok_or_else(session_ended)?;
        let Some(file) = &self.file else {
            return Ok(renew(refresh_token)
                .await
                .map_err(|error| ended_or(error, registry))?
                .credentials(ended, now));
        };
        let _lock = file.lock().await?;
        let stored = file.read()?.credentials(registry).cloned();
        match stored {
            Some(stored) if stored.token != ended.token => return Ok(stored),
            // Signed out meanwhile.
            None => return Err(session_ended()),
            Some(_) => {}
        }
        let tokens = renew(refresh_token)
            .await
            .map_err(|error| ended_or(error, registry))?;
        let renewed = tokens.credentials(ended, now);
        file.update_locked(|config| {
            config.set_credentials(registry, Some(renewed.clone()));
            Ok(())
        })?;
        Ok(renewed)
    }
}

fn ended_or(error: ApiError, registry: &RegistryUrl) -> ApiError {
    match error.problem().map(|problem| problem.status) {
        Some(400 | 401 | 403) => ApiError::SessionEnded {
            registry: registry.to_string(),
        },
        _ => error,
    }
}
