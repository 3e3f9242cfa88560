//! A real `nats-server` with JetStream on a free port and a folder of its own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::transports::PATIENCE;

pub struct Server {
    pub url: String,
    folder: TempDir,
    process: Option<Child>,
}

/// Larger than any message of the mesh.
const PAYLOAD_MAX: &str = "32MB";
const JETSTREAM: &str = "jetstream { max_memory_store: 64MB, max_file_store: 8GB }";

impl Server {
    pub fn start() -> Self {
        Self::with(&format!("max_payload: {PAYLOAD_MAX}\n{JETSTREAM}"))
    }

    /// Takes messages of 1 MiB at most, as a server does unless it is told otherwise.
    pub fn with_small_messages() -> Self {
        Self::with(JETSTREAM)
    }

    /// With a configuration of its own.
    pub fn with(configuration: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let data = folder.path().join("data");
        let text = format!("{configuration}\n");
        fs::write(folder.path().join("nats.conf"), text).expect("a configuration");
        fs::create_dir(&data).expect("a folder for streams");
        let mut server = Self {
            url: String::new(),
            folder,
            process: None,
        };
        server.url = server.run("-1");
        server
    }

    /// Starts it again after [`Server::kill`], on the same port.
    pub fn restart(&mut self) {
        let port = self.url.rsplit(':').next().expect("a port").to_owned();
        assert_eq!(self.run(&port), self.url);
    }

    /// As a crash does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it can be killed");
            process.wait().expect("it ends");
        }
    }

    /// Runs it, and returns its address once it listens: it writes that into a file then.
    fn run(&mut self, port: &str) -> String {
        let folder = self.folder.path();
        let process = Command::new(program())
            .args(["-a", "127.0.0.1", "-p", port])
            .arg("-c")
            .arg(folder.join("nats.conf"))
            .arg("-sd")
            .arg(folder.join("data"))
            .arg("--ports_file_dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).expect("a log"))
            .spawn()
            .expect("nats-server starts");
        let ports = format!("nats-server_{}.ports", process.id());
        let process = self.process.insert(process);
        let began = Instant::now();
        loop {
            if let Some(url) = listens_at(folder, &ports) {
                return url;
            }
            let ended = process.try_wait().expect("its state");
            assert!(
                ended.is_none() && began.elapsed() < PATIENCE,
                "nats-server does not listen: {}",
                fs::read_to_string(folder.join("log")).unwrap_or_default()
            );
            // It tells by the file alone.
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The server may be in the middle of writing it.
fn listens_at(folder: &Path, name: &str) -> Option<String> {
    let ports: PathBuf = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|file| file == name))?;
    let text = fs::read_to_string(ports).ok()?;
    let ports: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(ports["nats"][0].as_str()?.to_owned())
}

fn program() -> PathBuf {
    if let Some(program) = env::var_os("NATS_SERVER") {
        return program.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join("nats-server"))
        .find(|program| program.is_file())
        .expect("no nats-server: apt-get install nats-server, or name it in NATS_SERVER")
}
