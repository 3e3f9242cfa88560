//! The registry's interface, typed: one method per endpoint, by noun. Knows nothing of the store.
//!
//! To add an endpoint: put its types and its method into the file of its noun and use one of the
//! private helpers of [`Client`] here, which add the token, the time-outs, the retries and the
//! conversion of problem documents.

mod account;
mod admin;
mod catalogue;
mod download;
mod error;
mod keys;
mod metadata;
mod publishing;
mod session;
mod types;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

pub use account::{
    ApiToken, AuthConfig, DeviceCode, DeviceState, Me, NewApiToken, OidcProvider, TokenRequest,
    Tokens,
};
pub use admin::{User, UserChange};
pub use download::{Download, Progress};
pub use error::{ApiError, FieldProblem, Problem};
pub use keys::RegisteredKey;
pub use metadata::MetadataCache;
pub use publishing::{Publication, Rating};
pub use types::{
    DayDownloads, Dependent, Deprecation, FileInfo, Health, ListQuery, Release, ReleaseDetail,
    SearchPage, SearchQuery, SkillDetail, SkillInfo, SkillPage, Sort, TagCount,
};

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigFile, Credentials, Registry, RegistryUrl, Secret};
use crate::http::{Http, HttpOptions, Reply, Request};
use crate::paths::Paths;
use session::Session;

/// Largest JSON document that is read: a hundred skills with a thousand versions each fit.
const DOCUMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Everything a [`Client`] needs besides the registry.
#[derive(Clone)]
pub struct ClientOptions {
    pub http: HttpOptions,
    pub clock: Arc<dyn Clock>,
    /// Who is asking; `None` for anybody.
    pub credentials: Option<Credentials>,
    /// Where a renewed session is stored.
    pub config_file: Option<ConfigFile>,
    /// Where answers are kept for conditional requests and offline work.
    pub metadata_dir: Option<PathBuf>,
    /// Answer from what was seen before; send nothing.
    pub offline: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            http: HttpOptions::default(),
            clock: Arc::new(SystemClock),
            credentials: None,
            config_file: None,
            metadata_dir: None,
            offline: false,
        }
    }
}

impl ClientOptions {
    /// For a registry as a person has configured it. `token`, from the environment, outranks a
    /// stored session and is never stored.
    pub fn configured(
        paths: &Paths,
        config: &Config,
        registry: &Registry,
        token: Option<Secret>,
    ) -> Self {
        let passed_in = token.map(|token| Credentials {
            username: None,
            token,
            refresh_token: None,
            expires_at: None,
        });
        Self {
            credentials: passed_in.or_else(|| config.credentials(&registry.url).cloned()),
            config_file: Some(ConfigFile::new(paths.config_file())),
            metadata_dir: Some(paths.cache_dir()),
            ..Self::default()
        }
    }
}

/// Speaks to one registry.
pub struct Client {
    http: Http,
    registry: Registry,
    session: Session,
    metadata: Option<MetadataCache>,
    clock: Arc<dyn Clock>,
    offline: bool,
}

impl Client {
    /// Opens no connection yet.
    pub fn new(registry: Registry, options: ClientOptions) -> Self {
        Self {
            http: Http::new(options.http, options.clock.clone()),
            session: Session::new(options.credentials, options.config_file),
            metadata: options.metadata_dir.map(MetadataCache::new),
            clock: options.clock,
            offline: options.offline,
            registry,
        }
    }

    /// The registry it speaks to.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Whether it answers from what was seen before.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Makes what was learned known to other processes. To be called once at the end of a command;
    /// without it the registry is merely asked again.
    pub fn remember(&self) {
        if let Some(metadata) = &self.metadata
            && let Err(error) = metadata.flush()
        {
            tracing::debug!(%error, "cannot keep the registry's answers");
        }
    }

    fn url(&self, segments: &[&str]) -> Url {
        endpoint(&self.registry.url, segments)
    }

