//! The plan against what is installed: what to put, what to keep, what goes. Changes nothing.

use skill_format::{Limits, Range, SkillName, SkillTree, Version};

use super::held::Setback;
use super::local::LocalSkill;
use super::offer::Question;
use super::{InstallError, InstallRequest, Installer, Status};
use crate::cache::Cache;
use crate::index::InstalledSkill;
use crate::resolver::{Plan, Planned};
use crate::source::Origin;
use crate::store::{Drift, Store, StoreGuard};
use crate::verify::TrustError;

/// What will become of one skill of the plan.
#[derive(Debug)]
pub(super) struct Decision {
    /// As it is installed.
    pub name: SkillName,
    /// As the registry calls it.
    pub package: SkillName,
    pub version: Version,
    pub status: Status,
    /// The version that is installed now.
    pub previous: Option<Version>,
    /// What was asked for; `None` for a dependency.
    pub requested: Option<Range>,
    pub source: Origin,
    pub signer: Option<String>,
    pub action: Action,
    /// It was changed here, and stays as it is.
    pub keeps_changes: bool,
}

#[derive(Debug)]
pub(super) enum Action {
    Keep,
    Put {
        /// Changes to carry over.
        local: Option<Box<LocalChanges>>,
        /// Whether the folder in its place is saved aside.
        keep_old: bool,
    },
}

/// A skill that somebody has changed after it was installed.
#[derive(Debug)]
pub(super) struct LocalChanges {
    /// As it was installed.
    pub base: SkillTree,
    /// As it is now.
    pub ours: SkillTree,
}

/// An installed version that goes.
#[derive(Debug)]
pub(super) struct Removal {
    pub skill: InstalledSkill,
    pub keep_old: bool,
}

impl std::ops::Deref for Removal {
    type Target = InstalledSkill;

    fn deref(&self) -> &InstalledSkill {
        &self.skill
    }
}

/// Everything that will be done.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    pub skills: Vec<Decision>,
    pub removals: Vec<Removal>,
    /// Dependencies that are there from another registry than the skill that needs them.
    pub mixed: Vec<Mixed>,
}

/// A dependency that somebody asked for, and that is not from the registry of what needs it now.
#[derive(Debug)]
pub(super) struct Mixed {
    pub needed_by: SkillName,
    pub name: SkillName,
    pub installed: String,
    pub wanted: String,
}

/// Compares a plan with what is installed.
pub(super) fn decide(
    installer: &Installer<'_>,
    guard: &StoreGuard<'_>,
    request: &InstallRequest,
    question: &Question,
    plan: &Plan,
    locals: &[LocalSkill],
) -> Result<Decisions, Setback> {
    let judge = Judge {
        question,
        installer,
        store: installer.store,
        cache: installer.cache,
        guard,
        request,
    };
    let mut decisions = Decisions::default();
    for planned in &plan.skills {
        let local = locals.iter().find(|local| local.name == planned.name);
        let own_name = local
            .map(|local| &local.manifest.name)
            .or_else(|| question.aliases.get(&planned.name));
        let setback = |error| Setback::of(&planned.name, error);
        let judgement = judge.skill(planned).map_err(setback)?;
        let mixed = judge.dependencies(planned, plan).map_err(setback)?;
        decisions.mixed.extend(mixed);
        for skill in guard
            .index()
            .skills()
            .iter()
            .filter(|skill| skill.name == planned.name)
        {
            if skill.version != planned.release.version {
                decisions.removals.push(Removal {
                    skill: skill.clone(),
                    keep_old: judgement.keep_old,
                });
            }
        }
        decisions.skills.push(Decision {
            name: planned.name.clone(),
            package: own_name.unwrap_or(&planned.name).clone(),
            version: planned.release.version.clone(),
            status: judgement.status,
            previous: judgement.previous,
            requested: question.requested.get(&planned.name).cloned(),
            source: planned.release.source.clone(),
            signer: planned.release.signer.clone(),
            action: judgement.action,
            keeps_changes: judgement.keeps_changes,
        });
    }
    if request.prune {
        for skill in guard
            .index()
            .skills()
            .iter()
            .filter(|skill| plan.get(&skill.name).is_none())
        {
            let changed = !matches!(installer.store.drift(skill), Drift::None | Drift::Missing);
            decisions.removals.push(Removal {
                skill: skill.clone(),
                keep_old: changed,
            });
        }
    }
    Ok(decisions)
}

