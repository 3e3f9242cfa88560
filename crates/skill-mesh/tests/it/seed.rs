//! SkillScale's programs, written from its protocol's text alone, against ours: an agent with a PUB and
//! a SUB socket, a server with a SUB and a PUB socket. Each test is named after what the original did
//! wrong or did right.

use serde_json::{Value, json};
use skill_mesh::connect::Endpoints;
use skill_mesh::proxy::Mode;
use skill_mesh::queue::Settings;
use tokio::task::block_in_place;
use zmq::{Context, Socket, SocketType};

use crate::bench::{Script, Worker, agent, call};
use crate::transports::{PATIENCE, Transport, Zmq};
use crate::zmtp::Peer;

fn socket(context: &Context, kind: SocketType, endpoint: &str) -> Socket {
    let socket = context.socket(kind).unwrap();
    socket.set_linger(0).unwrap();
    let patience = i32::try_from(PATIENCE.as_millis()).unwrap();
    socket.set_rcvtimeo(patience).unwrap();
    socket.connect(endpoint).unwrap();
    socket
}

fn receive(socket: &Socket) -> (Vec<u8>, Value) {
    let frames = block_in_place(|| socket.recv_multipart(0)).expect("a message in time");
    let [topic, payload] = frames.try_into().expect("two frames");
    let payload = serde_json::from_slice(&payload).expect("JSON");
    (topic, payload)
}

/// SkillScale's agent, with its reply topic.
struct SeedAgent {
    publisher: Socket,
    subscriber: Socket,
    reply_to: String,
    _context: Context,
}

impl SeedAgent {
    /// Publishes through PUB, as SkillScale's, or XPUB, which tells when it is heard.
    fn new(endpoints: &Endpoints, publisher: SocketType, reply_to: &str) -> Self {
        let context = Context::new();
        let agent = Self {
            publisher: socket(&context, publisher, &endpoints.xsub),
            subscriber: socket(&context, SocketType::SUB, &endpoints.xpub),
            reply_to: reply_to.to_owned(),
            _context: context,
        };
        agent.subscriber.set_subscribe(reply_to.as_bytes()).unwrap();
        if publisher == SocketType::XPUB {
            let wish = block_in_place(|| agent.publisher.recv_bytes(0)).expect("a subscription");
            assert_eq!(wish, b"\x01", "everything is wanted, whoever asks for it");
        }
        agent
    }

    fn on(mesh: &Zmq) -> Self {
        Self::new(&mesh.endpoints, SocketType::XPUB, "AGENT_REPLY_9f8e7d6c")
    }

    fn request(&self, id: &str, intent: &str) -> String {
        json!({"request_id": id, "reply_to": self.reply_to, "intent": intent, "timestamp": 1.5})
            .to_string()
    }

    fn publish(&self, topic: &str, payload: impl AsRef<[u8]>) {
        self.publisher
            .send_multipart([topic.as_bytes(), payload.as_ref()], 0)
            .unwrap();
    }
}

/// SkillScale's server, as far as the wire goes.
struct SeedServer {
    publisher: Socket,
    subscriber: Socket,
    _context: Context,
}

impl SeedServer {
    fn new(endpoints: &Endpoints, topic: &str) -> Self {
        let context = Context::new();
        let publisher = socket(&context, SocketType::XPUB, &endpoints.xsub);
        let subscriber = socket(&context, SocketType::SUB, &endpoints.xpub);
        subscriber.set_subscribe(topic.as_bytes()).unwrap();
        block_in_place(|| publisher.recv_bytes(0)).expect("a subscription");
        Self {
            publisher,
            subscriber,
            _context: context,
        }
    }

