//! A warm Python interpreter in the sandbox, which forks per job: start-up and the usual imports
//! are paid once. Each job is a process of its own as ever, under its own limits.
//!
//! The interpreter runs no code of a skill's. Its word is taken for how a job ended, but not for
//! when: that the kernel says.

use std::ffi::CString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::spawn::{Plan, Stack, spawn};
use crate::wire::{self, Python};

const SOURCE: &str = include_str!("zygote.py");
/// It takes 50 ms to start and 1 ms to answer; more means that a job has tampered with it.
const PATIENCE: Duration = Duration::from_secs(5);

const READY: i32 = 0;
const STARTED: i32 = 1;
const ENDED: i32 = 2;

pub struct Zygote {
    pub process: Pid,
    socket: UnixStream,
}

/// What a job needs of it.
pub struct Script<'a> {
    pub directory: &'a Path,
    /// The script first.
    pub args: &'a [CString],
    pub environment: &'a [CString],
    pub limits: &'a [(u32, libc::rlimit)],
}

impl Zygote {
    /// Starts the interpreter and waits until it is ready.
    pub fn start(
        python: &Python,
        directory: BorrowedFd<'_>,
        stack: &mut Stack,
    ) -> io::Result<Self> {
        let text = |text: &[u8]| CString::new(text).map_err(io::Error::from);
        let startup: Vec<CString> = python
            .startup
            .iter()
            .map(|(name, value)| text(format!("{name}={value}").as_bytes()))
            .collect::<Result<_, _>>()?;
        let (ours, theirs) = UnixStream::pair()?;
        let null = || {
            std::fs::OpenOptions::new()
                .write(true)
                .open("/dev/null")
                .map(OwnedFd::from)
        };
        let process = spawn(
            &Plan {
                program: &text(python.interpreter.as_os_str().as_bytes())?,
                args: &[text(b"-c")?, text(SOURCE.as_bytes())?],
                environment: &startup,
                stdio: &[theirs.into(), null()?, null()?],
                directory,
                limits: &[],
                confinement: None,
            },
            stack,
        )?;
        ours.set_read_timeout(Some(PATIENCE))?;
        ours.set_write_timeout(Some(PATIENCE))?;
        let mut zygote = Self {
            process,
            socket: ours,
        };
        zygote.answer(READY)?;
        Ok(zygote)
    }

    /// Has it fork a child that becomes the job; the child's number.
    pub fn run(&mut self, script: &Script<'_>, streams: &[OwnedFd; 3]) -> io::Result<Pid> {
        // A job before this one may have stopped it.
        kill(self.process, Signal::SIGCONT)?;
        let message = message(script)?;
        let streams = [&streams[0], &streams[1], &streams[2]].map(AsRawFd::as_raw_fd);
        let sent = wire::send_some(self.socket.as_fd(), &message, &streams)?;
        self.socket.write_all(&message[sent..])?;
        let (child, _) = self.answer(STARTED)?;
        Ok(Pid::from_raw(child))
    }

    /// How its child ended, which it has, and the processor time of it and its own.
    pub fn reap(&mut self, child: Pid) -> io::Result<(WaitStatus, Duration)> {
        kill(self.process, Signal::SIGCONT)?;
        self.socket.write_all(&0u32.to_le_bytes())?;
        let (status, cpu) = self.answer(ENDED)?;
        Ok((
            WaitStatus::from_raw(child, status)?,
            Duration::from_micros(cpu),
        ))
    }

    fn answer(&mut self, expected: i32) -> io::Result<(i32, u64)> {
        let mut kind = [0; 4];
        let mut value = [0; 4];
        let mut micros = [0; 8];
        self.socket.read_exact(&mut kind)?;
        self.socket.read_exact(&mut value)?;
        self.socket.read_exact(&mut micros)?;
        if i32::from_le_bytes(kind) != expected {
            return Err(io::Error::other(
                "the warm interpreter answers something else",
            ));
        }
        Ok((i32::from_le_bytes(value), u64::from_le_bytes(micros)))
    }
}

fn message(script: &Script<'_>) -> io::Result<Vec<u8>> {
    let limits: Vec<(u32, i64, i64)> = script
        .limits
        .iter()
        // Python writes no limit as -1, which is how it looks as a signed number.
        .map(|(resource, limit)| (*resource, limit.rlim_cur as i64, limit.rlim_max as i64))
        .collect();
    let header = serde_json::json!({
        "limits": limits,
        "args": script.args.len().saturating_sub(1),
    });
    let mut bytes = vec![0; size_of::<u32>()];
    serde_json::to_writer(&mut bytes, &header)?;
    bytes.push(b'\n');
    bytes.extend(script.directory.as_os_str().as_bytes());
    bytes.push(0);
    for text in script.args.iter().chain(script.environment) {
        bytes.extend(text.as_bytes_with_nul());
    }
    let length = (bytes.len() - size_of::<u32>()) as u32;
    bytes[..size_of::<u32>()].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}
