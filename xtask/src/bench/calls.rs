//! Calls from an agent through a proxy to a script and back, beside SkillScale where it is given.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::measure::median;
use super::mesh::{number, parse, start_proxy, write_skill};
use super::{Bench, Row};
use crate::Outcome;
use crate::process::{self, Server};
use crate::services::free_port;

const TOPIC: &str = "TOPIC_BENCH";
const START_LIMIT: Duration = Duration::from_secs(20);
/// Names the folder with SkillScale's two programs, built from its sources (docs/benchmarks.md says how).
const ORIGINAL: &str = "BENCH_SKILLSCALE";
/// The system's own interpreters, as in the sandbox.
const PATH: &str = "/usr/bin:/bin";
const ROUNDS: usize = 5;
/// Prints as the scripts do.
const MODULE: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\03\00\00\00")
  (data (i32.const 16) "hi\n")
  (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// A script that answers calls, and what is promised of it.
struct Case {
    skill: &'static str,
    script: &'static str,
    text: &'static str,
    interpreter: &'static str,
    /// What SkillScale's server did earlier with four workers on two such cores, in calls per second.
    measured_earlier: f64,
    /// Calls that it gets in each round.
    original_calls: usize,
    factor: f64,
    p50_max: f64,
    target: &'static str,
}

const CASES: [Case; 2] = [
    Case {
        skill: "bench-shell",
        script: "run.sh",
        text: "#!/bin/sh\necho hi\n",
        interpreter: "sh",
        measured_earlier: 370.0,
        original_calls: 1_000,
        factor: 3.0,
        p50_max: 2.0,
        target: "≥ 3×, p50 ≤ 2 ms",
    },
    Case {
        skill: "bench-python",
        script: "run.py",
        text: "print('hi')\n",
        interpreter: "python3",
        measured_earlier: 123.0,
        original_calls: 400,
        factor: 8.0,
        p50_max: 3.0,
        target: "≥ 8×, p50 ≤ 3 ms",
    },
];

/// Calls from one agent through the proxy to one worker with four slots.
pub fn calls(bench: &Bench) -> Outcome<Vec<Row>> {
    let folder = bench.work.path().join("call-skills");
    let module = wat::parse_str(MODULE).map_err(|error| format!("bad module: {error}"))?;
    write_skill(&folder, "bench-wasm", "run.wasm", &module)?;
    for case in &CASES {
        write_skill(&folder, case.skill, case.script, case.text)?;
    }
    let ours = Mesh::ours(bench, &folder)?;
    let original = std::env::var_os(ORIGINAL)
        .map(|programs| Mesh::original(bench, Path::new(&programs), &folder))
        .transpose()?;
    let mut rows = Vec::new();
    for case in &CASES {
        rows.push(case.measure(bench, &ours, original.as_ref(), &folder)?);
    }
    rows.push(module_row(&ours, bench)?);
    Ok(rows)
}

impl Case {
    fn measure(
        &self,
        bench: &Bench,
        ours: &Mesh,
        original: Option<&Mesh>,
        folder: &Path,
    ) -> Outcome<Row> {
        let p50 = number(&ours.load(bench, self.skill, 500, 1)?, "p50_ms")?;
        let (mut rates, mut originals) = (Vec::new(), Vec::new());
        // In turns: what slows the machine down for a while meets both.
        for _ in 0..ROUNDS {
            let many = ours.load(bench, self.skill, 2_000, 8)?;
            rates.push(number(&many, "calls_per_s")?);
            if let Some(original) = original {
                let many = original.load(bench, self.skill, self.original_calls, 8)?;
                originals.push(number(&many, "calls_per_s")?);
            }
        }
        let rate = median(rates);
        let (peer, reference) = match original {
            Some(original) => {
                let peer = median(originals);
                let one = original.load(bench, self.skill, 50, 1)?;
                let one = number(&one, "p50_ms")?;
                (peer, format!("SkillScale: {peer:.0}/s, p50 {one:.2} ms"))
            }
            None => self.bound(folder)?,
        };
        let ratio = rate / peer;
        Ok(Row {
            what: format!(
                "call a `{}`: 8 calls at a time, median of {ROUNDS} runs; p50 one at a time",
                self.script
            ),
            ours: format!("{rate:.0}/s, p50 {p50:.2} ms"),
            reference,
            result: format!("{ratio:.1}×, p50 {p50:.2} ms"),
            target: self.target,
            met: ratio >= self.factor && p50 <= self.p50_max,
        })
    }

    /// What to compare with where SkillScale is not at hand: it starts an interpreter for each call, so that on
    /// a slower machine than the one on which it was measured it cannot do more than the interpreter alone.
    fn bound(&self, folder: &Path) -> Outcome<(f64, String)> {
        let script = folder.join(self.skill).join("scripts").join(self.script);
        let alone = spawns_per_second(self.interpreter, &script)?;
        let (earlier, interpreter) = (self.measured_earlier, self.interpreter);
        Ok((
            earlier.min(alone),
            format!(
                "{earlier:.0}/s (SkillScale, measured earlier on 2 such cores); `{interpreter} {}` alone, four at a time: {alone:.0}/s",
                self.script
            ),
        ))
    }
}

/// How many times a second the script is run by nothing but its interpreter, four at a time.
fn spawns_per_second(interpreter: &str, script: &Path) -> Outcome<f64> {
    const EACH: u32 = 100;
    let began = Instant::now();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        let mut command = Command::new(interpreter);
                        process::read(command.arg(script).env("PATH", PATH))?;
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

/// A proxy and one server with four workers.
struct Mesh {
    endpoints: [String; 2],
    _server: Server,
    _proxy: Server,
}

impl Mesh {
    fn ours(bench: &Bench, skills: &Path) -> Outcome<Self> {
        let (proxy, endpoints) = start_proxy(bench)?;
        let mut command = Command::new(&bench.skills);
        command
            .arg("worker")
            .args(server_arguments(&endpoints, skills));
        let log = bench.work.path().join("worker.log");
        Ok(Self {
            _server: Server::start("the worker", command, TOPIC, log, START_LIMIT)?,
            _proxy: proxy,
            endpoints,
        })
    }

    fn original(bench: &Bench, programs: &Path, skills: &Path) -> Outcome<Self> {
        let [xsub, xpub, metrics] = [free_port()?, free_port()?, free_port()?];
        let endpoints = [xsub, xpub].map(|port| format!("tcp://127.0.0.1:{port}"));
        let log = |name: &str| -> PathBuf { bench.work.path().join(name) };
        let mut command = Command::new(programs.join("skillscale_proxy"));
        command
            .env("SKILLSCALE_XSUB_BIND", &endpoints[0])
            .env("SKILLSCALE_XPUB_BIND", &endpoints[1])
            .env("SKILLSCALE_METRICS_PORT", metrics.to_string());
        let (proxy, _) = Server::spawn("SkillScale's proxy", command, &log("original-proxy.log"))?;
        let mut command = Command::new(programs.join("skillscale_skill_server"));
        command
            .args(server_arguments(&endpoints, skills))
            .env("PATH", PATH);
        let (server, _) =
            Server::spawn("SkillScale's server", command, &log("original-server.log"))?;
        let mesh = Self {
            endpoints,
            _server: server,
            _proxy: proxy,
        };
        mesh.await_answer(bench)?;
        Ok(mesh)
    }

    /// It says only to a terminal at once that it is ready, and loses what comes before.
    fn await_answer(&self, bench: &Bench) -> Outcome {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let [xsub, xpub] = &self.endpoints;
            let answer = process::read(
                Command::new(&bench.skills)
                    .args(["call", TOPIC, &intent(CASES[0].skill), "--timeout", "1"])
                    .args(["--proxy-xsub", xsub, "--proxy-xpub", xpub]),
            );
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(format!("SkillScale gives no answer: {error}"));
                }
                Err(_) => {}
            }
        }
    }

    fn load(&self, bench: &Bench, skill: &str, calls: usize, at_a_time: usize) -> Outcome<Value> {
        let output = process::read(
            Command::new(bench.examples.join("call_load"))
                .args(&self.endpoints)
                .args([TOPIC, &intent(skill)])
                .args([calls, at_a_time].map(|count| count.to_string())),
        )?;
        parse(&output)
    }
}

/// Ours and SkillScale's take the same.
fn server_arguments(endpoints: &[String; 2], skills: &Path) -> Vec<std::ffi::OsString> {
    let [xsub, xpub] = endpoints;
    [
        "--topic",
        TOPIC,
        "--workers",
        "4",
        "--proxy-xsub",
        xsub,
        "--proxy-xpub",
        xpub,
        "--skills-dir",
    ]
    .iter()
    .map(std::ffi::OsString::from)
    .chain([skills.as_os_str().to_owned()])
    .collect()
}

fn intent(skill: &str) -> String {
    serde_json::json!({"skill": skill, "data": ""}).to_string()
}