    /// Takes a request and answers it; returns the frame with the topic.
    fn serve(&self, content: &str) -> Vec<u8> {
        let (topic, request) = receive(&self.subscriber);
        let reply = json!({
            "request_id": request["request_id"], "status": "success",
            "content": format!("{content}: {}", request["intent"].as_str().unwrap()),
            "error": "", "timestamp": 2.5,
        });
        let reply_to = request["reply_to"].as_str().unwrap();
        self.publisher
            .send_multipart([reply_to.as_bytes(), reply.to_string().as_bytes()], 0)
            .unwrap();
        topic
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_published_right_after_connecting_get_a_thousand_answers() {
    let mesh = Zmq::start(Settings::default());
    let script = Script::new();
    let _workers = ["a", "b"].map(|name| Worker::start(&mesh, &script, name, "T", 4));
    let agent = SeedAgent::on(&mesh);
    for n in 0..1000 {
        agent.publish("T", agent.request(&n.to_string(), &format!("intent {n}")));
    }
    let mut answered = [false; 1000];
    for _ in 0..1000 {
        let (topic, reply) = receive(&agent.subscriber);
        assert_eq!(topic, agent.reply_to.as_bytes());
        let n: usize = reply["request_id"].as_str().unwrap().parse().unwrap();
        assert_eq!(reply["status"], "success");
        assert_eq!(reply["content"], format!("intent {n}"));
        assert_eq!(reply["error"], "");
        assert!(reply["timestamp"].is_f64());
        assert!(!std::mem::replace(&mut answered[n], true), "{n} twice");
    }
    assert_eq!(script.began().len(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pub_socket_hears_of_the_connection_and_of_the_subscription_at_once() {
    let mesh = Zmq::start(Settings::default());
    let mut agent = Peer::greet(&mesh.endpoints.xsub).unwrap();
    agent.ready("PUB").unwrap();
    // libzmq drops what is published between the two, so there must be nothing between them.
    let piece = agent.piece();
    let subscription = b"\x00\x01\x01";
    assert!(piece.starts_with(b"\x04\x1a\x05READY"), "{piece:?}");
    assert!(
        piece.windows(3).any(|bytes| bytes == subscription),
        "{piece:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_waits_for_the_proxys_word_gets_it() {
    let mesh = Zmq::start(Settings::default());
    let mut agent = Peer::greet(&mesh.endpoints.xsub).unwrap();
    agent.until_ready().unwrap();
    agent.ready("PUB").unwrap();
    assert_eq!(agent.message(), b"\x01", "everything is wanted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_a_plain_pub_socket_is_served() {
    let mesh = Zmq::start(Settings::default());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 4);
    let agent = SeedAgent::new(&mesh.endpoints, SocketType::PUB, "AGENT_REPLY_1");
    // What PUB drops before it is connected never leaves the agent; the same id is run once.
    agent.subscriber.set_rcvtimeo(20).unwrap();
    let reply = loop {
        agent.publish("T", agent.request("a1b2c3d4", "hello"));
        match block_in_place(|| agent.subscriber.recv_multipart(0)) {
            Ok(frames) => break frames,
            Err(error) => assert_eq!(error, zmq::Error::EAGAIN),
        }
    };
    let reply: Value = serde_json::from_slice(&reply[1]).unwrap();
    assert_eq!(reply["content"], "hello");
    assert_eq!(script.began().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_skillscale_servers_on_a_topic_share_its_requests() {
    let mesh = Zmq::start(Settings::default());
    let servers = [(); 2].map(|()| SeedServer::new(&mesh.endpoints, "TOPIC_X"));
    mesh.metrics(|metrics| metrics.topics.iter().any(|topic| topic.workers == 2))
        .await;
    let agent = agent(&mesh);
    let calls = ["a", "b"].map(|intent| call(&agent, "TOPIC_X", intent));
    for server in &servers {
        // As it was published: nothing of the sharing is seen on the wire.
        assert_eq!(server.serve("done"), b"TOPIC_X");
    }
    let [a, b] = calls;
    assert_eq!(a.await.unwrap(), "done: a");
    assert_eq!(b.await.unwrap(), "done: b");
    for server in &servers {
        server.subscriber.set_rcvtimeo(0).unwrap();
        assert!(server.subscriber.recv_bytes(0).is_err(), "executed twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skillscale_server_of_a_prefix_gets_nothing_of_the_longer_topic() {
    let mesh = Zmq::start(Settings::default());
    let short = SeedServer::new(&mesh.endpoints, "TOPIC_B");
    let long = SeedServer::new(&mesh.endpoints, "TOPIC_BETA");
    let agent = agent(&mesh);
    let answer = call(&agent, "TOPIC_BETA", "x");
    long.serve("beta");
    assert_eq!(answer.await.unwrap(), "beta: x");
    let answer = call(&agent, "TOPIC_B", "y");
    assert_eq!(short.serve("b"), b"TOPIC_B");
    assert_eq!(answer.await.unwrap(), "b: y");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skillscale_server_that_goes_leaves_its_request_to_another() {
    let mesh = Zmq::start(Settings::default());
    let first = SeedServer::new(&mesh.endpoints, "T");
    let agent = agent(&mesh);
    let answer = call(&agent, "T", "x");
    receive(&first.subscriber);
    drop(first);
    let second = SeedServer::new(&mesh.endpoints, "T");
    second.serve("second");
    assert_eq!(answer.await.unwrap(), "second: x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_waits_for_its_agents_subscription() {
    let mesh = Zmq::start(Settings::default());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let agent = SeedAgent::on(&mesh);
    let request = json!({"request_id": "1", "reply_to": "AGENT_REPLY_later", "intent": "x"});
    agent.publish("T", request.to_string());
    mesh.metrics(|metrics| metrics.held == 1).await;
    agent
        .subscriber
        .set_subscribe(b"AGENT_REPLY_later")
        .unwrap();
    assert_eq!(receive(&agent.subscriber).1["content"], "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_topic_without_skillscales_prefix_is_served_too() {
    let mesh = Zmq::start(Settings::default());
    let script = Script::new();
    let _worker = Worker::start(&mesh, &script, "w", "T", 1);
    let agent = SeedAgent::new(&mesh.endpoints, SocketType::XPUB, "my/replies");
    agent.publish("T", agent.request("1", "x"));
    let (topic, reply) = receive(&agent.subscriber);
    assert_eq!(topic, b"my/replies");
    assert_eq!(reply["content"], "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_an_error_reply_wherever_a_reply_topic_can_be_read() {
    let mesh = Zmq::start(Settings::default());
    let agent = SeedAgent::on(&mesh);
    let to = &agent.reply_to;
    let cases = [
        (
            format!(r#"{{"request_id":"1","reply_to":"{to}","intent":"#),
            "1",
            "no JSON object",
        ),
        (
            format!(r#"{{"request_id":"2","reply_to":"{to}"}}"#),
            "2",
            "`intent` is missing",
        ),
        (
            format!(r#"{{"reply_to":"{to}","intent":"x"}}"#),
            "",
            "`request_id` is missing",
        ),
        (
            format!(r#"{{"request_id":"4","reply_to":"{to}","intent":true}}"#),
            "4",
            "must be text",
        ),
    ];
    for (payload, id, problem) in cases {
        agent.publish("T", &payload);
        // The fourth is found out by whoever runs it.
        let script = Script::new();
        let _worker = Worker::start(&mesh, &script, "w", "T", 1);
        let (_, reply) = receive(&agent.subscriber);
        assert_eq!(reply["request_id"], id);
        assert_eq!(reply["status"], "error");
        let error = reply["error"].as_str().unwrap();
        assert!(error.contains(problem), "{error}");
        assert!(script.began().is_empty());
    }
    let request = agent.request("5", "x");
    let frames = [b"T".as_slice(), request.as_bytes(), b"more"];
    agent.publisher.send_multipart(frames, 0).unwrap();
    let error = receive(&agent.subscriber).1["error"].to_string();
    assert!(error.contains("3 frames instead of two"), "{error}");
    agent.publish("", agent.request("6", "x"));
    let error = receive(&agent.subscriber).1["error"].to_string();
    assert!(error.contains("`topic` is missing"), "{error}");
    let mut large = agent.request("7", "").into_bytes();
    large.resize(40 * 1024 * 1024, b' ');
    agent.publish("T", &large);
    let reply = receive(&agent.subscriber).1;
    assert_eq!(reply["request_id"], "7");
    let error = reply["error"].to_string();
    assert!(error.contains("41943040 bytes"), "{error}");
    // What nobody can be told about is counted, and the proxy goes on.
    agent.publish("T", b"\xff\x00");
    agent.publisher.send(&b"alone"[..], 0).unwrap();
    mesh.metrics(|metrics| metrics.bad_messages >= 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_worker_and_agent_work_with_a_proxy_that_broadcasts() {
    let mut mesh = Zmq::with(|settings| settings.mode = Mode::Broadcast);
    let script = Script::new();
    let agent = agent(&mesh);
    // A request goes out when somebody has subscribed to its topic or to a prefix of it: the longer first.
    let _long = Worker::start(&mesh, &script, "beta", "TOPIC_BETA", 1);
    assert_eq!(agent.call("TOPIC_BETA", "x").await.unwrap(), "x");
    let _short = ["a", "b"].map(|name| Worker::start(&mesh, &script, name, "TOPIC_B", 1));
    assert_eq!(agent.call("TOPIC_B", "y").await.unwrap(), "y");
    assert_eq!(agent.call("TOPIC_BETA", "x").await.unwrap(), "x");
    assert_eq!(agent.call("TOPIC_B", "y").await.unwrap(), "y");
    assert!(
        script
            .began()
            .iter()
            .all(|(by, intent)| (by == "beta") == (intent == "x")),
        "a prefix is another topic: {:?}",
        script.began()
    );
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broadcast_gives_a_request_to_every_server_as_the_original_did() {
    let mut mesh = Zmq::with(|settings| settings.mode = Mode::Broadcast);
    let context = Context::new();
    let publisher = socket(&context, SocketType::XPUB, &mesh.endpoints.xsub);
    let servers = [(); 2].map(|()| {
        let server = socket(&context, SocketType::SUB, &mesh.endpoints.xpub);
        server.set_subscribe(b"TOPIC_X").unwrap();
        server
    });
    // Only the first subscription of a topic reaches publishers, so that each server has a second one.
    for (n, server) in servers.iter().enumerate() {
        let own = format!("ready {n}");
        server.set_subscribe(own.as_bytes()).unwrap();
    }
    let mut wishes = Vec::new();
    while !(wishes.contains(&b"\x01ready 0".to_vec()) && wishes.contains(&b"\x01ready 1".to_vec()))
    {
        wishes.push(block_in_place(|| publisher.recv_bytes(0)).unwrap());
    }
    publisher.send_multipart(["TOPIC_X", "{}"], 0).unwrap();
    for server in &servers {
        assert_eq!(receive(server).0, b"TOPIC_X");
    }
    mesh.stop().await;
}
