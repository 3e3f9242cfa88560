//! Flags of the verbs that host the platform.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::mesh::MeshArgs;

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
    /// Make an administrator of this name if there is none, and write a one-time password to standard output
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
