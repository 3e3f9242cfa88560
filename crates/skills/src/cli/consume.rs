//! Flags of the verbs that find, install and use skills.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::RegistryArg;

/// Order of search results and lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SortBy {
    Relevance,
    Downloads,
    Rating,
    Recent,
    Name,
}

/// Search the registry by words; typing mistakes are forgiven.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// Words to look for; none lists everything
    #[arg(value_name = "QUERY")]
    pub query: Vec<String>,
    /// Only skills with this tag (repeat for several)
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Only skills that support this framework
    #[arg(long, value_name = "NAME")]
    pub framework: Option<String>,
    /// Only skills of this author
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// [default: relevance with a query, downloads without]
    #[arg(long, value_enum, value_name = "ORDER")]
    pub sort: Option<SortBy>,
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub limit: u32,
    #[arg(long, default_value_t = 0)]
    pub offset: u32,
    #[command(flatten)]
    pub registry: RegistryArg,
}

/// Show a skill: description, versions, dependencies, signer, how to install it.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// NAME or NAME@VERSION
    #[arg(value_name = "NAME[@VERSION]")]
    pub spec: String,
    #[command(flatten)]
    pub registry: RegistryArg,
    /// Answer from what was seen last
    #[arg(long)]
    pub offline: bool,
}

/// List the tags in use, with counts.
#[derive(Debug, Args)]
pub struct TagsArgs {
    #[command(flatten)]
    pub registry: RegistryArg,
}

/// Rate a skill. Your next rating replaces the last.
#[derive(Debug, Args)]
pub struct RateArgs {
    #[arg(value_name = "NAME")]
    pub name: String,
    /// From 1 (poor) to 5 (excellent)
    #[arg(value_name = "RATING", value_parser = clap::value_parser!(u8).range(1..=5), required_unless_present = "undo")]
    pub rating: Option<u8>,
    /// Take your rating back
    #[arg(long, conflicts_with = "rating")]
    pub undo: bool,
    #[command(flatten)]
    pub registry: RegistryArg,
}

/// Into which agents a skill is put.
#[derive(Debug, Clone, Default, Args)]
pub struct AgentArgs {
    /// Agents to install into, such as claude-code,codex
    #[arg(short, long = "agent", value_name = "AGENT", value_delimiter = ',')]
    pub agents: Vec<String>,
    /// Install into every known agent
    #[arg(long, conflicts_with = "agents")]
    pub all_agents: bool,
    /// Copy into the agents' folders instead of linking
    #[arg(long)]
    pub copy: bool,
}

/// Install skills, with what they depend on. In a project they are saved to skills.toml and
/// skills.lock; without names, what skills.toml asks for is installed.
#[derive(Debug, Args)]
#[command(visible_aliases = ["add", "i"])]
pub struct InstallArgs {
    /// NAME[@RANGE], a folder, a .spm file, or a git URL[#ref[:path]]
    /// [default: what skills.toml asks for]
    #[arg(value_name = "SKILL")]
    pub specs: Vec<String>,
    /// Version or range to install
    #[arg(long, value_name = "RANGE", requires = "specs")]
    pub version: Option<String>,
    #[command(flatten)]
    pub registry: RegistryArg,
    #[command(flatten)]
    pub agent: AgentArgs,
    /// Install exactly what skills.lock says, or fail; writes neither file
    #[arg(long, conflicts_with_all = ["specs", "no_save"])]
    pub frozen: bool,
    /// In a project: do not write skills.toml and skills.lock
    #[arg(long)]
    pub no_save: bool,
    /// Reinstall, replacing local changes (they are saved aside)
    #[arg(long)]
    pub force: bool,
    /// Use the local cache only
    #[arg(long)]
    pub offline: bool,
    /// Show what would be installed, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Install under another name
    #[arg(long = "as", value_name = "NAME", requires = "specs")]
    pub alias: Option<String>,
    /// Take only these skills out of a folder or repository of many
    #[arg(
        long = "skill",
        value_name = "NAME",
        value_delimiter = ',',
        requires = "specs"
    )]
    pub pick: Vec<String>,
    /// Accept a skill without a signature (never one whose signer is pinned)
    #[arg(long)]
    pub allow_unsigned: bool,
    /// Ignore versions younger than this many hours
    #[arg(long, value_name = "HOURS")]
    pub minimum_age: Option<u32>,
}

/// Remove installed skills, and their links in the agents' folders.
#[derive(Debug, Args)]
#[command(visible_aliases = ["remove", "rm"])]
pub struct UninstallArgs {
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Remove even if another installed skill depends on it; move aside what was changed in agents'
    /// folders
    #[arg(long)]
    pub force: bool,
    /// In a project: do not write skills.toml and skills.lock
    #[arg(long)]
    pub no_save: bool,
}

