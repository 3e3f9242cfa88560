//! Work on the project itself: `cargo xtask test` installs and starts every real service that a
//! test needs, runs everything, and stops what it started.

// Printing is what this program is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod process;
mod services;
mod soak;
mod test;
mod tools;

use std::process::ExitCode;

/// Any failure, as text for the person at the terminal.
type Outcome<T = ()> = Result<T, String>;

const USAGE: &str = "\
cargo xtask COMMAND

  test [ARGS]   start the services and run every test (ARGS go to the test runner)
  services      start the services, print their addresses, and wait for Ctrl-C or end of input
  openapi       write docs/openapi.json from the server's code
  cli-docs      write docs/cli-reference.md from the program's own help
  bench [NAME]  measure what docs/benchmarks.md promises, beside the peers
  soak [zmq|nats] [SECONDS]
                kill and stop workers of a mesh for 10 minutes and count every answer
  coverage      run every test with coverage counters and print line coverage";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let outcome = match command {
        "test" => test::run(rest),
        "services" => services::run_until_end_of_input(),
        "openapi" => test::write_openapi(),
        "cli-docs" => test::write_cli_docs(),
        "bench" => bench::run(rest),
        "measure" => bench::measure::run(rest),
        "soak" => soak::run(rest),
        "coverage" => test::coverage(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(format!("there is no `{other}`\n\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