    /// GET, conditional if the answer is known, from what is known if offline.
    async fn read<T: DeserializeOwned>(&self, segments: &[&str]) -> Result<T, ApiError> {
        self.read_query(segments, &[]).await
    }

    async fn read_query<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, ApiError> {
        let mut url = self.url(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let body = self.read_bytes(&url, DOCUMENT_BYTES_MAX).await?;
        parse(&url, &body)
    }

    async fn read_bytes(&self, url: &Url, bytes_max: u64) -> Result<Bytes, ApiError> {
        let stored = self
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.get(url.as_str()));
        if self.offline {
            let unknown = || ApiError::Offline {
                what: url.path().to_owned(),
                registry: self.registry.url.to_string(),
            };
            return stored.map(|stored| stored.body).ok_or_else(unknown);
        }
        let mut request = Request::get(url.clone()).header(ACCEPT, "application/json");
        if let Some(etag) = stored.as_ref().and_then(|stored| stored.etag.as_deref()) {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let reply = self.send_as_user(request, bytes_max).await?;
        let now = self.clock.now();
        match (reply.status, stored, &self.metadata) {
            (StatusCode::NOT_MODIFIED, Some(stored), Some(metadata)) => {
                metadata.confirm(url.as_str(), now);
                Ok(stored.body)
            }
            (StatusCode::NOT_MODIFIED, ..) => {
                Err(unexpected(url, "304 to an unconditional request"))
            }
            (_, _, Some(metadata)) => {
                metadata.put(
                    url.as_str(),
                    reply.header(ETAG.as_str()).map(str::to_owned),
                    &reply.body,
                    now,
                );
                Ok(reply.body)
            }
            _ => Ok(reply.body),
        }
    }

    async fn read_anonymously<T: DeserializeOwned>(
        &self,
        segments: &[&str],
    ) -> Result<T, ApiError> {
        let url = self.url(segments);
        let reply = self
            .send(&Request::get(url.clone()), DOCUMENT_BYTES_MAX)
            .await?;
        parse(&url, &reply.body)
    }

    async fn post<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &Value,
    ) -> Result<T, ApiError> {
        let request = json_request(Method::POST, self.url(segments), body);
        let url = request.url.clone();
        parse(
            &url,
            &self.send_as_user(request, DOCUMENT_BYTES_MAX).await?.body,
        )
    }

