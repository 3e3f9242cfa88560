//! Flags of the verbs that run skills behind topics. Names, defaults and variables are SkillScale's where
//! it has them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

/// Where the mesh is.
#[derive(Debug, Clone, Args)]
pub struct MeshArgs {
    /// The proxy's address for publishers
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "SKILLSCALE_PROXY_XSUB",
        default_value = "tcp://127.0.0.1:5444"
    )]
    pub proxy_xsub: String,
    /// The proxy's address for subscribers
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "SKILLSCALE_PROXY_XPUB",
        default_value = "tcp://127.0.0.1:5555"
    )]
    pub proxy_xpub: String,
    /// A NATS server with JetStream in place of a proxy: nats://HOST:4222 or tls://HOST:4222, several with commas
    #[arg(
        long,
        value_name = "URL",
        env = "SKILLS_NATS_URL",
        hide_env_values = true
    )]
    pub nats: Option<String>,
    /// A credentials file for the NATS server, as `nsc` writes it
    #[arg(long, value_name = "FILE", env = "SKILLS_NATS_CREDENTIALS")]
    pub nats_credentials: Option<PathBuf>,
    /// Certificates (PEM) to trust for the NATS server in place of the system's
    #[arg(long, value_name = "FILE", env = "SKILLS_NATS_CA")]
    pub nats_ca: Option<PathBuf>,
}

/// Where metrics are served: a port on every interface, an address, or nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricsAddress(pub Option<SocketAddr>);

impl FromStr for MetricsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self(None));
        }
        if let Ok(port) = text.parse::<u16>() {
            let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            return Ok(Self(Some(SocketAddr::new(everywhere, port))));
        }
        text.parse()
            .map(|address| Self(Some(address)))
            .map_err(|_| {
                "give a port such as 9100, an address such as 127.0.0.1:9100, or `off`".to_owned()
            })
    }
}

/// Start the mesh's proxy, which shares requests out among workers and sees that each is answered once.
///
/// SkillScale's agents and servers work with it unchanged. It has no authentication: keep its ports to a
/// private network.
#[derive(Debug, Args)]
pub struct ProxyArgs {
    /// Address that publishers connect to [default: every interface, at the port]
    #[arg(long, value_name = "ADDRESS", env = "SKILLSCALE_XSUB_BIND")]
    pub xsub_bind: Option<String>,
    /// Port that publishers connect to; 0 is any free one
    #[arg(
        long,
        value_name = "PORT",
        env = "SKILLSCALE_XSUB_PORT",
        default_value_t = 5444
    )]
    pub xsub_port: u16,
    /// Address that subscribers connect to [default: every interface, at the port]
    #[arg(long, value_name = "ADDRESS", env = "SKILLSCALE_XPUB_BIND")]
    pub xpub_bind: Option<String>,
    /// Port that subscribers connect to; 0 is any free one
    #[arg(
        long,
        value_name = "PORT",
        env = "SKILLSCALE_XPUB_PORT",
        default_value_t = 5555
    )]
    pub xpub_port: u16,
    /// Where to serve /metrics, /healthz and /readyz: a port, an address, or `off`
    #[arg(
        long,
        value_name = "PORT|ADDRESS",
        env = "SKILLSCALE_METRICS_PORT",
        default_value = "9100"
    )]
    pub metrics: MetricsAddress,
    /// Copy each request to every worker, as SkillScale does, and promise nothing
    #[arg(long)]
    pub broadcast: bool,
    /// Requests that may wait on one topic
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    pub queue_max: usize,
    /// Mebibytes of requests that may be unanswered
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub queue_mib: usize,
    /// Seconds that a request may wait for a worker
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    pub wait: u64,
    /// Seconds that a worker may be silent about a request before another gets it
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub lease: u64,
    /// Workers that a request may be given to, one after the other
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub attempts: u32,
    /// Seconds that running requests get when the proxy stops
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub drain: u64,
}

/// How strictly a worker contains what it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum WorkerSandbox {
    /// Everything, or nothing is run.
    #[default]
    Full,
    /// What this host can enforce.
    Available,
}

/// How a skill is found for an intent that names none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum MatcherKind {
    /// By the words of the intent.
    #[default]
    Keyword,
    /// By the words, and where they find none by a language model.
    Llm,
}

/// Whom to ask where words find no skill.
#[derive(Debug, Clone, Args)]
pub struct MatchArgs {
    /// How a skill is found for an intent that names none: keyword, or llm (a model is asked where keywords find none)
    #[arg(
        long,
        value_enum,
        value_name = "KIND",
        env = "SKILLSCALE_MATCHER",
        hide_possible_values = true,
        default_value_t
    )]
    pub matcher: MatcherKind,
    /// With --matcher llm: an OpenAI-compatible API [default: https://api.openai.com/v1]; its key is in OPENAI_API_KEY
    #[arg(long, value_name = "URL", env = "OPENAI_BASE_URL")]
    pub openai_base_url: Option<String>,
    /// With --matcher llm: the model that is asked
    #[arg(long, value_name = "NAME", env = "OPENAI_MODEL")]
    pub openai_model: Option<String>,
    /// A file with the key, in place of OPENAI_API_KEY
    #[arg(long, value_name = "FILE", env = "OPENAI_API_KEY_FILE")]
    pub openai_key_file: Option<PathBuf>,
    /// Seconds that a request waits for the model's answer
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=600)
    )]
    pub match_timeout: u64,
}

