//! Load on the ZeroMQ proxy: shared requests per second, and broadcast messages per second beside
//! libzmq's own `zmq_proxy`. Prints one JSON object. Arguments: number of requests, number of messages.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use serde::Deserialize;
use skill_mesh::connect::Endpoints;
use skill_mesh::protocol::{Reply, Request};
use skill_mesh::proxy::Mode;
use skill_mesh::proxy::{Proxy, Settings};
use tokio::sync::oneshot;
use zmq::{Context, SNDMORE, Socket, SocketType};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Requests under way at a time; also what a worker may have.
const WINDOW: usize = 2000;
/// Messages per pipe, so that nothing is dropped.
const HIGH_WATER: i32 = 10_000_000;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| {
        let argument = arguments.next().map(|text| text.parse());
        argument.unwrap_or(Ok(default))
    };
    let requests = number(200_000)?;
    let messages = number(1_000_000)?;
    let shared = share(requests)?;
    let broadcast = {
        let running = Running::start(Mode::Broadcast)?;
        let rate = forward(&running.endpoints, messages)?;
        running.stop()?;
        rate
    };
    let plain = plain_proxy(messages)?;
    writeln!(
        std::io::stdout(),
        r#"{{"shared_requests_per_s": {shared:.0}, "broadcast_messages_per_s": {broadcast:.0}, "zmq_proxy_messages_per_s": {plain:.0}}}"#
    )?;
    Ok(())
}

/// A proxy in a thread.
struct Running {
    endpoints: Endpoints,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<Outcome<()>>,
}

impl Running {
    fn start(mode: Mode) -> Outcome<Self> {
        let mut settings = Settings::new(Arc::new(|| 0.0));
        settings.xsub = "tcp://127.0.0.1:*".into();
        settings.xpub = "tcp://127.0.0.1:*".into();
        settings.foreign_slots = WINDOW;
        settings.mode = mode;
        let proxy = Proxy::bind(settings)?;
        let endpoints = Endpoints {
            xsub: proxy.xsub_endpoint().to_owned(),
            xpub: proxy.xpub_endpoint().to_owned(),
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            runtime.block_on(proxy.run(async {
                let _ = stopped.await;
            }))?;
            Ok(())
        });
        Ok(Self {
            endpoints,
            stop,
            thread,
        })
    }

    fn stop(self) -> Outcome<()> {
        drop(self.stop);
        self.thread.join().map_err(|_| "the proxy panicked")?
    }
}

fn sockets(context: &Context, endpoints: &Endpoints, topic: &str) -> zmq::Result<(Socket, Socket)> {
    let publisher = context.socket(SocketType::XPUB)?;
    let subscriber = context.socket(SocketType::SUB)?;
    for socket in [&publisher, &subscriber] {
        socket.set_sndhwm(HIGH_WATER)?;
        socket.set_rcvhwm(HIGH_WATER)?;
        socket.set_linger(0)?;
    }
    subscriber.set_subscribe(topic.as_bytes())?;
    publisher.connect(&endpoints.xsub)?;
    subscriber.connect(&endpoints.xpub)?;
    Ok((publisher, subscriber))
}

#[derive(Deserialize)]
struct Asked<'a> {
    request_id: &'a str,
    reply_to: &'a str,
}

/// Answers requests at once.
fn serve(endpoints: &Endpoints, requests: usize) -> Outcome<()> {
    let context = Context::new();
    let (publisher, subscriber) = sockets(&context, endpoints, "TOPIC_LOAD")?;
    publisher.set_linger(-1)?;
    publisher.recv_bytes(0)?;
    for _ in 0..requests {
        subscriber.recv_msg(0)?;
        let payload = subscriber.recv_msg(0)?;
        let asked: Asked<'_> = serde_json::from_slice(&payload)?;
        publisher.send(asked.reply_to, SNDMORE)?;
        publisher.send(Reply::success(asked.request_id, "ok").to_json(), 0)?;
    }
    Ok(())
}

/// Requests per second: an agent with [`WINDOW`] requests under way, two servers.
fn share(requests: usize) -> Outcome<f64> {
    let running = Running::start(Mode::Share)?;
    let servers = [requests / 2, requests - requests / 2].map(|count| {
        let endpoints = running.endpoints.clone();
        thread::spawn(move || serve(&endpoints, count))
    });
    let context = Context::new();
    let reply_to = "AGENT_REPLY_00000000";
    let (publisher, subscriber) = sockets(&context, &running.endpoints, reply_to)?;
    publisher.recv_bytes(0)?;
    let ask = |number: usize| -> Outcome<()> {
        let request = Request {
            request_id: format!("{number:08x}"),
            reply_to: reply_to.into(),
            intent: r#"{"skill":"text-summarizer","data":"a hundred bytes or so"}"#.into(),
            timestamp: 0.0,
            progress: false,
            timeout_ms: None,
            trace: None,
        };
        publisher.send("TOPIC_LOAD", SNDMORE)?;
        publisher.send(request.to_json(), 0)?;
        Ok(())
    };
    let began = Instant::now();
    let mut asked = 0;
    for answered in 0..requests {
        while asked < requests && asked - answered < WINDOW {
            ask(asked)?;
            asked += 1;
        }
        subscriber.recv_msg(0)?;
        subscriber.recv_msg(0)?;
    }
    let rate = rate(requests, began);
    for server in servers {
        server.join().map_err(|_| "a server panicked")??;
    }
    running.stop()?;
    Ok(rate)
}

/// Messages of 100 bytes per second through a proxy, one publisher to one subscriber.
fn forward(endpoints: &Endpoints, messages: usize) -> Outcome<f64> {
    let context = Context::new();
    let (publisher, subscriber) = sockets(&context, endpoints, "TOPIC_LOAD")?;
    publisher.recv_bytes(0)?;
    let began = Instant::now();
    let sender = thread::spawn(move || -> zmq::Result<()> {
        let payload = [b'x'; 100];
        publisher.set_linger(-1)?;
        for _ in 0..messages {
            publisher.send("TOPIC_LOAD", SNDMORE)?;
            publisher.send(&payload[..], 0)?;
        }
        Ok(())
    });
    let mut message = zmq::Message::new();
    for _ in 0..2 * messages {
        subscriber.recv(&mut message, 0)?;
    }
    let rate = rate(messages, began);
    sender.join().map_err(|_| "the publisher panicked")??;
    Ok(rate)
}

/// The same through libzmq's own proxy.
fn plain_proxy(messages: usize) -> Outcome<f64> {
    let context = Context::new();
    let frontend = context.socket(SocketType::XSUB)?;
    let backend = context.socket(SocketType::XPUB)?;
    for socket in [&frontend, &backend] {
        socket.set_sndhwm(HIGH_WATER)?;
        socket.set_rcvhwm(HIGH_WATER)?;
        socket.bind("tcp://127.0.0.1:*")?;
    }
    let address = |socket: &Socket| -> Outcome<String> {
        socket
            .get_last_endpoint()?
            .map_err(|_| "the address is no text".into())
    };
    let endpoints = Endpoints {
        xsub: address(&frontend)?,
        xpub: address(&backend)?,
    };
    // Ends with the process: zmq_proxy has no other end.
    thread::spawn(move || zmq::proxy(&frontend, &backend));
    let rate = forward(&endpoints, messages)?;
    std::mem::forget(context);
    Ok(rate)
}

fn rate(count: usize, began: Instant) -> f64 {
    // Counts are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let count = count as f64;
    count / began.elapsed().as_secs_f64()
}
