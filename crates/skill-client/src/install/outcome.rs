//! What an install did, or would do.

use std::path::PathBuf;

use serde::Serialize;
use skill_format::{Diagnostic, SkillName, Version};

use super::decide::{Action, Decision};
use super::found::LeftOut;
use super::held::HeldBack;
use super::offer::Offer;
use super::remarks;
use crate::index::InstalledSkill;
use crate::link::LinkReport;
use crate::resolver::Plan;
use crate::source::Origin;
use crate::store::{Repair, Store};

/// What became of one skill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It was not there before.
    Installed,
    /// Another version was there before, an older one.
    Updated,
    /// Another version was there before, a newer one.
    Downgraded,
    /// The same version was there, and was replaced.
    Reinstalled,
    /// It is there, and nothing was done.
    Unchanged,
}

/// One skill of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SkillOutcome {
    /// As it is installed.
    pub name: SkillName,
    pub version: Version,
    pub status: Status,
    /// The version that was there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Version>,
    /// Whether it is here because others need it.
    pub dependency: bool,
    pub source: Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Whether its signer was seen for the first time.
    pub first_signer: bool,
    /// Whether local changes were carried over.
    pub merged: bool,
    /// Bytes of the archive, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Its folder.
    pub path: PathBuf,
}

/// What was done, or would be.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstallOutcome {
    /// Everything that was asked for and what it depends on, dependencies first.
    pub skills: Vec<SkillOutcome>,
    /// What is not needed any more.
    pub removed: Vec<Removed>,
    /// What an update left as it is, because it failed.
    pub held: Vec<HeldBack>,
    /// Folders beside what was installed that hold no usable skill.
    pub left_out: Vec<LeftOut>,
    /// Changed folders that made way.
    pub backups: Vec<PathBuf>,
    /// What an earlier run or somebody else had left.
    pub repairs: Vec<Repair>,
    pub warnings: Vec<Diagnostic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub links: Option<LinkReport>,
    /// The entries of the index, for a lockfile. Empty for a dry run.
    #[serde(skip)]
    pub entries: Vec<InstalledSkill>,
    /// Why these versions. Empty for an uninstall.
    #[serde(skip)]
    pub plan: Plan,
    pub dry_run: bool,
}

/// A version that went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    pub name: SkillName,
    pub version: Version,
}

impl InstallOutcome {
    /// Whether anything was, or would be, changed.
    pub fn is_unchanged(&self) -> bool {
        self.removed.is_empty()
            && self.held.is_empty()
            && self
                .skills
                .iter()
                .all(|skill| skill.status == Status::Unchanged)
    }
}

impl Decision {
    /// What this decision means for a skill, before it is known who signed it.
    pub(super) fn outcome(&self, store: &Store, size: Option<u64>) -> SkillOutcome {
        SkillOutcome {
            name: self.name.clone(),
            version: self.version.clone(),
            status: self.status,
            previous: self
                .previous
                .clone()
                .filter(|previous| *previous != self.version),
            dependency: self.requested.is_none(),
            source: self.source.clone(),
            signer: self.signer.clone(),
            first_signer: false,
            merged: matches!(&self.action, Action::Put { local: Some(_), .. }),
            size,
            path: store
                .dir()
                .join(crate::index::folder(&self.name, &self.version)),
        }
    }
}

/// The answer of a dry run.
pub(super) fn planned(
    store: &Store,
    plan: &Plan,
    decisions: &super::decide::Decisions,
    offer: &Offer<'_>,
) -> InstallOutcome {
    let size = |decision: &Decision| {
        plan.get(&decision.name)
            .and_then(|planned| planned.release.size)
    };
    InstallOutcome {
        skills: decisions
            .skills
            .iter()
            .map(|decision| decision.outcome(store, size(decision)))
            .collect(),
        removed: decisions
            .removals
            .iter()
            .map(|skill| removed(skill))
            .collect(),
        warnings: remarks::about_plan(plan, decisions, offer),
        plan: plan.clone(),
        dry_run: true,
        ..InstallOutcome::default()
    }
}

pub(super) fn removed(skill: &InstalledSkill) -> Removed {
    Removed {
        name: skill.name.clone(),
        version: skill.version.clone(),
    }
}
