//! What only JetStream has to do: requests that outlive the server, silent workers, dead letters, and
//! programs that speak plain NATS.

use std::time::Duration;

use async_nats::jetstream::{self, Message};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::{Value, json};
use skill_format::Explain;
use skill_mesh::agent::Agent;
use skill_mesh::nats::{self, ConnectError, Options};
use skill_mesh::queue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::bench::{Script, Worker, agent, agent_settings, call};
use crate::nats_server::Server;
use crate::transports::{Jetstream, PATIENCE, Transport, connect};

const REPLY_TO: &str = "AGENT_REPLY_9f8e7d6c";

async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// A program that knows NATS and the messages' JSON, and nothing else of this mesh.
struct Plain {
    client: Client,
    context: jetstream::Context,
    replies: async_nats::Subscriber,
}

impl Plain {
    async fn new(server: &Server) -> Self {
        let client = async_nats::connect(&server.url).await.expect("a server");
        let replies = client.subscribe(REPLY_TO).await.expect("a subscription");
        client.flush().await.expect("it stands");
        Self {
            context: jetstream::new(client.clone()),
            client,
            replies,
        }
    }

    /// As `clients/python` does.
    async fn publish(&self, topic: &str, request_id: &str, message_id: &str, intent: &str) {
        let request = json!({
            "request_id": request_id, "reply_to": REPLY_TO, "intent": intent, "timestamp": 1.5,
        });
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", message_id);
        let payload = Bytes::from(request.to_string());
        let topic = topic.to_owned();
        let acknowledged = self.context.publish_with_headers(topic, headers, payload);
        acknowledged.await.expect("sent").await.expect("stored");
    }

    async fn reply(&mut self) -> Value {
        let message = soon("a reply", self.replies.next()).await;
        serde_json::from_slice(&message.expect("the connection stands").payload).expect("JSON")
    }

    /// Takes a request as a worker does.
    async fn take(&self, topic: &str) -> Message {
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.skills-topic-{topic}.workers");
        let wish = json!({"batch": 1, "expires": PATIENCE.as_nanos() as u64});
        let inbox = self.client.new_inbox();
        let mut pulled = self
            .client
            .subscribe(inbox.clone())
            .await
            .expect("an inbox");
        let wish = Bytes::from(wish.to_string());
        let asked = self.client.publish_with_reply(next, inbox, wish).await;
        asked.expect("sent");
        let message = soon("a request", pulled.next()).await;
        let message = message.expect("the connection stands");
        assert_eq!(message.status, None, "{:?}", message.description);
        Message {
            message,
            context: self.context.clone(),
        }
    }
}

