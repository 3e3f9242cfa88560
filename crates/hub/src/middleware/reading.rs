//! What makes reading comfortable: any web page may read the public API, and
//! text travels compressed.

use axum::body::HttpBody;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    IF_NONE_MATCH, LINK, LOCATION, RANGE, RETRY_AFTER,
};
use http::{HeaderMap, Method, StatusCode};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::Predicate;
use tower_http::cors::{Any, CorsLayer};

use crate::middleware::edge::REQUEST_ID;

/// Smaller bodies do not shrink by more than the header costs.
const COMPRESS_BYTES_MIN: u64 = 860;

/// Reading from any origin. Credentials of a browser (cookies) are never
/// allowed; a token in `Authorization` is the page's own.
pub fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH, RANGE])
        .expose_headers([
            ETAG,
            LINK,
            LOCATION,
            CONTENT_RANGE,
            RETRY_AFTER,
            REQUEST_ID,
            HeaderName::from_static("ratelimit-limit"),
            HeaderName::from_static("ratelimit-remaining"),
            HeaderName::from_static("ratelimit-reset"),
        ])
        .max_age(std::time::Duration::from_secs(60 * 60))
}

/// gzip for text of some size. Archives are compressed already, and a range is a
/// range of the bytes as they are.
pub fn compression() -> CompressionLayer<TextOfSomeSize> {
    CompressionLayer::new().compress_when(TextOfSomeSize)
}

#[derive(Clone, Copy)]
pub struct TextOfSomeSize;

impl Predicate for TextOfSomeSize {
    fn should_compress<B: HttpBody>(&self, response: &http::Response<B>) -> bool {
        let headers = response.headers();
        let is_whole = response.status() != StatusCode::PARTIAL_CONTENT;
        let is_plain = !headers.contains_key(CONTENT_ENCODING);
        let size = response.body().size_hint().lower();
        is_whole && is_plain && size >= COMPRESS_BYTES_MIN && is_text(headers)
    }
}

fn is_text(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    media_type.is_some_and(|media_type| {
        media_type.starts_with("text/") || media_type.starts_with("application/json")
    })
}