    async fn post_anonymously<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &Value,
    ) -> Result<T, ApiError> {
        let request = json_request(Method::POST, self.url(segments), body);
        parse(
            &request.url,
            &self.send(&request, DOCUMENT_BYTES_MAX).await?.body,
        )
    }

    async fn post_nothing(&self, segments: &[&str], body: &Value) -> Result<(), ApiError> {
        self.send_as_user(
            json_request(Method::POST, self.url(segments), body),
            DOCUMENT_BYTES_MAX,
        )
        .await
        .map(drop)
    }

    async fn put_nothing(&self, segments: &[&str], body: &Value) -> Result<(), ApiError> {
        self.send_as_user(
            json_request(Method::PUT, self.url(segments), body),
            DOCUMENT_BYTES_MAX,
        )
        .await
        .map(drop)
    }

    async fn patch_nothing(&self, segments: &[&str], body: &Value) -> Result<(), ApiError> {
        let mut request = json_request(Method::PATCH, self.url(segments), body);
        // Every PATCH of this interface states the result, not a step towards it.
        request.idempotent = true;
        self.send_as_user(request, DOCUMENT_BYTES_MAX)
            .await
            .map(drop)
    }

    async fn delete(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<(), ApiError> {
        let mut url = self.url(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send_as_user(Request::new(Method::DELETE, url), DOCUMENT_BYTES_MAX)
            .await
            .map(drop)
    }

    /// Sends a request with the user's token, once more with a renewed one if the first is refused.
    async fn send_as_user(&self, request: Request, bytes_max: u64) -> Result<Reply, ApiError> {
        let url = &self.registry.url;
        let token = self
            .session
            .token(url, self.clock.now(), async |refresh| {
                self.renew(refresh).await
            })
            .await?;
        let Some(token) = token else {
            return self.send(&request, bytes_max).await;
        };
        match self
            .send(&request.clone().bearer(token.expose()), bytes_max)
            .await
        {
            Err(error) if error.problem().is_some_and(|problem| problem.status == 401) => {
                let renew = async |refresh: &Secret| self.renew(refresh).await;
                match self
                    .session
                    .token_after_refusal(url, &token, self.clock.now(), renew)
                    .await?
                {
                    Some(token) => self.send(&request.bearer(token.expose()), bytes_max).await,
                    None => Err(error),
                }
            }
            result => result,
        }
    }

    /// Sends a request as it is and turns a refusal into an error.
    async fn send(&self, request: &Request, bytes_max: u64) -> Result<Reply, ApiError> {
        if self.offline {
            return Err(ApiError::NeedsNetwork {
                registry: self.registry.url.to_string(),
            });
        }
        let reply = self.http.fetch(request, bytes_max).await?;
        if reply.status.is_success() || reply.status == StatusCode::NOT_MODIFIED {
            return Ok(reply);
        }
        let retry_after = reply
            .header(RETRY_AFTER.as_str())
            .and_then(|text| text.parse().ok());
        let registry = self.registry.url.as_str();
        Err(refusal(reply.status, &reply.body, retry_after, registry))
    }
}

/// `<registry>/api/v1/<segments>`, each segment encoded.
fn endpoint(registry: &RegistryUrl, segments: &[&str]) -> Url {
    let mut url = registry.url().clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["api", "v1"]).extend(segments);
    }
    url
}

fn json_request<T: Serialize>(method: Method, url: Url, body: &T) -> Request {
    let body = serde_json::to_vec(body).expect("the bodies are maps with text keys");
    Request::new(method, url)
        .header(ACCEPT, "application/json")
        .body("application/json", body)
}

fn parse<T: DeserializeOwned>(url: &Url, body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| unexpected(url, &error.to_string()))
}

fn unexpected(url: &Url, reason: &str) -> ApiError {
    ApiError::Unexpected {
        url: crate::http::shown(url),
        reason: reason.to_owned(),
    }
}

/// What an answer other than a success says, whoever sent it.
fn refusal(
    status: StatusCode,
    body: &[u8],
    retry_after_seconds: Option<u64>,
    registry: &str,
) -> ApiError {
    let mut problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    problem.status = status.as_u16();
    problem.retry_after = retry_after_seconds.map(Duration::from_secs);
    registry.clone_into(&mut problem.registry);
    ApiError::Refused(Box::new(problem))
}

#[cfg(test)]
mod tests {
    use skill_format::Explain as _;

    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_a_url() {
        let registry = "https://example.org/registry".parse().expect("a URL");
        let url = endpoint(&registry, &["skills", "../a b?c", "1.0.0+x"]);
        assert_eq!(
            url.as_str(),
            "https://example.org/registry/api/v1/skills/..%2Fa%20b%3Fc/1.0.0+x"
        );
    }

    #[test]
    fn an_answer_of_something_else_is_still_a_refusal() {
        let url = "https://example.org";
        let error = refusal(StatusCode::BAD_GATEWAY, b"<html>", Some(3), url);
        assert_eq!(
            error.to_string(),
            "https://example.org answered 502 Bad Gateway"
        );
        assert_eq!(
            error.problem().and_then(|problem| problem.retry_after),
            Some(Duration::from_secs(3))
        );
        for body in [&b"<html>"[..], br#"{"detail":"Not Found"}"#] {
            let error = refusal(StatusCode::NOT_FOUND, body, None, url);
            assert_eq!(
                error.to_string(),
                "https://example.org is not a skill registry (it answered 404)"
            );
            assert_eq!(error.code(), "not-a-registry");
            assert!(error.help().is_some());
        }
    }
}
