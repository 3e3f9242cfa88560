//! `cargo xtask soak [zmq|nats] [SECONDS]`: a mesh whose workers are killed or stopped every few seconds, on NATS
//! its server too, and an agent that counts every answer. Reports; fails where an accepted request was lost or
//! answered twice.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
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
/// Every how many times it is the NATS server instead.
const SERVER_EVERY: u32 = 10;
/// How exactly.
const TICK: Duration = Duration::from_millis(100);
/// How long a stopped worker is stopped: longer than the proxy waits for a sign of life.
const STOPPED: Duration = Duration::from_secs(8);

pub fn run(arguments: &[String]) -> Outcome {
    let usage = || "usage: cargo xtask soak [zmq|nats] [SECONDS]".to_owned();
    let (transport, rest) = match arguments.split_first() {
        Some((first, rest)) if first == "nats" => (Transport::Nats, rest),
        Some((first, rest)) if first == "zmq" => (Transport::ZeroMq, rest),
        _ => (Transport::ZeroMq, arguments),
    };
    let seconds: u32 = match rest {
        [] => 600,
        [seconds] => seconds.parse().map_err(|_| usage())?,
        _ => return Err(usage()),
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
    let mesh = Mesh::start(transport, work.path())?;
    let (over, ended) = mpsc::channel();
    let report = std::thread::scope(|scope| {
        let troubles = scope.spawn(|| mesh.make_trouble(ended));
        let report = mesh.ask(seconds);
        drop(over);
        let troubles = troubles.join().map_err(|_| "making trouble failed")??;
        report.map(|report| (report, troubles))
    });
    let (report, troubles) = report?;
    println!("{report}");
    println!(
        "workers killed: {}, stopped for {STOPPED:?}: {}, server killed: {}",
        troubles.killed, troubles.stopped, troubles.server
    );
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

#[derive(Clone, Copy, PartialEq)]
enum Transport {
    ZeroMq,
    Nats,
}

/// What was done to the mesh.
#[derive(Default)]
struct Troubles {
    killed: u32,
    stopped: u32,
    server: u32,
}

struct Mesh {
    skills: PathBuf,
    folder: PathBuf,
    work: PathBuf,
    transport: Transport,
    /// The proxy's, or the NATS server's once.
    ports: [u16; 2],
    /// The proxy or the NATS server.
    middle: Mutex<Option<Server>>,
}

impl Mesh {
    fn start(transport: Transport, work: &Path) -> Outcome<Self> {
        let mesh = Self {
            skills: tools::release_dir().join("skills"),
            folder: work.join("skills"),
            work: work.to_owned(),
            transport,
            ports: [free_port()?, free_port()?],
            middle: Mutex::new(None),
        };
        write_skill(&mesh.folder, SKILL, "run.sh", SCRIPT)?;
        mesh.start_middle()?;
        Ok(mesh)
    }

    fn start_middle(&self) -> Outcome {
        let (name, command, ready) = match self.transport {
            Transport::ZeroMq => {
                let [xsub, xpub] = self.endpoints();
                let mut command = Command::new(&self.skills);
                command
                    .args(["proxy", "--xsub-bind", &xsub, "--xpub-bind", &xpub])
                    .args(["--metrics", "off"]);
                ("the proxy", command, xpub)
            }
            Transport::Nats => {
                let server =
                    tools::debian(&["nats-server", "/usr/sbin/nats-server"], "nats-server")?;
                let mut command = Command::new(server);
                command
                    .args([
                        "-a",
                        "127.0.0.1",
                        "-p",
                        &self.ports[0].to_string(),
                        "-js",
                        "-sd",
                    ])
                    .arg(self.work.join("nats"));
                ("nats-server", command, "Server is ready".to_owned())
            }
        };
        let log = self.work.join("middle.log");
        let server = Server::start(name, command, &ready, log, Duration::from_secs(20))?;
        *self.middle() = Some(server);
        Ok(())
    }

    fn middle(&self) -> std::sync::MutexGuard<'_, Option<Server>> {
        self.middle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn endpoints(&self) -> [String; 2] {
        self.ports.map(|port| format!("tcp://127.0.0.1:{port}"))
    }

    fn nats(&self) -> String {
        format!("nats://127.0.0.1:{}", self.ports[0])
    }

    fn worker(&self) -> Outcome<Worker> {
        let mut command = Command::new(&self.skills);
        command
            .args(["worker", "--quiet", "--topic", TOPIC])
            .arg("--skills-dir")
            .arg(&self.folder);
        match self.transport {
            Transport::ZeroMq => {
                let [xsub, xpub] = self.endpoints();
                command.args(["--proxy-xsub", &xsub, "--proxy-xpub", &xpub]);
            }
            Transport::Nats => {
                command.args(["--nats", &self.nats()]);
            }
        }
        let log = std::fs::File::create(self.work.join("workers.log"))
            .map_err(|error| format!("cannot keep a log: {error}"))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map(Worker)
            .map_err(|error| format!("cannot start a worker: {error}"))
    }

    fn ask(&self, seconds: u32) -> Outcome<String> {
        let agent = tools::release_dir().join("examples/soak_agent");
        let place = match self.transport {
            Transport::ZeroMq => self.endpoints().join(","),
            Transport::Nats => self.nats(),
        };
        process::read(
            Command::new(agent)
                .args([&place, TOPIC, SKILL])
                .args([seconds.to_string(), PER_SECOND.to_string()]),
        )
    }

    /// Kills one worker after the other, and stops every second one instead.
    fn make_trouble(&self, ended: Receiver<()>) -> Outcome<Troubles> {
        let mut workers = (0..WORKERS)
            .map(|_| self.worker())
            .collect::<Outcome<Vec<Worker>>>()?;
        let mut stopped: Vec<(Instant, Worker)> = Vec::new();
        let mut troubles = Troubles::default();
        for round in 1.. {
            let until = Instant::now() + EVERY;
            while Instant::now() < until {
                if ended.recv_timeout(TICK) == Err(RecvTimeoutError::Disconnected) {
                    return Ok(troubles);
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
            if self.transport == Transport::Nats && round % SERVER_EVERY == 0 {
                // Dropping it kills it. Its data stays.
                drop(self.middle().take());
                self.start_middle()?;
                troubles.server += 1;
                continue;
            }
            // The one that has been there longest.
            let victim = workers.remove(0);
            if round % 2 == 0 {
                victim.signal(Signal::SIGKILL)?;
                troubles.killed += 1;
                workers.push(self.worker()?);
            } else {
                victim.signal(Signal::SIGSTOP)?;
                troubles.stopped += 1;
                stopped.push((Instant::now() + STOPPED, victim));
            }
        }
        Ok(troubles)
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
