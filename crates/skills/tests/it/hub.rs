//! The real server as a process of its own, for tests of what only a process can show.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long the server may take to come up, on a machine that builds and tests at the same time.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running `skills serve`; killed when dropped.
pub struct Hub {
    child: Child,
    pub url: String,
    /// The administrator's token, at the first start on new data.
    pub token: Option<String>,
}

impl Hub {
    /// Starts the server on a free port with its data in `data`.
    pub fn start(data: &Path, database: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_skills"))
            .args([
                "serve",
                "--bind",
                "127.0.0.1:0",
                "--bootstrap-admin",
                "admin",
                "--database",
                database,
            ])
            .arg("--data")
            .arg(data)
            .env_clear()
            .env("HOME", data)
            .env("NO_COLOR", "1")
            .env("RUST_LOG", "info,hub::access=warn")
            .current_dir(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let (sender, lines) = mpsc::channel();
        drain(child.stderr.take().expect("piped"), sender.clone(), "log");
        drain(child.stdout.take().expect("piped"), sender, "out");
        let mut hub = Self {
            child,
            url: String::new(),
            token: None,
        };
        let mut log = String::new();
        while hub.url.is_empty() {
            let Ok((stream, line)) = lines.recv_timeout(START_LIMIT) else {
                panic!("the server did not come up:\n{log}")
            };
            if stream == "out" {
                hub.token = Some(line.clone());
            }
            if let Some((_, address)) = line.split_once("serving address=") {
                hub.url = address.trim().to_owned();
            }
            log.push_str(&line);
            log.push('\n');
        }
        // The token is written before the server says that it serves, but on another stream.
        while let Ok((stream, line)) =
            lines.recv_timeout(Duration::from_millis(if hub.token.is_some() {
                0
            } else {
                200
            }))
        {
            if stream == "out" {
                hub.token = Some(line);
            }
        }
        hub
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server ends");
    }

    /// SIGTERM; the exit code after the drain.
    pub fn stop(&mut self) -> Option<i32> {
        let sent = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .expect("kill runs");
        assert!(sent.success());
        self.child.wait().expect("the server ends").code()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may be dead already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn drain(
    stream: impl Read + Send + 'static,
    lines: mpsc::Sender<(&'static str, String)>,
    name: &'static str,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Nobody listens any more once the server is up.
            let _ = lines.send((name, line));
        }
    });
}

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// A database for one test: SQLite in the data folder, or a new one on the PostgreSQL that the test
/// run started, dropped with this.
pub struct Database {
    pub url: String,
    _postgres: Option<testkit::TestDatabase>,
}

impl Engine {
    pub async fn database(self, data: &Path) -> Database {
        match self {
            Self::Sqlite => Database {
                url: format!("sqlite:{}", data.join("hub.sqlite").display()),
                _postgres: None,
            },
            Self::Postgres => {
                let postgres = testkit::TestDatabase::create().await;
                Database {
                    url: postgres.url(),
                    _postgres: Some(postgres),
                }
            }
        }
    }
}

#[test]
fn connections_that_wait_for_a_person_are_not_used_again() {
    let served = hub::HubConfig::default().limits.header_seconds_max;
    let kept = skill_client::http::POOL_IDLE_MAX.as_secs();
    assert!(2 * kept < served, "the client keeps what the hub closes");
}
