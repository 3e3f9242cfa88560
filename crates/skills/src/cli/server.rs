//! Flags of the verbs that host the platform.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::mesh::{MeshArgs, WorkerSandbox};
use super::seconds_up_to;

/// Start everything on this machine: the hub on SQLite and a folder, with signed example skills.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Folder for the database, the archives and the keys
    #[arg(
        long,
        value_name = "DIR",
        env = "SKILLS_DATA",
        default_value = "skills-data"
    )]
    pub data: PathBuf,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:18801")]
    pub bind: SocketAddr,
    /// Do not publish the bundled example skills
    #[arg(long)]
    pub no_examples: bool,
    /// How strictly the skills are contained that callers of the HTTP API run
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    pub sandbox: WorkerSandbox,
}

/// Start the registry server as `hub.toml` says.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Configuration file [default: hub.toml, if it exists]
    #[arg(short, long, value_name = "FILE", env = "SKILLS_HUB_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address to listen on; overrides the file
    #[arg(long, value_name = "ADDRESS", env = "SKILLS_BIND")]
    pub bind: Option<SocketAddr>,
    /// Address that clients use, for links in answers; overrides the file
    #[arg(long, value_name = "URL", env = "SKILLS_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Database address (sqlite:… or postgres:…); overrides the file
    #[arg(
        long,
        value_name = "URL",
        env = "SKILLS_DATABASE_URL",
        hide_env_values = true
    )]
    pub database: Option<String>,
    /// Folder for data; overrides the file
    #[arg(long, value_name = "DIR", env = "SKILLS_DATA")]
    pub data: Option<PathBuf>,
    /// Make an administrator of this name if there is no account yet, and write an API token of theirs to
    /// standard output, once; `skills login --token-stdin` takes it
    #[arg(long, value_name = "NAME")]
    pub bootstrap_admin: Option<String>,
    /// Topic of the mesh whose workers run skills for callers of the HTTP API [default: none runs them]
    #[arg(long, value_name = "TOPIC", env = "SKILLS_MESH_TOPIC")]
    pub mesh_topic: Option<String>,
    #[command(flatten)]
    pub mesh: MeshArgs,
}

/// The registry's database.
#[derive(Debug, Args)]
pub struct DbArgs {
    #[command(subcommand)]
    pub action: DbAction,
}

#[derive(Debug, Subcommand)]
pub enum DbAction {
    /// Bring the schema up to date
    Migrate(DbTarget),
    /// Show the schema's version and what is pending
    Status(DbTarget),
}

#[derive(Debug, Clone, Args)]
pub struct DbTarget {
    /// Configuration file [default: hub.toml, if it exists]
    #[arg(short, long, value_name = "FILE", env = "SKILLS_HUB_CONFIG")]
    pub config: Option<PathBuf>,
    /// Database address; overrides the file
    #[arg(
        long,
        value_name = "URL",
        env = "SKILLS_DATABASE_URL",
        hide_env_values = true
    )]
    pub database: Option<String>,
    /// Folder with the hub's data, as `up` and `serve` were given it; overrides the file
    #[arg(long, value_name = "DIR", env = "SKILLS_DATA")]
    pub data: Option<PathBuf>,
}

/// Look after SkillTopics in a Kubernetes cluster: a Deployment of workers for each, scaled by KEDA.
#[derive(Debug, Args)]
pub struct ControllerArgs {
    /// Look after this namespace only [default: all]
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Image of workers whose SkillTopic names none
    #[arg(long, value_name = "IMAGE", default_value = concat!("skills-worker:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
    /// Where workers publish to the proxy, as in tcp://skillscale-proxy:5444
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "SKILLSCALE_PROXY_XSUB",
        requires = "proxy_xpub"
    )]
    pub proxy_xsub: Option<String>,
    /// Where workers subscribe to the proxy, as in tcp://skillscale-proxy:5555
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "SKILLSCALE_PROXY_XPUB",
        requires = "proxy_xsub"
    )]
    pub proxy_xpub: Option<String>,
    /// Prometheus server that watches the proxy, for scaling by its queues
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
    /// NATS server for topics over NATS, as in nats://nats:4222
    #[arg(
        long,
        value_name = "URL",
        env = "SKILLS_NATS_URL",
        hide_env_values = true
    )]
    pub nats: Option<String>,
    /// The NATS server's monitoring address, for scaling by JetStream's lag
    #[arg(long, value_name = "HOST:PORT", requires = "nats")]
    pub nats_monitoring: Option<String>,
    /// The NATS account that holds the streams
    #[arg(long, value_name = "ACCOUNT", default_value = "$G")]
    pub nats_account: String,
    /// Address of the Kubernetes API [default: that of the cluster this runs in]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// File with a bearer token for --server
    #[arg(long, value_name = "FILE", requires = "server")]
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust for --server
    #[arg(long, value_name = "FILE", requires = "server")]
    pub ca_file: Option<PathBuf>,
    /// Where /healthz, /readyz and /metrics are
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9100")]
    pub metrics: SocketAddr,
    /// Namespace of the lease by which replicas elect one of them [default: the pod's]
    #[arg(long, value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Work without asking whether another replica does
    #[arg(long, conflicts_with = "lease_namespace")]
    pub no_election: bool,
}

/// Ask a health page, as a container's health check does: exit code 0 if it answers that all is well.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// Address of the page, as in http://127.0.0.1:9100/readyz
    #[arg(value_name = "URL")]
    pub url: String,
    /// Seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = seconds_up_to::<60>)]
    pub timeout: u64,
}