struct Judge<'a> {
    question: &'a Question,
    installer: &'a Installer<'a>,
    store: &'a Store,
    cache: &'a Cache,
    guard: &'a StoreGuard<'a>,
    request: &'a InstallRequest,
}

struct Judgement {
    status: Status,
    previous: Option<Version>,
    action: Action,
    keep_old: bool,
    keeps_changes: bool,
}

impl Judge<'_> {
    fn skill(&self, planned: &Planned) -> Result<Judgement, InstallError> {
        let version = &planned.release.version;
        let index = self.guard.index();
        let Some(current) = index
            .get_version(&planned.name, version)
            .or_else(|| index.get(&planned.name))
        else {
            return Ok(put(Status::Installed, None, None, false));
        };
        self.check_origin(planned, current)?;
        self.check_lock(planned, current)?;
        let drift = self.store.drift(current);
        let is_same = current.version == *version
            && planned
                .release
                .sha256
                .is_none_or(|sum| sum == current.checksum);
        if is_same {
            return Ok(self.same_version(current, &drift));
        }
        self.check_bytes(planned, current)?;
        let status = match version.cmp(&current.version) {
            std::cmp::Ordering::Greater => Status::Updated,
            std::cmp::Ordering::Less => Status::Downgraded,
            std::cmp::Ordering::Equal => Status::Reinstalled,
        };
        let previous = Some(current.version.clone());
        match drift {
            Drift::None | Drift::Missing | Drift::Unknown => Ok(put(status, previous, None, false)),
            _ if self.is_forced(&planned.name) => Ok(put(status, previous, None, true)),
            Drift::Unreadable(reason) => Err(InstallError::Unreadable {
                name: planned.name.clone(),
                reason,
            }),
            Drift::Changed => {
                let local = self.local_changes(current)?;
                Ok(put(status, previous, Some(Box::new(local)), true))
            }
        }
    }

    /// Force reaches what was asked for, and nothing that is only kept.
    fn is_forced(&self, name: &SkillName) -> bool {
        self.request.force
            && self.question.asked.contains(name)
            && self.installer.out_of_reach(self.request, name).is_none()
    }

    /// Whether a skill may take the place of another one of its name: only if somebody named it.
    fn may_replace(&self, name: &SkillName) -> bool {
        let is_root = || self.request.roots.iter().any(|root| root.name == *name);
        self.is_forced(name) && (!self.request.unnamed || is_root())
    }

    /// What a registry's skill needs is meant to come from there too. What is installed from another
    /// registry takes its place only if somebody asked for it by name: anybody may have taken the
    /// name of a dependency elsewhere.
    fn dependencies(&self, planned: &Planned, plan: &Plan) -> Result<Vec<Mixed>, InstallError> {
        let Some(own) = planned.release.source.registry() else {
            return Ok(Vec::new());
        };
        let index = self.guard.index();
        let before = index
            .get(&planned.name)
            .filter(|skill| skill.source.registry() == Some(own));
        let mut mixed = Vec::new();
        for name in planned.release.dependencies.keys() {
            let was_so = before.is_some_and(|skill| skill.dependencies.contains_key(name));
            let is_chosen =
                self.question.direct.contains(name) || self.request.locked.contains_key(name);
            let other = plan.get(name).and_then(|planned| {
                let from = planned.release.source.registry()?;
                (from != own).then_some(from)
            });
            let Some(other) = other.filter(|_| !was_so && !is_chosen) else {
                continue;
            };
            let (installed, wanted) = (other.to_owned(), own.to_owned());
            if !self.question.requested.contains_key(name) {
                return Err(InstallError::DependencyTaken {
                    name: name.clone(),
                    needed_by: planned.name.clone(),
                    installed,
                    wanted,
                });
            }
            mixed.push(Mixed {
                needed_by: planned.name.clone(),
                name: name.clone(),
                installed,
                wanted,
            });
        }
        Ok(mixed)
    }

    fn same_version(&self, current: &InstalledSkill, drift: &Drift) -> Judgement {
        let previous = Some(current.version.clone());
        let changed = !matches!(drift, Drift::None | Drift::Missing | Drift::Unknown);
        if self.is_forced(&current.name) || *drift == Drift::Missing {
            return put(Status::Reinstalled, previous, None, changed);
        }
        Judgement {
            status: Status::Unchanged,
            previous,
            action: Action::Keep,
            keep_old: false,
            keeps_changes: changed,
        }
    }

    /// A skill of the same name from somewhere else is another skill, unless the lockfile says
    /// that it is the one that is meant.
    fn check_origin(
        &self,
        planned: &Planned,
        current: &InstalledSkill,
    ) -> Result<(), InstallError> {
        let wanted = &planned.release.source;
        let is_locked = self
            .request
            .locked
            .get(&planned.name)
            .is_some_and(|locked| locked.source == *wanted);
        if self.may_replace(&planned.name) || is_locked || is_same_place(&current.source, wanted) {
            return Ok(());
        }
        Err(InstallError::NameTaken {
            asked: self.question.asked.contains(&planned.name) && !self.request.unnamed,
            name: planned.name.clone(),
            installed: current.source.to_string(),
            wanted: wanted.to_string(),
        })
    }

    /// What is installed at the locked version must be what was locked, for nothing is fetched then.
    fn check_lock(&self, planned: &Planned, current: &InstalledSkill) -> Result<(), InstallError> {
        let Some(locked) = self.request.locked.get(&planned.name).filter(|locked| {
            locked.source.registry().is_some()
                && locked.version == current.version
                && locked.version == planned.release.version
                && locked.source == current.source
        }) else {
            return Ok(());
        };
        let what = || format!("{}@{}", planned.name, current.version);
        if let Some(sum) = locked.sha256.filter(|sum| *sum != current.checksum) {
            return Err(TrustError::LockedChecksum {
                what: what(),
                locked: sum,
                found: current.checksum,
            }
            .into());
        }
        match &locked.signer {
            Some(signer) if current.signer.as_ref() != Some(signer) => {
                Err(TrustError::LockedSigner {
                    what: what(),
                    locked: signer.clone(),
                    found: current.signer.clone(),
                }
                .into())
            }
            _ => Ok(()),
        }
    }

    /// A registry never gives a version other bytes.
    fn check_bytes(&self, planned: &Planned, current: &InstalledSkill) -> Result<(), InstallError> {
        match (planned.release.sha256, &planned.release.source) {
            (Some(found), Origin::Registry(_))
                if current.version == planned.release.version
                    && current.source == planned.release.source =>
            {
                Err(InstallError::VersionChanged {
                    what: format!("{}@{}", planned.name, current.version),
                    installed: current.checksum,
                    found,
                })
            }
            _ => Ok(()),
        }
    }

    fn local_changes(&self, current: &InstalledSkill) -> Result<LocalChanges, InstallError> {
        let name = || current.name.clone();
        let ours = SkillTree::read_dir_exactly(&self.store.skill_dir(current), &Limits::default())
            .map_err(|error| InstallError::Unreadable {
                name: name(),
                reason: error.to_string(),
            })?;
        let base = original(self.cache, current)?
            .ok_or_else(|| InstallError::OriginalMissing { name: name() })?;
        Ok(LocalChanges { base, ours })
    }
}

