//! From what was installed or chosen to what stands in the two files.

use std::collections::BTreeMap;
use std::path::Path;

use skill_format::{Range, SkillName, Version};

use super::{Workspace, WorkspaceError};
use crate::index::InstalledSkill;
use crate::install::InstallOutcome;
use crate::lockfile::{LockedSkill, Lockfile};
use crate::project::{ProjectSkill, ProjectSource};
use crate::resolver::Plan;
use crate::source::{Origin, SkillSource};

impl Workspace {
    /// Takes installed skills into `skills.toml`, in memory. `range` says what was asked for of a
    /// registry's skill, if that was said; `registry` names theirs if it is not the project's.
    pub fn adopt(
        &mut self,
        skill: &InstalledSkill,
        range: Option<Range>,
        registry: Option<&str>,
    ) -> Result<(), WorkspaceError> {
        let known = self.project.wishes().skills.get(skill.package());
        let known_source = known.map(|wish| wish.source.clone());
        let source = match &skill.source {
            Origin::Registry(_) => {
                let (old_range, old_registry) = match known_source {
                    Some(ProjectSource::Registry { range, registry }) => (Some(range), registry),
                    _ => (None, None),
                };
                ProjectSource::Registry {
                    range: range
                        .or(old_range)
                        .unwrap_or_else(|| compatible(&skill.version)),
                    registry: registry.map(str::to_owned).or(old_registry),
                }
            }
            Origin::Dir(_) | Origin::File(_) => {
                let portable = LockedSkill::from_installed(skill, None, self.project.dir());
                match portable.source {
                    Origin::Dir(path) | Origin::File(path) => ProjectSource::Path(path),
                    _ => return Ok(()),
                }
            }
            Origin::Git { url, path, .. } => {
                let typed = skill.spec.as_deref();
                let typed = typed.and_then(|spec| SkillSource::parse(spec, Path::new("/")).ok());
                ProjectSource::Git {
                    url: url.clone(),
                    rev: match typed {
                        Some(SkillSource::Git(git)) => git.reference,
                        _ => None,
                    },
                    path: path.clone(),
                }
            }
        };
        let agents = known.and_then(|wish| wish.agents.clone());
        self.project.set_skill(&ProjectSkill {
            name: skill.package().clone(),
            source,
            alias: skill.package.is_some().then(|| skill.name.clone()),
            agents,
        })?;
        Ok(())
    }

    /// Takes the skill that is installed under this name out of `skills.toml`, in memory. Says
    /// whether it was there.
    pub fn forget(&mut self, installed: &SkillName) -> Result<bool, WorkspaceError> {
        Ok(self.project.remove_skill(installed)?)
    }

    /// Asks for another range of a registry's skill, in memory.
    pub fn widen(
        &mut self,
        installed: &SkillName,
        version: &Version,
    ) -> Result<bool, WorkspaceError> {
        let Some(wish) = self.wish(installed).cloned() else {
            return Ok(false);
        };
        let ProjectSource::Registry { range, registry } = &wish.source else {
            return Ok(false);
        };
        if range.matches(version) {
            return Ok(false);
        }
        self.project.set_skill(&ProjectSkill {
            source: ProjectSource::Registry {
                range: compatible(version),
                registry: registry.clone(),
            },
            ..wish
        })?;
        Ok(true)
    }

    /// The lockfile after an install.
    pub fn lock_of(&self, outcome: &InstallOutcome) -> Lockfile {
        self.locked(&|name| {
            let entry = outcome.entries.iter().find(|entry| entry.name == *name)?;
            let fetched = outcome.skills.iter().find(|skill| skill.name == *name);
            let planned = outcome.plan.get(name);
            let size = fetched
                .and_then(|skill| skill.size)
                .or_else(|| planned.and_then(|planned| planned.release.size))
                .filter(|size| *size > 0);
            Some(LockedSkill::from_installed(entry, size, self.project.dir()))
        })
    }

    /// The lockfile of versions that were chosen and not installed.
    pub fn lock_of_plan(&self, plan: &Plan) -> Lockfile {
        self.locked(&|name| {
            let package = self.wish(name).and_then(|wish| {
                let is_alias = wish.alias.is_some();
                is_alias.then(|| wish.name.clone())
            });
            let planned = plan.get(name)?;
            Some(LockedSkill::from_planned(
                planned,
                package,
                self.project.dir(),
            ))
        })
    }

    /// The lockfile without what nothing asks for any more.
    pub fn lock_pruned(&self) -> Lockfile {
        self.locked(&|name| self.lock.as_ref()?.get(name).cloned())
    }

    /// What the project asks for and what that depends on, of all that there is. What somebody
    /// installed beside the project is no part of it.
    fn locked(&self, find: &dyn Fn(&SkillName) -> Option<LockedSkill>) -> Lockfile {
        let mut chosen: BTreeMap<SkillName, LockedSkill> = BTreeMap::new();
        let wishes = self.project.wishes().skills.values();
        let mut open: Vec<SkillName> = wishes.map(|wish| wish.installed_name().clone()).collect();
        while let Some(name) = open.pop() {
            if chosen.contains_key(&name) {
                continue;
            }
            let Some(mut skill) = find(&name) else {
                continue;
            };
            if let Some(ProjectSource::Git { rev, .. }) = self.wish(&name).map(|wish| &wish.source)
            {
                skill.rev.clone_from(rev);
            }
            self.keep_size(&mut skill);
            open.extend(skill.dependencies.keys().cloned());
            chosen.insert(name, skill);
        }
        let mut lock = self.lock.clone().unwrap_or_default();
        lock.set_skills(chosen.into_values());
        lock
    }

    /// Of an archive that was not fetched now, the size is known from when it was locked.
    fn keep_size(&self, skill: &mut LockedSkill) {
        let old = self.lock.as_ref().and_then(|lock| lock.get(&skill.name));
        if let Some(old) = old.filter(|old| old.sha256.is_some() && old.sha256 == skill.sha256) {
            skill.size = old.size.or(skill.size);
        }
    }
}

/// `^VERSION`: what a person means who names no range.
pub fn compatible(version: &Version) -> Range {
    let bare = Version {
        build: Default::default(),
        ..version.clone()
    };
    let range = format!("^{bare}").parse();
    range.unwrap_or_else(|_| Range::exact(version))
}