/// Start a worker, which runs the skills of a folder for the requests of a topic.
///
/// The skills are read when it starts, and again when their files change. What runs when it is told to
/// stop (SIGTERM) is finished or handed to another worker.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Topic to serve (repeat, or separate by commas, for several)
    #[arg(
        long = "topic",
        value_name = "TOPIC",
        env = "SKILLSCALE_TOPIC",
        value_delimiter = ',',
        default_value = "TOPIC_DEFAULT"
    )]
    pub topics: Vec<String>,
    /// Folder with skills, at any depth; if it has an AGENTS.md that lists skills, those (repeat for several) [default: ./skills]
    #[arg(long = "skills-dir", value_name = "DIR", env = "SKILLSCALE_SKILLS_DIR")]
    pub skills_dirs: Vec<PathBuf>,
    /// Serve the skills that this AGENTS.md lists
    #[arg(long, value_name = "FILE")]
    pub agents_md: Vec<PathBuf>,
    /// Serve the installed skills, of the store that --store and --global choose
    #[arg(long)]
    pub installed: bool,
    /// Requests that run at a time, for each topic
    #[arg(
        long,
        value_name = "NUMBER",
        env = "SKILLSCALE_WORKERS",
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub workers: u16,
    /// Milliseconds that a skill may run at most
    #[arg(
        long,
        value_name = "MS",
        env = "SKILLSCALE_TIMEOUT",
        default_value_t = 30_000,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub timeout: u64,
    /// Seconds that running requests get when the worker stops; then others get them
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    pub drain: u64,
    /// Seconds between two looks whether skills have changed; 0 never looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    pub reload: u64,
    /// How skills are contained: full, or available (what this host can enforce)
    #[arg(
        long,
        value_enum,
        value_name = "MODE",
        hide_possible_values = true,
        default_value_t
    )]
    pub sandbox: WorkerSandbox,
    /// Let skills use the network, whatever they declare
    #[arg(long)]
    pub allow_network: bool,
    /// Folder for skills' Python packages [default: .cache/python in the user's folder]
    #[arg(long, value_name = "DIR", env = "SKILLS_PYTHON_DIR")]
    pub python_dir: Option<PathBuf>,
    /// Let Python packages without wheels be built, which runs their code outside the sandbox
    #[arg(long)]
    pub allow_builds: bool,
    /// Seconds that a starting worker waits for Python packages before it serves the skills that need none
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub prepare_wait: u64,
    /// Seconds that preparing the Python packages of one skill may take
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub prepare_timeout: u64,
    /// Where to serve /metrics, /healthz and /readyz: a port, an address, or `off` [default: off]
    #[arg(long, value_name = "PORT|ADDRESS", env = "SKILLSCALE_METRICS_PORT")]
    pub metrics: Option<MetricsAddress>,
    #[command(flatten)]
    pub matching: MatchArgs,
    #[command(flatten)]
    pub mesh: MeshArgs,
}

/// Send a request to a topic and print the answer.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// Topic to ask
    #[arg(value_name = "TOPIC")]
    pub topic: String,
    /// What to do: plain text, or {"skill": …, "data": …}; with --skill the skill's input; `-` or none reads standard input
    #[arg(value_name = "INTENT")]
    pub intent: Option<String>,
    /// Skill to run
    #[arg(long, value_name = "NAME")]
    pub skill: Option<String>,
    /// Entry point to run [default: the only or first one]
    #[arg(long, value_name = "NAME", requires = "skill")]
    pub entry: Option<String>,
    /// Seconds that it may take; the worker then ends it
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SKILLSCALE_TIMEOUT",
        default_value_t = 30,
        value_parser = super::seconds
    )]
    pub timeout: u64,
    /// Show what the skill writes while it runs, on standard error
    #[arg(long)]
    pub progress: bool,
    #[command(flatten)]
    pub mesh: MeshArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_served_at_a_port_an_address_or_nowhere() {
        let parsed = |text: &str| text.parse::<MetricsAddress>().map(|address| address.0);
        assert_eq!(parsed("off"), Ok(None));
        assert_eq!(parsed("9100"), Ok("0.0.0.0:9100".parse().ok()));
        assert_eq!(parsed("127.0.0.1:0"), Ok("127.0.0.1:0".parse().ok()));
        assert!(parsed("nowhere").is_err() && parsed("70000").is_err());
    }
}
