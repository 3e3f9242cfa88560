//! HTTP as this client speaks it: encrypted unless it stays on this machine, bounded, patient with
//! busy servers, and never carrying a token to another host. Knows nothing of skills.

mod error;
mod multipart;
mod redirect;
mod retry;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use url::Url;

pub use error::HttpError;
pub(crate) use error::shown;

use crate::clock::Clock;
pub use multipart::Multipart;
pub use retry::RetryPolicy;

/// Most redirects that one request follows.
const REDIRECTS_MAX: usize = 5;
/// How long a connection is kept for the next request. Well below what servers allow.
pub const POOL_IDLE_MAX: Duration = Duration::from_secs(5);

/// Whether a URL names this machine, so that plain HTTP to it crosses no network.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Bounds of time, and how often to try.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    pub connect_timeout: Duration,
    /// Longest silence while an answer arrives.
    pub idle_timeout: Duration,
    pub retry: RetryPolicy,
    /// Plain HTTP to other machines too: for a network that is trusted, and for nothing secret.
    pub allow_plain: bool,
    /// Sent with every request: the program's name and version.
    pub user_agent: String,
    /// Told why a request is sent again, before the wait.
    pub on_retry: Option<OnRetry>,
}

/// Hears one clause for each request that is sent again.
#[derive(Clone)]
pub struct OnRetry(Arc<dyn Fn(&str) + Send + Sync>);

impl OnRetry {
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }
}

impl std::fmt::Debug for OnRetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnRetry")
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            allow_plain: false,
            user_agent: concat!("skills/", env!("CARGO_PKG_VERSION")).to_owned(),
            on_retry: None,
        }
    }
}

/// A request that can be sent more than once.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether sending it twice does no harm.
    pub idempotent: bool,
}

impl Request {
    /// A GET.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A POST.
    pub fn post(url: Url) -> Self {
        Self::new(Method::POST, url)
    }

    /// A request without a body. GET, PUT and DELETE are idempotent (RFC 9110, section 9.2.2).
    pub fn new(method: Method, url: Url) -> Self {
        let idempotent = method.is_idempotent();
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            idempotent,
        }
    }

    /// Sets a header. A value that no header can hold is left out.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Sends `token` to the URL's host, and to no other.
    pub fn bearer(mut self, token: &str) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {token}")) {
            value.set_sensitive(true);
            self.headers.insert(AUTHORIZATION, value);
        }
        self
    }

    /// Sets the body.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header(CONTENT_TYPE, content_type)
    }
}

/// A complete answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Where it came from, after redirects.
    pub url: Url,
}

impl Reply {
    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The two connection pools: one for this machine, made without TLS, and one for the network,
/// made when it is first needed.
#[derive(Clone)]
pub struct Http {
    options: Arc<HttpOptions>,
    clock: Arc<dyn Clock>,
    plain: Arc<OnceLock<reqwest::Client>>,
    encrypted: Arc<OnceLock<reqwest::Client>>,
}

impl Http {
    /// Opens nothing yet.
    pub fn new(options: HttpOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            options: Arc::new(options),
            clock,
            plain: Arc::default(),
            encrypted: Arc::default(),
        }
    }

