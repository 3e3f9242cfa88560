//! What all pages share: the frame's data and the headers that keep a browser
//! from doing more than showing text.

use std::sync::LazyLock;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use http::header::{
    CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use sha2::Digest;

use crate::App;
use crate::problem::Problem;

const STYLE: &str = include_str!("../../templates/style.css");

/// No script at all; the one style is named by its hash.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(sha2::Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The frame of a page.
pub(super) struct Page {
    /// The hub's name.
    pub hub: String,
    pub version: &'static str,
    pub style: &'static str,
    /// The public address, without a slash at the end.
    pub base: String,
    /// Its path, empty unless the hub lies below one.
    pub base_path: String,
}

impl Page {
    pub fn of(app: &App) -> Self {
        let config = app.config();
        let path = config.public_url.as_ref().map_or("", |url| url.path());
        Self {
            hub: config.name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            style: STYLE,
            base: app.links().base().to_owned(),
            base_path: path.trim_end_matches('/').to_owned(),
        }
    }
}

#[derive(Template)]
#[template(path = "not_found.html")]
struct NotFoundPage {
    page: Page,
    detail: String,
}

/// Renders a page with its headers.
pub(super) fn show(status: StatusCode, template: &impl Template) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => return Problem::internal(error).into_response(),
    };
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (status, headers, Html(html)).into_response()
}

/// A person followed a dead link: they get a page, not JSON.
pub(super) fn not_found(app: &App, detail: String) -> Response {
    show(
        StatusCode::NOT_FOUND,
        &NotFoundPage {
            page: Page::of(app),
            detail,
        },
    )
}
