//! Why a call to the API server failed.

use skill_format::{Explain, Fault};

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error(
        "the Kubernetes API at {server} cannot be reached: {}",
        root_cause(source)
    )]
    Unreachable {
        server: String,
        source: reqwest::Error,
    },
    #[error("the Kubernetes API did not answer {what} within {seconds} seconds")]
    Late { what: String, seconds: u64 },
    #[error("the answer of the Kubernetes API broke off: {}", root_cause(source))]
    BrokenOff { source: reqwest::Error },
    #[error("an answer of the Kubernetes API is larger than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    #[error("the answer of the Kubernetes API to {what} is not JSON: {source}")]
    Unreadable {
        what: String,
        source: serde_json::Error,
    },
    #[error("the service account's token cannot be read from {path}: {source}")]
    Token {
        path: String,
        source: std::io::Error,
    },
    /// The server's own words. `reason` is a stable word of the API's, such as `NotFound`.
    #[error("the Kubernetes API refused: {message}")]
    Refused {
        status: u16,
        reason: String,
        message: String,
    },
}

impl ApiError {
    fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Somebody else was quicker.
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// The version or page that was asked for is no longer known.
    pub fn is_expired(&self) -> bool {
        self.status() == Some(410)
    }

    /// The request itself is refused, and the same one will be as long as the cluster stays as it is. 500
    /// is what servers answer to a field that they do not know.
    pub fn is_about_the_request(&self) -> bool {
        matches!(
            self.status(),
            Some(400 | 403 | 404 | 405 | 409 | 415 | 422 | 500)
        )
    }
}

/// What lies at the bottom: "connection refused", not "error sending request".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

impl Explain for ApiError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "kubernetes-unreachable",
            Self::Late { .. } => "kubernetes-late",
            Self::BrokenOff { .. } => "kubernetes-broken-off",
            Self::TooLarge { .. } => "kubernetes-answer-too-large",
            Self::Unreadable { .. } => "kubernetes-answer-unreadable",
            Self::Token { .. } => "kubernetes-token",
            Self::Refused { .. } => "kubernetes-refused",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Refused {
                status: 401 | 403, ..
            } => Fault::Denied,
            Self::Refused { status: 404, .. } => Fault::NotFound,
            Self::Refused { status: 409, .. } => Fault::Conflict,
            Self::Token { .. } => Fault::BadInput,
            _ => Fault::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Unreachable { .. } | Self::Late { .. } => {
                "check the address, the network policies and the certificate authority (--ca-file)"
            }
            Self::Token { .. } => {
                "name the file with --token-file, or mount the service account's token"
            }
            Self::Refused { status: 401, .. } => "the token is not valid on this cluster",
            Self::Refused { status: 403, .. } => {
                "give the service account the rights in deploy/k8s/05-controller.yaml"
            }
            Self::Refused { status: 404, .. } => {
                "apply deploy/k8s/02-crd-skilltopic.yaml: the cluster does not know SkillTopics"
            }
            _ => return None,
        };
        Some(help.to_owned())
    }
}
