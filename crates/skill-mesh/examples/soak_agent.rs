//! An agent that trusts nobody: sends requests at a steady rate over plain sockets, without this crate's own
//! agent, and counts every reply to each. Prints one JSON object. Arguments: the proxy's XSUB and XPUB,
//! topic, skill, seconds, requests per second.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use skill_mesh::protocol::{Reply, Request, Status};
use zmq::{Context, SNDMORE, SocketType};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How long after the last request answers may take: longer than any worker is stopped.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long after the last answer a second one would be noticed.
const AFTERMATH: Duration = Duration::from_secs(10);
const REPLY_TO: &str = "AGENT_REPLY_50ac50ac";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [xsub, xpub, topic, skill, seconds, per_second] = arguments.as_slice() else {
        return Err("arguments: XSUB XPUB TOPIC SKILL SECONDS PER_SECOND".into());
    };
    let (seconds, per_second): (u32, u32) = (seconds.parse()?, per_second.parse()?);
    let context = Context::new();
    let publisher = context.socket(SocketType::XPUB)?;
    publisher.connect(xsub)?;
    let subscriber = context.socket(SocketType::SUB)?;
    subscriber.set_subscribe(REPLY_TO.as_bytes())?;
    subscriber.set_rcvtimeo(200)?;
    subscriber.connect(xpub)?;
    let (sender, replies) = mpsc::channel();
    // Ends when nobody listens any more.
    thread::spawn(move || listen(&subscriber, &sender));
    // The proxy's subscription: what is published before it comes is dropped by the socket.
    publisher.recv_bytes(0)?;

    let count = (seconds * per_second) as usize;
    let mut book = Book::new(count);
    let began = Instant::now();
    for number in 0..count {
        let due = began + Duration::from_secs(1) * u32::try_from(number)? / per_second;
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            if let Ok((reply, at)) = replies.recv_timeout(left) {
                book.enter(reply, at);
            }
        }
        publisher.send(topic.as_str(), SNDMORE)?;
        publisher.send(request(number, skill).to_json(), 0)?;
        book.sent[number] = Some(Instant::now());
    }
    let last = Instant::now();
    while book.is_waiting() && last.elapsed() < PATIENCE {
        if let Ok((reply, at)) = replies.recv_timeout(Duration::from_millis(100)) {
            book.enter(reply, at);
        }
    }
    while let Ok((reply, at)) = replies.recv_timeout(AFTERMATH) {
        book.enter(reply, at);
    }
    writeln!(std::io::stdout(), "{}", book.report())?;
    Ok(())
}

fn request(number: usize, skill: &str) -> Request {
    let intent = serde_json::json!({"skill": skill, "data": number.to_string()});
    Request {
        request_id: number.to_string(),
        reply_to: REPLY_TO.to_owned(),
        intent: intent.to_string(),
        timestamp: 0.0,
        progress: false,
    }
}

fn listen(subscriber: &zmq::Socket, sender: &Sender<(Reply, Instant)>) {
    loop {
        let payload = match subscriber.recv_multipart(0) {
            Ok(frames) => frames.into_iter().nth(1).unwrap_or_default(),
            Err(_) => continue,
        };
        let Ok(reply) = Reply::parse(&payload) else {
            continue;
        };
        if sender.send((reply, Instant::now())).is_err() {
            return;
        }
    }
}

/// What was sent and what came.
struct Book {
    sent: Vec<Option<Instant>>,
    answers: Vec<u32>,
    times: Vec<Duration>,
    errors: BTreeMap<String, u32>,
    wrong: u32,
    waiting: usize,
}

impl Book {
    fn new(count: usize) -> Self {
        Self {
            sent: vec![None; count],
            answers: vec![0; count],
            times: Vec::with_capacity(count),
            errors: BTreeMap::new(),
            wrong: 0,
            waiting: count,
        }
    }

    fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    fn enter(&mut self, reply: Reply, at: Instant) {
        let number = reply.request_id.parse().unwrap_or(usize::MAX);
        let Some(answers) = self.answers.get_mut(number) else {
            self.wrong += 1;
            return;
        };
        *answers += 1;
        if *answers > 1 {
            return;
        }
        self.waiting -= 1;
        if let Some(sent) = self.sent[number] {
            self.times.push(at - sent);
        }
        match reply.status {
            Status::Success if reply.content.trim() == reply.request_id => {}
            Status::Error => *self.errors.entry(reply.error).or_default() += 1,
            _ => self.wrong += 1,
        }
    }

    fn report(&mut self) -> serde_json::Value {
        self.times.sort();
        let at = |percent: usize| {
            let place = (self.times.len() * percent / 100).min(self.times.len().saturating_sub(1));
            self.times
                .get(place)
                .map_or(0, |time| time.as_millis() as u64)
        };
        serde_json::json!({
            "sent": self.sent.len(),
            "answered": self.answers.iter().filter(|count| **count > 0).count(),
            "answered_twice": self.answers.iter().filter(|count| **count > 1).count(),
            "unanswered": self.waiting,
            "wrong": self.wrong,
            "errors": self.errors,
            "p50_ms": at(50),
            "p99_ms": at(99),
            "max_ms": at(100),
        })
    }
}
