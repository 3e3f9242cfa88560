//! Child processes that never outlive the run that started them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::Outcome;

/// Runs a command to its end; its output goes to the terminal.
pub fn run(command: &mut Command) -> Outcome {
    let shown = show(command);
    let status = command
        .status()
        .map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{shown}` failed with {status}"))
    }
}

/// Runs a command to its end and returns what it printed; shows its errors only if it fails.
pub fn read(command: &mut Command) -> Outcome<String> {
    let shown = show(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "`{shown}` failed with {}:\n{}",
            output.status,
            errors.trim_end()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn show(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

/// A server in the background; dropping it ends it and everything it started.
pub struct Server {
    name: &'static str,
    child: Child,
}

impl Server {
    /// Starts `command` and waits until one of its output lines contains `ready`.
    /// What it prints is kept in `log`.
    pub fn start(
        name: &'static str,
        command: Command,
        ready: &str,
        log: PathBuf,
        limit: Duration,
    ) -> Outcome<Self> {
        let (server, lines) = Self::spawn(name, command, &log)?;
        loop {
            match lines.recv_timeout(limit) {
                Ok(line) if line.contains(ready) => return Ok(server),
                Ok(_) => {}
                Err(_) => return Err(format!("{name} did not come up:\n{}", tail(&log))),
            }
        }
    }

    /// Starts `command` and returns its output's lines too.
    pub fn spawn(
        name: &'static str,
        mut command: Command,
        log: &Path,
    ) -> Outcome<(Self, mpsc::Receiver<String>)> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that the whole tree can be ended at once.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start {name} (`{}`): {error}", show(&command)))?;
        let file = File::create(log)
            .map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            drain(stdout, &file, sender.clone())?;
        }
        if let Some(stderr) = child.stderr.take() {
            drain(stderr, &file, sender)?;
        }
        Ok((Self { name, child }, lines))
    }
}

impl Server {
    /// Its resident memory.
    pub fn resident_mb(&self) -> Outcome<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next())
            .and_then(|kilobytes| kilobytes.parse::<f64>().ok())
            .map(|kilobytes| kilobytes / 1024.0)
            .ok_or_else(|| format!("{path} has no VmRSS"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let end = |signal: &str| {
            Command::new("kill")
                .args([signal, "--", &group])
                .stderr(Stdio::null())
                .status()
        };
        // KILL, because the data is temporary and nothing is worth waiting for.
        if end("-KILL").is_err() || self.child.wait().is_err() {
            eprintln!(
                "xtask: {} may still be running (process {})",
                self.name,
                self.child.id()
            );
        }
    }
}

/// Copies a stream to the log and to whoever waits for a line, until the stream ends.
fn drain(stream: impl Read + Send + 'static, log: &File, lines: mpsc::Sender<String>) -> Outcome {
    let mut log = log
        .try_clone()
        .map_err(|error| format!("cannot keep a log: {error}"))?;
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&line).into_owned();
            // A full disk loses log lines, not the run; nobody may listen any more.
            let _ = writeln!(log, "{text}");
            let _ = lines.send(text);
        }
    });
    Ok(())
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
