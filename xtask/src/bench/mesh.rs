//! What running skills costs: the sandbox over a plain spawn, the proxy beside libzmq's own, calls from an
//! agent to a sandboxed script and back.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Bench, Row};
use crate::Outcome;
use crate::process::{self, Server};
use crate::services::free_port;

const TOPIC: &str = "TOPIC_BENCH";
const START_LIMIT: Duration = Duration::from_secs(20);
/// What the original's server did with four workers on two such cores, in calls per second.
const ORIGINAL_SHELL: f64 = 370.0;
const ORIGINAL_PYTHON: f64 = 123.0;
/// Prints as the scripts do.
const MODULE: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\03\00\00\00")
  (data (i32.const 16) "hi\n")
  (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
/// Requests that wait while the proxy's memory is read.
const QUEUED: usize = 10_000;

/// A short program in the sandbox beside the same program spawned plainly.
pub fn sandbox(bench: &Bench) -> Outcome<Vec<Row>> {
    let output = process::read(&mut Command::new(bench.examples.join("spawn_cost")))?;
    let mut rows = Vec::new();
    for line in output.lines() {
        let cost: Value = parse(line)?;
        let program = cost["program"].as_str().unwrap_or_default().to_owned();
        let (raw, sandboxed) = (number(&cost, "raw_us")?, number(&cost, "sandboxed_us")?);
        let ratio = sandboxed / raw;
        rows.push(Row {
            what: format!("run `{program}` in the sandbox, beside a plain spawn"),
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

/// Calls from one agent through the proxy to one worker with four slots.
pub fn calls(bench: &Bench) -> Outcome<Vec<Row>> {
    let mesh = Mesh::start(bench)?;
    let folder = bench.work.path().join("mesh-skills");
    let mut rows = Vec::new();
    for (skill, script, interpreter, original, factor, p50_max, target) in [
        (
            "bench-shell",
            "run.sh",
            "sh",
            ORIGINAL_SHELL,
            3.0,
            2.0,
            "≥ 3×, p50 ≤ 2 ms",
        ),
        (
            "bench-python",
            "run.py",
            "python3",
            ORIGINAL_PYTHON,
            8.0,
            3.0,
            "≥ 8×, p50 ≤ 3 ms",
        ),
    ] {
        let one = mesh.load(bench, skill, 500, 1)?;
        let mut rates = Vec::new();
        for _ in 0..5 {
            let many = mesh.load(bench, skill, 2_000, 8)?;
            rates.push(number(&many, "calls_per_s")?);
        }
        rates.sort_by(f64::total_cmp);
        let (rate, p50) = (rates[rates.len() / 2], number(&one, "p50_ms")?);
        let plain = plain_spawns(
            interpreter,
            &folder.join(skill).join("scripts").join(script),
        )?;
        // The original starts an interpreter for each call: on a slower machine than the one on which it was
        // measured, or at a slower time of this one, it cannot do more than that.
        let ratio = rate / original.min(plain);
        rows.push(Row {
            what: format!(
                "call a `{script}`: 8 calls at a time, median of five runs; p50 one at a time"
            ),
            ours: format!("{rate:.0}/s, p50 {p50:.2} ms"),
            reference: format!(
                "{original:.0}/s (SkillScale, measured earlier on 2 such cores); `{interpreter} {script}` alone, four at a time: {plain:.0}/s"
            ),
            result: format!("{ratio:.1}×, p50 {p50:.2} ms"),
            target,
            met: ratio >= factor && p50 <= p50_max,
        });
    }
    rows.push(module_row(&mesh, bench)?);
    Ok(rows)
}

/// How many times a second the script is run by nothing but its interpreter, four at a time: what a server that
/// starts one for each call cannot exceed, and how fast this machine is now.
fn plain_spawns(interpreter: &str, script: &Path) -> Outcome<f64> {
    const EACH: u32 = 100;
    let began = Instant::now();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        // The system's own, as in the sandbox.
                        let mut command = Command::new(interpreter);
                        process::read(command.arg(script).env("PATH", "/usr/bin:/bin"))?;
                    }
                    Ok::<(), String>(())
                })
            })
            .collect();
        running
            .into_iter()
            .try_for_each(|one| one.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    Ok(f64::from(4 * EACH) / began.elapsed().as_secs_f64())
}

fn module_row(mesh: &Mesh, bench: &Bench) -> Outcome<Row> {
    let one = mesh.load(bench, "bench-wasm", 500, 1)?;
    let many = mesh.load(bench, "bench-wasm", 2_000, 8)?;
    let (rate, p50) = (number(&many, "calls_per_s")?, number(&one, "p50_ms")?);
    Ok(Row {
        what: "call a `run.wasm`: 8 calls at a time; p50 one at a time".to_owned(),
        ours: format!("{rate:.0}/s, p50 {p50:.2} ms"),
        reference: "–".to_owned(),
        result: format!("p50 {p50:.2} ms"),
        target: "p50 ≤ 0.5 ms",
        met: p50 <= 0.5,
    })
}

struct Mesh {
    endpoints: [String; 2],
    _worker: Server,
    _proxy: Server,
}

impl Mesh {
    fn start(bench: &Bench) -> Outcome<Self> {
        let folder = bench.work.path().join("mesh-skills");
        write_skill(&folder, "bench-shell", "run.sh", "#!/bin/sh\necho hi\n")?;
        write_skill(&folder, "bench-python", "run.py", "print('hi')\n")?;
        let module = wat::parse_str(MODULE).map_err(|error| format!("bad module: {error}"))?;
        write_skill(&folder, "bench-wasm", "run.wasm", &module)?;
        let (proxy, endpoints) = start_proxy(bench)?;
        let mut command = Command::new(&bench.skills);
        command
            .args(["worker", "--topic", TOPIC, "--workers", "4"])
            .arg("--skills-dir")
            .arg(&folder)
            .args(["--proxy-xsub", &endpoints[0], "--proxy-xpub", &endpoints[1]]);
        let log = bench.work.path().join("worker.log");
        let worker = Server::start("the worker", command, "TOPIC_BENCH", log, START_LIMIT)?;
        Ok(Self {
            endpoints,
            _worker: worker,
            _proxy: proxy,
        })
    }

    fn load(&self, bench: &Bench, skill: &str, calls: usize, at_a_time: usize) -> Outcome<Value> {
        let intent = serde_json::json!({"skill": skill, "data": ""}).to_string();
        let output = process::read(
            Command::new(bench.examples.join("call_load"))
                .args(&self.endpoints)
                .args([TOPIC, &intent, &calls.to_string(), &at_a_time.to_string()]),
        )?;
        parse(&output)
    }
}

fn start_proxy(bench: &Bench) -> Outcome<(Server, [String; 2])> {
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

fn parse(text: &str) -> Outcome<Value> {
    serde_json::from_str(text.trim()).map_err(|error| format!("{text:?} is no JSON: {error}"))
}

fn number(value: &Value, field: &str) -> Outcome<f64> {
    value[field]
        .as_f64()
        .ok_or_else(|| format!("no {field} in {value}"))
}
