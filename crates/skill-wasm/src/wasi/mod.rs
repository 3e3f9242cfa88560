//! WASI preview 1, the part that a program needs which computes and reads: arguments, variables, clocks,
//! random bytes, the three standard streams, and folders that cannot be written. What would change files
//! says that the file system is read-only; sockets are not there.

mod calls;
mod descriptors;
mod files;
mod guest;
mod streams;
mod system;

use std::fmt;
use std::time::Instant;

use wasmi::errors::HostError;
use wasmi::{Caller, Error, Memory};

use crate::job::{Job, Progress, Stream, World};
use crate::limiter::Limiter;
use crate::stop::Stop;

pub(crate) use calls::linker;
use descriptors::Descriptors;
use guest::Guest;

/// What modules call it.
pub(crate) const PREVIEW_1: &str = "wasi_snapshot_preview1";

/// Why a run ends in the middle of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    Exit(i32),
    OutputLimit,
    TimedOut,
    Stopped,
    /// `proc_raise`.
    Raised,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl HostError for Halt {}

/// WASI's error numbers, those that are given here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Errno {
    Acces = 2,
    Badf = 8,
    Exist = 20,
    Fault = 21,
    Ilseq = 25,
    Inval = 28,
    Io = 29,
    Isdir = 31,
    Loop = 32,
    Mfile = 33,
    Nametoolong = 37,
    Noent = 44,
    Nosys = 52,
    Notdir = 54,
    Notsup = 58,
    Rofs = 69,
    Spipe = 70,
    Notcapable = 76,
}

/// Why a call does not succeed.
#[derive(Debug)]
enum Refusal {
    /// The program is told.
    Errno(Errno),
    /// The program ends.
    Halt(Halt),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Halt> for Refusal {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Errno(Errno::of(&error))
    }
}

impl Errno {
    fn of(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match (error.kind(), error.raw_os_error()) {
            (ErrorKind::NotFound, _) => Self::Noent,
            // Not the system's word: the path leads out of the folder.
            (ErrorKind::PermissionDenied, None) => Self::Notcapable,
            (ErrorKind::PermissionDenied, _) => Self::Acces,
            (ErrorKind::NotADirectory, _) => Self::Notdir,
            (ErrorKind::IsADirectory, _) => Self::Isdir,
            (ErrorKind::InvalidInput, _) => Self::Inval,
            (_, Some(libc::ELOOP)) => Self::Loop,
            (_, Some(libc::ENAMETOOLONG)) => Self::Nametoolong,
            _ => Self::Io,
        }
    }
}

type Answer = Result<(), Refusal>;

/// One of the two outputs.
#[derive(Debug, Default)]
struct Captured {
    bytes: Vec<u8>,
}

/// Everything that belongs to a run.
pub(crate) struct Host {
    /// Known as soon as there is an instance, which is before anything can be called.
    pub memory: Option<Memory>,
    pub limiter: Limiter,
    arguments: Vec<Vec<u8>>,
    /// As `NAME=value`.
    environment: Vec<Vec<u8>>,
    stdin: Vec<u8>,
    stdout: Captured,
    stderr: Captured,
    output_bytes: usize,
    progress: Option<Progress>,
    descriptors: Descriptors,
    world: World,
    started: Instant,
    /// `None` where that moment is too far away to be named.
    deadline: Option<Instant>,
    stop: Stop,
}

impl Host {
    pub fn new(job: Job, stop: Stop, started: Instant) -> Self {
        let variable = |(name, value): (String, Vec<u8>)| [name.as_bytes(), b"=", &value].concat();
        Self {
            memory: None,
            limiter: Limiter::new(job.limits.memory_bytes),
            arguments: job.arguments.into_iter().map(String::into_bytes).collect(),
            environment: job.environment.into_iter().map(variable).collect(),
            stdin: job.stdin,
            stdout: Captured::default(),
            stderr: Captured::default(),
            output_bytes: job.limits.output_bytes,
            progress: job.progress,
            descriptors: Descriptors::new(job.folders, job.limits.open_files),
            world: job.world,
            started,
            deadline: started.checked_add(job.limits.wall),
            stop,
        }
    }

    /// Whether the run may go on.
    pub fn look_up(&self) -> Result<(), Halt> {
        if self.stop.is_stopped() {
            return Err(Halt::Stopped);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Halt::TimedOut),
            _ => Ok(()),
        }
    }

    pub fn into_output(self) -> (Vec<u8>, Vec<u8>) {
        (self.stdout.bytes, self.stderr.bytes)
    }

    /// Keeps and passes on what there is room for.
    fn put(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Halt> {
        let captured = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let room = self.output_bytes - captured.bytes.len();
        let fitting = &bytes[..bytes.len().min(room)];
        captured.bytes.extend_from_slice(fitting);
        if let Some(progress) = self.progress.as_mut().filter(|_| !fitting.is_empty()) {
            progress(stream, fitting);
        }
        if fitting.len() < bytes.len() {
            return Err(Halt::OutputLimit);
        }
        Ok(())
    }
}

/// Answers one call with an error number, 0 for success.
fn answer(
    mut caller: Caller<'_, Host>,
    call: impl FnOnce(&mut Guest<'_>) -> Answer,
) -> Result<u32, Error> {
    // Calls cost no fuel: a program that does little else is stopped here.
    caller.data().look_up().map_err(Error::host)?;
    let Some(memory) = caller.data().memory else {
        return Ok(Errno::Fault as u32);
    };
    let (memory, host) = memory.data_and_store_mut(&mut caller);
    match call(&mut Guest { memory, host }) {
        Ok(()) => Ok(0),
        Err(Refusal::Errno(errno)) => Ok(errno as u32),
        Err(Refusal::Halt(halt)) => Err(Error::host(halt)),
    }
}
