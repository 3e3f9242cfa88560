//! Round trips, hostile bytes, and the original's own example.

use proptest::prelude::*;
use skill_format::Explain;

use super::*;

fn request() -> impl Strategy<Value = Request> {
    (
        "[ -~]{1,40}",
        "AGENT_REPLY_[0-9a-f]{8}",
        any::<String>(),
        any::<u32>().prop_map(f64::from),
        any::<bool>(),
        prop::option::of(1..=u64::MAX),
        prop::option::of((
            "[1-9a-f]{32}",
            "[1-9a-f]{16}",
            "0[01]",
            prop::option::of("[a-z]{1,9}=[a-z]{1,9}"),
        )),
    )
        .prop_map(
            |(request_id, reply_to, intent, timestamp, progress, timeout_ms, trace)| Request {
                request_id,
                reply_to,
                intent,
                timestamp,
                progress,
                timeout_ms,
                trace: trace.and_then(|(trace, span, flags, state)| {
                    TraceContext::parse(&format!("00-{trace}-{span}-{flags}"), state.as_deref())
                }),
            },
        )
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_written(request in request()) {
        let json = request.to_json();
        prop_assert_eq!(Request::parse(&json).unwrap(), request.clone());
        prop_assert_eq!(open(&json).unwrap(), Envelope::Request {
            request_id: request.request_id.into(),
            reply_to: request.reply_to.into(),
        });
    }

    #[test]
    fn a_reply_is_read_as_it_was_written(
        id in "[ -~]{1,40}", content: String, error: String, status in 0..3, time: u32,
        code in prop::option::of(prop::sample::select(Code::ALL.to_vec())), bytes: Option<Vec<u8>>,
    ) {
        let status = [Status::Success, Status::Error, Status::Progress][usize::try_from(status).unwrap()];
        let reply = Reply {
            request_id: id, status, content, bytes, error, timestamp: time.into(), code,
        };
        let json = reply.to_json();
        prop_assert_eq!(Reply::parse(&json).unwrap(), reply.clone());
        prop_assert_eq!(open(&json).unwrap(), Envelope::Reply {
            request_id: reply.request_id.into(),
            progress: status == Status::Progress,
        });
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = open(&bytes);
        let _ = Request::parse(&bytes);
        let _ = Reply::parse(&bytes);
        let _ = topic_text(&bytes);
    }

    #[test]
    fn a_request_cut_or_overwritten_anywhere_is_read_or_refused(
        request in request(), cut in any::<prop::sample::Index>(), byte: u8,
    ) {
        let mut json = request.to_json();
        let at = cut.index(json.len());
        json[at] = byte;
        let _ = (open(&json), Request::parse(&json));
        json.truncate(at);
        let bad = Request::parse(&json).unwrap_err();
        // Whoever can be told is the one who sent it.
        prop_assert!(bad.reply_to.is_none_or(|to| to == request.reply_to));
    }

    #[test]
    fn what_passes_the_quick_look_passes_the_whole_reading_or_gets_a_reply(bytes in "[\\{\\}\":,0-9a-z_\\\\ ]{0,80}") {
        if let Ok(Envelope::Request { reply_to, .. }) = open(bytes.as_bytes())
            && let Err(bad) = Request::parse(bytes.as_bytes())
        {
            prop_assert_eq!(bad.reply_to.as_deref(), Some(&*reply_to));
        }
    }
}

#[test]
fn the_request_of_the_original_readme_is_read() {
    let payload = br#"{
      "request_id": "a1b2c3d4",
      "reply_to":   "AGENT_REPLY_9f8e7d6c",
      "intent":     "{\"skill\":\"csv-analyzer\",\"data\":\"name,age\\nAlice,30\"}",
      "timestamp":  1739836800.123
    }"#;
    let request = Request::parse(payload).unwrap();
    assert_eq!(
        request.intent,
        "{\"skill\":\"csv-analyzer\",\"data\":\"name,age\\nAlice,30\"}"
    );
    assert_eq!(request.timestamp, 1_739_836_800.123);
    assert!(!request.progress);
}

#[test]
fn a_plain_request_has_the_four_fields_of_the_original_and_no_other() {
    let request = Request {
        request_id: "1".into(),
        reply_to: "AGENT_REPLY_1".into(),
        intent: "x".into(),
        timestamp: 1.5,
        progress: false,
        timeout_ms: None,
        trace: None,
    };
    assert_eq!(
        String::from_utf8(request.to_json()).unwrap(),
        r#"{"request_id":"1","reply_to":"AGENT_REPLY_1","intent":"x","timestamp":1.5}"#
    );
}

