//! The cookies of the device page: `HttpOnly`, `SameSite=Lax`, and over TLS `Secure` with the
//! `__Host-` prefix, so that no other host of the domain can set them.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use jiff::SignedDuration;

/// Which cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    /// Names a browser, so that only forms that it was shown can be sent.
    Visit,
    /// A browser that signed in.
    PageSession,
    /// The `state` of a sign-in at the identity provider.
    OidcState,
}

impl Cookie {
    const fn name(self, https: bool) -> &'static str {
        match (self, https) {
            (Cookie::Visit, false) => "skills_visit",
            (Cookie::Visit, true) => "__Host-skills_visit",
            (Cookie::PageSession, false) => "skills_page",
            (Cookie::PageSession, true) => "__Host-skills_page",
            (Cookie::OidcState, false) => "skills_oidc",
            (Cookie::OidcState, true) => "__Host-skills_oidc",
        }
    }

    /// A `Set-Cookie` value. `value` is URL-safe text that the hub made.
    pub fn set(self, value: &str, life: SignedDuration, https: bool) -> HeaderValue {
        let name = self.name(https);
        let secure = if https { "; Secure" } else { "" };
        let seconds = life.as_secs();
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(text).expect("a cookie of URL-safe text is a header value")
    }

    /// A `Set-Cookie` value that removes it.
    pub fn clear(self, https: bool) -> HeaderValue {
        self.set("", SignedDuration::ZERO, https)
    }

    /// The value that a request brings.
    pub fn read(self, headers: &HeaderMap, https: bool) -> Option<&str> {
        let name = self.name(https);
        let pairs = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        pairs.flat_map(|value| value.split(';')).find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name && !value.is_empty()).then_some(value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_as_narrow_as_browsers_allow() {
        let life = SignedDuration::from_mins(1);
        assert_eq!(
            Cookie::PageSession.set("v", life, true),
            "__Host-skills_page=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            Cookie::Visit.clear(false),
            "skills_visit=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=b; skills_page=x=y;c"));
        headers.append(COOKIE, HeaderValue::from_static("skills_visit="));
        assert_eq!(Cookie::PageSession.read(&headers, false), Some("x=y"));
        assert_eq!(Cookie::PageSession.read(&headers, true), None);
        assert_eq!(Cookie::Visit.read(&headers, false), None);
    }
}
