//! How an invocation is answered: its result, the problem that kept it from one, or where to ask again.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, HeaderValue, LOCATION, RETRY_AFTER};
use http::{HeaderName, StatusCode};
use hub_model::{InvocationError, InvocationFault, InvocationRecord};

use super::body::{InvocationBody, location};
use crate::extract::Json;
use crate::problem::Problem;

/// Says that the skill should better not be used: `deprecated`, `yanked`, or both.
pub(super) const SKILL_WARNING: HeaderName = HeaderName::from_static("skill-warning");

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long to wait before the same request may do better, in seconds.
const BUSY_SECONDS: u64 = 2;
const NOT_SERVED_SECONDS: u64 = 15;

/// The answer to a caller who waited until it was over. A skill that failed is the skill's answer, and 200; what kept
/// the gateway from one is a problem.
pub(super) fn over(record: &InvocationRecord) -> Response {
    let response = match record.error.as_ref().and_then(problem) {
        Some(problem) => problem.into_response(),
        None => Json(InvocationBody::from(record)).into_response(),
    };
    located(response, record)
}

/// 202: it is not over.
pub(super) fn accepted(record: &InvocationRecord, applied: Option<String>) -> Response {
    let body = Json(InvocationBody::from(record));
    let mut response = (StatusCode::ACCEPTED, body).into_response();
    if let Some(value) = applied.and_then(|text| HeaderValue::try_from(text).ok()) {
        response.headers_mut().insert(PREFERENCE_APPLIED, value);
    }
    located(response, record)
}

/// 503: the hub stops; the invocation goes on.
pub(super) fn stopping(record: &InvocationRecord) -> Response {
    let detail = "The hub is stopping. The invocation goes on: ask for its result at `Location`.";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "hub-stopping", detail)
        .with_header(RETRY_AFTER, HeaderValue::from(BUSY_SECONDS));
    located(problem.into_response(), record)
}

/// Results are the caller's own: no cache keeps them.
pub(super) fn located(mut response: Response, record: &InvocationRecord) -> Response {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(location(record)) {
        headers.insert(LOCATION, value);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 503 `busy`: no room here.
pub(super) fn busy(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
        .with_header(RETRY_AFTER, HeaderValue::from(BUSY_SECONDS))
}

/// What kept the gateway from a result; `None` if it was the skill itself.
fn problem(error: &InvocationError) -> Option<Problem> {
    let detail = |begin: &str| format!("{begin}: {}.", error.message.trim_end_matches('.'));
    let code = error.fault.as_str();
    Some(match error.fault {
        InvocationFault::SkillFailed | InvocationFault::OutputTooLarge => return None,
        InvocationFault::InvalidInput => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            code,
            detail("The skill does not take this input"),
        ),
        InvocationFault::Busy => busy(&detail("The skill did not run")),
        InvocationFault::SkillNotServed => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code,
            detail("No worker has this skill"),
        )
        .with_header(RETRY_AFTER, HeaderValue::from(NOT_SERVED_SECONDS)),
        InvocationFault::NoAnswer => Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            code,
            detail("It is not known whether the skill ran to its end"),
        ),
        InvocationFault::MeshClosed => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code,
            detail("It is not known whether the skill ran"),
        )
        .with_header(RETRY_AFTER, HeaderValue::from(BUSY_SECONDS)),
        InvocationFault::Interrupted => Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            code,
            detail("It is not known whether the skill ran to its end"),
        ),
    })
}
