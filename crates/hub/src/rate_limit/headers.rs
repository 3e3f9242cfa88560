//! How a decision is told: the widespread `RateLimit-*` trio, and the structured `RateLimit` and
//! `RateLimit-Policy` fields of draft-ietf-httpapi-ratelimit-headers-10.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::class::Class;
use super::gcra::{Decision, Rate};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Writes the headers of one decision.
pub fn write(headers: &mut HeaderMap, class: Class, rate: Rate, decision: Decision) {
    let name = class.as_str();
    let Decision {
        remaining,
        reset_seconds,
        ..
    } = decision;
    headers.insert(LIMIT, HeaderValue::from(rate.limit));
    headers.insert(REMAINING, HeaderValue::from(remaining));
    headers.insert(RESET, HeaderValue::from(reset_seconds));
    let state = format!("\"{name}\";r={remaining};t={reset_seconds}");
    let policy = format!("\"{name}\";q={};w={}", rate.limit, rate.window_seconds);
    for (header, text) in [(STATE, state), (POLICY, policy)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(header, value);
        }
    }
}
