//! The real server as a process of its own, for tests of what only a process can show.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::coverage;

/// How long the server may take to come up, on a machine that builds and tests at the same time.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running `skills serve`; killed when dropped.
pub struct Hub {
    child: Child,
    pub url: String,
    /// What links in answers begin with, as the server says.
    pub links: Option<String>,
    /// What it said before it served.
    pub log: String,
    /// The administrator's token, at the first start on new data.
    pub token: Option<String>,
}

impl Hub {
    /// Starts the server on a free port with its data in `data`.
    pub fn start(data: &Path, database: &str) -> Self {
        Self::start_as(
            &mut Command::new(env!("CARGO_BIN_EXE_skills")),
            data,
            database,
            &[],
            &[],
        )
    }

    /// The same with further options.
    pub fn start_with(data: &Path, database: &str, options: &[&str]) -> Self {
        Self::start_in(data, database, options, &[])
    }

    /// The same with further variables.
    pub fn start_in(
        data: &Path,
        database: &str,
        options: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_skills"));
        Self::start_as(&mut program, data, database, options, variables)
    }

    /// As [`Hub::start`]; a write beyond [`Hub::limit_files`] fails instead of ending the server.
    pub fn start_for_limits(data: &Path, database: &str) -> Self {
        // An ignored signal stays ignored in the program that is started.
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
        shell.arg(env!("CARGO_BIN_EXE_skills"));
        Self::start_as(&mut shell, data, database, &[], &[])
    }

    fn start_as(
        program: &mut Command,
        data: &Path,
        database: &str,
        options: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let has_address = options.iter().any(|option| option.starts_with("--bind="));
        let address = (!has_address).then_some("--bind=127.0.0.1:0");
        let mut child = program
            .args([
                "serve",
                "--bootstrap-admin",
                "admin",
                "--database",
                database,
            ])
            .args(address)
            .arg("--data")
            .arg(data)
            .args(options)
            .env_clear()
            .envs(coverage())
            .env("HOME", data)
            .env("NO_COLOR", "1")
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("RUST_LOG", "info,hub::access=warn")
            .envs(variables.iter().copied())
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
            links: None,
            log: String::new(),
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
            if let Some((_, rest)) = line.split_once("serving listening=") {
                let (listening, _) = rest.split_once(' ').expect("the address of links");
                hub.url = format!("http://{}", listening.replace("0.0.0.0", "127.0.0.1"));
                hub.links = rest
                    .split_once("address=")
                    .map(|(_, links)| links.trim().to_owned());
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
        hub.log = log;
        hub
    }

    /// How far files may be written from now on, in bytes: what a full disk is like. `None`: any.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let status = Command::new("prlimit")
            .arg(format!("--pid={}", self.child.id()))
            .arg(format!("--fsize={limit}:"))
            .status()
            .expect("prlimit runs");
        assert!(status.success());
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

/// Starts `skills up` on a free port and ends it; what it says once it is up, as JSON.
pub fn up_and_down(data: &Path) -> serde_json::Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_skills"))
        .args(["up", "--bind", "127.0.0.1:0", "--json", "--data"])
        .arg(data)
        .env_clear()
        .envs(coverage())
        .env("HOME", data)
        .current_dir(data.parent().expect("a parent"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut text = String::new();
    for line in lines.by_ref().map_while(Result::ok) {
        text.push_str(&line);
        if line == "}" {
            break;
        }
    }
    // It drains and ends by itself; dead or alive, the document is what counts.
    let mut hub = Hub {
        child,
        url: String::new(),
        links: None,
        log: String::new(),
        token: None,
    };
    assert_eq!(hub.stop(), Some(0), "{text}");
    serde_json::from_str(&text).expect("one JSON document")
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

#[test]
fn the_database_of_a_data_folder_is_looked_at_and_not_made() {
    let sandbox = crate::support::Sandbox::new();
    let data = sandbox.project().join("skills-data");
    let missing = sandbox.run(&["db", "status", "--data", "skills-data"]);
    assert_eq!(missing.code(), 2, "{}", missing.snapshot());
    assert!(
        missing.stderr().contains("skills-data"),
        "{}",
        missing.snapshot()
    );
    assert!(!data.exists(), "looking makes nothing");

    std::fs::create_dir(&data).expect("a folder");
    let url = format!("sqlite:{}", data.join("hub.sqlite").display());
    Hub::start(&data, &url).stop();
    let from = |arguments: &[&str]| sandbox.run(arguments).ok().json();
    let there = from(&["--json", "db", "status", "--data", "skills-data"]);
    assert_eq!(there["current"], true);
    let mut command = sandbox.command(&["--json", "db", "status"]);
    let by_environment = sandbox.finish(command.env("SKILLS_DATA", &data)).ok();
    assert_eq!(by_environment.json(), there);
    let migrated = from(&["--json", "db", "migrate", "--data", "skills-data"]);
    assert_eq!(migrated["applied"], serde_json::json!([]));
}

#[test]
fn up_replaces_an_administrator_s_token_that_has_ended() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let file = data.join("admin-token");
    let first = up_and_down(&data);
    assert_ne!(first["published"], 0);
    let token = std::fs::read_to_string(&file).expect("a token");
    // As after its ninety days.
    std::fs::write(&file, "skl_0123456789abcdef0123456789abcdef_gone\n").expect("written");
    let second = up_and_down(&data);
    assert_eq!(second["published"], 0, "the examples are there already");
    let renewed = std::fs::read_to_string(&file).expect("a token");
    assert!(renewed.starts_with("skl_") && renewed != token);
    up_and_down(&data);
    assert_eq!(
        std::fs::read_to_string(&file).expect("a token"),
        renewed,
        "a good one stays"
    );
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| {
        let metadata = std::fs::metadata(path).expect("there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(&data), 0o700, "hashes of passwords are nobody else's");
    assert_eq!(mode(&data.join("hub.sqlite")), 0o600);
}
