//! Stopping: no request is lost, nothing in memory either.

use std::time::Duration;

use reqwest::Method;
use testkit::{Fixture, HubBuilder, on_both};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

on_both!(
    what_is_in_flight_is_finished_and_counts_are_written,
    a_client_that_never_finishes_is_cut_at_the_deadline,
);

async fn what_is_in_flight_is_finished_and_counts_are_written(hub: HubBuilder) {
    let mut hub = hub.start().await;
    let alice = hub.person("alice").await;
    alice
        .publish(&Fixture::new("csv-reader").version("1.0.0"))
        .await
        .assert_status(201);
    hub.get("/packages/csv-reader-1.0.0.spm")
        .await
        .assert_status(200);

    // A publish whose body is half sent when the stop comes.
    let archive = Fixture::new("csv-reader").version("1.1.0").archive();
    let (middle, rest) = (archive.len() / 2, archive.clone());
    let address = hub
        .url
        .strip_prefix("http://")
        .expect("an address")
        .to_owned();
    let mut socket = TcpStream::connect(&address).await.expect("connects");
    let head = format!(
        "POST /api/v1/skills HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/gzip\r\ncontent-length: {}\r\n\r\n",
        alice.token,
        archive.len()
    );
    socket.write_all(head.as_bytes()).await.expect("writes");
    socket.write_all(&archive[..middle]).await.expect("writes");
    // The hub has begun to answer once it counts the request.
    let busy = |answer: &testkit::Answer| answer.text().contains("hub_requests_in_flight 2");
    hub.eventually("/metrics", busy).await;
    hub.begin_stop();
    wait_until_refused(&address).await;
    assert!(hub.app().is_draining());
    socket.write_all(&rest[middle..]).await.expect("writes");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.expect("reads");
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(text.starts_with("HTTP/1.1 201"), "{text}");

    let hub = hub.restart().await;
    let skill = hub.get("/api/v1/skills/csv-reader").await.json();
    assert_eq!(skill["version"], "1.1.0");
    assert_eq!(
        skill["downloads"], 1,
        "the count was in memory when the stop came"
    );
}

async fn wait_until_refused(address: &str) {
    for _ in 0..500 {
        if TcpStream::connect(address).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the listener is still open");
}

async fn a_client_that_never_finishes_is_cut_at_the_deadline(hub: HubBuilder) {
    let hub = hub
        .configure(|config| config.limits.drain_seconds_max = 1)
        .start()
        .await;
    let address = hub
        .url
        .strip_prefix("http://")
        .expect("an address")
        .to_owned();
    let mut socket = TcpStream::connect(&address).await.expect("connects");
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 100\r\n\r\n{";
    socket.write_all(head.as_bytes()).await.expect("writes");
    let busy = |answer: &testkit::Answer| answer.text().contains("hub_requests_in_flight 2");
    hub.eventually("/metrics", busy).await;
    let stopped = tokio::time::timeout(Duration::from_secs(15), hub.stop()).await;
    assert!(stopped.is_ok(), "the drain has a deadline");
}

#[tokio::test]
async fn while_draining_the_probe_says_so() {
    let hub = testkit::TestHub::start().await;
    hub.ready().await;
    let ready = hub.get("/readyz").await.assert_status(200).json();
    assert_eq!(ready["status"], "ready");
    assert_eq!(
        (&ready["database"], &ready["blobs"], &ready["search"]),
        (&"ok".into(), &"ok".into(), &"ok".into())
    );
    hub.app().begin_drain();
    let draining = hub.get("/readyz").await.assert_status(503).json();
    assert_eq!(draining["status"], "draining");
    assert_eq!(hub.get("/api/v1/health").await.json()["status"], "draining");
    let alive = hub.request(Method::GET, "/healthz");
    assert_eq!(hub.send(alive).await.assert_status(200).text(), "ok\n");
}

#[tokio::test]
async fn a_hub_without_its_blobs_is_not_ready() {
    let hub = testkit::TestHub::start().await;
    hub.ready().await;
    std::fs::remove_dir_all(hub.data_folder().join("blobs")).expect("removed");
    let answer = hub.get("/readyz").await.assert_status(503).json();
    assert_eq!(
        (&answer["status"], &answer["blobs"]),
        (&"unavailable".into(), &"unavailable".into())
    );
}
