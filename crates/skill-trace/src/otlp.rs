//! Spans as OTLP/HTTP takes them, in JSON (`opentelemetry-proto`, `ExportTraceServiceRequest`): ids in
//! hexadecimal digits, 64-bit numbers as text.

use serde_json::{Value as Json, json};

use crate::context::push_hex;
use crate::span::{SpanData, Value};

/// Who says it: `service.name` and the like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource {
    /// In their order; of two with the same key the later one counts.
    pub attributes: Vec<(String, String)>,
}

impl Resource {
    /// Sets an attribute in place of what was there.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.attributes.retain(|(known, _)| known != key);
        self.attributes.push((key.to_owned(), value.into()));
    }
}

/// The body of a `POST` to a collector. `scope` is the library's name and version.
pub fn export_request(resource: &Resource, scope: (&str, &str), spans: &[SpanData]) -> Vec<u8> {
    let attributes: Vec<Json> = resource
        .attributes
        .iter()
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
        .collect();
    let spans: Vec<Json> = spans.iter().map(span).collect();
    let request = json!({
        "resourceSpans": [{
            "resource": {"attributes": attributes},
            "scopeSpans": [{
                "scope": {"name": scope.0, "version": scope.1},
                "spans": spans,
            }],
        }],
    });
    request.to_string().into_bytes()
}

fn span(span: &SpanData) -> Json {
    let attributes: Vec<Json> = span
        .attributes
        .iter()
        .map(|(key, value)| json!({"key": key, "value": attribute(value)}))
        .collect();
    let mut json = json!({
        "traceId": hex(span.context.trace_id()),
        "spanId": hex(&span.context.span_id()),
        "flags": span.context.flags(),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": span.began.to_string(),
        "endTimeUnixNano": span.ended.to_string(),
        "attributes": attributes,
    });
    if let Some(parent) = &span.parent {
        json["parentSpanId"] = hex(parent).into();
    }
    if let Some(state) = span.context.tracestate() {
        json["traceState"] = state.into();
    }
    if let Some(error) = &span.error {
        json["status"] = json!({"code": 2, "message": error});
    }
    json
}

fn attribute(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!({"stringValue": text}),
        Value::Int(number) => json!({"intValue": number.to_string()}),
        Value::Bool(is) => json!({"boolValue": is}),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_hex(&mut text, bytes);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::TraceContext;
    use crate::span::Kind;

    #[test]
    fn a_span_is_written_as_the_specification_has_it() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::parse(parent, Some("a=1")).unwrap();
        let mut resource = Resource::default();
        resource.set("service.name", "one");
        resource.set("service.name", "two");
        let data = SpanData {
            context,
            parent: Some([0xab; 8]),
            name: "process T".into(),
            kind: Kind::Consumer,
            began: 1_544_712_660_000_000_000,
            ended: 1_544_712_661_000_000_000,
            attributes: vec![
                ("size", 5.into()),
                ("skill.name", "x".into()),
                ("warm", true.into()),
            ],
            error: Some("busy".into()),
        };
        let body: Json =
            serde_json::from_slice(&export_request(&resource, ("skills", "1"), &[data])).unwrap();
        let sent = &body["resourceSpans"][0];
        assert_eq!(
            sent["resource"]["attributes"],
            json!([{"key": "service.name", "value": {"stringValue": "two"}}])
        );
        assert_eq!(
            sent["scopeSpans"][0]["spans"][0],
            json!({
                "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
                "spanId": "00f067aa0ba902b7",
                "parentSpanId": "abababababababab",
                "traceState": "a=1",
                "flags": 1,
                "name": "process T",
                "kind": 5,
                "startTimeUnixNano": "1544712660000000000",
                "endTimeUnixNano": "1544712661000000000",
                "attributes": [
                    {"key": "size", "value": {"intValue": "5"}},
                    {"key": "skill.name", "value": {"stringValue": "x"}},
                    {"key": "warm", "value": {"boolValue": true}},
                ],
                "status": {"code": 2, "message": "busy"},
            })
        );
    }
}
