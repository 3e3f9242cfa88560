//! The provider: discovery, keys, the authorization URL, and trading a code for claims. Knows
//! no account and no browser.

use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hub_model::Clock;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use url::Url;

use super::http::{self, FetchError};
use super::id_token::{self, Expected, IdTokenError, KeySet};
use crate::auth::config::OidcConfig;
use crate::auth::random;

/// Endpoints move rarely.
const DISCOVERY_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// An ID token under an unknown key makes the keys be fetched again, but not more often than
/// this: whoever can make the provider sign with odd keys must not make the hub flood it.
const KEYS_PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// One configured provider.
pub struct OidcClient {
    config: OidcConfig,
    issuer: Url,
    redirect_uri: String,
    http: Client,
    clock: Arc<dyn Clock>,
    provider: RwLock<Option<Arc<Provider>>>,
}

/// What the provider published, and when it was read.
struct Provider {
    metadata: Metadata,
    keys: KeySet,
    metadata_read_at: Timestamp,
    keys_read_at: Timestamp,
}

/// The parts of OpenID Connect Discovery 1.0 §3 that matter here.
#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    userinfo_endpoint: Option<Url>,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

/// RFC 6749 §5.1 and §5.2 in one.
#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
    access_token: Option<String>,
    error: Option<String>,
}

/// Where to send the browser, and what to remember until it comes back.
pub struct Authorization {
    pub url: Url,
    pub state: String,
    pub nonce: String,
    /// The PKCE verifier (RFC 7636 §4.1).
    pub verifier: String,
}

/// The configured provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OidcStartError {
    #[error("`auth.oidc.issuer` must be an https:// address (http:// only on this machine)")]
    Issuer,
    #[error("cannot prepare an HTTP client for the OIDC provider")]
    Http(#[from] reqwest::Error),
}

