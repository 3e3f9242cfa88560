//! Why nothing was installed.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use skill_format::{
    ArchiveError, Explain, Fault, InvalidSkill, Place, Sha256, SkillName, TreeError,
};

use super::MergeConflict;
use crate::api::ApiError;
use crate::cache::CacheError;
use crate::fsx::FsError;
use crate::git::GitError;
use crate::index::Index;
use crate::link::LinkError;
use crate::near::{did_you_mean, nearest};
use crate::resolver::ResolveError;
use crate::source::SourceError;
use crate::store::StoreError;
use crate::verify::TrustError;

/// Files that are named before "and N more".
const FILES_SHOWN_MAX: usize = 5;

/// Why nothing was installed or uninstalled.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    File(#[from] FsError),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Trust(Box<TrustError>),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The skills are installed; the agents' folders could not be changed.
    #[error("installed, but the agents' folders could not be changed: {0}")]
    Link(#[from] LinkError),
    #[error("the archive of {what} is refused: {source}")]
    Archive {
        what: String,
        #[source]
        source: ArchiveError,
    },
    #[error("the folder {} is refused: {source}", .path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: TreeError,
    },
    #[error("{what}: {source}")]
    Invalid {
        what: String,
        #[source]
        source: InvalidSkill,
    },
    #[error("there is no SKILL.md in {}", .path.display())]
    NoSkill { path: PathBuf },
    /// The archive holds another skill or version than the registry says.
    #[error("the archive of {expected} holds {found}")]
    OtherSkill { expected: String, found: String },
    /// The archive needs what the registry did not name.
    #[error("{what} needs {dependency} {range}, which the registry did not say")]
    HiddenDependency {
        what: String,
        dependency: SkillName,
        range: String,
    },
    /// A version has other bytes than when it was installed.
    #[error("{what} has the digest {found} now, and {installed} when it was installed")]
    VersionChanged {
        what: String,
        installed: Sha256,
        found: Sha256,
    },
    /// It belongs to a registry that is not configured.
    #[error("{what} comes from {registry}, which is not a configured registry")]
    OtherRegistry { what: String, registry: String },
    #[error("`{name}` is not in the lockfile")]
    NotLocked { name: SkillName },
    /// A skill of that name from elsewhere is installed.
    #[error("`{name}` is installed from {installed} already, and not from {wanted}")]
    NameTaken {
        name: SkillName,
        installed: String,
        wanted: String,
        /// Whether a person named it.
        asked: bool,
    },
    /// A dependency is there, from another registry than the skill that needs it.
    #[error(
        "{needed_by} comes from {wanted} and needs `{name}`, which is installed from {installed}"
    )]
    DependencyTaken {
        name: SkillName,
        needed_by: SkillName,
        installed: String,
        wanted: String,
    },
    /// Two of the skills that were asked for have one name.
    #[error("`{name}` was asked for twice, from {first} and from {second}")]
    AskedTwice {
        name: SkillName,
        first: String,
        second: String,
    },
    #[error("the alias `{alias}` is for one skill, and {count} were found")]
    AliasForSeveral { alias: SkillName, count: usize },
    #[error("there is no skill `{wanted}` in {place}")]
    NothingPicked {
        wanted: SkillName,
        place: String,
        available: Vec<SkillName>,
    },
    /// What was locked from there has another version now.
    #[error("{name} is locked at {locked}, and {place} holds {found} now")]
    SourceMoved {
        name: SkillName,
        locked: String,
        place: String,
        found: String,
    },
    /// Offline, and the cache lacks it.
    #[error(
        "{name} was never fetched from {place} on this machine, and nothing is fetched offline"
    )]
    NotFetched { name: SkillName, place: String },
    /// Files were changed after they were installed, and the new version changes them too.
    #[error("{name} was changed here: {}", shown_conflicts(conflicts))]
    LocalChanges {
        name: SkillName,
        conflicts: Vec<MergeConflict>,
    },
    /// Files were changed after they were installed, and what they were is not known any more.
    #[error("{name} was changed here, and its original is not in the cache any more")]
    OriginalMissing { name: SkillName },
    /// It cannot even be read as a skill any more.
    #[error("{name} was changed here: {reason}")]
    Unreadable { name: SkillName, reason: String },
    #[error("`{name}` is not installed")]
    NotInstalled {
        name: SkillName,
        nearest: Vec<String>,
    },
    /// Other skills need it.
    #[error("{} {} `{name}`", list(dependents), if dependents.len() == 1 { "needs" } else { "need" })]
    Needed {
        name: SkillName,
        dependents: Vec<SkillName>,
    },
}

impl From<TrustError> for InstallError {
    fn from(error: TrustError) -> Self {
        Self::Trust(Box::new(error))
    }
}

impl InstallError {
    pub(crate) fn not_installed(name: &SkillName, index: &Index) -> Self {
        let known = index.skills().iter().map(|skill| skill.name.as_str());
        Self::NotInstalled {
            name: name.clone(),
            nearest: nearest(name.as_str(), known, 3),
        }
    }

    /// The one skill that it is about, if it names one.
    pub(crate) fn skill(&self) -> Option<&SkillName> {
        match self {
            Self::NameTaken { name, .. }
            | Self::SourceMoved { name, .. }
            | Self::NotFetched { name, .. }
            | Self::LocalChanges { name, .. }
            | Self::OriginalMissing { name }
            | Self::Unreadable { name, .. }
            | Self::Resolve(
                ResolveError::UnknownSkill { name, .. }
                | ResolveError::NotCached { name, .. }
                | ResolveError::NoMatchingVersion { name, .. },
            ) => Some(name),
            Self::DependencyTaken { needed_by, .. } => Some(needed_by),
            _ => None,
        }
    }

