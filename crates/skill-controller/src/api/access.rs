//! Where the API server is and who we are there: given by flags, or found as every pod finds it. Reads no
//! environment: the program passes it in.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderValue;
use skill_format::{Explain, Fault};
use url::Url;

use super::ApiError;

const CONNECT_SECONDS_MAX: u64 = 10;
/// A watch hears at least a bookmark each minute; a connection that is silent for longer is dead.
const SILENCE_SECONDS_MAX: u64 = 120;

/// Where the API server is, and how to show who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub server: String,
    /// A file with a bearer token, read for each request: the cluster renews it.
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
}

impl Access {
    /// As a pod finds it: `host` and `port` are KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT,
    /// `folder` has the service account's files.
    pub fn in_cluster(host: &str, port: &str, folder: &Path) -> Self {
        let host = match host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => host.to_owned(),
        };
        Self {
            server: format!("https://{host}:{port}"),
            token_file: Some(folder.join("token")),
            ca_file: Some(folder.join("ca.crt")),
        }
    }

    pub(super) fn open(self) -> Result<(reqwest::Client, Url, Token), AccessError> {
        let wrong = |problem: &str| AccessError::Server {
            server: self.server.clone(),
            problem: problem.to_owned(),
        };
        let server = Url::parse(&self.server).map_err(|error| wrong(&error.to_string()))?;
        match server.scheme() {
            "https" => {}
            "http" if self.token_file.is_none() || is_loopback(&server) => {}
            "http" => return Err(wrong("would carry the token unencrypted")),
            _ => return Err(wrong("is neither https:// nor http://")),
        }
        if !server.username().is_empty() || server.password().is_some() {
            return Err(wrong("must not hold a user or password"));
        }
        // An error means that a provider is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("skills-controller/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
            .read_timeout(Duration::from_secs(SILENCE_SECONDS_MAX))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        if let Some(file) = &self.ca_file {
            let unreadable = |problem: String| AccessError::Certificates {
                path: file.display().to_string(),
                problem,
            };
            let pem = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| unreadable(error.to_string()))?;
            if certificates.is_empty() {
                return Err(unreadable("it holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_only(certificates);
        } else if server.scheme() == "http" {
            // Nobody is asked for a certificate, so the system's are not read either.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .build()
            .map_err(|source| AccessError::Setup { source })?;
        Ok((http, server, Token(self.token_file)))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Where the token is. What it says is never shown.
#[derive(Debug, Clone)]
pub struct Token(Option<PathBuf>);

impl Token {
    pub(super) async fn read(&self) -> Result<Option<HeaderValue>, ApiError> {
        let Some(path) = &self.0 else { return Ok(None) };
        let unreadable = |source| ApiError::Token {
            path: path.display().to_string(),
            source,
        };
        let text = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
            .map_err(|_| unreadable(std::io::Error::other("it holds no token")))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Why the API server cannot even be called.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error("the address of the Kubernetes API {server:?} {problem}")]
    Server { server: String, problem: String },
    #[error("the certificate authority in {path} cannot be used: {problem}")]
    Certificates { path: String, problem: String },
    #[error("the HTTP client cannot be set up: {source}")]
    Setup { source: reqwest::Error },
}

impl Explain for AccessError {
    fn code(&self) -> &'static str {
        match self {
            Self::Server { .. } => "kubernetes-server",
            Self::Certificates { .. } => "kubernetes-certificates",
            Self::Setup { .. } => "kubernetes-client",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Setup { .. } => Fault::Internal,
            _ => Fault::BadInput,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Server { .. } => Some("write it as in --server https://10.0.0.1:6443".to_owned()),
            Self::Certificates { .. } => {
                Some("name a file with certificates in PEM form by --ca-file".to_owned())
            }
            Self::Setup { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(server: &str, token: bool) -> Result<(), AccessError> {
        let access = Access {
            server: server.to_owned(),
            token_file: token.then(|| PathBuf::from("token")),
            ca_file: None,
        };
        access.open().map(|_| ())
    }

    #[test]
    fn a_token_never_travels_unencrypted() {
        assert!(open("http://127.0.0.1:8001", true).is_ok());
        assert!(open("http://10.0.0.1:8001", false).is_ok());
        let error = open("http://10.0.0.1:8001", true).expect_err("refused");
        assert_eq!(error.code(), "kubernetes-server");
    }

    #[test]
    fn a_pod_finds_its_server_also_over_ipv6() {
        let access = Access::in_cluster("fd00::1", "443", Path::new("/account"));
        assert_eq!(access.server, "https://[fd00::1]:443");
        assert_eq!(access.ca_file, Some(PathBuf::from("/account/ca.crt")));
    }
}
