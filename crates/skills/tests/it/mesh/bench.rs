//! A proxy, workers and an agent, each on free ports, and skills that say when they run and end when they
//! are told to.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zmq::{Context, Socket, SocketType};

use crate::support::Sandbox;

/// How long anything may take on a machine that builds and tests at the same time.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until it holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A running program; killed when dropped.
pub struct Process {
    child: Child,
    /// What it said when it was up.
    pub start: Value,
    log: Arc<Mutex<String>>,
}

impl Process {
    /// Starts it and waits for its first document.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stderr.take().expect("piped"), log.clone());
        let mut text = String::new();
        for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
            let line = line.expect("UTF-8");
            text.push_str(&line);
            if line == "}" {
                break;
            }
        }
        let start = serde_json::from_str(&text).unwrap_or_else(|_| {
            let _ = child.wait();
            panic!("it did not start: {text}\n{}", log.lock().expect("a log"))
        });
        Self { child, start, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().expect("a log").clone()
    }

    /// SIGTERM; does not wait.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// The same with another signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name])
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.expect("kill runs").success());
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    /// Its exit code, once it has ended by itself.
    #[track_caller]
    pub fn ended(&mut self) -> Option<i32> {
        let mut status = None;
        until("the program ends", || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        });
        status.expect("it has ended").code()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it ends");
    }

    /// What it exports under this name with all of these labels, summed up.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let url = self.start["metrics"].as_str().expect("metrics are served");
        let text = get(url).1;
        text.lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name))
            .filter(|line| labels.iter().all(|label| line.contains(label)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut log = log.lock().expect("a log");
            log.push_str(&line);
            log.push('\n');
        }
    });
}

/// Status and body.
pub fn get(url: &str) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let answer = reqwest::get(url).await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("text"))
    })
}

/// A proxy, a folder for skills, and a gate that holds them up.
pub struct Mesh {
    pub sandbox: Sandbox,
    pub proxy: Process,
}

impl Mesh {
    #[track_caller]
    pub fn start() -> Self {
        Self::with(&[])
    }

    #[track_caller]
    pub fn with(options: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        let gate = sandbox.project().join("gate");
        std::fs::create_dir(&gate).expect("a folder");
        std::fs::create_dir(sandbox.project().join("skills")).expect("a folder");
        let mut command = sandbox.command(&["--json", "proxy"]);
        command
            .args(["--xsub-bind", "tcp://127.0.0.1:*"])
            .args(["--xpub-bind", "tcp://127.0.0.1:*"])
            .args(["--metrics", "127.0.0.1:0"])
            .args(["--wait", "600"])
            .args(options);
        let proxy = Process::start(&mut command);
        Self { sandbox, proxy }
    }

    pub fn xsub(&self) -> &str {
        self.proxy.start["xsub"].as_str().expect("an address")
    }

    pub fn xpub(&self) -> &str {
        self.proxy.start["xpub"].as_str().expect("an address")
    }

    /// A command of the program that knows where the proxy is.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(arguments);
        command
            .env("SKILLSCALE_PROXY_XSUB", self.xsub())
            .env("SKILLSCALE_PROXY_XPUB", self.xpub());
        command
    }

    /// A worker of this name for the skills in `skills/`; skills may see its name.
    #[track_caller]
    pub fn worker(&self, name: &str, topic: &str, options: &[&str]) -> Process {
        let mut command = self.command(&["--json", "worker", "--topic", topic]);
        command
            .args(["--skills-dir", "skills", "--sandbox", "available"])
            .args(["--metrics", "127.0.0.1:0"])
            .args(options)
            .env("SKILLSCALE_TIMEOUT", "600000")
            .env("WORKER_NAME", name);
        Process::start(&mut command)
    }

    /// A skill with this script in `skills/`, which may see the gate and the worker's name.
    pub fn skill(&self, name: &str, script: &str) {
        self.skill_at(name, name, script);
    }

    /// The same in a folder of another name.
    pub fn skill_at(&self, folder: &str, name: &str, script: &str) {
        let write = |path: &str, text: &str| {
            self.sandbox.write(&format!("skills/{folder}/{path}"), text);
        };
        write("scripts/run.sh", script);
        write(
            "skill.yaml",
            &format!(
                "name: {name}\nversion: 1.0.0\npermissions:\n  read: [gate]\n  environment:\n    - name: WORKER_NAME\n"
            ),
        );
        // Last: a skill is there when this file is.
        write(
            "SKILL.md",
            &format!("---\nname: {name}\ndescription: Does {name} for tests.\n---\n\n# {name}\n"),
        );
    }

    /// A skill that says who runs it, and goes on when the file that is its input exists.
    pub fn held_skill(&self) {
        self.skill(
            "held",
            "gate=$(cat)\necho \"begun by $WORKER_NAME\"\nwhile [ ! -e \"$gate\" ]; do sleep 0.05; done\n\
             echo \"ended by $WORKER_NAME\"\n",
        );
    }

    /// What holds a skill up.
    pub fn gate(&self, name: &str) -> PathBuf {
        self.sandbox.project().join("gate").join(name)
    }

    pub fn held_intent(&self, gate: &str) -> String {
        json!({"skill": "held", "data": self.gate(gate)}).to_string()
    }

    pub fn open(&self, gate: &str) {
        std::fs::write(self.gate(gate), "").expect("written");
    }

    pub fn agent(&self) -> Agent {
        Agent::new(self, "AGENT_REPLY_9f8e7d6c")
    }
}