/// Update installed skills to the newest version that their ranges allow, each from where it came.
/// Local edits are kept or reported.
///
/// Without names, a skill that cannot be updated does not stop the others; the exit code is 1 then.
/// With --registry and without names, what came from that registry is updated.
#[derive(Debug, Args)]
#[command(visible_alias = "upgrade")]
pub struct UpdateArgs {
    /// Skills to update [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub registry: RegistryArg,
    /// Go past the ranges, to the newest version
    #[arg(long)]
    pub latest: bool,
    #[arg(long)]
    pub dry_run: bool,
    /// Replace local changes (they are saved aside)
    #[arg(long)]
    pub force: bool,
    #[arg(long)]
    pub offline: bool,
    /// Accept a skill without a signature (never one whose signer is pinned)
    #[arg(long)]
    pub allow_unsigned: bool,
}

/// Write skills.lock from skills.toml without installing anything.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// Choose the newest versions for these skills, or for all if none is named
    #[arg(long, value_name = "NAME", num_args = 0.., value_delimiter = ',')]
    pub update: Option<Vec<String>>,
    /// Write nothing; exit code 1 if skills.lock would change
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub registry: RegistryArg,
    /// Answer from what was seen last
    #[arg(long)]
    pub offline: bool,
    /// Accept a skill without a signature (never one whose signer is pinned)
    #[arg(long)]
    pub allow_unsigned: bool,
}

/// Show installed skills that have newer versions, or were withdrawn or deprecated.
#[derive(Debug, Args)]
pub struct OutdatedArgs {
    /// Show all installed skills
    #[arg(long)]
    pub all: bool,
    /// Exit code 1 if a skill needs attention
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    pub registry: RegistryArg,
    /// Answer from what was seen last
    #[arg(long)]
    pub offline: bool,
}

/// List installed skills.
#[derive(Debug, Args)]
#[command(visible_alias = "ls")]
pub struct ListArgs {
    /// Also show where each one came from and which agents see it
    #[arg(long)]
    pub long: bool,
}

/// Print installed skills in the form that a framework reads.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Skills to load [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// claude, anthropic-tool, openai, openai-skills, vertex, roundtable or mcp [default: detected from the environment, else claude]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// How a skill is contained while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum SandboxMode {
    /// Refuse to run where the host cannot enforce everything
    #[default]
    Full,
    /// Enforce what the host can, and say what it cannot
    Available,
    /// Only a clean environment and a time-out
    Off,
}

/// Run a skill's entry point in a sandbox: no network, files or variables but what it declares.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Name of an installed skill, or a skill folder
    #[arg(value_name = "NAME|DIR")]
    pub skill: String,
    /// The input; `-` or none reads standard input
    #[arg(value_name = "INPUT")]
    pub input: Option<String>,
    /// Entry point to run [default: the only or first one]
    #[arg(long, value_name = "NAME")]
    pub entry: Option<String>,
    /// Read the input from a file
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    pub input_file: Option<PathBuf>,
    /// Seconds after which the skill and everything it started is ended
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    pub timeout: Option<u64>,
    /// How it is contained: full, available (what this host can enforce) or off
    #[arg(
        long,
        value_enum,
        value_name = "MODE",
        hide_possible_values = true,
        default_value_t
    )]
    pub sandbox: SandboxMode,
    /// Let it use the network, whatever it declares
    #[arg(long)]
    pub allow_network: bool,
    /// Fetch no Python packages: only those that were prepared before are used
    #[arg(long)]
    pub offline: bool,
    /// Let Python packages without wheels be built, which runs their code outside the sandbox
    #[arg(long)]
    pub allow_builds: bool,
}

/// How much a finding of an audit weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuditLevel {
    Low,
    Moderate,
    High,
    Critical,
}

/// Check installed and locked skills against advisories, withdrawn versions, changed signers and changed files.
///
/// Exit code 1 if something of this level or above is found, or if a registry could not be asked;
/// 2 if an advisory cannot be read.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Advisories in the OSV format: a file, a folder of files, or an address (repeat for several)
    #[arg(long = "advisories", value_name = "PATH|URL")]
    pub advisories: Vec<String>,
    /// Lowest level that fails the audit: low, moderate, high or critical
    #[arg(
        long,
        value_enum,
        value_name = "LEVEL",
        hide_possible_values = true,
        default_value = "low"
    )]
    pub level: AuditLevel,
    /// Ask no registry: check files, pinned signers, known keys and advisories on this machine
    #[arg(long)]
    pub offline: bool,
    /// Print a SARIF 2.1.0 document, for tools that show findings
    #[arg(long)]
    pub sarif: bool,
}

/// Prove that every agent sees its skills, and check the store, the registries and what skills need.
///
/// Exit code 1 if there is a problem.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Mend what can be mended without losing anything: links, leftovers, permissions, damaged cache
    #[arg(long)]
    pub fix: bool,
    /// Ask no registry
    #[arg(long)]
    pub offline: bool,
}
