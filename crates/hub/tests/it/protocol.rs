//! What holds for every request: problems, ids, bounds, compression, CORS,
//! metrics, slow clients.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use testkit::{Fixture, HubBuilder, TestHub, on_both};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

on_both!(
    bodies_are_checked_before_anything_happens,
    metrics_count_what_happened
);

async fn bodies_are_checked_before_anything_happens(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    let path = "/api/v1/skills/csv-reader/rating";
    let put = |media_type: &str, body: &str| {
        let request = alice.request(Method::PUT, path).body(body.to_owned());
        if media_type.is_empty() {
            request
        } else {
            request.header("content-type", media_type)
        }
    };
    for (media_type, body, status, code) in [
        ("", "{\"rating\":5}", 415, "unsupported-media-type"),
        (
            "text/plain",
            "{\"rating\":5}",
            415,
            "unsupported-media-type",
        ),
        ("application/json", "", 400, "invalid-json"),
        ("application/json", "{", 400, "invalid-json"),
        (
            "application/json",
            "{\"rating\":5} trailing",
            400,
            "invalid-json",
        ),
        ("application/json", "{\"rating\":", 400, "invalid-json"),
        ("application/json", "[]", 422, "invalid-body"),
        ("application/json", "{\"rating\":[]}", 422, "invalid-body"),
        ("application/json", "null", 422, "invalid-body"),
    ] {
        hub.send(put(media_type, body))
            .await
            .assert_problem(status, code);
    }
    let deep = "[".repeat(10_000);
    // A list where an object belongs is refused at its first byte, however deep it is.
    hub.send(put("application/json", &deep))
        .await
        .assert_problem(422, "invalid-body");
    let long = format!("{{\"rating\":5,\"x\":\"{}\"}}", "x".repeat(300 * 1024));
    hub.send(put("application/json", &long))
        .await
        .assert_problem(413, "payload-too-large");
    hub.send(put(
        "application/problem+json; charset=utf-8",
        "{\"rating\":5}",
    ))
    .await
    .assert_status(200);
}

