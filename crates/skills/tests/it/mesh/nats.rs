//! The same programs on NATS JetStream, against a real server.

use std::env;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::bench::{Process, until};
use crate::support::Sandbox;

/// A server on a free port; killed when dropped.
pub struct Nats {
    pub url: String,
    child: Child,
    _folder: TempDir,
}

impl Nats {
    pub fn start() -> Self {
        Self::with("jetstream {}")
    }

    pub fn with(configuration: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("nats.conf");
        std::fs::write(&file, configuration).expect("a configuration");
        let child = Command::new(program())
            .args(["-a", "127.0.0.1", "-p", "-1", "-c"])
            .arg(file)
            .arg("-sd")
            .arg(folder.path().join("data"))
            .arg("--ports_file_dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts");
        let ports = folder
            .path()
            .join(format!("nats-server_{}.ports", child.id()));
        let mut url = None;
        until("the server says where it listens", || {
            let text = std::fs::read_to_string(&ports).unwrap_or_default();
            let ports: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            url = ports["nats"][0].as_str().map(str::to_owned);
            url.is_some()
        });
        Self {
            url: url.expect("it is there"),
            child,
            _folder: folder,
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // It may be dead already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    if let Some(program) = env::var_os("NATS_SERVER") {
        return program.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join("nats-server"))
        .find(|program| program.is_file())
        .expect("no nats-server: apt-get install nats-server, or name it in NATS_SERVER")
}

/// A worker for `TOPIC_N` with a skill `shout`.
pub fn worker(sandbox: &Sandbox, nats: &Nats) -> Process {
    sandbox.write("skills/shout/scripts/run.sh", "tr a-z A-Z\n");
    sandbox.write(
        "skills/shout/SKILL.md",
        "---\nname: shout\ndescription: Writes in capitals.\n---\n",
    );
    let mut command = sandbox.command(&["--json", "worker", "--topic", "TOPIC_N"]);
    command
        .args(["--skills-dir", "skills", "--sandbox", "available"])
        .env("SKILLS_NATS_URL", &nats.url);
    Process::start(&mut command)
}

#[test]
fn a_call_over_nats_is_answered_and_the_worker_leaves_in_order() {
    let (sandbox, nats) = (Sandbox::new(), Nats::start());
    let mut worker = worker(&sandbox, &nats);
    let mut command = sandbox.command(&["call", "TOPIC_N", "--skill", "shout", "hello"]);
    let ran = sandbox.finish(command.args(["--nats", &nats.url]));
    assert_eq!(ran.ok().stdout(), "HELLO");
    worker.terminate();
    assert_eq!(worker.ended(), Some(0), "{}", worker.log());
}

#[test]
fn topics_without_a_worker_take_no_storage_from_the_others() {
    let sandbox = Sandbox::new();
    let nats = Nats::with("jetstream { max_file_store: 800MB }");
    for topic in ["TYPO1", "TYPO2", "TYPO3", "TYPO4"] {
        let mut command = sandbox.command(&["call", topic, "x", "--timeout", "1"]);
        let ran = sandbox.finish(command.args(["--nats", &nats.url]));
        let said = ran.stderr();
        assert!(said.contains("mesh-no-answer"), "{topic}: {said}");
        assert!(
            said.contains("a worker serves the topic"),
            "{topic}: {said}"
        );
    }
    let _worker = worker(&sandbox, &nats);
    let mut command = sandbox.command(&["call", "TOPIC_N", "--skill", "shout", "hello"]);
    let ran = sandbox.finish(command.args(["--nats", &nats.url]));
    assert_eq!(ran.ok().stdout(), "HELLO");
}

#[test]
fn a_server_without_storage_is_named_and_a_worker_waits_for_it() {
    let sandbox = Sandbox::new();
    let nats = Nats::with("jetstream { max_file_store: 100MB }");
    let mut command = sandbox.command(&["call", "TOPIC_N", "x"]);
    let ran = sandbox.finish(command.args(["--nats", &nats.url]));
    assert_eq!(ran.code(), 1);
    let said = ran.stderr();
    assert!(said.contains("mesh-nats-full"), "{said}");
    assert!(said.contains("max_file_store"), "{said}");
    let mut worker = worker(&sandbox, &nats);
    assert!(worker.is_running(), "{}", worker.log());
    worker.terminate();
    assert_eq!(worker.ended(), Some(0), "{}", worker.log());
}

#[test]
fn a_call_to_a_server_that_is_away_says_so_and_shows_no_password() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&[
        "--json",
        "call",
        "TOPIC_N",
        "hello",
        "--nats",
        "nats://me:secret@127.0.0.1:1",
    ]);
    assert_eq!(ran.code(), 1);
    let said = format!("{}{}", ran.stdout(), ran.stderr());
    assert!(said.contains("mesh-nats-away"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    let ran = sandbox.run(&["call", "TOPIC_N", "hello", "--nats", "http://127.0.0.1:1"]);
    assert_eq!(ran.code(), 2, "{}", ran.stderr());
}

#[test]
fn a_hub_runs_skills_on_the_workers_of_a_topic() {
    let (sandbox, nats) = (Sandbox::new(), Nats::start());
    let _worker = worker(&sandbox, &nats);
    let data = sandbox.project().join("data");
    std::fs::create_dir(&data).expect("a folder");
    let database = format!("sqlite:{}", data.join("hub.sqlite").display());
    let hub = super::gateway::serve(
        &data,
        &database,
        &["--mesh-topic", "TOPIC_N", "--nats", &nats.url],
    );
    let token = hub.token.clone().expect("an administrator");
    super::gateway::publish(&sandbox, &hub.url, &token, "skills/shout", "1.0.0");
    let (status, answer) =
        super::gateway::invoke(&hub.url, &token, "shout", &json!({"input": "hello"}));
    assert_eq!(
        (status, &answer["output"]),
        (200, &json!("HELLO")),
        "{answer}"
    );
    // A skill that is in the catalogue and on no worker.
    sandbox.write(
        "other/lonely/SKILL.md",
        "---\nname: lonely\ndescription: Is nowhere.\n---\n",
    );
    sandbox.write("other/lonely/scripts/run.sh", "echo here\n");
    super::gateway::publish(&sandbox, &hub.url, &token, "other/lonely", "1.0.0");
    let (status, answer) =
        super::gateway::invoke(&hub.url, &token, "lonely", &json!({"input": "hello"}));
    assert_eq!(status, 503, "{answer}");
    let detail = answer["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("No matching skill"), "{answer}");
}
