//! `cargo xtask soak [SECONDS]`: a mesh whose workers are killed or stopped every few seconds, and an agent
//! that counts every answer. Reports; fails where an accepted request was lost or answered twice.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Outcome;
use crate::bench::write_skill;
use crate::process::{self, Server};
use crate::services::free_port;
use crate::tools;

const TOPIC: &str = "TOPIC_SOAK";
const SKILL: &str = "soak-echo";
/// Takes long enough to be met by a kill.
const SCRIPT: &str = "#!/bin/sh\nsleep 0.05\nexec cat\n";
const WORKERS: usize = 4;
const PER_SECOND: u32 = 50;
/// How often something happens to a worker.
const EVERY: Duration = Duration::from_secs(3);
/// How exactly.
const TICK: Duration = Duration::from_millis(100);
/// How long a stopped worker is stopped: longer than the proxy waits for a sign of life.
const STOPPED: Duration = Duration::from_secs(8);

pub fn run(arguments: &[String]) -> Outcome {
    let seconds: u32 = match arguments {
        [] => 600,
        [seconds] => seconds
            .parse()
            .map_err(|_| format!("`{seconds}` is no number of seconds"))?,
        _ => return Err("usage: cargo xtask soak [SECONDS]".to_owned()),
    };
    process::run(
        Command::new("cargo")
            .args(["build", "--release", "--locked"])
            .args(["--package", "skills", "--bin", "skills"])
            .args(["--package", "skill-mesh", "--example", "soak_agent"])
            .current_dir(tools::root()),
    )?;
    let work =
        tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    let mesh = Mesh::start(work.path())?;
    let (over, ended) = mpsc::channel();
    let report = std::thread::scope(|scope| {
        let troubles = scope.spawn(|| mesh.make_trouble(ended));
        let report = mesh.ask(seconds);
        drop(over);
        let troubles = troubles.join().map_err(|_| "making trouble failed")??;
        report.map(|report| (report, troubles))
    });
    let (report, (killed, stopped)) = report?;
    println!("{report}");
    println!("workers killed: {killed}, stopped for {STOPPED:?}: {stopped}");
    let report: serde_json::Value =
        serde_json::from_str(&report).map_err(|error| format!("the agent's report: {error}"))?;
    let is_clean = report["errors"]
        .as_object()
        .is_some_and(serde_json::Map::is_empty);
    let none = |field: &str| report[field] == 0;
    if is_clean && none("answered_twice") && none("unanswered") && none("wrong") {
        return Ok(());
    }
    Err("not every request was answered rightly and once".to_owned())
}

struct Mesh {
    skills: PathBuf,
    folder: PathBuf,
    endpoints: [String; 2],
    _proxy: Server,
}

impl Mesh {
    fn start(work: &Path) -> Outcome<Self> {
        let release = tools::tool_dir().join("../release");
        let skills = release.join("skills");
        let folder = work.join("skills");
        write_skill(&folder, SKILL, "run.sh", SCRIPT)?;
        let ports = [free_port()?, free_port()?];
        let endpoints = ports.map(|port| format!("tcp://127.0.0.1:{port}"));
        let mut command = Command::new(&skills);
        command
            .arg("proxy")
            .args(["--xsub-bind", &endpoints[0], "--xpub-bind", &endpoints[1]])
            .args(["--metrics", "off"]);
        let proxy = Server::start(
            "the proxy",
            command,
            &endpoints[1],
            work.join("proxy.log"),
            Duration::from_secs(10),
        )?;
        Ok(Self {
            skills,
            folder,
            endpoints,
            _proxy: proxy,
        })
    }

    fn worker(&self) -> Outcome<Worker> {
        let [xsub, xpub] = &self.endpoints;
        Command::new(&self.skills)
            .args(["worker", "--quiet", "--topic", TOPIC])
            .arg("--skills-dir")
            .arg(&self.folder)
            .args(["--proxy-xsub", xsub, "--proxy-xpub", xpub])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map(Worker)
            .map_err(|error| format!("cannot start a worker: {error}"))
    }

    fn ask(&self, seconds: u32) -> Outcome<String> {
        let agent = tools::tool_dir().join("../release/examples/soak_agent");
        process::read(
            Command::new(agent)
                .args(&self.endpoints)
                .args([TOPIC, SKILL])
                .args([seconds.to_string(), PER_SECOND.to_string()]),
        )
    }

    /// Kills one worker after the other, and stops every second one instead.
    fn make_trouble(&self, ended: Receiver<()>) -> Outcome<(u32, u32)> {
        let mut workers = (0..WORKERS)
            .map(|_| self.worker())
            .collect::<Outcome<Vec<Worker>>>()?;
        let mut stopped: Vec<(Instant, Worker)> = Vec::new();
        let (mut kills, mut stops) = (0, 0);
        for round in 0.. {
            let until = Instant::now() + EVERY;
            while Instant::now() < until {
                if ended.recv_timeout(TICK) == Err(RecvTimeoutError::Disconnected) {
                    return Ok((kills, stops));
                }
                while stopped
                    .first()
                    .is_some_and(|(until, _)| *until <= Instant::now())
                {
                    let (_, worker) = stopped.remove(0);
                    worker.signal(Signal::SIGCONT)?;
                    workers.push(worker);
                }
            }
            // The one that has been there longest.
            let victim = workers.remove(0);
            if round % 2 == 0 {
                victim.signal(Signal::SIGKILL)?;
                kills += 1;
                workers.push(self.worker()?);
            } else {
                victim.signal(Signal::SIGSTOP)?;
                stops += 1;
                stopped.push((Instant::now() + STOPPED, victim));
            }
        }
        Ok((kills, stops))
    }
}

/// A worker's process; dropping it kills it.
struct Worker(Child);

impl Worker {
    fn signal(&self, signal: Signal) -> Outcome {
        let id = i32::try_from(self.0.id()).map_err(|error| error.to_string())?;
        kill(Pid::from_raw(id), signal)
            .map_err(|error| format!("a worker cannot be sent {signal}: {error}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
