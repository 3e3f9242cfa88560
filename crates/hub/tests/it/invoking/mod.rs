//! Running skills over HTTP, with an invoker of the tests behind the port.

mod attacks;
mod idempotency;
mod lifecycle;
mod running;
mod streaming;
mod usage;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use hub::invoke::{Invocation, InvokeError, Invoker, Output, Progress};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Fixture, HubBuilder, Person, TestHub};
use tokio::sync::{Semaphore, watch};

/// Longer than any test waits; a test that reaches it has failed.
const NEVER: Duration = Duration::from_secs(60);

/// Does what the input's first word says. What begins with `wait` waits until it is let on.
pub struct Actor {
    gate: Semaphore,
    calls: Mutex<Vec<Invocation>>,
    count: watch::Sender<usize>,
}

impl Actor {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Semaphore::new(0),
            calls: Mutex::default(),
            count: watch::Sender::new(0),
        })
    }

    /// What was handed over so far.
    pub fn calls(&self) -> Vec<Invocation> {
        self.calls.lock().expect("sound").clone()
    }

    /// Waits until this many were handed over.
    pub async fn called(&self, times: usize) {
        let mut count = self.count.subscribe();
        let reached = count.wait_for(|count| *count >= times);
        let reached = tokio::time::timeout(NEVER, reached).await;
        drop(reached.expect("in time").expect("the actor lives"));
    }

    /// Lets this many that wait go on.
    pub fn let_on(&self, many: usize) {
        self.gate.add_permits(many);
    }

    async fn wait(&self) {
        self.gate.acquire().await.expect("never closed").forget();
    }

    async fn play(&self, call: Invocation, progress: Progress) -> Result<Output, InvokeError> {
        self.calls.lock().expect("sound").push(call.clone());
        self.count.send_modify(|count| *count += 1);
        let text = String::from_utf8_lossy(&call.input).into_owned();
        let word = text.split_whitespace().next().unwrap_or_default();
        match word {
            "wait" => self.wait().await,
            "progress" => {
                progress.send("one");
                progress.send("two\nlines");
                self.wait().await;
                progress.send("three");
            }
            "fail" => return Err(InvokeError::Failed("exit 3: no such column".to_owned())),
            "busy" => return Err(InvokeError::Busy),
            "nobody" => return Err(InvokeError::NotServed("nobody serves it".to_owned())),
            "wrong" => return Err(InvokeError::InvalidInput("a table is needed".to_owned())),
            "silence" => {
                let waited = call.timeout;
                return Err(InvokeError::NoAnswer { waited });
            }
            "closed" => return Err(InvokeError::Closed),
            "panic" => panic!("on purpose"),
            "much" => return Ok(output(vec![b'x'; 10_000])),
            "binary" => return Ok(output(b"\xff\0\xfe".to_vec())),
            _ => {}
        }
        Ok(Output {
            bytes: call.input,
            version: Some("1.0.0".to_owned()),
        })
    }
}

fn output(bytes: Vec<u8>) -> Output {
    Output {
        bytes: bytes.into(),
        version: None,
    }
}

impl Invoker for Actor {
    fn invoke(
        &self,
        invocation: Invocation,
        progress: Progress,
    ) -> BoxFuture<'_, Result<Output, InvokeError>> {
        self.play(invocation, progress).boxed()
    }
}

/// A hub with an actor behind it, alice, and her skill `csv-reader`.
pub struct Stage {
    pub hub: TestHub,
    pub actor: Arc<Actor>,
    pub alice: Person,
}

pub async fn stage(hub: HubBuilder) -> Stage {
    let actor = Actor::new();
    let hub = hub.invoker(actor.clone()).start().await;
    let alice = hub.person("alice").await;
    let skill = Fixture::new("csv-reader").version("1.0.0");
    alice.publish(&skill).await.assert_status(201);
    Stage { hub, actor, alice }
}

pub const INVOKE: &str = "/api/v1/skills/csv-reader/invoke";

impl Stage {
    /// Alice runs her skill with this text, with these headers.
    pub async fn run(&self, input: &str, headers: &[(&str, &str)]) -> Answer {
        run_as(&self.hub, &self.alice, input, headers).await
    }

    /// She does not wait for it; its id.
    pub async fn begin(&self, input: &str) -> String {
        let answer = self.run(input, &[("prefer", "respond-async")]).await;
        id_of(&answer.assert_status(202).json())
    }

    /// How an invocation stands.
    pub async fn look(&self, id: &str) -> Value {
        let path = format!("/api/v1/invocations/{id}");
        self.alice.get(&path).await.assert_status(200).json()
    }

    /// Waits until an invocation is over.
    pub async fn over(&self, id: &str) -> Value {
        over(&self.alice, id).await
    }

    /// What alice's invocations came to today.
    pub async fn usage(&self) -> Value {
        let usage = self.alice.get("/api/v1/usage").await;
        usage.assert_status(200).json()["total"].clone()
    }
}

/// Alice, signed in at a hub that was started again, or at a replica: tokens are good at one address.
pub async fn back(hub: &TestHub) -> Person {
    let account = json!({"username": "alice", "password": "correct horse battery"});
    let login = hub.request(Method::POST, "/api/v1/auth/login");
    let tokens = hub.send(login.json(&account)).await.assert_status(200);
    let tokens = tokens.json();
    hub.somebody_with(tokens["accessToken"].as_str().expect("a token"))
}

pub async fn over(person: &Person, id: &str) -> Value {
    let path = format!("/api/v1/invocations/{id}");
    let deadline = std::time::Instant::now() + NEVER;
    loop {
        let body = person.get(&path).await.assert_status(200).json();
        if !["queued", "running"].contains(&body["status"].as_str().expect("a status")) {
            return body;
        }
        assert!(std::time::Instant::now() < deadline, "never over: {body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn run_as(
    hub: &TestHub,
    person: &Person,
    input: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = person
        .request(Method::POST, INVOKE)
        .json(&json!({ "input": input }));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    hub.send(request).await
}

/// Any bytes as the input.
pub async fn run_raw(stage: &Stage, query: &str, media_type: &str, input: &[u8]) -> Answer {
    let request = stage
        .alice
        .request(Method::POST, &format!("{INVOKE}{query}"))
        .header("content-type", media_type)
        .body(Bytes::copy_from_slice(input));
    stage.hub.send(request).await
}

pub fn id_of(body: &Value) -> String {
    body["id"].as_str().expect("an id").to_owned()
}