async fn metrics_count_what_happened(hub: HubBuilder) {
    let hub = hub.start().await;
    let alice = hub.person("alice").await;
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    // What was published reaches the caches by then; until that, reading it is a miss.
    hub.eventually("/metrics", |answer| {
        answer.text().contains("hub_outbox_lag_events 0\n")
            && answer.text().contains("hub_search_documents 1\n")
    })
    .await;
    for _ in 0..3 {
        hub.get("/api/v1/skills/csv-reader")
            .await
            .assert_status(200);
    }
    hub.get("/packages/csv-reader-1.0.0.spm")
        .await
        .assert_status(200);
    hub.get("/api/v1/skills/none").await.assert_status(404);
    let metrics = hub.get("/metrics").await.assert_status(200);
    assert!(
        metrics
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    let text = metrics.text();
    for line in [
        "hub_requests_total{method=\"GET\",route=\"/api/v1/skills/{name}\",status=\"200\"} 3",
        "hub_requests_total{method=\"GET\",route=\"/api/v1/skills/{name}\",status=\"404\"} 1",
        "hub_publishes_total 1",
        "hub_downloads_total 1",
        "hub_metadata_cache_lookups_total{result=\"hit\"} 2",
        "hub_database_connections ",
        "hub_outbox_lag_events ",
        "hub_search_documents ",
        "hub_request_seconds_bucket{route=\"/api/v1/skills/{name}\",le=",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(
        !text.contains("csv-reader"),
        "labels are patterns, not paths"
    );
}

#[tokio::test]
async fn what_does_not_exist_and_what_is_not_allowed_are_problems() {
    let hub = TestHub::start().await;
    for path in [
        "/nothing",
        "/api/v2/skills",
        "/api/v1/",
        "/api/v1/skills/",
        "//",
        "/packages/a/b",
    ] {
        hub.get(path).await.assert_problem(404, "not-found");
    }
    for (method, path) in [
        (Method::PUT, "/api/v1/skills"),
        (Method::POST, "/api/v1/tags"),
        (Method::DELETE, "/healthz"),
        (
            Method::from_bytes(b"BREW").expect("a method"),
            "/api/v1/skills",
        ),
    ] {
        let answer = hub.send(hub.request(method.clone(), path)).await;
        let answer = answer.assert_problem(405, "method-not-allowed");
        assert!(
            answer.header("allow").contains("GET"),
            "{method} {path}: {}",
            answer.header("allow")
        );
    }
}

#[tokio::test]
async fn a_request_has_one_id_everywhere() {
    let hub = TestHub::start().await;
    let own = hub.get("/healthz").await.header("x-request-id").to_owned();
    assert!(!own.is_empty());
    let given = hub
        .request(Method::GET, "/nothing")
        .header("x-request-id", "trace-1.2_3");
    let answer = hub.send(given).await.assert_problem(404, "not-found");
    assert_eq!(answer.header("x-request-id"), "trace-1.2_3");
    let forged = hub
        .request(Method::GET, "/nothing")
        .header("x-request-id", "a b\"c");
    let answer = hub.send(forged).await.assert_problem(404, "not-found");
    assert_ne!(answer.header("x-request-id"), "a b\"c");
}

#[tokio::test]
async fn the_sizes_of_a_request_are_bounded() {
    let hub = TestHub::start().await;
    let long = "x".repeat(9_000);
    hub.get(&format!("/api/v1/skills/{long}"))
        .await
        .assert_problem(414, "uri-too-long");
    hub.get(&format!("/api/v1/search?q={long}"))
        .await
        .assert_problem(414, "uri-too-long");
    let big = hub
        .request(Method::GET, "/healthz")
        .header("x-big", "y".repeat(33_000));
    let answer = hub.send(big).await;
    assert_eq!(answer.status, 431, "{}", answer.text());
    let many = (0..200).fold(hub.request(Method::GET, "/healthz"), |request, number| {
        request.header(format!("x-{number}"), "1")
    });
    assert_eq!(hub.send(many).await.status, 431);
}

#[tokio::test]
async fn text_is_compressed_where_it_is_asked_for() {
    let hub = TestHub::start().await;
    let ask = |path: &str| {
        hub.request(Method::GET, path)
            .header("accept-encoding", "gzip")
    };
    let page = hub.send(ask("/docs")).await.assert_status(200);
    assert_eq!(page.header("content-encoding"), "gzip");
    assert!(
        page.header("vary")
            .to_lowercase()
            .contains("accept-encoding")
    );
    assert!(page.bytes.starts_with(&[0x1f, 0x8b]));
    assert_eq!(
        hub.send(ask("/healthz")).await.header("content-encoding"),
        "",
        "too small"
    );
    let alice = hub.person("alice").await;
    let skill = Fixture::new("csv-reader")
        .version("1.0.0")
        .file("x.txt", "x".repeat(5_000));
    alice.publish(&skill).await.assert_status(201);
    let archive = hub
        .send(ask("/packages/csv-reader-1.0.0.spm"))
        .await
        .assert_status(200);
    assert_eq!(archive.header("content-encoding"), "", "compressed already");
    // A problem is plain whatever is accepted: it is rendered last.
    let problem = hub
        .send(ask("/nothing"))
        .await
        .assert_problem(404, "not-found");
    assert_eq!(problem.header("content-encoding"), "");
}

#[tokio::test]
async fn pages_of_other_origins_may_read_and_not_write() {
    let hub = TestHub::start().await;
    let get = hub
        .request(Method::GET, "/api/v1/skills")
        .header("origin", "https://example.com");
    let answer = hub.send(get).await.assert_status(200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("etag")
    );
    let preflight = hub
        .request(Method::OPTIONS, "/api/v1/skills")
        .header("origin", "https://example.com")
        .header("access-control-request-method", "POST");
    let answer = hub.send(preflight).await;
    let allowed = answer.header("access-control-allow-methods");
    assert!(
        allowed.contains("GET") && !allowed.contains("POST"),
        "{allowed}"
    );
}

/// Speaks to the hub without an HTTP client.
async fn raw(hub: &TestHub) -> TcpStream {
    let address = hub.url.strip_prefix("http://").expect("an address");
    TcpStream::connect(address).await.expect("connects")
}

#[tokio::test]
async fn a_client_that_is_too_slow_is_cut() {
    let hub = HubBuilder::default()
        .configure(|config| {
            config.limits.header_seconds_max = 1;
            config.limits.idle_seconds_max = 1;
        })
        .start()
        .await;
    // Never says a word; stops in the middle of the headers; idles after an answer.
    let beginnings: [&[u8]; 3] = [
        b"",
        b"GET /healthz HT",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    ];
    for beginning in beginnings {
        let mut socket = raw(&hub).await;
        socket.write_all(beginning).await.expect("writes");
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer));
        let ended = ended
            .await
            .unwrap_or_else(|_| panic!("still open after {beginning:?}"));
        // Closed or reset: both are an end.
        drop(ended);
    }
    // Announces a body and stops sending it.
    let alice = hub.person("alice").await;
    let mut socket = raw(&hub).await;
    let head = format!(
        "PUT /api/v1/skills/x/rating HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        alice.token
    );
    socket.write_all(head.as_bytes()).await.expect("writes");
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(20), socket.read(&mut answer)).await;
    let length = read.expect("an answer comes").expect("reads");
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(text.starts_with("HTTP/1.1 4"), "{text}");
    assert!(text.contains("\"code\":\"incomplete-body\""), "{text}");
}

#[tokio::test]
async fn rubbish_on_the_wire_does_no_harm() {
    let hub = TestHub::start().await;
    let inputs: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/v1/skills HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /api/v1/skills HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZZ\r\n",
    ];
    for input in inputs {
        let mut socket = raw(&hub).await;
        socket.write_all(input).await.expect("writes");
        socket.shutdown().await.expect("shuts down");
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
    hub.get("/healthz").await.assert_status(200);
}

#[tokio::test]
async fn a_refused_upload_is_heard_out() {
    let hub = TestHub::start().await;
    let archive = vec![0_u8; 20 * 1024 * 1024];
    let anonymous = hub
        .request(Method::POST, "/api/v1/skills")
        .header("content-type", "application/gzip")
        .body(archive);
    hub.send(anonymous)
        .await
        .assert_problem(401, "authentication-required");
    let login = hub
        .request(Method::POST, "/api/v1/auth/login")
        .json(&json!({"x": "y".repeat(900_000)}));
    hub.send(login)
        .await
        .assert_problem(413, "payload-too-large");
}
