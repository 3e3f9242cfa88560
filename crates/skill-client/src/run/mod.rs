//! Runs an entry point of a skill: a time-out that ends everything the skill started, a clean
//! environment, bounded output. Unix only. This is order, not a prison: what the skill may read,
//! write and reach is the sandbox's business, which takes the same [`RunRequest`] and gives the
//! same [`Outcome`].
//!
//! One run, end to end: `entry` finds the script and its interpreter, `environment` chooses the
//! variables, `prepared` keeps both and checks the input, `process` starts it in a session of its own, feeds it and drains both outputs
//! together, and `descendants` ends whatever is left.

mod descendants;
mod entry;
mod environment;
mod prepared;
mod process;
mod spawn;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use skill_format::{Explain, Fault, InvalidInput, Place};

pub use entry::{EntryPoint, entry_point, entry_points, find_program};
pub use environment::{INTENT, INTENT_BYTES_MAX, missing_variables};
pub use prepared::{Prepared, RunOptions, prepare};
pub use process::run;

/// Time that a skill gets if neither it nor the caller says otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5 * 60);
/// Most time that a skill can ask for itself.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(60 * 60);
/// Bytes of each output that [`Capture`] keeps by default.
pub const OUTPUT_BYTES_MAX: usize = 10 * 1024 * 1024;

/// A program to run and everything it may see. Nothing is inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRequest {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// Working directory.
    pub folder: PathBuf,
    /// All variables.
    pub environment: Vec<(String, OsString)>,
    /// For standard input.
    pub input: Vec<u8>,
    pub timeout: Duration,
}

/// Which of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    Output,
    Error,
}

/// Receives output as it comes, in any bytes.
pub trait Sink {
    fn take(&mut self, stream: Stream, bytes: &[u8]);
}

/// Keeps the beginning of both outputs and counts the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    pub output: Captured,
    pub error: Captured,
    bytes_max: usize,
}

/// The beginning of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    pub bytes: Vec<u8>,
    /// Bytes that were written in all.
    pub total: u64,
}

impl Captured {
    pub fn is_truncated(&self) -> bool {
        self.total > self.bytes.len() as u64
    }
}

impl Default for Capture {
    fn default() -> Self {
        Self::new(OUTPUT_BYTES_MAX)
    }
}

impl Capture {
    /// Keeps `bytes_max` of each output.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            output: Captured::default(),
            error: Captured::default(),
            bytes_max,
        }
    }
}

impl Sink for Capture {
    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let captured = match stream {
            Stream::Output => &mut self.output,
            Stream::Error => &mut self.error,
        };
        let room = self.bytes_max.saturating_sub(captured.bytes.len());
        captured
            .bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        captured.total += bytes.len() as u64;
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum Ended {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal, which somebody else sent.
    Signaled(i32),
    TimedOut,
    /// The caller asked for it.
    Interrupted,
}

impl Ended {
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// As shells report it: the code, 128 and the signal, 124 for a time-out.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Exited(code) => u8::try_from(code).unwrap_or(1),
            Self::Signaled(signal) => u8::try_from(128 + signal).unwrap_or(1),
            Self::TimedOut => 124,
            Self::Interrupted => 130,
        }
    }
}

/// What became of a run. The output went to the [`Sink`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub ended: Ended,
    pub duration: Duration,
    /// Whether all of the input was taken.
    pub input_taken: bool,
    /// Processes that were still running when the skill ended, and were ended.
    pub ended_descendants: usize,
    /// Processes that could not be ended, such as those of another user.
    pub survivors: usize,
}

/// Why a skill could not be run. A skill that fails is no error of ours: see [`Outcome`].
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("`{skill}` has nothing to run")]
    NoEntryPoint { skill: String },
    #[error("`{skill}` has no entry point `{wanted}`")]
    UnknownEntryPoint {
        skill: String,
        wanted: String,
        known: Vec<String>,
    },
    #[error("the entry point `{entry}` names {path}, which {problem}")]
    BadCommand {
        entry: String,
        path: String,
        problem: &'static str,
    },
    #[error("{path} needs `{program}`, which is not on the PATH")]
    NoInterpreter { path: String, program: String },
    #[error("`{skill}` needs {}, which {} not set", names.join(", "), if names.len() == 1 { "is" } else { "are" })]
    MissingEnvironment { skill: String, names: Vec<String> },
    #[error("there is no input, and this entry point takes some")]
    InputMissing,
    #[error("the input is not JSON: {source}")]
    InputNotJson { source: serde_json::Error },
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    #[error("{} could not be started: {source}", .program.display())]
    Start {
        program: PathBuf,
        source: std::io::Error,
    },
    #[error("the running skill could not be followed: {source}")]
    Follow {
        #[from]
        source: std::io::Error,
    },
}

impl Explain for RunError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoEntryPoint { .. } => "no-entry-point",
            Self::UnknownEntryPoint { .. } => "unknown-entry-point",
            Self::BadCommand { .. } => "entry-point-invalid",
            Self::NoInterpreter { .. } => "interpreter-missing",
            Self::MissingEnvironment { .. } => "environment-missing",
            Self::InputMissing => "input-missing",
            Self::InputNotJson { .. } => "input-not-json",
            Self::InvalidInput(error) => error.code(),
            Self::Start { .. } => "start-failed",
            Self::Follow { .. } => "run-failed",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::NoEntryPoint { .. }
            | Self::UnknownEntryPoint { .. }
            | Self::BadCommand { .. }
            | Self::MissingEnvironment { .. }
            | Self::InputMissing
            | Self::InputNotJson { .. }
            | Self::InvalidInput(_) => Fault::BadInput,
            Self::NoInterpreter { .. } => Fault::Unavailable,
            Self::Start { .. } | Self::Follow { .. } => Fault::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoEntryPoint { skill } => format!(
                "it gives instructions to an agent: `skills load {skill}` shows them; \
                 a skill that runs has scripts/run.sh, run.py, run.js or run.wasm, or `entrypoints` in skill.yaml"
            ),
            Self::UnknownEntryPoint { known, .. } => {
                format!("there is {}", known.join(", "))
            }
            Self::BadCommand { .. } => "tell the author of the skill".into(),
            Self::NoInterpreter { program, .. } => format!("install {program}"),
            Self::MissingEnvironment { names, .. } => {
                format!("set it first, as in: export {}=…", names.join("=… "))
            }
            Self::InputMissing => {
                "pipe it in, or name it on the command line; it is a JSON document".into()
            }
            Self::InputNotJson { .. } => "this entry point takes a JSON document".into(),
            Self::InvalidInput(error) => return error.help(),
            Self::Start { .. } => {
                "see whether the file is executable and its first line is right".into()
            }
            Self::Follow { .. } => return None,
        })
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::InvalidInput(error) => error.place(),
            _ => None,
        }
    }
}
