//! Renders the device page: self-contained HTML without scripts, under a content security policy
//! that allows nothing but its own style.

use std::sync::LazyLock;

use askama::Template;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// One state of the page.
#[derive(Template)]
#[template(path = "device.html")]
pub struct Page<'a> {
    pub title: &'a str,
    pub notice: Option<String>,
    pub step: Step<'a>,
    /// Where forms go.
    pub action: &'a str,
    /// Proof against forged forms.
    pub form: &'a str,
    /// Who is signed in.
    pub username: Option<&'a str>,
}

/// What the page asks for.
pub enum Step<'a> {
    SignIn {
        user_code: &'a str,
        oidc: Option<OidcLink<'a>>,
    },
    Enter,
    Decide {
        user_code: &'a str,
        client_name: &'a str,
        minutes: String,
    },
    Done {
        message: &'a str,
    },
}

/// The other way to sign in.
pub struct OidcLink<'a> {
    pub name: &'a str,
    pub href: String,
}

/// The text between the template's `<style>` tags.
const STYLE: &str = concat!(
    include_str!("../../../templates/style.css"),
    include_str!("../../../templates/device.css")
);

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 is a header value")
});

impl Page<'_> {
    /// The response with this status.
    pub fn respond(&self, status: StatusCode) -> Response {
        match self.render() {
            Ok(html) => {
                let mut response = (status, html).into_response();
                harden(response.headers_mut());
                response
            }
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}

fn harden(headers: &mut HeaderMap) {
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// A problem as a page for browsers, as JSON for everybody else.
pub fn page_or_problem(headers: &HeaderMap, problem: Problem) -> Response {
    let accepts_html = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if !accepts_html || problem.status().is_server_error() {
        return problem.into_response();
    }
    let page = Page {
        title: "Sign-in failed",
        notice: Some(problem.detail().to_owned()),
        step: Step::Done {
            message: "Close this window, or go back and begin again.",
        },
        action: "",
        form: "",
        username: None,
    };
    page.respond(problem.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(client_name: &str) -> String {
        Page {
            title: "Connect a device",
            notice: None,
            step: Step::Decide {
                user_code: "BCDF-GHJK",
                client_name,
                minutes: "just now".into(),
            },
            action: "device",
            form: "token",
            username: Some("alice"),
        }
        .render()
        .expect("rendered")
    }

    #[test]
    fn what_strangers_name_themselves_is_only_text() {
        let html = rendered("<script>alert(1)</script>\"'&");
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&#60;script&#62;"), "{html}");
    }

    #[test]
    fn the_policy_allows_exactly_the_style_that_is_sent() {
        let html = rendered("skills");
        let (_, rest) = html.split_once("<style>").expect("a style");
        let (style, _) = rest.split_once("</style>").expect("its end");
        let digest = STANDARD.encode(Sha256::digest(style));
        assert!(POLICY.to_str().expect("text").contains(&digest));
        assert!(
            !html.contains("style=\"") && !html.contains("<script"),
            "nothing inline else"
        );
    }
}
