//! Chooses one version of every skill that is needed, so that all requirements hold: PubGrub over
//! the releases that a [`PackageSource`] names. Knows no network, no disk and no format but ranges.
//!
//! A walk through: [`resolve`] asks the source for the skills that are required directly, then for
//! what their likely versions depend on, level by level and in parallel (`universe`); the solver
//! (`solve`) works on what is known and asks for more only when it has to step back to a version
//! with other dependencies; the answer becomes a [`Plan`] with reasons (`plan`), a dead end becomes
//! an explanation with advice (`explain`).
//!
//! Which releases may be chosen:
//! - the version that is locked, if the requirements still allow it, before any other; else the newest;
//! - a yanked one, or one younger than the minimum age, only if it is the locked one;
//! - a prerelease only by a requirement that names a prerelease itself;
//! - an override replaces every requirement on that skill, whoever states it.

mod explain;
mod help;
mod plan;
mod solve;
mod universe;

use std::collections::BTreeMap;
use std::future::Future;

use jiff::{SignedDuration, Timestamp};
use skill_format::{Range, Sha256, SkillName, Version};

use crate::source::Origin;

pub use explain::{Advice, Fact, ResolveError};
pub use plan::{HeldBack, Plan, Planned, Reason, Requirer};

/// Where releases are looked up: a hub, the metadata seen last, local folders, or a mix.
pub trait PackageSource {
    /// All releases of a skill, in any order, yanked ones included.
    fn releases(
        &self,
        name: &SkillName,
    ) -> impl Future<Output = Result<Vec<ReleaseMeta>, SourceError>>;
}

/// What the resolver needs to know of one release, and what the plan passes on to the installer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseMeta {
    pub version: Version,
    /// Skills that this release needs.
    pub dependencies: BTreeMap<SkillName, Range>,
    /// Of the archive; `None` for a folder.
    pub sha256: Option<Sha256>,
    /// Bytes of the archive.
    pub size: Option<u64>,
    /// Fingerprint of the key that signed it.
    pub signer: Option<String>,
    /// A registry that does not say counts as "just now" where there is a minimum age.
    pub published_at: Option<Timestamp>,
    pub yanked: bool,
    pub yank_reason: Option<String>,
    /// Where it is installed from.
    pub source: Origin,
}

impl ReleaseMeta {
    /// A release without dependencies that was never signed, yanked or dated.
    pub fn new(version: Version, source: Origin) -> Self {
        Self {
            version,
            dependencies: BTreeMap::new(),
            sha256: None,
            size: None,
            signer: None,
            published_at: None,
            yanked: false,
            yank_reason: None,
            source,
        }
    }

    /// A folder, archive or commit that was named directly: no minimum age, and `*` takes it even
    /// if it is a prerelease.
    pub fn is_local(&self) -> bool {
        self.source.registry().is_none()
    }
}

/// Why a source gave no releases.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no such skill. The nearest names, if the source knows some.
    #[error("there is no such skill")]
    NotFound { nearest: Vec<String> },
    /// Offline, and nothing is known of it.
    #[error("nothing is known of it without asking the registry")]
    NotCached,
    /// The question could not be asked.
    #[error("{0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One thing that a person asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub name: SkillName,
    pub range: Range,
    /// Who asks, for explanations: `skills.toml`, `the command line`.
    pub origin: String,
}

/// What to resolve, and by which policy.
#[derive(Debug, Clone)]
pub struct Request {
    pub requirements: Vec<Requirement>,
    /// Versions to keep where possible. Leave out those that shall be updated.
    pub locked: BTreeMap<SkillName, Version>,
    pub overrides: BTreeMap<SkillName, Range>,
    /// Releases younger than this are not chosen.
    pub minimum_age: Option<SignedDuration>,
    pub now: Timestamp,
}

impl Request {
    /// A request with no locks, overrides or minimum age.
    pub fn new(requirements: Vec<Requirement>, now: Timestamp) -> Self {
        Self {
            requirements,
            locked: BTreeMap::new(),
            overrides: BTreeMap::new(),
            minimum_age: None,
            now,
        }
    }
}

/// How often the solver may miss metadata and get just that, before it is given everything within
/// reach: few misses are typical, many mean that it is stepping through old versions.
const NARROW_FETCHES_MAX: usize = 4;

/// Chooses versions. The same releases and the same request always give the same plan.
pub async fn resolve(request: &Request, source: &impl PackageSource) -> Result<Plan, ResolveError> {
    let mut universe = universe::Universe::new(request);
    let mut wanted = universe.root_names();
    let mut misses = 0;
    loop {
        universe.fetch(wanted, source).await?;
        universe.check_requirements()?;
        match solve::solve(&universe) {
            Ok(chosen) => return Ok(plan::plan(&universe, &chosen)),
            Err(solve::Unsolved::Conflict(tree)) => {
                return Err(explain::conflict(&universe, &tree));
            }
            Err(solve::Unsolved::TooHard) => return Err(ResolveError::TooHard),
            Err(solve::Unsolved::Missing(names)) => {
                if names.is_empty() {
                    return Err(ResolveError::Conflict {
                        facts: vec![],
                        advice: vec![],
                    });
                }
                misses += 1;
                wanted = if misses <= NARROW_FETCHES_MAX {
                    names
                } else {
                    universe.all_within_reach()
                };
            }
        }
    }
}