#[test]
fn the_time_of_a_request_is_a_whole_number_of_milliseconds_and_anything_else_is_none() {
    let of = |time: &str| {
        let payload = format!(
            r#"{{"request_id":"1","reply_to":"R","intent":"x","timestamp":100,"timeout_ms":{time}}}"#
        );
        let open = open(payload.as_bytes());
        assert!(matches!(open, Ok(Envelope::Request { .. })), "{payload}");
        Request::parse(payload.as_bytes()).unwrap()
    };
    let request = of("1500");
    assert_eq!(request.timeout_ms, Some(1500));
    for nonsense in [
        "0",
        "-1",
        "1.5",
        "1e300",
        r#""1500""#,
        "null",
        "[]",
        "{}",
        "true",
    ] {
        assert_eq!(of(nonsense).timeout_ms, None, "{nonsense}");
        assert_eq!(of(nonsense).time_left(100.0), None, "{nonsense}");
    }
    // What it has waited is taken off, as far as the clocks of two machines can tell.
    let left = |now: f64| request.time_left(now).map(|left| left.as_millis());
    assert_eq!(left(100.0), Some(1500));
    assert_eq!(left(101.0), Some(500));
    for apart in [99.0, 200.0, f64::NAN, f64::INFINITY, -1e300] {
        assert_eq!(left(apart), Some(1500), "{apart}");
    }
}

