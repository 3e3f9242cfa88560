//! Why a sandbox or a run could not start.

use std::io;
use std::path::PathBuf;

use skill_format::{Explain, Fault, Place};

use crate::outcome::Missing;

/// Why a sandbox or a run could not start. What a program does once it runs is no error but an
/// [`crate::Outcome`].
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The host refuses protections, and no flag waives them.
    #[error("this host cannot enforce {}", list(.missing))]
    Unenforceable { missing: Vec<Missing> },
    /// The launcher could not be started.
    #[error("the sandbox's launcher {} cannot be started: {source}", .launcher.display())]
    Launch {
        launcher: PathBuf,
        source: io::Error,
    },
    /// The launcher could not prepare itself.
    #[error("the sandbox cannot be prepared: {reason}")]
    Prepare { reason: String },
    /// The launcher ended while a job ran.
    #[error("the sandbox's launcher ended unexpectedly: {reason}")]
    LauncherLost { reason: String },
    /// A folder or file that cannot be shown to the job.
    #[error("{} cannot be given to the program: {why}", .path.display())]
    BadPath { path: PathBuf, why: String },
    /// A permission that would lead further than it says.
    #[error("{} cannot be granted: {why}", .path.display())]
    NotGranted { path: PathBuf, why: String },
    /// The job cannot be expressed.
    #[error("the job is invalid: {why}")]
    BadJob { why: String },
    /// The program could not be started.
    #[error("{} cannot be started: {reason}", .program.display())]
    NotStarted { program: PathBuf, reason: String },
    /// The caller's side has run out of something.
    #[error("{doing} failed: {source}")]
    Io {
        doing: &'static str,
        source: io::Error,
    },
}

fn list(missing: &[Missing]) -> String {
    let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl Explain for SandboxError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unenforceable { .. } => "sandbox-unenforceable",
            Self::Launch { .. } => "sandbox-launch",
            Self::Prepare { .. } => "sandbox-prepare",
            Self::LauncherLost { .. } => "sandbox-launcher-lost",
            Self::BadPath { .. } => "sandbox-bad-path",
            Self::NotGranted { .. } => "path-permission-unenforceable",
            Self::BadJob { .. } => "sandbox-bad-job",
            Self::NotStarted { .. } => "sandbox-not-started",
            Self::Io { .. } => "sandbox-io",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Unenforceable { .. } => Fault::Conflict,
            Self::BadPath { .. }
            | Self::NotGranted { .. }
            | Self::BadJob { .. }
            | Self::NotStarted { .. } => Fault::BadInput,
            Self::LauncherLost { .. } => Fault::Unavailable,
            Self::Launch { .. } | Self::Prepare { .. } | Self::Io { .. } => Fault::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        let text = match self {
            Self::Unenforceable { .. } => {
                "allow unprivileged user namespaces and Landlock on this host, or allow a degraded \
                 sandbox explicitly; where own-user is named, run this program as an ordinary user"
            }
            Self::NotStarted { .. } => {
                "the file must exist, be executable for every user, and begin with #! when it is a script"
            }
            Self::BadPath { .. } => {
                "give an existing absolute path that every user may read, and not one of the \
                 system's own folders"
            }
            Self::NotGranted { .. } => {
                "a permission is for files and folders below the working folder itself, and never for \
                 writing skills; work in a folder that has none of what is named, or ask for less"
            }
            Self::LauncherLost { .. } => "run it again; the next run gets a new launcher",
            Self::BadJob { .. } | Self::Launch { .. } | Self::Prepare { .. } | Self::Io { .. } => {
                return None;
            }
        };
        Some(text.to_owned())
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::BadPath { path, .. }
            | Self::NotGranted { path, .. }
            | Self::NotStarted { program: path, .. } => Some(Place {
                file: Some(path.display().to_string()),
                ..Place::default()
            }),
            _ => None,
        }
    }
}