    /// The error of a part, if this is one.
    fn inner(&self) -> Option<&dyn Explain> {
        Some(match self {
            Self::Source(error) => error,
            Self::Store(error) => error,
            Self::Cache(error) => error,
            Self::File(error) => error,
            Self::Api(error) => error,
            Self::Trust(error) => error.as_ref(),
            Self::Git(error) => error,
            Self::Resolve(error) => error,
            Self::Link(error) => error,
            Self::Archive { source, .. } => source,
            Self::Folder { source, .. } => source,
            Self::Invalid { source, .. } => source,
            _ => return None,
        })
    }
}

/// An error that one skill met, where the others go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    pub code: &'static str,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Why {
    pub(super) fn of(error: &InstallError) -> Self {
        Self {
            code: error.code(),
            message: error.to_string(),
            help: error.help(),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.code)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl Explain for InstallError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSkill { .. } => "no-skill-md",
            Self::OtherSkill { .. } => "other-skill",
            Self::HiddenDependency { .. } => "hidden-dependency",
            Self::VersionChanged { .. } => "version-changed",
            Self::OtherRegistry { .. } => "registry-unknown",
            Self::NotLocked { .. } => "not-locked",
            Self::SourceMoved { .. } => "source-moved",
            Self::NotFetched { .. } => "not-cached",
            Self::NameTaken { .. } | Self::DependencyTaken { .. } => "name-in-use",
            Self::AskedTwice { .. } => "asked-twice",
            Self::AliasForSeveral { .. } => "alias-for-several",
            Self::NothingPicked { .. } => "nothing-picked",
            Self::LocalChanges { .. } | Self::OriginalMissing { .. } | Self::Unreadable { .. } => {
                "local-changes"
            }
            Self::NotInstalled { .. } => "not-installed",
            Self::Needed { .. } => "needed-by-others",
            _ => self.inner().map_or("install-failed", Explain::code),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::NoSkill { .. } | Self::NothingPicked { .. } | Self::NotInstalled { .. } => {
                Fault::NotFound
            }
            Self::NotFetched { .. } => Fault::Unavailable,
            Self::OtherSkill { .. }
            | Self::HiddenDependency { .. }
            | Self::VersionChanged { .. } => Fault::Denied,
            Self::AskedTwice { .. } | Self::AliasForSeveral { .. } | Self::OtherRegistry { .. } => {
                Fault::BadInput
            }
            Self::NotLocked { .. }
            | Self::SourceMoved { .. }
            | Self::NameTaken { .. }
            | Self::DependencyTaken { .. }
            | Self::LocalChanges { .. }
            | Self::OriginalMissing { .. }
            | Self::Unreadable { .. }
            | Self::Needed { .. } => Fault::Conflict,
            _ => self.inner().map_or(Fault::Internal, Explain::fault),
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoSkill { .. } => "name the folder that holds it, or make one: skills init".into(),
            Self::OtherSkill { .. } | Self::HiddenDependency { .. } | Self::VersionChanged { .. } => {
                "nothing was installed; tell the registry's operator".into()
            }
            Self::OtherRegistry { registry, .. } => format!("add it: skills registry add NAME {registry}"),
            Self::NotLocked { .. } | Self::SourceMoved { .. } => "bring the lockfile up to date: skills lock".into(),
            Self::NotFetched { .. } => "leave out --offline once; after that the cache has it".into(),
            Self::NameTaken { asked: false, name, .. } => format!(
                "it keeps its place unless you name it: skills install {name} --force, with --registry if need be"
            ),
            Self::DependencyTaken { name, installed, wanted, .. } => format!(
                "ask for the one that you mean: skills install {name} --registry {installed}, or skills install {name} --registry {wanted} --force"
            ),
            Self::NameTaken { .. } => {
                "install it under another name with --as NAME, or take the other's place with --force".into()
            }
            Self::AskedTwice { .. } => "install one of them under another name: --as NAME".into(),
            Self::AliasForSeveral { .. } => "name the one that is meant: --skill NAME".into(),
            Self::NothingPicked { available, .. } => format!("it has {}", list(available)),
            Self::LocalChanges { .. } | Self::OriginalMissing { .. } | Self::Unreadable { .. } => {
                "--force installs the new version and saves the changed folder aside".into()
            }
            Self::NotInstalled { nearest, .. } => {
                did_you_mean(nearest).unwrap_or_else(|| "see what is: skills list".into())
            }
            Self::Needed { .. } => "uninstall those too, or remove it all the same with --force".into(),
            _ => return self.inner().and_then(Explain::help),
        })
    }

    fn place(&self) -> Option<Place> {
        self.inner().and_then(Explain::place)
    }
}

fn shown_conflicts(conflicts: &[MergeConflict]) -> String {
    let mut shown: Vec<String> = conflicts
        .iter()
        .take(FILES_SHOWN_MAX)
        .map(ToString::to_string)
        .collect();
    if conflicts.len() > FILES_SHOWN_MAX {
        shown.push(format!("and {} more", conflicts.len() - FILES_SHOWN_MAX));
    }
    shown.join(", ")
}

fn list(names: &[SkillName]) -> String {
    names
        .iter()
        .map(SkillName::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