#[test]
fn a_trace_is_two_members_more_and_nonsense_there_is_no_error() {
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let of = |more: &str| {
        let payload =
            format!(r#"{{"request_id":"1","reply_to":"R","intent":"x","timestamp":1.5{more}}}"#);
        assert!(
            matches!(open(payload.as_bytes()), Ok(Envelope::Request { .. })),
            "{payload}"
        );
        let request = Request::parse(payload.as_bytes()).unwrap();
        (
            String::from_utf8(request.to_json()).unwrap() == payload,
            request.trace,
        )
    };
    let (is_same, trace) = of(&format!(
        r#","traceparent":"{traceparent}","tracestate":"a=1""#
    ));
    assert!(is_same);
    assert_eq!(trace.unwrap().traceparent(), traceparent);
    for nonsense in [
        r#","traceparent":7"#.to_owned(),
        r#","traceparent":null,"tracestate":["a=1"]"#.to_owned(),
        r#","traceparent":"00-x","tracestate":"a=1""#.to_owned(),
        format!(r#","traceparent":"{}""#, "0".repeat(100_000)),
        r#","tracestate":"a=1""#.to_owned(),
    ] {
        assert_eq!(of(&nonsense).1, None);
    }
}

#[test]
fn a_reply_has_the_five_fields_of_the_original_and_an_error_its_code() {
    let json = |reply: Reply| String::from_utf8(reply.to_json()).unwrap();
    assert_eq!(
        json(Reply::success("1", "x").at(1.5)),
        r#"{"request_id":"1","status":"success","content":"x","error":"","timestamp":1.5}"#
    );
    assert_eq!(
        json(Reply::failure("1", "busy: x").at(1.5)),
        r#"{"request_id":"1","status":"error","content":"","error":"busy: x","timestamp":1.5,"code":"busy"}"#
    );
}

#[test]
fn a_code_outranks_the_text_and_the_text_tells_where_there_is_none() {
    let code = |more: &str| {
        let payload = format!(r#"{{"request_id":"1","status":"error","error":"busy: x"{more}}}"#);
        Reply::parse(payload.as_bytes()).unwrap().code()
    };
    assert_eq!(code(""), Some(Code::Busy));
    assert_eq!(code(r#","code":"deadline""#), Some(Code::Deadline));
    assert_eq!(code(r#","code":"later-versions-own""#), Some(Code::Busy));
    assert_eq!(code(r#","code":7"#), Some(Code::Busy));
}

#[test]
fn a_result_that_is_no_text_arrives_as_it_is() {
    let bytes = b"x\xff\x00y".to_vec();
    let payload = Reply::of_bytes("1", bytes.clone()).to_json();
    let value: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(value["content"], "x\u{fffd}\0y", "for SkillScale's agents");
    assert_eq!(value["content_base64"], "eP8AeQ==");
    assert_eq!(Reply::parse(&payload).unwrap().into_bytes(), bytes);
    let text = Reply::of_bytes("1", b"text".to_vec());
    assert_eq!(text, Reply::success("1", "text"));
    assert!(
        !String::from_utf8(text.to_json())
            .unwrap()
            .contains("base64")
    );
}

#[test]
fn numbers_as_ids_and_objects_as_intents_are_understood() {
    let payload = br#"{"request_id": 17, "reply_to": "R", "intent": {"task": "sum"}, "more": [1]}"#;
    let request = Request::parse(payload).unwrap();
    assert_eq!(request.request_id, "17");
    assert_eq!(request.intent, r#"{"task":"sum"}"#);
    assert!(matches!(open(payload), Ok(Envelope::Request { .. })));
}

#[test]
fn bad_json_tells_its_sender_where_a_reply_topic_can_be_read() {
    let bad = open(br#"{"request_id": "7", "reply_to": "AGENT_REPLY_1", "intent": "#).unwrap_err();
    assert_eq!(bad.reply_to.as_deref(), Some("AGENT_REPLY_1"));
    assert_eq!(bad.request_id, "7");
    assert_eq!(bad.code(), "mesh-not-json");
    let bad = open(br#"{"request_id": "7", "reply_to": "AGENT_REPLY_1"}"#).unwrap_err();
    assert_eq!(
        bad.to_string(),
        "bad request: the field `intent` is missing"
    );
    assert_eq!(bad.reply_to.as_deref(), Some("AGENT_REPLY_1"));
    let bad = open(b"hello").unwrap_err();
    assert_eq!(bad.reply_to, None);
}

#[test]
fn what_is_beyond_a_bound_is_refused_with_the_bound() {
    let long = "x".repeat(300);
    let payload = format!(r#"{{"request_id":"{long}","reply_to":"R","intent":""}}"#);
    let bad = open(payload.as_bytes()).unwrap_err();
    assert_eq!(bad.code(), "mesh-field-too-long");
    assert_eq!(bad.reply_to.as_deref(), Some("R"));
    let mut payload = br#"{"reply_to":"R","intent":""#.to_vec();
    payload.resize(PAYLOAD_BYTES_MAX + 1, b'x');
    let bad = Request::parse(&payload).unwrap_err();
    assert_eq!(bad.code(), "mesh-message-too-large");
    assert_eq!(bad.reply_to.as_deref(), Some("R"));
    let bad = open(br#"{"request_id":"1","reply_to":"A\u0000B","intent":""}"#).unwrap_err();
    assert_eq!(bad.code(), "mesh-bad-topic");
    assert_eq!(bad.reply_to, None);
}

#[test]
fn a_broken_message_is_answered_as_whoever_passed_it_on_knows_it() {
    // Each is passed on by its members alone, and refused by whoever reads it whole.
    for intent in [
        r#"{"reply_to":"AGENT_REPLY_other","request_id":"other","data":"\ud800"}"#.to_owned(),
        format!("{}{}", "[".repeat(200), "]".repeat(200)),
        r#"[1e999]"#.to_owned(),
        format!(r#"["{}","\udc00"]"#, "x".repeat(100_000)),
    ] {
        let payload = format!(r#"{{"intent":{intent},"reply_to":"R","request_id":"1"}}"#);
        let Ok(Envelope::Request {
            request_id,
            reply_to,
        }) = open(payload.as_bytes())
        else {
            panic!("{payload} is not passed on");
        };
        assert_eq!((&*reply_to, &*request_id), ("R", "1"));
        let bad = Request::parse(payload.as_bytes()).unwrap_err();
        assert_eq!(
            (bad.reply_to.as_deref(), &*bad.request_id),
            (Some("R"), "1")
        );
    }
}

#[test]
fn a_sender_is_found_behind_a_large_intent_and_not_inside_it() {
    let intent = format!(r#"{{"reply_to":"wrong","text":"{}"}}"#, "x".repeat(100_000));
    for end in ["", "}", ",]"] {
        let payload = format!(r#"{{"intent":{intent},"request_id":"1","reply_to":"R"{end}"#);
        let payload = payload.strip_suffix('}').unwrap_or(&payload);
        let bad = open(payload.as_bytes()).unwrap_err();
        assert_eq!(
            (bad.reply_to.as_deref(), &*bad.request_id),
            (Some("R"), "1")
        );
    }
    // The quotation marks are one too many: outside and inside cannot be told apart.
    let payload = r#"{"intent":"say "hi", "request_id":"1","reply_to":"R"}"#;
    let bad = open(payload.as_bytes()).unwrap_err();
    assert_eq!(
        (bad.reply_to.as_deref(), &*bad.request_id),
        (Some("R"), "1")
    );
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(r#""\ud800""#.to_owned()),
        Just("1e999".to_owned()),
        Just("null".to_owned()),
        Just("{".to_owned()),
        r#""(R|S|T|reply_to|request_id)""#,
        "[0-9]{1,3}",
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let name = prop_oneof![
            Just("reply_to"),
            Just("request_id"),
            Just("intent"),
            Just("status"),
            Just("other")
        ];
        prop_oneof![
            prop::collection::vec((name, inner.clone()), 0..5).prop_map(|members| {
                let members = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
            prop::collection::vec(inner, 0..3).prop_map(|all| format!("[{}]", all.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_passed_on_is_read_or_refused_under_the_same_key(
        mut intent in json(), rest in json(),
    ) {
        intent.push_str(r#","reply_to":"R","request_id":"1","more":"#);
        let payload = format!(r#"{{"intent":{intent}{rest}}}"#);
        if let Ok(Envelope::Request { request_id, reply_to }) = open(payload.as_bytes()) {
            let (to, id) = match Request::parse(payload.as_bytes()) {
                Ok(request) => (request.reply_to, request.request_id),
                Err(bad) => (bad.reply_to.unwrap_or_default(), bad.request_id),
            };
            prop_assert_eq!((&*reply_to, &*request_id), (&*to, &*id));
        }
    }
}
