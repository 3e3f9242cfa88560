//! One file per verb: flags in, library calls, text or JSON out.

use crate::cli::Command;
use crate::context::Context;
use crate::failure::Failure;

mod audit;
mod cache;
#[cfg(feature = "server")]
mod call;
mod completions;
#[cfg(feature = "server")]
mod db;
mod deprecate;
mod doctor;
mod info;
mod init;
mod install;
mod key;
mod list;
mod load;
mod lock;
mod login;
mod logout;
mod outdated;
mod owner;
mod pack;
mod passphrase;
#[cfg(feature = "server")]
mod proxy;
mod publish;
mod rate;
mod registry;
mod run;
mod search;
#[cfg(feature = "server")]
mod serve;
mod sign;
mod tags;
mod token;
mod uninstall;
mod unpack;
mod unpublish;
#[cfg(feature = "server")]
mod up;
mod update;
mod validate;
mod verify;
mod whoami;
#[cfg(feature = "server")]
mod worker;

/// Runs the command that was asked for.
pub fn run(command: &Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Audit(args) => audit::run(args, context),
        Command::Cache(args) => cache::run(args, context),
        #[cfg(feature = "server")]
        Command::Call(args) => call::run(args, context),
        Command::Completions(args) => completions::run(args, context),
        #[cfg(feature = "server")]
        Command::Db(args) => db::run(args, context),
        Command::Deprecate(args) => deprecate::run(args, context),
        Command::Doctor(args) => doctor::run(args, context),
        Command::Info(args) => info::run(args, context),
        Command::Init(args) => init::run(args, context),
        Command::Install(args) => install::run(args, context),
        Command::Key(args) => key::run(args, context),
        Command::List(args) => list::run(args, context),
        Command::Load(args) => load::run(args, context),
        Command::Lock(args) => lock::run(args, context),
        Command::Login(args) => login::run(args, context),
        Command::Logout(args) => logout::run(args, context),
        Command::Outdated(args) => outdated::run(args, context),
        Command::Owner(args) => owner::run(args, context),
        Command::Pack(args) => pack::run(args, context),
        #[cfg(feature = "server")]
        Command::Proxy(args) => proxy::run(args, context),
        Command::Publish(args) => publish::run(args, context),
        Command::Rate(args) => rate::run(args, context),
        Command::Registry(args) => registry::run(args, context),
        Command::Run(args) => run::run(args, context),
        Command::Search(args) => search::run(args, context),
        #[cfg(feature = "server")]
        Command::Serve(args) => serve::run(args, context),
        Command::Sign(args) => sign::run(args, context),
        Command::Tags(args) => tags::run(args, context),
        Command::Token(args) => token::run(args, context),
        Command::Uninstall(args) => uninstall::run(args, context),
        Command::Unpack(args) => unpack::run(args, context),
        Command::Unpublish(args) => unpublish::run(args, context),
        #[cfg(feature = "server")]
        Command::Up(args) => up::run(args, context),
        Command::Update(args) => update::run(args, context),
        Command::Validate(args) => validate::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Whoami(args) => whoami::run(args, context),
        #[cfg(feature = "server")]
        Command::Worker(args) => worker::run(args, context),
    }
}
