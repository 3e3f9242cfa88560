//! Runs the whole test suite against real services, and generates the committed documents.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::Outcome;
use crate::process;
use crate::services::Services;
use crate::tools;

/// Results of a run of the test runner.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Of the passed ones, those that failed first and passed when run again.
    pub flaky: u64,
}

/// `cargo xtask test [ARGS]`: every test of the workspace, with the services up.
pub fn run(arguments: &[String]) -> Outcome {
    let services = Services::start()?;
    let mut command = cargo();
    if tools::find(&["cargo-nextest"]).is_some() {
        command.args([
            "nextest",
            "run",
            "--workspace",
            "--locked",
            "--no-fail-fast",
        ]);
    } else {
        command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    }
    command.args(arguments).envs(
        services
            .environment
            .iter()
            .map(|(name, value)| (*name, value)),
    );
    let mut counts = run_counting(command)?;
    drop(services);
    // Arguments are the Rust test runner's: whoever gives some wants some of its tests.
    if arguments.is_empty() {
        for more in [python_agent()?, deployment()?] {
            counts.passed += more.passed;
            counts.failed += more.failed;
            counts.skipped += more.skipped;
        }
    }
    // The plain closing line that any reader of the log can count on.
    println!(
        "{} passed, {} failed, {} skipped, {} flaky",
        counts.passed, counts.failed, counts.skipped, counts.flaky
    );
    match counts {
        Counts {
            failed: 0,
            passed: 1..,
            ..
        } => Ok(()),
        Counts { failed: 0, .. } => Err("no test ran".to_owned()),
        Counts { failed, .. } => Err(format!("{failed} failed")),
    }
}

/// Lints, type-checks and tests the Python agent against real brokers.
fn python_agent() -> Outcome<Counts> {
    let nats = tools::nats_server()?;
    tools::debian(&["python3"], "python3-venv")?;
    let mut command = Command::new("sh");
    command
        .args(["clients/python/check", "-q"])
        .current_dir(tools::root())
        .env("NATS_SERVER", nats);
    run_counting(command)
}

/// Holds what is deployed against the schemas of Kubernetes, KEDA and compose, and the program's own help.
fn deployment() -> Outcome<Counts> {
    tools::debian(&["python3"], "python3-venv")?;
    tools::debian(&["node"], "nodejs")?;
    tools::debian(&["npm"], "npm")?;
    // With the tests, as they have just been built: alone the program would be built anew, with other features.
    process::run(cargo().args(["build", "--workspace", "--locked", "--tests"]))?;
    let mut command = Command::new("sh");
    command
        .args(["deploy/check", "-q"])
        .current_dir(tools::root());
    run_counting(command)
}

/// Writes the OpenAPI document that a test compares with the code.
pub fn write_openapi() -> Outcome {
    write_by_test(
        "SKILLS_WRITE_OPENAPI",
        "package(hub) and test(the_committed_document)",
    )
}

/// Writes the command reference that a test compares with the program's help.
pub fn write_cli_docs() -> Outcome {
    write_by_test(
        "SKILLS_WRITE_CLI_REFERENCE",
        "package(skills) and test(cli_reference)",
    )
}

/// Has the test that compares a document write it. The tests are built for the whole workspace, as
/// they usually are: of one package alone the dependencies would have other features, and all of
/// them would be built again.
fn write_by_test(variable: &str, filter: &str) -> Outcome {
    process::run(
        cargo()
            .args(["nextest", "run", "--workspace", "--no-tests=fail", "-E"])
            .arg(filter)
            .env(variable, "1"),
    )
}

/// Line coverage of the workspace by the compiler's own counters.
pub fn coverage(arguments: &[String]) -> Outcome {
    if tools::find(&["cargo-llvm-cov"]).is_none() {
        process::run(cargo().args(["install", "--locked", "cargo-llvm-cov"]))?;
    }
    let llvm = llvm_version()?;
    let tool = |name: &str| tools::debian(&[&format!("{name}-{llvm}")], &format!("llvm-{llvm}"));
    let services = Services::start()?;
    let mut command = cargo();
    command
        .env("LLVM_COV", tool("llvm-cov")?)
        .env("LLVM_PROFDATA", tool("llvm-profdata")?)
        .args([
            "llvm-cov",
            "nextest",
            "--workspace",
            "--locked",
            // A process in the sandbox can write no counters and says so, which a few tests notice.
            "--ignore-run-fail",
            // Nor can a process that a test kills in the middle of writing them.
            "--failure-mode",
            "all",
            "--ignore-filename-regex",
            "(xtask|testkit|tests|examples)/",
        ])
        .args(arguments)
        .envs(
            services
                .environment
                .iter()
                .map(|(name, value)| (*name, value)),
        );
    process::run(&mut command)
}

