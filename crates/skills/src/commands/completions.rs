//! `skills completions SHELL`

use clap::CommandFactory;

use crate::cli::account::CompletionsArgs;
use crate::cli::{self, Cli};
use crate::context::Context;
use crate::failure::Failure;

pub fn run(args: &CompletionsArgs, context: &Context) -> Result<(), Failure> {
    let mut script = Vec::new();
    let mut command = Cli::command().help_template(cli::help_template());
    clap_complete::generate(args.shell, &mut command, "skills", &mut script);
    context.printer.raw(&script);
    Ok(())
}