fn put(
    status: Status,
    previous: Option<Version>,
    local: Option<Box<LocalChanges>>,
    keep_old: bool,
) -> Judgement {
    Judgement {
        status,
        previous,
        action: Action::Put { local, keep_old },
        keep_old,
        keeps_changes: false,
    }
}

/// A skill as it was installed, as far as the cache still knows.
pub fn original(cache: &Cache, skill: &InstalledSkill) -> Result<Option<SkillTree>, InstallError> {
    let Some(digest) = skill.digest else {
        return Ok(None);
    };
    if let Some(tree) = cache.tree(&digest)? {
        return Ok(Some(tree.files().clone()));
    }
    let Some(bytes) = cache.blob(&skill.checksum)? else {
        return Ok(None);
    };
    let tree = SkillTree::read_archive(&bytes, &Limits::default()).ok();
    Ok(tree.filter(|tree| tree.full_digest() == digest))
}

/// Whether what is installed may be replaced by what comes from there. What lies on this machine
/// is named by hand each time.
fn is_same_place(installed: &Origin, wanted: &Origin) -> bool {
    match (installed, wanted) {
        (Origin::Registry(one), Origin::Registry(other)) => one == other,
        (
            Origin::Git {
                url: one,
                path: inside,
                ..
            },
            Origin::Git {
                url: other,
                path: there,
                ..
            },
        ) => one == other && inside == there,
        (Origin::File(_) | Origin::Dir(_), Origin::File(_) | Origin::Dir(_)) => true,
        _ => false,
    }
}