/// The major version of the compiler's LLVM: only tools of the same one read its counters.
fn llvm_version() -> Outcome<String> {
    let version = process::read(Command::new("rustc").arg("-vV"))?;
    version
        .lines()
        .find_map(|line| {
            line.strip_prefix("LLVM version: ")?
                .split('.')
                .next()
                .map(str::to_owned)
        })
        .ok_or_else(|| "rustc does not say which LLVM it has".to_owned())
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(tools::root());
    command
}

/// Shows the runner's output as it comes and reads the counts out of it.
fn run_counting(mut command: Command) -> Outcome<Counts> {
    let mut child = command
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start the tests: {error}"))?;
    let stdout = child
        .stdout
        .take()
        .map(|stream| std::thread::spawn(move || echo(stream, false)));
    let stderr = child
        .stderr
        .take()
        .map(|stream| std::thread::spawn(move || echo(stream, true)));
    let mut counts = Counts::default();
    for thread in [stdout, stderr].into_iter().flatten() {
        let found = thread
            .join()
            .map_err(|_| "reading the test runner's output failed".to_owned())?;
        counts.passed += found.passed;
        counts.failed += found.failed;
        counts.skipped += found.skipped;
        counts.flaky += found.flaky;
    }
    let status = child
        .wait()
        .map_err(|error| format!("cannot wait for the tests: {error}"))?;
    if !status.success() && counts.failed == 0 {
        return Err(format!("the tests ended with {status} before one failed"));
    }
    Ok(counts)
}

fn echo(stream: impl std::io::Read, to_stderr: bool) -> Counts {
    let mut counts = Counts::default();
    let mut is_summed_up = false;
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        if to_stderr {
            eprintln!("{line}");
        } else {
            println!("{line}");
        }
        if let Some(found) = counts_in(&line) {
            // nextest shows the results of single failed tests as well, before and after its sum.
            if is_summed_up {
                continue;
            }
            if strip_colors(&line).trim_start().starts_with("Summary") {
                is_summed_up = true;
                counts = Counts::default();
            }
            counts.passed += found.passed;
            counts.failed += found.failed;
            counts.skipped += found.skipped;
            counts.flaky += found.flaky;
        }
    }
    counts
}

/// Reads nextest's `Summary [ 1.2s] 3 tests run: 2 passed, 1 failed, 0 skipped`
/// or cargo's `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
fn counts_in(line: &str) -> Option<Counts> {
    let plain = strip_colors(line);
    let rest = match plain.trim_start() {
        text if text.starts_with("Summary [") => text.split_once("run:")?.1,
        text if text.starts_with("test result:") => text.split_once('.')?.1,
        // pytest: `72 passed, 1 error in 9.87s`
        text if text.starts_with(|first: char| first.is_ascii_digit())
            && text.contains(" in ")
            && text.trim_end().ends_with('s') =>
        {
            text
        }
        _ => return None,
    };
    let number_before = |words: &[&str]| {
        rest.split([',', ';', '(', ')'])
            .filter_map(|part| {
                let mut fields = part.split_whitespace();
                let (number, word) = (fields.next()?.parse::<u64>().ok()?, fields.next()?);
                words.contains(&word).then_some(number)
            })
            .sum()
    };
    Some(Counts {
        passed: number_before(&["passed"]),
        failed: number_before(&["failed", "timed", "exec", "error", "errors"]),
        skipped: number_before(&["skipped", "ignored"]),
        flaky: number_before(&["flaky"]),
    })
}

fn strip_colors(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_counts_of_all_runners() {
        let nextest = "\u{1b}[1m     Summary\u{1b}[0m [   1.202s] 12 tests run: 10 passed (1 slow, 4 flaky), 2 failed, 3 skipped";
        assert_eq!(
            counts_in(nextest),
            Some(Counts {
                passed: 10,
                failed: 2,
                skipped: 3,
                flaky: 4
            })
        );
        let cargo = "test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.01s";
        assert_eq!(
            counts_in(cargo),
            Some(Counts {
                passed: 4,
                failed: 1,
                skipped: 0,
                flaky: 0
            })
        );
        assert_eq!(
            counts_in("72 passed, 1 error in 9.87s"),
            Some(Counts {
                passed: 72,
                failed: 1,
                skipped: 0,
                flaky: 0
            })
        );
        assert_eq!(counts_in("running 4 tests"), None);
    }
}
