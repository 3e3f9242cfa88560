//! An executor that does what its test says, and workers and agents around it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use skill_mesh::agent::{self, Agent};
use skill_mesh::protocol::{Code, Request};
use skill_mesh::worker::{self, Executor, Outcome, Progress, Summary};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::transports::{PATIENCE, Transport, clock};

/// What executors share: who began what, and what may end.
#[derive(Clone)]
pub struct Script {
    /// Worker and intent, in the order in which they began.
    began: Arc<watch::Sender<Vec<(String, String)>>>,
    open: Arc<watch::Sender<BTreeSet<String>>>,
}

impl Script {
    pub fn new() -> Self {
        Self {
            began: Arc::new(watch::Sender::new(Vec::new())),
            open: Arc::new(watch::Sender::new(BTreeSet::new())),
        }
    }

    /// Lets every `hold NAME` end.
    pub fn open(&self, name: &str) {
        self.open.send_modify(|open| {
            open.insert(name.to_owned());
        });
    }

    pub fn began(&self) -> Vec<(String, String)> {
        self.began.borrow().clone()
    }

    /// Waits until so many executions of an intent have begun; returns who the last one is.
    pub async fn until_begun(&self, intent: &str, times: usize) -> String {
        let mut began = self.began.subscribe();
        let count = |all: &Vec<(String, String)>| all.iter().filter(|(_, i)| i == intent).count();
        let all = tokio::time::timeout(PATIENCE, began.wait_for(|all| count(all) >= times))
            .await
            .unwrap_or_else(|_| panic!("{intent} did not begin {times} times"))
            .expect("the script lives")
            .clone();
        let last = all.into_iter().rev().find(|(_, i)| i == intent);
        last.expect("it began").0
    }

    async fn hold(&self, name: &str) {
        let mut open = self.open.subscribe();
        let _ = open.wait_for(|open| open.contains(name)).await;
    }
}

struct Scripted {
    name: String,
    script: Script,
}

pub const RAW: &[u8] = b"nul \0, bell \x07, quote \", backslash \\, \xff\xfe, \xf0\x9f\x92\xa1";

impl Executor for Scripted {
    async fn execute(&self, request: Arc<Request>, progress: Progress) -> Outcome {
        let intent = request.intent.clone();
        self.script
            .began
            .send_modify(|all| all.push((self.name.clone(), intent.clone())));
        let (word, rest) = intent.split_once(' ').unwrap_or((&intent, ""));
        match word {
            "hold" => {
                self.script.hold(rest).await;
                Outcome::Success(format!("held {rest}").into_bytes())
            }
            "raw" => Outcome::Success(RAW.to_vec()),
            "zeros" => Outcome::Success(vec![0; rest.parse().expect("a number")]),
            "fail" => Outcome::Failure(Code::SkillCrashed, rest.to_owned()),
            "panic" => panic!("{rest}"),
            "news" => {
                progress.say("one");
                progress.say("two");
                Outcome::Success(b"three".to_vec())
            }
            _ => Outcome::Success(intent.into_bytes()),
        }
    }
}

pub struct Worker {
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Summary>,
}

impl Worker {
    pub fn start(
        transport: &impl Transport,
        script: &Script,
        name: &str,
        topic: &str,
        slots: usize,
    ) -> Self {
        Self::with_drain(transport, script, name, topic, slots, PATIENCE)
    }

    pub fn with_drain(
        transport: &impl Transport,
        script: &Script,
        name: &str,
        topic: &str,
        slots: usize,
        drain: Duration,
    ) -> Self {
        let executor = Arc::new(Scripted {
            name: name.to_owned(),
            script: script.clone(),
        });
        let settings = worker::Settings {
            slots,
            backlog_max: 100,
            drain,
            clock: clock(),
        };
        let (stop, stopped) = oneshot::channel();
        let end = transport.worker(topic, slots);
        let running = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            worker::run(end, executor, settings, stopped).await
        });
        Self {
            stop: Some(stop),
            running,
        }
    }

    /// As if the process were killed: nothing is said, the transport breaks off.
    pub async fn kill(self) {
        self.running.abort();
        assert!(self.running.await.is_err_and(|error| error.is_cancelled()));
    }

    /// Calls upon it to stop.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub async fn ended(self) -> Summary {
        tokio::time::timeout(PATIENCE, self.running)
            .await
            .expect("the worker ends")
            .expect("it does not panic")
    }
}

pub fn agent(transport: &impl Transport) -> Agent {
    Agent::new(transport.agent(), agent_settings())
}

pub fn agent_settings() -> agent::Settings {
    agent::Settings {
        timeout: PATIENCE,
        ..agent::Settings::new(clock())
    }
}

/// A call in the background.
pub fn call(agent: &Agent, topic: &str, intent: &str) -> JoinHandle<String> {
    let (agent, topic, intent) = (agent.clone(), topic.to_owned(), intent.to_owned());
    tokio::spawn(async move {
        match agent.call(&topic, &intent).await {
            Ok(content) => content,
            Err(error) => error.to_string(),
        }
    })
}
