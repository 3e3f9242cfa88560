//! What the parts of running skills cost: the sandbox over a plain spawn, the proxy beside libzmq's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Bench, Row};
use crate::Outcome;
use crate::process::{self, Server};
use crate::services::free_port;

const START_LIMIT: Duration = Duration::from_secs(20);
/// Requests that wait while the proxy's memory is read.
const QUEUED: usize = 10_000;

/// A short program in the sandbox beside the same program spawned plainly: on all cores, as it is used, and
/// on one, where no time passes until another core is awake.
pub fn sandbox(bench: &Bench) -> Outcome<Vec<Row>> {
    let program = bench.examples.join("spawn_cost");
    let mut rows = spawn_cost(&mut Command::new(&program), "in the sandbox")?;
    let mut on_one = Command::new("taskset");
    on_one.args(["--cpu-list", "0"]).arg(&program);
    rows.extend(spawn_cost(&mut on_one, "in the sandbox, on one core")?);
    Ok(rows)
}

fn spawn_cost(command: &mut Command, how: &str) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for line in process::read(command)?.lines() {
        let cost: Value = parse(line)?;
        let program = cost["program"].as_str().unwrap_or_default().to_owned();
        let (raw, sandboxed) = (number(&cost, "raw_us")?, number(&cost, "sandboxed_us")?);
        let ratio = sandboxed / raw;
        rows.push(Row {
            what: format!("run `{program}` {how}, beside a plain spawn"),
            ours: format!("{:.2} ms", sandboxed / 1e3),
            reference: format!("{:.2} ms", raw / 1e3),
            result: format!("{ratio:.2}×"),
            target: "≤ 1.3×",
            met: ratio <= 1.3,
        });
    }
    Ok(rows)
}

/// Requests that the proxy shares, and messages that it broadcasts beside `zmq_proxy`.
pub fn proxy(bench: &Bench) -> Outcome<Vec<Row>> {
    let output = process::read(&mut Command::new(bench.examples.join("proxy_load")))?;
    let load = parse(&output)?;
    let shared = number(&load, "shared_requests_per_s")?;
    let broadcast = number(&load, "broadcast_messages_per_s")?;
    let plain = number(&load, "zmq_proxy_messages_per_s")?;
    let queued = queued_memory(bench)?;
    Ok(vec![
        Row {
            what: "requests that the proxy shares, one agent, two servers".to_owned(),
            ours: format!("{shared:.0}/s"),
            reference: "–".to_owned(),
            result: format!("{shared:.0}/s"),
            target: "≥ 100,000/s",
            met: shared >= 100_000.0,
        },
        Row {
            what: "messages of 100 bytes in broadcast mode, beside libzmq's `zmq_proxy`".to_owned(),
            ours: format!("{broadcast:.0}/s"),
            reference: format!("{plain:.0}/s"),
            result: format!("{:.0} %", broadcast / plain * 100.0),
            target: "≥ 90 %",
            met: broadcast / plain >= 0.9,
        },
        queued,
    ])
}

pub(super) fn start_proxy(bench: &Bench) -> Outcome<(Server, [String; 2])> {
    let ports = [free_port()?, free_port()?];
    let endpoints = ports.map(|port| format!("tcp://127.0.0.1:{port}"));
    let mut command = Command::new(&bench.skills);
    command
        .arg("proxy")
        .args(["--xsub-bind", &endpoints[0], "--xpub-bind", &endpoints[1]])
        .args(["--metrics", "off"]);
    let log = bench.work.path().join("proxy.log");
    let proxy = Server::start("the proxy", command, &endpoints[1], log, START_LIMIT)?;
    Ok((proxy, endpoints))
}

/// Memory of a proxy in which requests wait that nobody takes.
fn queued_memory(bench: &Bench) -> Outcome<Row> {
    let (proxy, [xsub, xpub]) = start_proxy(bench)?;
    let empty = proxy.resident_mb()?;
    let mut agent = Agent::start(
        Command::new(bench.examples.join("soak_agent"))
            .args([&format!("{xsub},{xpub}"), "TOPIC_NOBODY", "nothing", "1"])
            .arg(QUEUED.to_string()),
    )?;
    // Grows for as long as requests come in, and then no more.
    let deadline = Instant::now() + Duration::from_secs(10);
    let (mut full, mut steady) = (empty, 0);
    while steady < 10 && Instant::now() < deadline {
        #[allow(clippy::disallowed_methods, reason = "samples a figure over time")]
        std::thread::sleep(Duration::from_millis(200));
        let now = proxy.resident_mb()?;
        steady = if now > full || now <= empty {
            0
        } else {
            steady + 1
        };
        full = full.max(now);
    }
    agent.end();
    Ok(Row {
        what: format!("memory of the proxy with {QUEUED} requests of 130 bytes waiting"),
        ours: format!("{full:.1} MB"),
        reference: format!("{empty:.1} MB with none"),
        result: format!("{:.1} MB", full - empty),
        target: "stated",
        met: full > empty,
    })
}

/// The agent that fills the queue; ended with this.
struct Agent(Child);

impl Agent {
    fn start(command: &mut Command) -> Outcome<Self> {
        command
            .stdout(Stdio::null())
            .spawn()
            .map(Self)
            .map_err(|error| format!("cannot start the agent: {error}"))
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.end();
    }
}

pub fn write_skill(
    folder: &Path,
    name: &str,
    script: &str,
    text: impl AsRef<[u8]>,
) -> Outcome<PathBuf> {
    let skill = folder.join(name);
    let scripts = skill.join("scripts");
    let write = || {
        std::fs::create_dir_all(&scripts)?;
        let head = format!("---\nname: {name}\ndescription: Answers a measurement.\n---\n");
        std::fs::write(skill.join("SKILL.md"), head)?;
        std::fs::write(scripts.join(script), text)
    };
    write().map_err(|error: std::io::Error| format!("cannot write {name}: {error}"))?;
    Ok(skill)
}

pub(super) fn parse(text: &str) -> Outcome<Value> {
    serde_json::from_str(text.trim()).map_err(|error| format!("{text:?} is no JSON: {error}"))
}

pub(super) fn number(value: &Value, field: &str) -> Outcome<f64> {
    value[field]
        .as_f64()
        .ok_or_else(|| format!("no {field} in {value}"))
}
