//! Sends requests at a steady rate and counts the answers to each. Prints one JSON object. Arguments: where,
//! topic, skill, seconds, requests per second. Where is a proxy's `XSUB,XPUB`, asked over plain sockets without
//! this crate's own agent, or a NATS server, asked by this crate's agent: what callers see.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use skill_mesh::agent::{self, Agent, CallError};
use skill_mesh::nats;
use skill_mesh::protocol::{Reply, Request, Status};
use skill_mesh::transport::WallClock;
use tokio::task::JoinSet;
use zmq::{Context, SNDMORE, SocketType};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How long after the last request answers may take: longer than any worker is stopped.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long after the last answer a second one would be noticed.
const AFTERMATH: Duration = Duration::from_secs(10);
const REPLY_TO: &str = "AGENT_REPLY_50ac50ac";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [place, topic, skill, seconds, per_second] = arguments.as_slice() else {
        return Err("arguments: XSUB,XPUB|NATS-URL TOPIC SKILL SECONDS PER_SECOND".into());
    };
    let plan = Plan {
        topic: topic.clone(),
        skill: skill.clone(),
        per_second: per_second.parse()?,
        count: seconds.parse::<usize>()? * per_second.parse::<usize>()?,
    };
    let mut book = match place.split_once(',') {
        Some((xsub, xpub)) => over_sockets(xsub, xpub, &plan)?,
        None => over_nats(place, plan)?,
    };
    writeln!(std::io::stdout(), "{}", book.report())?;
    Ok(())
}

/// What is to be sent.
struct Plan {
    topic: String,
    skill: String,
    per_second: u32,
    count: usize,
}

impl Plan {
    fn due(&self, began: Instant, number: usize) -> Outcome<Instant> {
        Ok(began + Duration::from_secs(1) * u32::try_from(number)? / self.per_second)
    }

    fn intent(&self, number: usize) -> String {
        serde_json::json!({"skill": self.skill, "data": number.to_string()}).to_string()
    }
}

fn over_nats(url: &str, plan: Plan) -> Outcome<Book> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let clock: WallClock = Arc::new(|| 0.0);
        let mesh =
            nats::connect(&nats::Options::new(url), nats::Settings::new(clock.clone())).await?;
        mesh.ready(Duration::from_secs(10)).await?;
        let settings = agent::Settings {
            timeout: PATIENCE,
            ..agent::Settings::new(clock)
        };
        let agent = Agent::new(mesh.agent(REPLY_TO)?, settings);
        let mut book = Book::new(plan.count);
        let mut calls = JoinSet::new();
        let began = Instant::now();
        for number in 0..plan.count {
            tokio::time::sleep_until(plan.due(began, number)?.into()).await;
            let (agent, topic, intent) = (agent.clone(), plan.topic.clone(), plan.intent(number));
            book.sent[number] = Some(Instant::now());
            calls.spawn(async move {
                let answer = agent.call(&topic, &intent).await;
                (number, answer, Instant::now())
            });
        }
        while let Some(call) = calls.join_next().await {
            let (number, answer, at) = call?;
            let id = number.to_string();
            match answer {
                Ok(content) => book.enter(Reply::success(id, content), at),
                Err(CallError::Timeout { .. }) => {}
                Err(error) => book.enter(Reply::failure(id, error.to_string()), at),
            }
        }
        Ok(book)
    })
}

fn over_sockets(xsub: &str, xpub: &str, plan: &Plan) -> Outcome<Book> {
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

    let mut book = Book::new(plan.count);
    let began = Instant::now();
    for number in 0..plan.count {
        let due = plan.due(began, number)?;
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            if let Ok((reply, at)) = replies.recv_timeout(left) {
                book.enter(reply, at);
            }
        }
        publisher.send(plan.topic.as_str(), SNDMORE)?;
        publisher.send(request(number, plan).to_json(), 0)?;
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
    Ok(book)
}

fn request(number: usize, plan: &Plan) -> Request {
    Request {
        request_id: number.to_string(),
        reply_to: REPLY_TO.to_owned(),
        intent: plan.intent(number),
        timestamp: 0.0,
        progress: false,
        timeout_ms: None,
        trace: None,
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
