//! The HTTP client towards the provider: no redirects, bounded in time and bytes. Knows no OIDC.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use serde::de::DeserializeOwned;

/// A key set or a discovery document takes some KiB.
const ANSWER_BYTES_MAX: usize = 512 * 1024;

/// Why an answer could not be had. Holds no body, which may hold tokens.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the provider cannot be reached")]
    Transport(#[from] reqwest::Error),
    #[error("the provider's answer is too long")]
    TooLong,
    #[error("the provider's answer is not the JSON that it should be")]
    Shape(#[source] serde_json::Error),
}

/// A client that follows no redirect: a provider's endpoint that points elsewhere could
/// otherwise make the hub speak to its own network.
pub fn client() -> Result<Client, reqwest::Error> {
    // Fails only if another part of the program chose a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(10))
        .build()
}

/// Sends a request and reads its JSON, whatever the status.
pub async fn fetch<T: DeserializeOwned>(
    request: RequestBuilder,
) -> Result<(StatusCode, T), FetchError> {
    let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(reqwest::Error::without_url)?
    {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(FetchError::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    let value = serde_json::from_slice(&bytes).map_err(FetchError::Shape)?;
    Ok((status, value))
}