/// What went wrong with the provider.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    #[error("the identity provider cannot be reached or answers nonsense")]
    Fetch(#[from] FetchError),
    #[error("the identity provider's discovery document {0}")]
    Metadata(&'static str),
    /// The provider's own error code, cut to what such codes are made of.
    #[error("the identity provider refused the sign-in: {0}")]
    Refused(String),
    #[error("the identity provider's answer was not accepted: {0}")]
    IdToken(#[from] IdTokenError),
}

impl OidcClient {
    /// Checks the configuration. Speaks to nobody yet.
    pub fn new(
        config: OidcConfig,
        public_base: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OidcStartError> {
        let issuer = Url::parse(&config.issuer).map_err(|_| OidcStartError::Issuer)?;
        if !is_secure(&issuer) {
            return Err(OidcStartError::Issuer);
        }
        Ok(Self {
            issuer,
            redirect_uri: format!("{public_base}/api/v1/auth/oidc/callback"),
            http: http::client()?,
            clock,
            provider: RwLock::new(None),
            config,
        })
    }

    pub fn config(&self) -> &OidcConfig {
        &self.config
    }

    /// The authorization request (OpenID Connect Core §3.1.2.1) for one sign-in.
    pub async fn authorize(&self) -> Result<Authorization, OidcError> {
        let provider = self.provider().await?;
        let (state, nonce, verifier) = (random::text(), random::text(), random::text());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let scopes: Vec<&str> = std::iter::once("openid")
            .chain(
                self.config
                    .scopes
                    .iter()
                    .map(String::as_str)
                    .filter(|s| *s != "openid"),
            )
            .collect();
        let mut url = provider.metadata.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(Authorization {
            url,
            state,
            nonce,
            verifier,
        })
    }

    /// Checks the `iss` that came back with a code (RFC 9207): a code of another provider must
    /// not be sent to this one.
    pub async fn check_response_issuer(&self, issuer: Option<&str>) -> Result<(), OidcError> {
        let provider = self.provider().await?;
        let expected = provider.metadata.issuer.as_str();
        let required = provider
            .metadata
            .authorization_response_iss_parameter_supported;
        match issuer {
            Some(issuer) if issuer == expected => Ok(()),
            None if !required => Ok(()),
            _ => Err(IdTokenError::Issuer.into()),
        }
    }

    /// Trades a code for the user's claims, checked.
    pub async fn claims(
        &self,
        code: &str,
        verifier: &str,
        nonce: &str,
    ) -> Result<Map<String, Value>, OidcError> {
        let provider = self.provider().await?;
        let answer = self.exchange(&provider.metadata, code, verifier).await?;
        let id_token = answer.id_token.ok_or(OidcError::Metadata(
            "names an endpoint that gives no ID token",
        ))?;
        let mut claims = self.verify(provider.clone(), &id_token, nonce).await?;
        if let (Some(endpoint), Some(token)) =
            (&provider.metadata.userinfo_endpoint, &answer.access_token)
            && self.lacks_something(&claims)
        {
            self.add_userinfo(&mut claims, endpoint, token).await?;
        }
        Ok(claims)
    }

    async fn verify(
        &self,
        provider: Arc<Provider>,
        id_token: &str,
        nonce: &str,
    ) -> Result<Map<String, Value>, OidcError> {
        let expected = Expected {
            issuer: &self.config.issuer,
            client_id: &self.config.client_id,
            nonce,
            algorithms: &provider.metadata.id_token_signing_alg_values_supported,
            now: self.clock.now(),
            skew: SignedDuration::from_secs(self.config.clock_skew_seconds.into()),
        };
        match id_token::verify(id_token, &provider.keys, &expected) {
            Err(IdTokenError::UnknownKey) => {
                let keys = self.fresh_keys(&provider).await?;
                Ok(id_token::verify(id_token, &keys, &expected)?)
            }
            other => Ok(other?),
        }
    }

    async fn exchange(
        &self,
        metadata: &Metadata,
        code: &str,
        verifier: &str,
    ) -> Result<TokenAnswer, OidcError> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", verifier),
        ];
        let mut request = self.http.post(metadata.token_endpoint.clone());
        match &self.config.client_secret {
            Some(secret) if metadata.wants_secret_in_body() => {
                form.push(("client_id", &self.config.client_id));
                form.push(("client_secret", secret.expose()));
            }
            Some(secret) => request = self.basic(request, secret.expose()),
            None => form.push(("client_id", &self.config.client_id)),
        }
        let (status, answer): (_, TokenAnswer) = http::fetch(request.form(&form)).await?;
        match answer.error {
            Some(error) => Err(OidcError::Refused(error_code(&error))),
            None if status != StatusCode::OK => Err(OidcError::Refused(status.as_str().to_owned())),
            None => Ok(answer),
        }
    }

    /// RFC 6749 §2.3.1: both halves are form-encoded first.
    fn basic(&self, request: RequestBuilder, secret: &str) -> RequestBuilder {
        let encode =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        request.basic_auth(encode(&self.config.client_id), Some(encode(secret)))
    }

    /// Some providers put claims into the ID token, others only behind the userinfo endpoint.
    fn lacks_something(&self, claims: &Map<String, Value>) -> bool {
        let config = &self.config;
        let wants_groups = !config.roles.is_empty() || !config.allowed_groups.is_empty();
        !claims.contains_key(&config.username_claim)
            || (!config.allowed_domains.is_empty() && !claims.contains_key("email"))
            || (wants_groups && !claims.contains_key(&config.groups_claim))
    }

    async fn add_userinfo(
        &self,
        claims: &mut Map<String, Value>,
        endpoint: &Url,
        access_token: &str,
    ) -> Result<(), OidcError> {
        let request = self.http.get(endpoint.clone()).bearer_auth(access_token);
        let (status, userinfo): (_, Map<String, Value>) = http::fetch(request).await?;
        if status != StatusCode::OK {
            return Err(OidcError::Refused(status.as_str().to_owned()));
        }
        // Core §5.3.2: userinfo of another subject must not be used.
        if userinfo.get("sub") != claims.get("sub") {
            return Err(IdTokenError::Subject.into());
        }
        for (name, value) in userinfo {
            claims.entry(name).or_insert(value);
        }
        Ok(())
    }

    async fn provider(&self) -> Result<Arc<Provider>, OidcError> {
        let now = self.clock.now();
        let known = self
            .provider
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let fresh = |p: &Arc<Provider>| now.duration_since(p.metadata_read_at) < DISCOVERY_LIFE;
        if let Some(provider) = known.filter(fresh) {
            return Ok(provider);
        }
        let metadata = self.discover().await?;
        let keys = self.read_keys(&metadata).await?;
        Ok(self.remember(Provider {
            metadata,
            keys,
            metadata_read_at: now,
            keys_read_at: now,
        }))
    }

    async fn fresh_keys(&self, known: &Provider) -> Result<KeySet, OidcError> {
        let now = self.clock.now();
        if now.duration_since(known.keys_read_at) < KEYS_PAUSE {
            return Err(IdTokenError::UnknownKey.into());
        }
        let keys = self.read_keys(&known.metadata).await?;
        self.remember(Provider {
            metadata: known.metadata.clone(),
            keys: keys.clone(),
            metadata_read_at: known.metadata_read_at,
            keys_read_at: now,
        });
        Ok(keys)
    }

    fn remember(&self, provider: Provider) -> Arc<Provider> {
        let provider = Arc::new(provider);
        *self
            .provider
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(provider.clone());
        provider
    }

    async fn discover(&self) -> Result<Metadata, OidcError> {
        let base = self.config.issuer.trim_end_matches('/');
        let request = self
            .http
            .get(format!("{base}/.well-known/openid-configuration"));
        let (_, metadata): (_, Metadata) = http::fetch(request).await?;
        if metadata.issuer != self.config.issuer {
            return Err(OidcError::Metadata(
                "names another issuer than the configuration",
            ));
        }
        let endpoints = [
            &metadata.authorization_endpoint,
            &metadata.token_endpoint,
            &metadata.jwks_uri,
        ];
        let all_secure = endpoints
            .into_iter()
            .chain(&metadata.userinfo_endpoint)
            .all(is_secure);
        if !all_secure && is_secure_scheme(&self.issuer) {
            return Err(OidcError::Metadata("names an endpoint without https"));
        }
        Ok(metadata)
    }

    async fn read_keys(&self, metadata: &Metadata) -> Result<KeySet, OidcError> {
        let (_, keys): (_, Keys) = http::fetch(self.http.get(metadata.jwks_uri.clone())).await?;
        Ok(KeySet::new(keys.keys))
    }
}

impl Metadata {
    /// `client_secret_basic` is the default (Discovery §3) and every provider has it, except
    /// those that say otherwise.
    fn wants_secret_in_body(&self) -> bool {
        self.token_endpoint_auth_methods_supported
            .as_ref()
            .is_some_and(|methods| {
                let has = |method: &str| methods.iter().any(|m| m == method);
                has("client_secret_post") && !has("client_secret_basic")
            })
    }
}

fn is_secure_scheme(url: &Url) -> bool {
    url.scheme() == "https"
}

/// TLS, or this very machine.
fn is_secure(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    is_secure_scheme(url) || (url.scheme() == "http" && loopback)
}

/// An error code as RFC 6749 §5.2 writes them; anything else is not repeated.
pub(super) fn error_code(text: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        text.to_owned()
    } else {
        "unknown_error".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let secure = |text: &str| is_secure(&Url::parse(text).expect("a URL"));
        assert!(secure("https://id.example.com"));
        assert!(secure("http://127.0.0.1:9000"));
        assert!(secure("http://[::1]:9000"));
        assert!(!secure("http://id.example.com"));
        assert!(!secure("ftp://127.0.0.1"));
        assert!(!secure("http://localhost.example.com"));
    }

    #[test]
    fn only_plain_error_codes_are_repeated() {
        assert_eq!(error_code("access_denied"), "access_denied");
        assert_eq!(error_code("<script>"), "unknown_error");
        assert_eq!(error_code(&"a".repeat(65)), "unknown_error");
    }
}
