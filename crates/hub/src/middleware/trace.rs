//! The span of a request to the API, in the words of OpenTelemetry's conventions for HTTP servers. Continues the
//! caller's trace, if it names one.

use http::{HeaderMap, Method};
use skill_trace::{Kind, Span, TraceContext};

use crate::problem::Problem;

/// What scrapers, probes and browsers ask for is not worth a trace.
const TRACED: &str = "/api/";

/// Begins it. `route` is the pattern, not what was asked for.
pub fn begin(method: &Method, route: &str, path: &str, headers: &HeaderMap) -> Span {
    let parent = parent(headers);
    if !route.starts_with(TRACED) {
        return Span::passing(parent);
    }
    let name = || format!("{method} {route}");
    let mut span = skill_trace::span(Kind::Server, parent.as_ref(), name);
    if span.is_recorded() {
        span.set("http.request.method", method.as_str());
        span.set("http.route", route);
        span.set("url.path", path);
        span.set("url.scheme", "http");
    }
    span
}

/// A failure of ours is one in the trace too; a caller's mistake is the caller's.
pub fn end(span: &mut Span, status: u16, problem: Option<&Problem>) {
    if !span.is_recorded() {
        return;
    }
    span.set("http.response.status_code", status);
    let code = problem.map(Problem::code);
    match code {
        Some(code) if status >= 500 => span.fail(code, code),
        Some(code) => span.set("error.type", code),
        None => {}
    }
}

fn parent(headers: &HeaderMap) -> Option<TraceContext> {
    let mut all = headers.get_all("traceparent").iter();
    // Two of them are none, as the recommendation has it.
    let (Some(traceparent), None) = (all.next(), all.next()) else {
        return None;
    };
    let states: Vec<&str> = headers
        .get_all("tracestate")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let state = (!states.is_empty()).then(|| states.join(","));
    TraceContext::parse(traceparent.to_str().ok()?, state.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn one_traceparent_is_continued_and_the_states_are_one_list() {
        let mut headers = HeaderMap::new();
        assert_eq!(parent(&headers), None);
        headers.append("traceparent", PARENT.parse().expect("a header"));
        headers.append("tracestate", "a=1".parse().expect("a header"));
        headers.append("tracestate", "b=2".parse().expect("a header"));
        let context = parent(&headers).expect("a context");
        assert_eq!(context.traceparent(), PARENT);
        assert_eq!(context.tracestate(), Some("a=1,b=2"));
        headers.append("traceparent", PARENT.parse().expect("a header"));
        assert_eq!(parent(&headers), None);
    }
}