/// Has a topic's stream and consumer made, and leaves no worker behind.
async fn made(mesh: &Jetstream, topic: &str) {
    let host = connect(&mesh.server.url, Jetstream::settings());
    let script = Script::new();
    let mut worker = Worker::start(&host, &script, "maker", topic, 1);
    let agent = agent(&host);
    assert_eq!(agent.call(topic, "made").await.unwrap(), "made");
    worker.stop();
    worker.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_server_is_killed_in_mid_flight() {
    let mut mesh = Jetstream::with(Jetstream::settings());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let agent = agent(&mesh);
    let held = call(&agent, "T", "hold x");
    script.until_begun("hold x", 1).await;
    let waiting: Vec<_> = (0..20).map(|n| call(&agent, "T", &n.to_string())).collect();
    mesh.counts(|counts| counts.accepted == 21).await;
    mesh.server.kill();
    // The answer is ready while there is no server, and what is asked then waits for one.
    script.open("x");
    let late = call(&agent, "T", "late");
    mesh.server.restart();
    assert_eq!(held.await.unwrap(), "held x");
    for (n, call) in waiting.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), n.to_string());
    }
    assert_eq!(late.await.unwrap(), "late");
    assert_eq!(script.began().len(), 22, "each ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_falls_silent_loses_its_request_to_another() {
    let mesh = Jetstream::with(nats::Settings {
        ack_wait: Duration::from_secs(1),
        ..Jetstream::settings()
    });
    made(&mesh, "T").await;
    let silent = Plain::new(&mesh.server).await;
    let agent = agent(&mesh);
    let answer = call(&agent, "T", "x");
    // Taken, and not a word after that.
    let _taken = silent.take("T").await;
    let script = Script::new();
    let _other = Worker::start(&mesh, &script, "other", "T", 1);
    assert_eq!(answer.await.unwrap(), "x");
    mesh.counts(|counts| counts.handed_on >= 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_job_is_kept_past_the_time_of_a_silent_one() {
    let mesh = Jetstream::with(nats::Settings {
        ack_wait: Duration::from_secs(3),
        ..Jetstream::settings()
    });
    made(&mesh, "SILENT").await;
    let script = Script::new();
    let _workers = ["a", "b"].map(|name| Worker::start(&mesh, &script, name, "T", 1));
    let mut settings = agent_settings();
    settings.timeout = PATIENCE * 4;
    let agent = Agent::new(mesh.agent(), settings);
    let answer = call(&agent, "T", "hold x");
    script.until_begun("hold x", 1).await;
    // Begun later, and given up by the server twice: so much time has passed.
    let plain = Plain::new(&mesh.server).await;
    plain.publish("SILENT", "1", "1", "x").await;
    for times in 1..=3 {
        let message = plain.take("SILENT").await;
        assert_eq!(message.info().expect("its numbers").delivered, times);
    }
    script.open("x");
    assert_eq!(answer.await.unwrap(), "held x");
    assert_eq!(script.began().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_could_answer_becomes_a_dead_letter() {
    let mesh = Jetstream::start(queue::Settings {
        attempts_max: 2,
        ..queue::Settings::default()
    });
    made(&mesh, "T").await;
    let mut plain = Plain::new(&mesh.server).await;
    plain.publish("T", "7", "7", "poison").await;
    for times in 1..=2 {
        let taken = plain.take("T").await;
        assert_eq!(taken.info().expect("its numbers").delivered, times);
        let nak = jetstream::AckKind::Nak(None);
        taken.ack_with(nak).await.expect("given back");
    }
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let reply = plain.reply().await;
    assert_eq!(reply["request_id"], "7", "{reply}");
    let error = reply["error"].as_str().expect("text");
    assert!(error.starts_with("workers-lost: 2 workers"), "{reply}");
    assert!(script.began().is_empty());
    let letters = plain
        .context
        .get_stream("skills-dead-letters")
        .await
        .expect("a stream");
    let letter = letters
        .get_last_raw_message_by_subject("SKILLS_MESH.DLQ.T")
        .await;
    let letter: Value = serde_json::from_slice(&letter.expect("a letter").payload).expect("JSON");
    assert_eq!(letter["intent"], "poison");
    mesh.counts(|counts| counts.workers_lost == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_again_gets_the_first_answer_again() {
    let mesh = Jetstream::with(Jetstream::settings());
    made(&mesh, "T").await;
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 2);
    let mut plain = Plain::new(&mesh.server).await;
    plain.publish("T", "1", "1", "x").await;
    let first = plain.reply().await;
    assert_eq!(first["content"], "x");
    // To the stream a message of its own, as after a connection that was lost.
    plain.publish("T", "1", "1.2", "x").await;
    assert_eq!(plain.reply().await, first);
    // The same while it runs.
    plain.publish("T", "2", "2", "hold x").await;
    script.until_begun("hold x", 1).await;
    plain.publish("T", "2", "2.2", "hold x").await;
    mesh.counts(|counts| counts.duplicates == 1).await;
    script.open("x");
    assert_eq!(plain.reply().await["content"], "held x");
    plain.publish("T", "3", "3", "last").await;
    assert_eq!(plain.reply().await["content"], "last");
    assert_eq!(script.began().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_stored_by_a_dead_worker_is_the_answer() {
    let mesh = Jetstream::with(Jetstream::settings());
    made(&mesh, "T").await;
    let mut plain = Plain::new(&mesh.server).await;
    plain.publish("T", "1", "1", "x").await;
    // A worker that died between storing and saying it.
    let taken = plain.take("T").await;
    let stored =
        json!({"request_id": "1", "status": "success", "content": "of the dead", "error": ""});
    let subject = format!("SKILLS_MESH.REPLY.{REPLY_TO}.1");
    let payload = Bytes::from(stored.to_string());
    let ack = plain.context.publish(subject, payload).await.expect("sent");
    ack.await.expect("stored");
    let nak = jetstream::AckKind::Nak(None);
    taken.ack_with(nak).await.expect("given back");
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    assert_eq!(plain.reply().await, stored);
    assert!(script.began().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_old_is_refused_and_not_run() {
    let wait = Duration::from_millis(100);
    let mesh = Jetstream::start(queue::Settings {
        wait,
        ..queue::Settings::default()
    });
    made(&mesh, "T").await;
    let mut plain = Plain::new(&mesh.server).await;
    plain.publish("T", "1", "1", "x").await;
    tokio::time::sleep(wait * 3).await;
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let reply = plain.reply().await;
    let error = reply["error"].as_str().expect("text");
    assert!(
        error.starts_with("deadline: no worker of topic T"),
        "{error}"
    );
    assert!(script.began().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_gets_an_error_where_its_reply_topic_can_be_read() {
    let mesh = Jetstream::with(Jetstream::settings());
    made(&mesh, "T").await;
    let mut plain = Plain::new(&mesh.server).await;
    for payload in [
        "nonsense".to_owned(),
        format!(r#"{{"reply_to": "{REPLY_TO}", "request_id": "1""#),
    ] {
        let ack = plain
            .context
            .publish("T", payload.into())
            .await
            .expect("sent");
        ack.await.expect("stored");
    }
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let reply = plain.reply().await;
    assert_eq!(reply["request_id"], "1");
    let error = reply["error"].as_str().expect("text");
    assert!(error.starts_with("bad request: "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_on_two_connections_share_the_requests() {
    let mesh = Jetstream::with(Jetstream::settings());
    let script = Script::new();
    let hosts = ["a", "b"].map(|name| {
        let host = connect(&mesh.server.url, Jetstream::settings());
        let worker = Worker::start(&host, &script, name, "T", 2);
        (host, worker)
    });
    let agent = agent(&mesh);
    let held = [
        call(&agent, "T", "hold x"),
        call(&agent, "T", "hold x"),
        call(&agent, "T", "hold x"),
    ];
    script.until_begun("hold x", 3).await;
    // Two slots each: the three cannot be on one host.
    let names: std::collections::BTreeSet<_> =
        script.began().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 2);
    let calls: Vec<_> = (0..100)
        .map(|n| call(&agent, "T", &n.to_string()))
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), n.to_string());
    }
    script.open("x");
    for call in held {
        assert_eq!(call.await.unwrap(), "held x");
    }
    assert_eq!(script.began().len(), 103);
    drop(hosts);
}

/// Passes a connection on, while it is open; closing it breaks what goes through it.
async fn forwarder(to: &str, open: watch::Receiver<bool>) -> String {
    let to = to.trim_start_matches("nats://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (to, mut open) = (to.clone(), open.clone());
            tokio::spawn(async move {
                if !*open.borrow() {
                    return;
                }
                let mut far = TcpStream::connect(to).await.expect("the server");
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = open.wait_for(|open| !open) => {}
                }
            });
        }
    });
    format!("nats://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_away_finds_its_answer_in_the_stream() {
    let mesh = Jetstream::with(Jetstream::settings());
    let open = watch::Sender::new(true);
    let url = forwarder(&mesh.server.url, open.subscribe()).await;
    let remote = connect(&url, Jetstream::settings());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let mut settings = agent_settings();
    // It does not ask again by itself.
    settings.resend = Duration::from_secs(3600);
    let agent = Agent::new(Transport::agent(&remote), settings);
    let answer = call(&agent, "T", "hold x");
    script.until_begun("hold x", 1).await;
    Transport::counts(&remote, |counts| counts.accepted == 1).await;
    open.send_replace(false);
    script.open("x");
    mesh.counts(|counts| counts.answered == 1).await;
    open.send_replace(true);
    assert_eq!(answer.await.unwrap(), "held x");
    assert_eq!(script.began().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_are_no_subjects_work_and_do_not_mix() {
    let mesh = Jetstream::with(Jetstream::settings());
    let script = Script::new();
    let topics = [
        "a b",
        "a.b",
        "a..b",
        "*",
        ">",
        "$JS.API.INFO",
        "SKILLS_MESH.REPLY.x.y",
        "ä/\\%20",
        "a=20b",
    ];
    let _workers = topics.map(|topic| Worker::start(&mesh, &script, topic, topic, 1));
    let agent = agent(&mesh);
    for topic in topics {
        assert_eq!(agent.call(topic, topic).await.unwrap(), topic);
    }
    let expected = topics.map(|topic| (topic.to_owned(), topic.to_owned()));
    assert_eq!(script.began(), expected);
    let gauges = mesh.mesh.gauges().await.unwrap();
    let mut known: Vec<_> = gauges.iter().map(|gauge| gauge.topic.as_str()).collect();
    known.sort_unstable();
    let mut expected = topics;
    expected.sort_unstable();
    assert_eq!(known, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_cannot_carry_is_an_error_with_its_bound() {
    let mesh = Jetstream::on(Server::with_small_messages(), Jetstream::settings());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let agent = agent(&mesh);
    let error = agent
        .call("T", &"x".repeat(2_000_000))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("too-large: ") && error.contains("1048576"),
        "{error}"
    );
    // As JSON each zero takes six bytes.
    let error = agent
        .call("T", "zeros 300000")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("result-too-large: ") && error.contains("1048576"),
        "{error}"
    );
    assert_eq!(agent.call("T", "ok").await.unwrap(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn gauges_tell_what_waits_and_what_runs() {
    let mesh = Jetstream::with(Jetstream::settings());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let agent = agent(&mesh);
    let _held = call(&agent, "T", "hold x");
    script.until_begun("hold x", 1).await;
    let _waiting: Vec<_> = (0..3).map(|n| call(&agent, "T", &n.to_string())).collect();
    mesh.counts(|counts| counts.accepted == 4).await;
    let gauges = mesh.mesh.gauges().await.unwrap();
    assert_eq!(gauges.len(), 1);
    let gauge = &gauges[0];
    assert_eq!(
        (gauge.topic.as_str(), gauge.stream.as_str()),
        ("T", "skills-topic-T")
    );
    assert_eq!((gauge.waiting, gauge.running, gauge.accepted), (3, 1, 4));
    assert!(gauge.bytes > 0);
}

async fn refusal(options: &Options, limit: Duration) -> ConnectError {
    let connected = nats::connect(options, Jetstream::settings()).await;
    match connected {
        Ok(mesh) => mesh.ready(limit).await.expect_err("not ready"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_or_refuses_us_or_keeps_nothing_is_named() {
    let short = Duration::from_millis(300);
    let error = refusal(&Options::new("nats://me:secret@127.0.0.1:1"), short).await;
    assert_eq!(error.code(), "mesh-nats-away");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");

    let without = Server::with("");
    let error = refusal(&Options::new(&without.url), Duration::from_secs(2)).await;
    assert_eq!(error.code(), "mesh-no-jetstream", "{error}");

    let accounts =
        "authorization { user: me, password: secret }\njetstream { max_file_store: 1GB }";
    let locked = Server::with(accounts);
    let error = refusal(&Options::new(&locked.url), Duration::from_secs(2)).await;
    assert_eq!(error.code(), "mesh-nats-refused", "{error}");
    let host = locked.url.trim_start_matches("nats://");
    let known = Options::new(format!("nats://me:secret@{host}"));
    let known = nats::connect(&known, Jetstream::settings()).await.unwrap();
    known.ready(PATIENCE).await.unwrap();

    let missing = Options {
        credentials: Some("/nowhere/user.creds".into()),
        ..Options::new(&locked.url)
    };
    let error = refusal(&missing, short).await;
    assert_eq!(error.code(), "mesh-nats-file");
}
