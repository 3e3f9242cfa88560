//! Which redirects are followed: of a GET, never from encryption to none.

use reqwest::Method;
use reqwest::header::LOCATION;
use url::Url;

use super::error::shown;
use super::{HttpError, is_loopback};

/// Where a response sends the request, or `None` if it is an answer.
pub(super) fn target(
    method: &Method,
    from: &Url,
    response: &reqwest::Response,
) -> Result<Option<Url>, HttpError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let refuse = |to: String, reason| HttpError::RedirectRefused {
        from: shown(from),
        to,
        reason,
    };
    let to = from
        .join(location)
        .map_err(|_| refuse(location.chars().take(200).collect(), "it is not a URL"))?;
    match refusal(method, from, &to) {
        Some(reason) => Err(refuse(shown(&to), reason)),
        None => Ok(Some(to)),
    }
}

fn refusal(method: &Method, from: &Url, to: &Url) -> Option<&'static str> {
    if *method != Method::GET {
        return Some("only reading follows redirects");
    }
    match to.scheme() {
        "https" => None,
        "http" if from.scheme() == "https" => Some("that would end the encryption"),
        "http" if is_loopback(to) => None,
        "http" => Some("plain http is used on this machine only"),
        _ => Some("only https is used"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_is_never_given_up() {
        let allowed = |from: &str, to: &str| {
            refusal(
                &Method::GET,
                &from.parse().expect("a URL"),
                &to.parse().expect("a URL"),
            )
            .is_none()
        };
        assert!(allowed(
            "https://hub.example.org",
            "https://store.example.org"
        ));
        assert!(allowed("http://127.0.0.1:1", "https://store.example.org"));
        assert!(allowed("http://127.0.0.1:1", "http://localhost:2"));
        assert!(!allowed("https://hub.example.org", "http://127.0.0.1:2"));
        assert!(!allowed("http://127.0.0.1:1", "http://store.example.org"));
        assert!(!allowed("https://hub.example.org", "file:///etc/passwd"));
    }
}
