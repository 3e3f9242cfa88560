//! Puts installed skills into agents' folders: one store, N folders that link to it or hold a copy.
//! Knows what it has put where (`ledger`), touches nothing else, and never replaces what it does
//! not know without being told to. Knows nothing of registries or versions.
//!
//! For every pair of skill and folder: `inspect` says what is there, `place` changes it. One folder
//! that cannot be written does not stop the others; it is in the report.
//!
//! Only the holder of the store's lock may use a [`Linker`] that writes.

mod inspect;
mod ledger;
mod place;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use skill_format::{Explain, Fault, Place, Sha256};

use crate::agents::{Agent, Roots, Scope, shared_folders};
use crate::fsx::{At as _, FsError};

pub use inspect::{Found, copy_digest};
pub(crate) use ledger::relative;
pub use ledger::{Ledger, LedgerError, Placement};
pub use place::TEMPORARY_SUFFIX;

/// How a skill is put into an agent's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A symbolic link into the store, relative where both lie under one folder.
    Link,
    Copy,
}

/// An installed skill that agents shall see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Name of the folder that the agents see.
    pub name: String,
    /// The folder in the store; absolute.
    pub folder: PathBuf,
}

/// What was done, and what was not. Nothing is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkReport {
    pub placed: Vec<Placed>,
    pub conflicts: Vec<Conflict>,
    pub failures: Vec<Failure>,
    /// Agents that have no folder of this scope.
    pub without_folder: Vec<String>,
    /// Agents' folders that somebody removed; what was in them is forgotten.
    pub gone: Vec<PathBuf>,
    /// Skills that went, where an agent still sees what somebody made of them.
    pub kept: Vec<Kept>,
    /// Installed skills that no agent sees.
    pub unseen: Vec<String>,
}

impl LinkReport {
    /// Whether every agent that has a folder sees every skill.
    pub fn is_complete(&self) -> bool {
        self.conflicts.is_empty() && self.failures.is_empty() && self.kept.is_empty()
    }

    /// Takes in what became of skills that went, and says what made way.
    pub(crate) fn absorb_unlinked(&mut self, unlinked: UnlinkReport) -> Vec<PathBuf> {
        self.failures.extend(unlinked.failures);
        self.kept.extend(unlinked.kept);
        self.gone.extend(unlinked.removed);
        unlinked.backups
    }
}

/// A skill that an agent's folder now holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Placed {
    pub skill: String,
    pub path: PathBuf,
    /// Everyone who reads this folder, of those that were asked for.
    pub agents: Vec<String>,
    pub mode: Mode,
    pub change: Change,
    /// Why it is a copy although a link was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
}

/// What the folder held before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Created,
    /// It is as it was.
    Unchanged,
    /// It pointed to, or held, another version.
    Updated,
    /// A link that led nowhere.
    Repaired,
    /// The same files, put there by someone else.
    Adopted,
    /// Something else, which was moved to this place.
    Replaced(PathBuf),
}

/// Something in the way that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    pub skill: String,
    pub path: PathBuf,
    pub agents: Vec<String>,
    pub found: Found,
}

impl Conflict {
    /// What the person can choose from.
    pub fn help(&self) -> String {
        format!(
            "--force moves it to the store's .backup folder and takes its place; or move {} away, or leave out {}",
            self.path.display(),
            self.agents.join(", ")
        )
    }
}

/// A folder that could not be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// `None`: the agent's folder itself.
    pub skill: Option<String>,
    pub path: PathBuf,
    pub agents: Vec<String>,
    pub reason: String,
}

/// What was taken out of the agents' folders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnlinkReport {
    pub removed: Vec<PathBuf>,
    /// Left alone, since someone changed it.
    pub kept: Vec<Kept>,
    /// Where that was moved instead.
    pub backups: Vec<PathBuf>,
    pub failures: Vec<Failure>,
}

