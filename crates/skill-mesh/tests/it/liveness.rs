//! Workers, agents and proxies that die, stop, or come and go, on ZeroMQ.

use std::time::Duration;

use skill_mesh::agent::Agent;
use skill_mesh::proxy::Mode;
use skill_mesh::queue::Settings;
use tokio::task::block_in_place;
use zmq::{Context, SocketType};

use crate::bench::{Script, Worker, agent, agent_settings, call};
use crate::transports::{PATIENCE, Transport, Zmq};
use crate::zmtp::Peer;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_with_its_connection_open_loses_its_request() {
    let mesh = Zmq::with(|settings| {
        settings.heartbeat = Duration::from_millis(200);
        settings.heartbeat_timeout = Duration::from_secs(1);
    });
    let mut stopped = block_in_place(|| Peer::subscribe(&mesh.endpoints.xpub, "T").unwrap());
    let agent = agent(&mesh);
    let answer = call(&agent, "T", "x");
    block_in_place(|| {
        assert_eq!(stopped.message(), b"T");
        assert!(stopped.message().starts_with(b"{"));
    });
    let script = Script::new();
    let _other = Worker::start(&mesh, &script, "other", "T", 1);
    assert_eq!(answer.await.unwrap(), "x");
    let metrics = mesh.metrics(|metrics| metrics.counts.answered == 1).await;
    assert_eq!(metrics.counts.handed_on, 1);
    block_in_place(|| stopped.until_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_answers_its_pings_keeps_its_request_however_long_it_takes() {
    let mesh = Zmq::with(|settings| {
        settings.heartbeat = Duration::from_millis(10);
        settings.heartbeat_timeout = Duration::from_secs(1);
    });
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let agent = agent(&mesh);
    let answer = call(&agent, "T", "hold x");
    script.until_begun("hold x", 1).await;
    // Many pings and a time-out's length later, told by a worker that answers none.
    let silent = block_in_place(|| Peer::subscribe(&mesh.endpoints.xpub, "OTHER").unwrap());
    block_in_place(|| silent.until_closed());
    script.open("x");
    assert_eq!(answer.await.unwrap(), "held x");
    assert_eq!(script.began().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_read_for_a_while_gets_all_its_replies_then_and_delays_nobody() {
    let mesh = Zmq::with(|settings| settings.heartbeat = Duration::from_secs(60));
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 4);
    let mut slow =
        block_in_place(|| Peer::subscribe(&mesh.endpoints.xpub, "AGENT_REPLY_s").unwrap());
    let publisher = Context::new().socket(SocketType::XPUB).unwrap();
    publisher.connect(&mesh.endpoints.xsub).unwrap();
    block_in_place(|| publisher.recv_bytes(0)).unwrap();
    // More than the connection holds, and more than the proxy gives it ahead.
    let replies: usize = 60;
    for id in 0..replies {
        let request = format!(
            r#"{{"request_id":"{id}","reply_to":"AGENT_REPLY_s","intent":"zeros 100000"}}"#
        );
        publisher
            .send_multipart([b"T", request.as_bytes()], 0)
            .unwrap();
    }
    // A zero byte is six bytes of JSON.
    mesh.metrics(|metrics| metrics.counts.answered == 60 && metrics.held > 0)
        .await;
    assert_eq!(agent(&mesh).call("T", "x").await.unwrap(), "x");
    let mut ids = block_in_place(|| {
        let mut ids = Vec::new();
        for _ in 0..replies {
            assert_eq!(slow.message(), b"AGENT_REPLY_s");
            let reply: serde_json::Value = serde_json::from_slice(&slow.message()).unwrap();
            ids.push(
                reply["request_id"]
                    .as_str()
                    .unwrap()
                    .parse::<usize>()
                    .unwrap(),
            );
        }
        ids
    });
    ids.sort_unstable();
    assert_eq!(ids, (0..replies).collect::<Vec<_>>());
    mesh.metrics(|metrics| metrics.held == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_silent_keeps_its_connection_and_a_worker_does_not() {
    let mesh = Zmq::with(|settings| {
        settings.heartbeat = Duration::from_millis(10);
        settings.heartbeat_timeout = Duration::from_millis(300);
    });
    let mut silent = block_in_place(|| {
        let silent = Peer::subscribe(&mesh.endpoints.xpub, "AGENT_REPLY_s").unwrap();
        let worker = Peer::subscribe(&mesh.endpoints.xpub, "T").unwrap();
        worker.until_closed();
        silent
    });
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let publisher = Context::new().socket(SocketType::XPUB).unwrap();
    publisher.connect(&mesh.endpoints.xsub).unwrap();
    let request = br#"{"request_id":"1","reply_to":"AGENT_REPLY_s","intent":"x"}"#;
    block_in_place(|| {
        publisher.recv_bytes(0).unwrap();
        publisher.send_multipart([&b"T"[..], request], 0).unwrap();
        assert_eq!(silent.message(), b"AGENT_REPLY_s");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_that_do_not_end_cannot_fill_the_memory_together() {
    let mesh = Zmq::with(|settings| settings.unfinished_bytes_max = 1024 * 1024);
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let (small, large) = block_in_place(|| {
        let small = Peer::begin_message(&mesh.endpoints.xsub, 1024).unwrap();
        let large = Peer::begin_message(&mesh.endpoints.xsub, 2 * 1024 * 1024);
        (small, large)
    });
    // Its connection may have ended while it was still sending.
    let ended = large.map_or(true, |peer| block_in_place(|| peer.ends_within(PATIENCE)));
    assert!(ended, "it takes more than there is");
    assert!(!block_in_place(
        || small.ends_within(Duration::from_millis(50))
    ));
    assert_eq!(agent(&mesh).call("T", "x").await.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_refused_and_what_runs_is_answered_when_the_proxy_stops() {
    let mut mesh = Zmq::start(Settings::default());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let agent = agent(&mesh);
    let running = call(&agent, "T", "hold x");
    script.until_begun("hold x", 1).await;
    let waiting = call(&agent, "T", "y");
    mesh.counts(|counts| counts.accepted == 2).await;
    let stop = tokio::spawn(async move { mesh.stop().await });
    assert!(waiting.await.unwrap().starts_with("stopping: "));
    script.open("x");
    assert_eq!(running.await.unwrap(), "held x");
    stop.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_survives_the_proxys_restart() {
    let drain_at_once = |settings: &mut skill_mesh::proxy::Settings| {
        settings.drain = Duration::ZERO;
    };
    let mut first = Zmq::with(drain_at_once);
    let endpoints = first.endpoints.clone();
    let script = Script::new();
    let _worker = Worker::start(&first, &script, "w", "T", 4);
    let mut settings = agent_settings();
    settings.resend = Duration::from_millis(100);
    let agent = Agent::new(first.agent(), settings);
    let answer = call(&agent, "T", "hold x");
    script.until_begun("hold x", 1).await;
    first.stop().await;
    let second = Zmq::with(|settings| {
        settings.xsub = endpoints.xsub.clone();
        settings.xpub = endpoints.xpub.clone();
    });
    // Agent and worker find it by themselves, and the request comes again.
    second.counts(|counts| counts.accepted == 1).await;
    script.open("x");
    assert_eq!(answer.await.unwrap(), "held x");
    assert_eq!(agent.call("T", "next").await.unwrap(), "next");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_replies_outlive_the_absence_of_a_proxy() {
    let mut early = Zmq::start(Settings::default());
    let endpoints = early.endpoints.clone();
    early.stop().await;
    let script = Script::new();
    // Worker and agent come before the proxy does.
    let _worker = Worker::start(&early, &script, "w", "T", 4);
    let agent = agent(&early);
    let calls: Vec<_> = (0..100)
        .map(|n| call(&agent, "T", &n.to_string()))
        .collect();
    let _second = Zmq::with(|settings| {
        settings.xsub = endpoints.xsub.clone();
        settings.xpub = endpoints.xpub.clone();
    });
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), n.to_string());
    }
    assert_eq!(script.began().len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_that_come_and_go_at_once_do_no_harm() {
    let mesh = Zmq::start(Settings::default());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 4);
    let agent = agent(&mesh);
    for round in 0..20 {
        let calls: Vec<_> = (0..20)
            .map(|n| call(&agent, "T", &format!("{round} {n}")))
            .collect();
        block_in_place(|| {
            for n in 0..25 {
                let topic = ["AGENT_REPLY_x", "OTHER"][n % 2];
                drop(Peer::subscribe(&mesh.endpoints.xpub, topic).unwrap());
                let context = Context::new();
                let socket = context.socket(SocketType::SUB).unwrap();
                socket.set_subscribe(topic.as_bytes()).unwrap();
                socket.connect(&mesh.endpoints.xpub).unwrap();
            }
        });
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(call.await.unwrap(), format!("{round} {n}"));
        }
    }
    // Agent and worker are left.
    mesh.metrics(|metrics| metrics.connections == 2 && metrics.counts.answered == 400)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_cannot_be_listened_on_are_refused_with_their_name() {
    use skill_format::{Explain, Fault};
    use skill_mesh::proxy::{Proxy, Settings};

    let bind = |xsub: &str, xpub: &str| {
        let mut settings = Settings::new(crate::transports::clock());
        settings.xsub = xsub.to_owned();
        settings.xpub = xpub.to_owned();
        Proxy::bind(settings).err().expect("refused")
    };
    let any = "tcp://127.0.0.1:*";
    let taken = Zmq::with(|_| ());
    let error = bind(any, &taken.endpoints.xpub);
    assert!(error.to_string().contains(&taken.endpoints.xpub), "{error}");
    assert_eq!(error.fault(), Fault::Conflict);
    for wrong in ["nonsense", "ipc:///tmp/x", "tcp://127.0.0.1:99999"] {
        let error = bind(wrong, any);
        assert!(error.to_string().contains(wrong), "{error}");
        assert_eq!(
            (error.code(), error.fault()),
            ("mesh-cannot-listen", Fault::BadInput)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_behind_a_proxy_that_broadcasts_answers_everything_it_got_before_it_stops() {
    let mesh = Zmq::with(|settings| settings.mode = Mode::Broadcast);
    let script = Script::new();
    let mut worker = Worker::with_drain(&mesh, &script, "w", "T", 1, Duration::from_millis(100));
    let agent = agent(&mesh);
    let running = call(&agent, "T", "hold x");
    script.until_begun("hold x", 1).await;
    // Ten more than fit into its slot and its backlog of 100: these are refused at once, which also shows
    // that all have arrived.
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..110 {
        let agent = agent.clone();
        calls.spawn(async move {
            agent
                .call("T", &n.to_string())
                .await
                .unwrap_err()
                .to_string()
        });
    }
    for _ in 0..10 {
        let answer = calls.join_next().await.unwrap().unwrap();
        assert!(
            answer.starts_with("busy: this worker runs 1 requests and 100 wait"),
            "{answer}"
        );
    }
    worker.stop();
    while let Some(answer) = calls.join_next().await {
        assert!(answer.unwrap().starts_with("stopping: "));
    }
    assert!(running.await.unwrap().starts_with("stopping: "));
    assert_eq!(worker.ended().await.failed, 101);
}