/// SkillScale's agent, which waits until it is heard before it asks.
pub struct Agent {
    publisher: Socket,
    subscriber: Socket,
    reply_to: String,
    /// The next id: the proxy answers one that it knows without running anything.
    next: Cell<u32>,
    _context: Context,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub id: String,
    pub status: String,
    pub content: String,
    pub error: String,
    /// Empty where there is none.
    pub code: String,
}

impl Agent {
    pub fn new(mesh: &Mesh, reply_to: &str) -> Self {
        let context = Context::new();
        let socket = |kind, endpoint: &str| {
            let socket = context.socket(kind).expect("a socket");
            socket.set_linger(0).expect("an option");
            let patience = i32::try_from(PATIENCE.as_millis()).expect("small");
            socket.set_rcvtimeo(patience).expect("an option");
            socket.connect(endpoint).expect("an address");
            socket
        };
        let agent = Self {
            publisher: socket(SocketType::XPUB, mesh.xsub()),
            subscriber: socket(SocketType::SUB, mesh.xpub()),
            reply_to: reply_to.to_owned(),
            next: Cell::new(0),
            _context: context,
        };
        agent
            .subscriber
            .set_subscribe(reply_to.as_bytes())
            .expect("an option");
        let wish = agent.publisher.recv_bytes(0).expect("a subscription");
        assert_eq!(wish, b"\x01", "everything is wanted");
        agent
    }

    /// Sends a request; with progress if its id begins with `p`.
    pub fn ask(&self, topic: &str, id: &str, intent: &str) {
        let mut request = json!({
            "request_id": id, "reply_to": self.reply_to, "intent": intent, "timestamp": 1.5,
        });
        if id.starts_with('p') {
            request["progress"] = json!(true);
        }
        self.publish(topic, request.to_string().as_bytes());
    }

    pub fn publish(&self, topic: &str, payload: &[u8]) {
        self.publisher
            .send_multipart([topic.as_bytes(), payload], 0)
            .expect("sent");
    }

    /// The next reply.
    #[track_caller]
    pub fn hear(&self) -> Reply {
        let frames = self.subscriber.recv_multipart(0).expect("a reply in time");
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0], self.reply_to.as_bytes());
        let payload: Value = serde_json::from_slice(&frames[1]).expect("JSON");
        let text = |field: &str| payload[field].as_str().expect("text").to_owned();
        Reply {
            id: text("request_id"),
            status: text("status"),
            content: text("content"),
            error: text("error"),
            code: payload["code"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// Asks under a new id and awaits the answer.
    #[track_caller]
    pub fn call(&self, topic: &str, intent: &str) -> Reply {
        let id = format!("call-{}", self.next.replace(self.next.get() + 1));
        self.ask(topic, &id, intent);
        let reply = self.hear();
        assert_eq!(reply.id, id, "{reply:?}");
        reply
    }

    /// Asks, and what comes back must be a result.
    #[track_caller]
    pub fn result(&self, topic: &str, intent: &str) -> String {
        let reply = self.call(topic, intent);
        assert_eq!(reply.status, "success", "{reply:?}");
        reply.content
    }

    /// Asks, and what comes back must be an error.
    #[track_caller]
    pub fn error(&self, topic: &str, intent: &str) -> String {
        let reply = self.call(topic, intent);
        assert_eq!(reply.status, "error", "{reply:?}");
        assert_eq!(reply.content, "");
        reply.error
    }
}

/// Processes with this text in their command line, wherever they are.
pub fn processes_with(marker: &str) -> usize {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    entries
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(marker))
        .count()
}

/// A number of seconds that no other process sleeps.
pub fn long_sleep() -> String {
    let id = std::process::id();
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("86400.{id}{number}1")
}