    /// The bounds in use.
    pub fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// Sends a request and reads the whole answer of at most `body_bytes_max`.
    ///
    /// Tries again as [`RetryPolicy`] allows: after a failed connection or an answer that broke off
    /// if the request is idempotent, and after 429 and 503 as `Retry-After` says.
    pub async fn fetch(&self, request: &Request, body_bytes_max: u64) -> Result<Reply, HttpError> {
        let began = std::time::Instant::now();
        let mut attempt = 0;
        loop {
            let result = self.fetch_once(request, body_bytes_max).await;
            let Some(wait) =
                self.options
                    .retry
                    .wait_after(attempt, request, &result, self.clock.now())?
            else {
                return match attempt {
                    0 => result,
                    _ => result.map_err(|error| error.after(began.elapsed())),
                };
            };
            self.tell_retry(request, &result, wait);
            tracing::debug!(url = %error::shown(&request.url), attempt, ?wait, "trying again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    fn tell_retry(&self, request: &Request, result: &Result<Reply, HttpError>, wait: Duration) {
        let Some(OnRetry(tell)) = &self.options.on_retry else {
            return;
        };
        let why = match result {
            Ok(reply) => format!("{} answered {}", shown(&request.url), reply.status),
            Err(error) => error.to_string(),
        };
        let when = match wait.as_secs() {
            0 => String::new(),
            seconds => format!(" in {seconds} s"),
        };
        tell(&format!("{why}; trying again{when}"));
    }

    async fn fetch_once(&self, request: &Request, body_bytes_max: u64) -> Result<Reply, HttpError> {
        let (response, url) = self.open(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read_body(response, &url, body_bytes_max).await?;
        Ok(Reply {
            status,
            headers,
            body,
            url,
        })
    }

    /// Sends a request once, follows redirects of a GET, and leaves the body unread.
    pub async fn open(&self, request: &Request) -> Result<(reqwest::Response, Url), HttpError> {
        let mut url = request.url.clone();
        let mut headers = request.headers.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self
                .client(&url)?
                .request(request.method.clone(), url.clone())
                .headers(headers.clone())
                .body(request.body.clone())
                .send()
                .await
                .map_err(|source| HttpError::sending(&url, &self.options, source))?;
            let Some(next) = redirect::target(&request.method, &url, &response)? else {
                return Ok((response, url));
            };
            if next.origin() != url.origin() {
                headers.remove(AUTHORIZATION);
            }
            url = next;
        }
        Err(HttpError::TooManyRedirects {
            url: error::shown(&request.url),
        })
    }

    /// The connections for a URL.
    fn client(&self, url: &Url) -> Result<&reqwest::Client, HttpError> {
        match url.scheme() {
            "https" => self.built(&self.encrypted, Self::encrypted),
            "http" if is_loopback(url) || self.options.allow_plain => {
                self.built(&self.plain, build_plain)
            }
            _ => Err(HttpError::Insecure {
                url: error::shown(url),
            }),
        }
    }

    fn built<'a>(
        &self,
        cell: &'a OnceLock<reqwest::Client>,
        build: impl FnOnce(reqwest::ClientBuilder) -> reqwest::Result<reqwest::Client>,
    ) -> Result<&'a reqwest::Client, HttpError> {
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let builder = reqwest::Client::builder()
            .user_agent(&self.options.user_agent)
            .connect_timeout(self.options.connect_timeout)
            .read_timeout(self.options.idle_timeout)
            // A server may close what has been idle for some seconds, such as while a person types
            // a password. What is sent then is lost, and not every request may be repeated.
            .pool_idle_timeout(POOL_IDLE_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        let client = build(builder).map_err(|source| HttpError::Setup { source })?;
        Ok(cell.get_or_init(|| client))
    }

    /// HTTPS, checked against the machine's certificates.
    fn encrypted(builder: reqwest::ClientBuilder) -> reqwest::Result<reqwest::Client> {
        // An error means that a provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        builder.https_only(true).build()
    }
}

/// Builds a client for plain HTTP without a proxy. The given TLS configuration trusts nobody and costs
/// nothing; without one the client would load the machine's certificates for connections it never makes.
pub fn build_plain(builder: reqwest::ClientBuilder) -> reqwest::Result<reqwest::Client> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unused = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    builder.no_proxy().tls_backend_preconfigured(unused).build()
}

async fn read_body(
    mut response: reqwest::Response,
    url: &Url,
    bytes_max: u64,
) -> Result<Bytes, HttpError> {
    let too_large = || HttpError::TooLarge {
        url: error::shown(url),
        bytes_max,
    };
    if response
        .content_length()
        .is_some_and(|length| length > bytes_max)
    {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|source| HttpError::receiving(url, source))?
    {
        if (body.len() + chunk.len()) as u64 > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
