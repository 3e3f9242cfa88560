//! Programs that make environments: bounded in time and in what they write, each in a group of its own that
//! is ended as a whole.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use walkdir::WalkDir;

/// How often the size of what is made is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Bytes of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// How a program ended.
#[derive(Debug)]
pub(super) enum End {
    Exited(ExitStatus),
    TimedOut,
    TooLarge,
}

/// What holds for a program that makes something in `folder`.
pub(super) struct Bounds<'a> {
    pub folder: &'a Path,
    pub bytes_max: u64,
    pub until: Instant,
}

/// Runs it to its end, with what it says in `log`. `started` is told its number, which is also its group's.
pub(super) fn run(
    command: &mut Command,
    log: &File,
    bounds: &Bounds<'_>,
    started: impl FnOnce(u32) -> io::Result<()>,
) -> io::Result<End> {
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .process_group(0);
    let child = command.spawn()?;
    let group = child.id();
    let ending = wait_elsewhere(child);
    let end = match started(group) {
        Ok(()) => follow(&ending, bounds),
        Err(error) => Err(error),
    };
    if !matches!(end, Ok(End::Exited(_))) {
        end_group(group);
        // Killed, it ends.
        let _ = ending.recv();
    }
    end
}

fn follow(ending: &Receiver<io::Result<ExitStatus>>, bounds: &Bounds<'_>) -> io::Result<End> {
    loop {
        match ending.recv_timeout(LOOK_EVERY) {
            Ok(status) => return status.map(End::Exited),
            Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(RecvTimeoutError::Timeout) if Instant::now() >= bounds.until => {
                return Ok(End::TimedOut);
            }
            Err(RecvTimeoutError::Timeout) if bytes_in(bounds.folder) > bounds.bytes_max => {
                return Ok(End::TooLarge);
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// What a program answers on standard output; `None` where it fails or takes too long.
pub(super) fn read(
    command: &mut Command,
    environment: &[(OsString, OsString)],
    at_most: Duration,
) -> Option<Vec<u8>> {
    command
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0);
    let mut child = command.spawn().ok()?;
    let group = child.id();
    let stdout = child.stdout.take()?;
    let (sender, said) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
        // Nobody waits any more: it took too long.
        let _ = sender.send(read.map(|_| bytes));
    });
    let said = said.recv_timeout(at_most);
    let ending = wait_elsewhere(child);
    let status = ending.recv_timeout(if said.is_ok() {
        at_most
    } else {
        Duration::ZERO
    });
    let Ok(Ok(status)) = status else {
        end_group(group);
        let _ = ending.recv();
        return None;
    };
    let said = said.ok()?.ok()?;
    status.success().then_some(said)
}

/// The standard library waits without end only.
fn wait_elsewhere(mut child: Child) -> Receiver<io::Result<ExitStatus>> {
    let (sender, ending) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = sender.send(child.wait());
    });
    ending
}

pub(super) fn end_group(group: u32) {
    if let Some(group) = Pid::from_raw(group.cast_signed()) {
        // It may have ended meanwhile.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// When a process was started, in the kernel's own unit: with its number it names one process.
pub(super) fn started_at(process: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

pub(super) fn bytes_in(folder: &Path) -> u64 {
    let entries = WalkDir::new(folder).into_iter().filter_map(Result::ok);
    entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|metadata| metadata.len())
        .sum()
}
