//! Why a project cannot be worked on, and what to do about it.

use std::path::PathBuf;

use skill_format::{Explain, Fault, Place, SkillName};

use crate::config::ConfigError;
use crate::lockfile::{Difference, LOCK_FILE, LockError};
use crate::near::did_you_mean;
use crate::paths::PROJECT_FILE;
use crate::project::ProjectError;
use crate::source::SourceError;

/// Why a project cannot be worked on as it is.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error(transparent)]
    Project(#[from] ProjectError),
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A registry that the project names and nobody knows.
    #[error("{source}")]
    Registry {
        #[source]
        source: ConfigError,
        /// Of `skills.toml`, from 1.
        line: Option<u32>,
        /// Dotted, as in `policy.registry`.
        field: String,
    },
    /// An entry of `skills.toml` that names nothing installable.
    #[error("{source}")]
    Source {
        skill: SkillName,
        #[source]
        source: SourceError,
    },
    #[error("there is no {LOCK_FILE} in {}", .dir.display())]
    NoLock { dir: PathBuf },
    #[error("{LOCK_FILE} does not fit {PROJECT_FILE}")]
    Differs { differences: Vec<Difference> },
    /// Without a digest nothing can be held against what a registry serves.
    #[error("{LOCK_FILE} has no sha256 for `{skill}`")]
    NoDigest { skill: SkillName },
    #[error("`{name}` is neither in {PROJECT_FILE} nor in {LOCK_FILE}")]
    Unknown {
        name: SkillName,
        nearest: Vec<String>,
    },
    /// One entry per skill: it cannot be there under two names.
    #[error("{PROJECT_FILE} has `{skill}` already, installed as `{installed}`")]
    OtherName {
        skill: SkillName,
        installed: SkillName,
    },
}

impl WorkspaceError {
    fn inner(&self) -> Option<&dyn Explain> {
        Some(match self {
            Self::Project(error) => error,
            Self::Lock(error) => error,
            Self::Registry { source, .. } => source,
            Self::Source { source, .. } => source,
            _ => return None,
        })
    }
}

impl Explain for WorkspaceError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoLock { .. } => "lockfile-missing",
            Self::Differs { .. } => "lockfile-outdated",
            Self::NoDigest { .. } => "lockfile-incomplete",
            Self::Unknown { .. } => "not-in-project",
            Self::OtherName { .. } => "project-name-taken",
            _ => self.inner().map_or("project-invalid", Explain::code),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::NoLock { .. } | Self::Differs { .. } | Self::NoDigest { .. } => Fault::Conflict,
            Self::Unknown { .. } => Fault::NotFound,
            Self::OtherName { .. } => Fault::BadInput,
            _ => self.inner().map_or(Fault::Internal, Explain::fault),
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoLock { .. } | Self::Differs { .. } => {
                "bring it up to date and commit it: skills lock".into()
            }
            Self::NoDigest { skill } => {
                format!("write its entry anew: skills lock --update {skill}")
            }
            Self::Unknown { nearest, .. } => {
                did_you_mean(nearest).unwrap_or_else(|| "add it: skills install NAME".to_owned())
            }
            Self::Registry {
                source: ConfigError::UnknownRegistry { name, .. },
                ..
            } => format!(
                "name its address under [registries] in {PROJECT_FILE}, or for yourself: \
                 skills registry add {name} URL"
            ),
            Self::OtherName { .. } => {
                "change its `as` in skills.toml, or install beside the project: --no-save".into()
            }
            _ => return self.inner().and_then(Explain::help),
        })
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Source { skill, .. } => Some(Place {
                file: Some(PROJECT_FILE.into()),
                line: None,
                field: Some(format!("skills.{skill}")),
            }),
            Self::Registry { line, field, .. } => Some(Place {
                file: Some(PROJECT_FILE.into()),
                line: *line,
                field: Some(field.clone()),
            }),
            _ => self.inner().and_then(Explain::place),
        }
    }
}