/// What was left in an agent's folder when its skill went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    pub skill: String,
    pub path: PathBuf,
    /// Those that read this folder.
    pub agents: Vec<String>,
    pub found: Found,
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} was changed and stays: {} is still seen by {}",
            self.path.display(),
            self.skill,
            self.agents.join(", ")
        )
    }
}

/// Why nothing could be linked at all.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error(transparent)]
    File(#[from] FsError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{} is not a skill: it has no SKILL.md", .folder.display())]
    NotASkill { folder: PathBuf },
}

impl Explain for LinkError {
    fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Ledger(error) => error.code(),
            Self::NotASkill { .. } => "not-a-skill",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::File(error) => error.fault(),
            Self::Ledger(error) => error.fault(),
            Self::NotASkill { .. } => Fault::NotFound,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::File(error) => error.help(),
            Self::Ledger(error) => error.help(),
            Self::NotASkill { .. } => Some("reinstall it with `skills install --force`".into()),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::File(error) => error.place(),
            Self::Ledger(error) => error.place(),
            Self::NotASkill { .. } => None,
        }
    }
}

/// Links the skills of one store into the agents' folders of one scope.
#[derive(Debug)]
pub struct Linker<'a> {
    /// Canonical.
    store: PathBuf,
    roots: &'a Roots,
    scope: Scope,
    ledger: Ledger,
}

/// How [`Linker::install`] works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkOptions {
    pub mode: Mode,
    /// Move away what is not ours.
    pub force: bool,
}

