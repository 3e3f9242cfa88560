//! The real services that tests talk to, each on a free port with its data in a temporary folder.

mod oidc;
mod postgres;
mod redis;
mod s3;

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::Outcome;
use crate::process::Server;

/// How long a service may take to come up.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The installer of Python packages that is preferred where it is there.
const UV: &str = "uv==0.13.9";

/// Starts a service with its data in the given folder; returns it and its address.
type Starter = fn(&Path) -> Outcome<(Server, String)>;

/// Running services; dropping them stops them and removes their data.
pub struct Services {
    /// What tests read to find them.
    pub environment: Vec<(&'static str, String)>,
    // Declared before the folder, so that the servers end before their data goes.
    _servers: Vec<Server>,
    _data: TempDir,
}

impl Services {
    pub fn start() -> Outcome<Self> {
        let data = tempfile::Builder::new()
            .prefix("skills-services-")
            .tempdir()
            .map_err(|error| format!("cannot make a temporary folder: {error}"))?;
        let mut environment = Vec::new();
        let mut servers = Vec::new();
        let starters: [(&'static str, Starter); 4] = [
            ("TEST_POSTGRES_URL", postgres::start),
            ("TEST_REDIS_URL", redis::start),
            ("TEST_S3_URL", s3::start),
            ("TEST_OIDC_ISSUER", oidc::start),
        ];
        for (variable, start) in starters {
            let (server, address) = start(data.path())?;
            servers.push(server);
            environment.push((variable, address));
        }
        // Its tests start one each, to kill it.
        let nats = crate::tools::nats_server()?;
        environment.push(("NATS_SERVER", nats.display().to_string()));
        let uv = crate::tools::python("uv", &[UV])?.join("uv");
        environment.push(("TEST_UV", uv.display().to_string()));
        for (program, package) in [
            ("gpg", "gnupg"),
            ("git", "git"),
            ("python3", "python3-venv"),
        ] {
            crate::tools::debian(&[program], package)?;
        }
        Ok(Self {
            environment,
            _servers: servers,
            _data: data,
        })
    }
}

/// A port that nobody uses at this moment.
pub fn free_port() -> Outcome<u16> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port on 127.0.0.1: {error}"))
}

/// `cargo xtask services`: for running single tests by hand.
pub fn run_until_end_of_input() -> Outcome {
    let services = Services::start()?;
    for (name, value) in &services.environment {
        println!("export {name}={value}");
    }
    println!("# running; end with Ctrl-D");
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .map_err(|error| error.to_string())?;
    Ok(())
}
