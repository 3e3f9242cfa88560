//! Registries that are busy, slow, broken or lying.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use skill_client::api::{Client, ClientOptions, SearchQuery};
use skill_client::http::OnRetry;
use skill_client::{Config, Registry};
use skill_format::{Explain as _, Fault};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::raw_server::{Answer, RawServer};
use crate::sessions::credentials;
use crate::support::{impatient, name};

pub fn registry(url: &str) -> Registry {
    Config::default().registry(Some(url)).expect("an address")
}

pub fn client(url: &str) -> Client {
    Client::new(
        registry(url),
        ClientOptions {
            http: impatient(),
            ..ClientOptions::default()
        },
    )
}

fn skill_json() -> serde_json::Value {
    serde_json::json!({"name": "alpha", "version": null, "description": "d", "releases": []})
}

async fn serve(template: ResponseTemplate, times: u64) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(template)
        .up_to_n_times(times)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(skill_json()))
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_busy_registry_is_asked_again() {
    for status in [429, 502, 503, 504] {
        let server = serve(
            ResponseTemplate::new(status).insert_header("Retry-After", "0"),
            2,
        )
        .await;
        client(&server.uri())
            .skill(&name("alpha"))
            .await
            .expect("the third answer is good");
        assert_eq!(
            server.received_requests().await.expect("recorded").len(),
            3,
            "{status}"
        );
    }
}

#[tokio::test]
async fn patience_ends_and_the_last_answer_is_told() {
    let problem = serde_json::json!({"status": 503, "code": "unavailable", "detail": "Closed for repair.", "requestId": "r-7"});
    let server = serve(ResponseTemplate::new(503).set_body_json(problem), 100).await;
    let error = client(&server.uri())
        .skill(&name("alpha"))
        .await
        .expect_err("closed");
    assert_eq!(
        (error.code(), error.fault()),
        ("unavailable", Fault::Unavailable)
    );
    assert_eq!(error.to_string(), "Closed for repair (request r-7)");
    assert_eq!(server.received_requests().await.expect("recorded").len(), 4);
}

#[tokio::test]
async fn a_registry_that_asks_for_an_hour_is_not_waited_for() {
    let server = serve(
        ResponseTemplate::new(429).insert_header("Retry-After", "3600"),
        100,
    )
    .await;
    let error = client(&server.uri())
        .skill(&name("alpha"))
        .await
        .expect_err("too long");
    assert_eq!(error.code(), "rate-limited");
    assert!(error.help().expect("advice").contains("3600"));
    assert_eq!(server.received_requests().await.expect("recorded").len(), 1);
}