impl<'a> Linker<'a> {
    /// `store` must exist; `roots` needs a project for [`Scope::Project`].
    pub fn open(store: &Path, roots: &'a Roots, scope: Scope) -> Result<Self, LinkError> {
        let store = store.canonicalize().at("read", store)?;
        let ledger = Ledger::read(&store)?;
        Ok(Self {
            store,
            roots,
            scope,
            ledger,
        })
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The agents that `skill` was installed for.
    pub fn agents_of(&self, skill: &str) -> Vec<&str> {
        self.ledger.agents_of(skill)
    }

    /// Makes `agents` see `skills`, beside the agents that see them already.
    pub fn install(
        &mut self,
        skills: &[Installed],
        agents: &[&Agent],
        options: LinkOptions,
    ) -> Result<LinkReport, LinkError> {
        for skill in skills {
            if !skill.folder.join("SKILL.md").is_file() {
                return Err(LinkError::NotASkill {
                    folder: skill.folder.clone(),
                });
            }
        }
        let mut report = LinkReport::default();
        self.install_into(skills, agents, options, &mut report);
        self.ledger.write(&self.store)?;
        Ok(report)
    }

    /// Leads the agents that see these skills to their present folders, and no other agents: what
    /// an update does. Every folder keeps its mode; one that was removed is not made again.
    pub fn refresh(&mut self, skills: &[Installed], force: bool) -> Result<LinkReport, LinkError> {
        let mut report = LinkReport::default();
        for skill in skills {
            for placement in self.ledger.placements(&skill.name).to_vec() {
                let folder = placement.folder_from(&self.store);
                if folder.is_dir() {
                    let options = LinkOptions {
                        mode: placement.mode,
                        force,
                    };
                    self.install_one(skill, &folder, &placement.agents, options, &mut report);
                } else {
                    self.ledger.forget(&skill.name, &placement);
                    report.gone.push(folder);
                }
            }
        }
        self.ledger.write(&self.store)?;
        Ok(report)
    }

    /// Takes skills out of every folder that they were put into, as far as nobody changed them
    /// there; with `force` what was changed is moved to the store's backups.
    pub fn uninstall(&mut self, skills: &[String], force: bool) -> Result<UnlinkReport, LinkError> {
        let mut report = UnlinkReport::default();
        for skill in skills {
            for placement in self.ledger.take(skill) {
                self.remove(skill, placement, force, &mut report);
            }
        }
        self.remove_empty_folders();
        self.ledger.write(&self.store)?;
        Ok(report)
    }

    fn install_into(
        &mut self,
        skills: &[Installed],
        agents: &[&Agent],
        options: LinkOptions,
        report: &mut LinkReport,
    ) {
        let (folders, without) = shared_folders(agents, self.roots, self.scope);
        for agent in without {
            if !report.without_folder.contains(&agent.id) {
                report.without_folder.push(agent.id.clone());
            }
        }
        // Folders may be links to each other, so they are told apart by where they really are.
        let mut ready: Vec<(PathBuf, Vec<String>)> = Vec::with_capacity(folders.len());
        for folder in folders {
            let ids: Vec<String> = folder.agents.iter().map(|agent| agent.id.clone()).collect();
            match place::prepare(&folder.path, &mut self.ledger, &self.store) {
                Ok(real) => match ready.iter_mut().find(|(path, _)| *path == real) {
                    Some((_, agents)) => agents.extend(ids),
                    None => ready.push((real, ids)),
                },
                Err(error) => report.failures.push(Failure {
                    skill: None,
                    path: folder.path,
                    agents: ids,
                    reason: error.to_string(),
                }),
            }
        }
        for (folder, agents) in &ready {
            for skill in skills {
                self.install_one(skill, folder, agents, options, report);
            }
        }
    }

    fn install_one(
        &mut self,
        skill: &Installed,
        folder: &Path,
        agents: &[String],
        options: LinkOptions,
        report: &mut LinkReport,
    ) {
        let job = place::Job {
            store: &self.store,
            skill,
            folder,
            known: self.ledger.placement(&skill.name, folder, &self.store),
            options,
        };
        match job.run() {
            Ok(place::Outcome::Placed {
                mode,
                change,
                digest,
                fallback,
            }) => {
                self.ledger
                    .record(&skill.name, folder, &self.store, agents, mode, digest);
                report.placed.push(Placed {
                    skill: skill.name.clone(),
                    path: folder.join(&skill.name),
                    agents: agents.to_vec(),
                    mode,
                    change,
                    fallback,
                });
            }
            Ok(place::Outcome::Conflict(found)) => report.conflicts.push(Conflict {
                skill: skill.name.clone(),
                path: folder.join(&skill.name),
                agents: agents.to_vec(),
                found,
            }),
            Err(error) => report.failures.push(Failure {
                skill: Some(skill.name.clone()),
                path: folder.join(&skill.name),
                agents: agents.to_vec(),
                reason: error.to_string(),
            }),
        }
    }

    fn remove(
        &mut self,
        skill: &str,
        placement: Placement,
        force: bool,
        report: &mut UnlinkReport,
    ) {
        let folder = placement.folder_from(&self.store);
        let path = folder.join(skill);
        let found = inspect::inspect(&path, &self.store, Some(&placement), None);
        let gone = match found {
            Found::Nothing => return,
            found if found.is_ours() => {
                crate::fsx::remove_tree(&path).map(|()| report.removed.push(path.clone()))
            }
            _ if force => {
                place::back_up(&self.store, skill, &path).map(|backup| report.backups.push(backup))
            }
            found => {
                report.kept.push(Kept {
                    skill: skill.to_owned(),
                    path,
                    agents: placement.agents.clone(),
                    found,
                });
                return;
            }
        };
        if let Err(error) = gone {
            report.failures.push(Failure {
                skill: Some(skill.to_owned()),
                path,
                agents: placement.agents.clone(),
                reason: error.to_string(),
            });
            // Still ours, so that the next run can take it away.
            self.ledger.restore(skill, placement);
        }
    }

    /// Folders that were made for skills and hold nothing any more.
    fn remove_empty_folders(&mut self) {
        for folder in self.ledger.unused_folders(&self.store) {
            // Fails where someone else has put something in, which is what it is for.
            let _ = std::fs::remove_dir(&folder);
        }
    }
}

/// What a copy in an agent's folder must look like to be ours.
pub(crate) type CopyDigest = Option<Sha256>;
