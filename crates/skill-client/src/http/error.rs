//! What can go wrong between here and a server. URLs are shown without their query: it may hold a
//! signature.

use std::error::Error as _;
use std::time::Duration;

use skill_format::{Explain, Fault};
use url::Url;

use super::{HttpOptions, is_loopback};

/// A request that got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Plain HTTP to another machine.
    #[error("{url} would be asked without encryption")]
    Insecure { url: String },
    /// No connection.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        url: String,
        /// The innermost cause.
        reason: String,
        /// Whether it is this machine that did not answer.
        local: bool,
        #[source]
        source: reqwest::Error,
    },
    /// The server's certificate is not trusted.
    #[error("cannot trust the certificate of {url}: {reason}")]
    Certificate {
        url: String,
        reason: String,
        #[source]
        source: reqwest::Error,
    },
    /// No connection, or silence, for too long.
    #[error("{url} did not answer within {seconds} s{}", in_all(*total_seconds))]
    TimedOut {
        url: String,
        seconds: u64,
        /// With the tries before.
        total_seconds: Option<u64>,
    },
    /// The answer broke off.
    #[error("the answer of {url} broke off: {reason}")]
    BrokenOff {
        url: String,
        reason: String,
        #[source]
        source: reqwest::Error,
    },
    /// The answer ended, as if it were complete, before it was.
    #[error("the answer of {url} is incomplete")]
    Incomplete { url: String },
    /// One broken answer after the other.
    #[error("the connection to {url} breaks off again and again")]
    TooManyConnections { url: String },
    #[error("the answer of {url} is larger than {bytes_max} bytes")]
    TooLarge { url: String, bytes_max: u64 },
    /// The server sends the client where it will not go.
    #[error("{from} redirects to {to}: {reason}")]
    RedirectRefused {
        from: String,
        to: String,
        /// A clause.
        reason: &'static str,
    },
    #[error("{url} redirects too often")]
    TooManyRedirects { url: String },
    /// The server asks for more patience than there is.
    #[error("{url} is busy and asks to try again in {} s", .retry_after.as_secs())]
    Busy { url: String, retry_after: Duration },
    /// The machine's certificates cannot be read.
    #[error("cannot set up HTTP: {source}")]
    Setup {
        #[source]
        source: reqwest::Error,
    },
}

impl HttpError {
    /// From an error before the headers of the answer were there.
    pub(super) fn sending(url: &Url, options: &HttpOptions, source: reqwest::Error) -> Self {
        let source = source.without_url();
        let reason = innermost(&source);
        if source.is_timeout() {
            let limit = if source.is_connect() {
                options.connect_timeout
            } else {
                options.idle_timeout
            };
            return Self::TimedOut {
                url: shown(url),
                seconds: limit.as_secs(),
                total_seconds: None,
            };
        }
        if is_about_certificate(&source) {
            return Self::Certificate {
                url: shown(url),
                reason,
                source,
            };
        }
        if source.is_connect() {
            return Self::Unreachable {
                url: shown(url),
                reason,
                local: is_loopback(url),
                source,
            };
        }
        Self::BrokenOff {
            url: shown(url),
            reason,
            source,
        }
    }

    /// From an error while the body arrived.
    pub(crate) fn receiving(url: &Url, source: reqwest::Error) -> Self {
        let source = source.without_url();
        Self::BrokenOff {
            url: shown(url),
            reason: innermost(&source),
            source,
        }
    }

    /// After more than one try, which took so long in all.
    pub(super) fn after(mut self, waited: Duration) -> Self {
        if let Self::TimedOut { total_seconds, .. } = &mut self {
            *total_seconds = Some(waited.as_secs());
        }
        self
    }

    /// Whether trying again may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            // Nobody listens on this machine: that does not change within seconds.
            Self::Unreachable { local, .. } => !local,
            Self::TimedOut { .. } | Self::BrokenOff { .. } | Self::Incomplete { .. } => true,
            Self::Insecure { .. }
            | Self::Certificate { .. }
            | Self::TooLarge { .. }
            | Self::RedirectRefused { .. }
            | Self::TooManyRedirects { .. }
            | Self::TooManyConnections { .. }
            | Self::Busy { .. }
            | Self::Setup { .. } => false,
        }
    }
}

impl Explain for HttpError {
    fn code(&self) -> &'static str {
        match self {
            Self::Insecure { .. } => "registry-insecure",
            Self::Unreachable { .. } => "unreachable",
            Self::Certificate { .. } => "certificate-not-trusted",
            Self::TimedOut { .. } => "timed-out",
            Self::BrokenOff { .. } | Self::Incomplete { .. } | Self::TooManyConnections { .. } => {
                "answer-broken-off"
            }
            Self::TooLarge { .. } => "answer-too-large",
            Self::RedirectRefused { .. } => "redirect-refused",
            Self::TooManyRedirects { .. } => "too-many-redirects",
            Self::Busy { .. } => "rate-limited",
            Self::Setup { .. } => "http-setup",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Insecure { .. } => Fault::BadInput,
            Self::Certificate { .. } | Self::RedirectRefused { .. } => Fault::Denied,
            Self::Setup { .. } => Fault::Internal,
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::BrokenOff { .. }
            | Self::Incomplete { .. }
            | Self::TooManyConnections { .. }
            | Self::TooLarge { .. }
            | Self::TooManyRedirects { .. }
            | Self::Busy { .. } => Fault::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Insecure { .. } => "use https; plain http is for registries on this machine only".into(),
            Self::Unreachable { local: true, .. } => {
                "nothing listens there; start a hub with `skills up`, or name another with --registry".into()
            }
            Self::Unreachable { .. } | Self::TimedOut { .. } => {
                "check the network and the address; --offline works with what was seen before".into()
            }
            Self::Certificate { .. } => "add the certificate's authority to this machine's trusted ones".into(),
            Self::BrokenOff { .. } | Self::Incomplete { .. } | Self::TooManyConnections { .. } => {
                "run the command again; what was downloaded is kept".into()
            }
            Self::Busy { retry_after, .. } => format!("wait {} s, then run the command again", retry_after.as_secs()),
            Self::TooLarge { .. } | Self::RedirectRefused { .. } | Self::TooManyRedirects { .. } => {
                "the registry is misconfigured, or something in between answers in its place".into()
            }
            Self::Setup { .. } => "check that this machine has its certificate store (ca-certificates)".into(),
        })
    }
}

/// A URL for people: without query and fragment.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Setting fails only for URLs without a host, which have no password either.
    let _ = url.set_password(None);
    url.into()
}

fn in_all(total_seconds: Option<u64>) -> String {
    match total_seconds {
        Some(seconds) => format!(", nor when it was asked again ({seconds} s in all)"),
        None => String::new(),
    }
}

fn innermost(error: &reqwest::Error) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = cause.to_string();
        source = cause.source();
    }
    reason
}

fn is_about_certificate(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        let wrapped = cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let is_tls = |error: &rustls::Error| matches!(error, rustls::Error::InvalidCertificate(_));
        if cause.downcast_ref::<rustls::Error>().is_some_and(is_tls)
            || wrapped
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
                .is_some_and(is_tls)
        {
            return true;
        }
        source = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_may_hide_in_its_query_is_not_shown() {
        let url = "https://store.example.org/a.spm?X-Amz-Signature=abc#x"
            .parse()
            .expect("a URL");
        assert_eq!(shown(&url), "https://store.example.org/a.spm");
    }
}
