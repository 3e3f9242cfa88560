//! Why the packages of a skill are not there.

use skill_format::python::{RequirementError, ScriptMetadataError};
use skill_format::{Explain, Fault, Place};

use crate::fsx::FsError;

/// Why an entry point cannot have the Python that it needs.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// The block in its script.
    #[error("{path}: {error}")]
    Metadata {
        path: String,
        error: ScriptMetadataError,
    },
    /// What it asks for.
    #[error(transparent)]
    Requirement(#[from] RequirementError),
    /// No interpreter, or none of the version that it asks for.
    #[error("{}", no_interpreter(wanted, found))]
    NoInterpreter { wanted: String, found: Vec<String> },
    /// Nothing may be fetched.
    #[error("the Python packages that it needs are not prepared: {requirements}")]
    Offline { requirements: String },
    /// It is going on.
    #[error("the Python packages that it needs are being prepared: {requirements}")]
    Preparing { requirements: String },
    /// An installer failed.
    #[error("the Python packages that it needs cannot be prepared ({requirements}): {said}")]
    Failed {
        requirements: String,
        /// Which step, and the end of what it said.
        said: String,
        allow_builds: bool,
    },
    /// An installer went on for too long.
    #[error("preparing its Python packages ({requirements}) was ended after {seconds} s")]
    TimedOut { requirements: String, seconds: u64 },
    /// The packages are larger than anything reasonable.
    #[error("its Python packages ({requirements}) take more than {bytes_max} bytes")]
    TooLarge {
        requirements: String,
        bytes_max: u64,
    },
    /// The folder of environments.
    #[error(transparent)]
    File(#[from] FsError),
}

fn no_interpreter(wanted: &str, found: &[String]) -> String {
    let wanted = match wanted {
        "" => "Python".to_owned(),
        wanted => format!("Python {wanted}"),
    };
    match found {
        [] => format!("it needs {wanted}, and there is none on the PATH"),
        found => format!("it needs {wanted}, and {}", found.join(", ")),
    }
}

impl PythonError {
    /// Whether it may be otherwise later although the skill stays as it is.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Metadata { .. } | Self::Requirement(_) => false,
            Self::NoInterpreter { .. }
            | Self::Offline { .. }
            | Self::Preparing { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. }
            | Self::TooLarge { .. }
            | Self::File(_) => true,
        }
    }
}

impl Explain for PythonError {
    fn code(&self) -> &'static str {
        match self {
            Self::Metadata { error, .. } => error.code(),
            Self::Requirement(error) => error.code(),
            Self::Preparing { .. } => "python-dependencies-preparing",
            Self::NoInterpreter { .. }
            | Self::Offline { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. }
            | Self::TooLarge { .. } => "python-dependencies",
            Self::File(error) => error.code(),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Metadata { error, .. } => error.fault(),
            Self::Requirement(error) => error.fault(),
            Self::File(error) => error.fault(),
            _ => Fault::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Metadata { error, .. } => return error.help(),
            Self::Requirement(error) => return error.help(),
            Self::File(error) => return error.help(),
            Self::NoInterpreter { .. } => "install one and put it on the PATH".into(),
            Self::Offline { .. } => "run it once without --offline".into(),
            Self::Preparing { .. } => "ask again in a while".into(),
            Self::Failed {
                said, allow_builds, ..
            } => failed_help(said, *allow_builds),
            Self::TimedOut { .. } => "see whether the package index can be reached".into(),
            Self::TooLarge { .. } => "have its author ask for fewer packages".into(),
        })
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Metadata { path, error } => error.place().map(|place| Place {
                file: Some(path.clone()),
                ..place
            }),
            Self::File(error) => error.place(),
            _ => None,
        }
    }
}

fn failed_help(said: &str, allow_builds: bool) -> String {
    if said.contains("ensurepip") || said.contains("No module named venv") {
        return "install uv, or Python's venv module (Debian: python3-venv)".into();
    }
    let known = "see whether the packages exist and the index can be reached; PIP_INDEX_URL, UV_DEFAULT_INDEX \
                 and the proxies' variables say where they come from";
    if allow_builds {
        return known.into();
    }
    format!("{known}; only wheels are taken, --allow-builds has packages without one built")
}
