//! Every flag of the program, declared once. Knows nothing of what a command does with them.
//!
//! To add a verb: add its variant to `verbs!`, its arguments to the file of its audience
//! (`author`, `consume`, `account`, `server`, `mesh`), its line to [`HELP_TEMPLATE`] (a test checks that)
//! and its `commands/<verb>.rs`.

pub mod account;
pub mod author;
pub mod consume;
#[cfg(feature = "server")]
pub mod mesh;
#[cfg(feature = "server")]
pub mod server;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::context;

/// `skills --help`, grouped by what a person is about to do.
const HELP_TEMPLATE: &str = "\
{about}

{usage-heading} {usage}

Write and publish
  init         Create a new skill folder
  validate     Check skills against the specification
  pack         Pack a skill folder into a .spm archive
  unpack       Unpack a .spm archive into a folder
  sign         Sign a .spm archive with your key
  verify       Verify the signature of an archive or of an installed skill
  publish      Publish a skill, or a folder of many
  unpublish    Withdraw a version (yank), or delete a fresh mistake
  deprecate    Mark a skill as deprecated, with advice

Find and install
  search       Search the registry
  info         Show a skill, its versions and its signer
  tags         List the tags in use
  rate         Rate a skill from 1 to 5
  install      Install skills from a registry, a folder, an archive or git
  uninstall    Remove installed skills
  update       Update installed skills within their ranges
  outdated     Show installed skills that have newer versions
  lock         Write skills.lock from skills.toml
  list         List installed skills

Use
  load         Print installed skills in the form an agent framework reads
  run          Run a skill's entry point
  audit        Check installed skills for advisories, withdrawals and changes
  doctor       Prove that agents see their skills, and mend what does not work

Account and trust
  login        Sign in to a registry
  logout       Sign out of a registry
  whoami       Show who the registry thinks you are
  token        Create, list and revoke API tokens
  owner        Manage who may publish a skill
  key          Create, import and trust signing keys
  registry     Manage the registries you use
  cache        Inspect and clear the local cache
{server-help}
  completions  Print shell completions

{options-heading}
{options}

`skills help COMMAND` explains one command.";

#[cfg(feature = "server")]
const SERVER_HELP: &str = "
Host
  up           Start everything on this machine, with example skills
  serve        Start the registry server
  db           Migrate or inspect the registry's database
  controller   Look after SkillTopics in a Kubernetes cluster
  probe        Ask a health page, as a container's health check does

Run behind topics
  proxy        Start the mesh's proxy
  worker       Start a worker, which runs skills for a topic
  call         Send a request to a topic and print the answer
";
#[cfg(not(feature = "server"))]
const SERVER_HELP: &str = "";

/// The help template with the verbs of this build.
pub fn help_template() -> String {
    HELP_TEMPLATE
        .replace("{server-help}\n", SERVER_HELP)
        .replace("{options-heading}", "Options:")
}

/// Carries agent skills through their whole life: write, validate, sign, publish, find, install, load and run.
#[derive(Debug, Parser)]
#[command(
    name = "skills",
    version,
    disable_help_subcommand = false,
    infer_subcommands = false,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// What the words of the command line say, the program's name first.
    pub fn read(words: Vec<OsString>) -> Result<Self, clap::Error> {
        if let Some(cli) = Self::read_with_one_verb(&words) {
            return Ok(cli);
        }
        let whole = without_empty_variables(Self::command().help_template(help_template()));
        Self::from_arg_matches(&whole.try_get_matches_from(words)?)
    }

    /// The same where the words name a verb and are right, from the flags of that verb alone: to
    /// put all verbs together takes longer than most of them run. What is wrong, and every help,
    /// is left to the whole, which knows what else could have been meant.
    fn read_with_one_verb(words: &[OsString]) -> Option<Self> {
        let verb = words.iter().skip(1).find_map(|word| Command::alone(word))?;
        let program = GlobalArgs::augment_args(clap::Command::new("skills"));
        let program = without_empty_variables(program.subcommand(verb));
        let matches = program.try_get_matches_from(words).ok()?;
        Self::from_arg_matches(&matches).ok()
    }
}

/// The same, as if variables that are set to nothing were not set: templates write such for what nobody chose.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|flag| {
        let is_empty = flag.get_env().is_some_and(context::is_empty_variable);
        if is_empty {
            flag.env(Resettable::Reset)
        } else {
            flag
        }
    });
    command.mut_subcommands(without_empty_variables)
}

/// When to colour the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    #[default]
    Auto,
    Always,
    Never,
}

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalArgs {
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Print errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more (repeat for still more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours: auto, always or never
    #[arg(
        long,
        global = true,
        hide_possible_values = true,
        value_enum,
        value_name = "WHEN",
        default_value_t
    )]
    pub color: ColorWhen,
    /// The store to work on instead of ./.skills or ~/.skills
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SKILLS_STORE",
        hide_env = true
    )]
    pub store: Option<PathBuf>,
    /// Use the user's store even inside a project
    #[arg(short, long, global = true)]
    pub global: bool,
    /// Do not ask questions: take the default answer
    #[arg(short, long, global = true)]
    pub yes: bool,
}