#[tokio::test]
async fn what_a_registry_refuses_is_not_repeated() {
    let problem = serde_json::json!({"status": 404, "code": "skill-not-found", "detail": "There is no skill named `alpa` here. Did you mean `alpha`?"});
    let server = serve(ResponseTemplate::new(404).set_body_json(problem), 100).await;
    let error = client(&server.uri())
        .skill(&name("alpa"))
        .await
        .expect_err("unknown");
    assert_eq!(
        (error.code(), error.fault()),
        ("skill-not-found", Fault::NotFound)
    );
    assert_eq!(server.received_requests().await.expect("recorded").len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_no_registrys_is_said_to_be_so() {
    let server = serve(
        ResponseTemplate::new(200).set_body_string("<html>Log in to the hotel's network</html>"),
        100,
    )
    .await;
    let error = client(&server.uri())
        .skill(&name("alpha"))
        .await
        .expect_err("not JSON");
    assert_eq!(error.code(), "registry-answer");
    let server = serve(ResponseTemplate::new(403).set_body_string("<html>"), 100).await;
    let error = client(&server.uri())
        .skill(&name("alpha"))
        .await
        .expect_err("not JSON");
    assert_eq!(
        (error.code(), error.fault()),
        ("registry-refused", Fault::Denied)
    );
}

#[tokio::test]
async fn silence_ends_with_a_time_out() {
    let server = RawServer::start(|_, _| Answer::Silence).await;
    let mut options = ClientOptions {
        http: impatient(),
        ..ClientOptions::default()
    };
    options.http.idle_timeout = Duration::from_millis(50);
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = told.clone();
    options.http.on_retry = Some(OnRetry::new(move |why| {
        hears.lock().expect("no panic").push(why.to_owned());
    }));
    let error = Client::new(registry(&server.url), options)
        .skill(&name("alpha"))
        .await
        .expect_err("silence");
    assert_eq!(
        (error.code(), error.fault()),
        ("timed-out", Fault::Unavailable)
    );
    assert!(error.to_string().ends_with("s in all)"), "{error}");
    // Nobody waits for four time-outs.
    assert_eq!(server.requests().len(), 2);
    let told = told.lock().expect("no panic").clone();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("did not answer within"), "{told:?}");
    assert!(told[0].ends_with("; trying again"), "{told:?}");
}

#[tokio::test]
async fn nobody_listening_is_told_with_what_to_do() {
    let error = client("http://127.0.0.1:9")
        .skill(&name("alpha"))
        .await
        .expect_err("nobody");
    assert_eq!(error.code(), "unreachable");
    assert!(error.help().expect("advice").contains("skills up"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let server = RawServer::start(|number, _| {
        let body = skill_json().to_string();
        match number {
            0 => Answer::with(
                200,
                &[("Content-Length", &body.len().to_string())],
                &body.as_bytes()[..10],
            ),
            _ => Answer::ok(body.as_bytes()),
        }
    })
    .await;
    client(&server.url)
        .skill(&name("alpha"))
        .await
        .expect("the second answer is whole");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let server =
        RawServer::start(|_, _| Answer::with(200, &[("Content-Length", "99999999999")], b"{"))
            .await;
    let error = client(&server.url)
        .skill(&name("alpha"))
        .await
        .expect_err("too much");
    assert_eq!(error.code(), "answer-too-large");
}

#[tokio::test]
async fn a_redirect_never_gives_up_encryption_or_the_token() {
    let target = RawServer::start(|_, _| Answer::ok(skill_json().to_string().as_bytes())).await;
    let to = target.url.clone();
    let server =
        RawServer::start(move |_, _| Answer::with(307, &[("Location", &format!("{to}/x"))], b""))
            .await;
    let mut options = ClientOptions {
        http: impatient(),
        ..ClientOptions::default()
    };
    options.credentials = Some(credentials("skl_secret", None));
    Client::new(registry(&server.url), options)
        .skill(&name("alpha"))
        .await
        .expect("followed");
    assert!(server.requests()[0].contains("Bearer skl_secret"));
    assert!(
        !target.requests()[0]
            .to_lowercase()
            .contains("authorization"),
        "{}",
        target.requests()[0]
    );

    let plain = RawServer::start(|_, _| {
        Answer::with(307, &[("Location", "http://store.example.org/x")], b"")
    })
    .await;
    let error = client(&plain.url)
        .skill(&name("alpha"))
        .await
        .expect_err("refused");
    assert_eq!(
        (error.code(), error.fault()),
        ("redirect-refused", Fault::Denied)
    );

    let around = RawServer::start(|_, _| Answer::with(302, &[("Location", "/again")], b"")).await;
    let error = client(&around.url)
        .skill(&name("alpha"))
        .await
        .expect_err("a circle");
    assert_eq!(error.code(), "too-many-redirects");
}

#[tokio::test]
async fn answers_are_confirmed_by_etag_and_serve_offline() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(header("If-None-Match", "\"v1\""))
        .respond_with(ResponseTemplate::new(304))
        .with_priority(1)
        .expect(1)
        .mount(&server)
        .await;
    let answer = ResponseTemplate::new(200)
        .insert_header("ETag", "\"v1\"")
        .set_body_json(skill_json());
    Mock::given(method("GET"))
        .and(path("/api/v1/skills/alpha"))
        .respond_with(answer)
        .expect(1)
        .mount(&server)
        .await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = |offline| ClientOptions {
        http: impatient(),
        metadata_dir: Some(dir.path().to_owned()),
        offline,
        ..ClientOptions::default()
    };
    let first = Client::new(registry(&server.uri()), options(false));
    let fresh = first.skill(&name("alpha")).await.expect("fetched");
    first.remember();
    let second = Client::new(registry(&server.uri()), options(false));
    assert_eq!(
        second.skill(&name("alpha")).await.expect("confirmed"),
        fresh
    );
    second.remember();
    let offline = Client::new(registry(&server.uri()), options(true));
    assert_eq!(
        offline.skill(&name("alpha")).await.expect("remembered"),
        fresh
    );
    let error = offline.skill(&name("beta")).await.expect_err("never asked");
    assert_eq!(error.code(), "not-cached");
    let error = offline
        .search(&SearchQuery::default())
        .await
        .expect_err("never asked");
    assert_eq!(error.code(), "not-cached");
    let error = offline
        .yank(&name("alpha"), &"1.0.0".parse().expect("a version"), None)
        .await
        .expect_err("a change");
    assert_eq!(error.code(), "needs-network");
}
