//! The `skills` program: reads the flags and the environment once, runs one command, and turns
//! its outcome into text or JSON and an exit code (0 done, 1 failed, 2 bad input).

mod cli;
mod commands;
mod context;
mod failure;
mod installing;
#[cfg(feature = "server")]
mod invoking;
#[cfg(feature = "server")]
mod mesh;
#[cfg(feature = "server")]
mod model;
#[cfg(feature = "server")]
mod observing;
mod pinning;
mod printer;
#[cfg(feature = "server")]
mod proxy_metrics;
#[cfg(all(feature = "server", target_os = "linux"))]
mod runner;
#[cfg(target_os = "linux")]
mod sandboxed;
#[cfg(feature = "server")]
mod telemetry;
#[cfg(feature = "server")]
mod wiring;

use std::process::ExitCode;

use crate::cli::Cli;
use crate::context::Context;
use crate::failure::Failure;
use crate::printer::Printer;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    skill_sandbox::serve_if_launcher();
    let cli = match Cli::read(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => return usage_error(&error),
    };
    let printer = Printer::new(&cli.global);
    let outcome = Context::from_process(cli.global.clone(), printer.clone())
        .and_then(|context| commands::run(&cli.command, &context));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            printer.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Help and version are no errors; wrong usage is, and in JSON where JSON was asked for.
fn usage_error(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && wants_json {
        let text = error.render().to_string();
        let message = text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .to_owned();
        let failure = Failure::bad_input("usage", message)
            .with_help("`skills help COMMAND` lists the options");
        Printer::new(&cli::GlobalArgs {
            json: true,
            ..Default::default()
        })
        .failure(&failure);
    } else if error.print().is_err() {
        // Nobody is left to read the message (a closed pipe): the exit code still tells.
        return ExitCode::from(u8::from(error.use_stderr()));
    }
    ExitCode::from(if error.use_stderr() {
        failure::BAD_INPUT
    } else {
        0
    })
}