/// Which registry a command talks to.
#[derive(Debug, Clone, Default, Args)]
pub struct RegistryArg {
    /// Name or address of the registry [default: the configured default]
    #[arg(
        long,
        value_name = "NAME|URL",
        env = "SKILLS_REGISTRY",
        hide_env = true
    )]
    pub registry: Option<String>,
}

macro_rules! verbs {
    ($($(#[$attribute:meta])* $verb:ident($flags:ty),)*) => {
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $($(#[$attribute])* $verb($flags),)*
        }

        impl Command {
            /// The verb of this name with its flags, put together without the others.
            fn alone(name: &OsStr) -> Option<clap::Command> {
                $(
                    $(#[$attribute])*
                    if name.eq_ignore_ascii_case(stringify!($verb)) {
                        let verb = clap::Command::new(stringify!($verb).to_ascii_lowercase());
                        return Some(<$flags>::augment_args(verb));
                    }
                )*
                None
            }
        }
    };
}

verbs! {
    Init(author::InitArgs),
    Validate(author::ValidateArgs),
    Pack(author::PackArgs),
    Unpack(author::UnpackArgs),
    Sign(author::SignArgs),
    Verify(author::VerifyArgs),
    Publish(author::PublishArgs),
    Unpublish(author::UnpublishArgs),
    Deprecate(author::DeprecateArgs),
    Search(consume::SearchArgs),
    Info(consume::InfoArgs),
    Tags(consume::TagsArgs),
    Rate(consume::RateArgs),
    Install(consume::InstallArgs),
    Uninstall(consume::UninstallArgs),
    Update(consume::UpdateArgs),
    Outdated(consume::OutdatedArgs),
    Lock(consume::LockArgs),
    List(consume::ListArgs),
    Load(consume::LoadArgs),
    Run(consume::RunArgs),
    Audit(consume::AuditArgs),
    Doctor(consume::DoctorArgs),
    Login(account::LoginArgs),
    Logout(account::LogoutArgs),
    Whoami(account::WhoamiArgs),
    Token(account::TokenArgs),
    Owner(account::OwnerArgs),
    Key(account::KeyArgs),
    Registry(account::RegistryArgs),
    Cache(account::CacheArgs),
    #[cfg(feature = "server")]
    Up(server::UpArgs),
    #[cfg(feature = "server")]
    Serve(server::ServeArgs),
    #[cfg(feature = "server")]
    Db(server::DbArgs),
    #[cfg(feature = "server")]
    Controller(server::ControllerArgs),
    #[cfg(feature = "server")]
    Probe(server::ProbeArgs),
    #[cfg(feature = "server")]
    Proxy(mesh::ProxyArgs),
    #[cfg(feature = "server")]
    Worker(mesh::WorkerArgs),
    #[cfg(feature = "server")]
    Call(mesh::CallArgs),
    Completions(account::CompletionsArgs),
}

/// A whole number of seconds, at least one.
pub fn seconds(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|seconds| *seconds > 0);
    number.ok_or_else(|| "write whole seconds, at least 1, such as 30".to_owned())
}

/// The same, up to a bound.
#[cfg(feature = "server")]
pub fn seconds_up_to<const MAX: u64>(text: &str) -> Result<u64, String> {
    let number = seconds(text).ok().filter(|seconds| *seconds <= MAX);
    number.ok_or_else(|| format!("write whole seconds, from 1 to {MAX}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_lists_every_verb_once() {
        let template = help_template();
        for verb in Cli::command().get_subcommands() {
            let line = format!("\n  {} ", verb.get_name());
            assert_eq!(template.matches(&line).count(), 1, "{}", verb.get_name());
        }
    }

    #[test]
    fn one_verb_alone_reads_what_the_whole_reads_and_leaves_it_the_rest() {
        let mut right = 0;
        for verb in Cli::command().get_subcommands() {
            let name = verb.get_name();
            assert!(Command::alone(name.as_ref()).is_some(), "{name}");
            let mut lines: Vec<String> = [
                "V",
                "V a",
                "V a b",
                "V a b --version 1",
                "--json V a --yes -vv",
                "--store V V a",
                "V --store x --color never a",
                "V --no-such-flag",
                "V --help",
                "V help",
                "help V",
                "V --color V",
                "nothing V a",
            ]
            .map(|line| line.replace('V', name))
            .into();
            for action in verb.get_subcommands() {
                lines.push(format!("{name} {} a", action.get_name()));
                lines.push(format!("{name} --json {} a b", action.get_name()));
            }
            for line in lines {
                let words = || std::iter::once("skills").chain(line.split(' '));
                let alone =
                    Cli::read_with_one_verb(&words().map(OsString::from).collect::<Vec<_>>());
                let whole = Cli::try_parse_from(words()).ok();
                right += usize::from(alone.is_some());
                assert_eq!(format!("{alone:?}"), format!("{whole:?}"), "skills {line}");
            }
        }
        assert!(right > 100, "{right} lines were right");
    }
}
