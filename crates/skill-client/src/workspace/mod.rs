//! A project as a command works on it: from `skills.toml` and `skills.lock` to what the installer is
//! asked, and from what it did back to both files. Knows no flags.
//!
//! The order of writing is the same everywhere: the store, then `skills.toml`, then `skills.lock`.
//! Each is replaced as a whole, so a kill leaves one of two half-done states, and both lead on in the
//! direction of the command: what is in the store and not yet in `skills.toml` was not asked for
//! durably, and the same command asks again; what is in `skills.toml` and not yet in `skills.lock` is
//! what the next `skills install` or `skills lock` brings there, while `install --frozen` refuses it
//! by name. The other way round the lock would hold what nobody asks for, and the next command would
//! silently forget the wish.

mod error;
mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use skill_format::{Range, SkillName};

pub use error::WorkspaceError;
pub use files::compatible;

use crate::config::{Config, ConfigError, Registry};
use crate::index::{Index, InstalledSkill};
use crate::install::{InstallRequest, Wanted};
use crate::lockfile::{Difference, LockedSkill, Lockfile, same_path};
use crate::near::nearest;
use crate::paths::PROJECT_FILE;
use crate::project::{Project, ProjectSkill, ProjectSource};
use crate::resolver::Requirement;
use crate::source::{Origin, SkillSource};

/// A project with its two files as they are on disk.
#[derive(Debug, Clone)]
pub struct Workspace {
    project: Project,
    lock: Option<Lockfile>,
}

/// Whose versions may change although the lockfile has one that fits.
#[derive(Debug, Clone, Copy)]
pub enum Renew<'a> {
    Nothing,
    These(&'a [SkillName]),
    Everything,
}

impl Renew<'_> {
    fn includes(self, name: &SkillName) -> bool {
        match self {
            Self::Nothing => false,
            Self::These(names) => names.contains(name),
            Self::Everything => true,
        }
    }
}

impl Workspace {
    /// The project in `dir`; `None` if it has no `skills.toml`.
    pub fn read(dir: &Path) -> Result<Option<Self>, WorkspaceError> {
        let Some(project) = Project::read(dir)? else {
            return Ok(None);
        };
        let lock = Lockfile::read(dir)?;
        Ok(Some(Self { project, lock }))
    }

    pub fn project(&self) -> &Project {
        &self.project
    }

    /// As on disk; `None` if there is none.
    pub fn lock(&self) -> Option<&Lockfile> {
        self.lock.as_ref()
    }

    /// The entry of `skills.toml` that is installed under this name.
    pub fn wish(&self, installed: &SkillName) -> Option<&ProjectSkill> {
        let mut wishes = self.project.wishes().skills.values();
        wishes.find(|wish| wish.installed_name() == installed)
    }

    /// The registry of this name or address. The project's own names come first, so that the file
    /// means the same for everybody.
    pub fn registry(&self, config: &Config, wanted: &str) -> Result<Registry, ConfigError> {
        match self.project.wishes().registries.get(wanted) {
            Some(url) => Ok(Registry {
                name: Some(wanted.to_owned()),
                url: url.parse().map_err(ConfigError::Url)?,
            }),
            None => config.registry(Some(wanted)),
        }
    }

    /// The registry that this project's skills come from, if it says so.
    pub fn default_registry(&self, config: &Config) -> Result<Option<Registry>, WorkspaceError> {
        let policy = &self.project.wishes().policy;
        let wanted = policy.registry.as_deref();
        let found = wanted.map(|wanted| self.named(config, wanted, &["policy", "registry"]));
        found.transpose()
    }

    /// As [`Workspace::registry`], for a name that stands in `skills.toml` under these keys.
    fn named(
        &self,
        config: &Config,
        wanted: &str,
        keys: &[&str],
    ) -> Result<Registry, WorkspaceError> {
        let found = self.registry(config, wanted);
        found.map_err(|source| WorkspaceError::Registry {
            source,
            line: self.project.line_of(keys),
            field: keys.join("."),
        })
    }

    /// Every registry that the project names.
    pub fn registries(&self, config: &Config) -> Result<Vec<Registry>, WorkspaceError> {
        let wishes = self.project.wishes();
        let named = wishes.registries.keys();
        let mut all: BTreeMap<&str, Vec<&str>> = named
            .map(|name| (name.as_str(), vec!["registries", name]))
            .collect();
        for wish in wishes.skills.values() {
            if let Some(wanted) = own_registry(wish) {
                let keys = || vec!["skills", wish.name.as_str(), "registry"];
                all.entry(wanted).or_insert_with(keys);
            }
        }
        all.into_iter()
            .map(|(wanted, keys)| self.named(config, wanted, &keys))
            .chain(self.default_registry(config).transpose())
            .collect()
    }

    fn addresses(&self, config: &Config) -> Result<BTreeMap<SkillName, String>, WorkspaceError> {
        let mut addresses = BTreeMap::new();
        for wish in self.project.wishes().skills.values() {
            if let Some(wanted) = own_registry(wish) {
                let keys = ["skills", wish.name.as_str(), "registry"];
                let registry = self.named(config, wanted, &keys)?;
                addresses.insert(wish.installed_name().clone(), registry.url.to_string());
            }
        }
        Ok(addresses)
    }

    /// What the project asks for, at the locked versions where they fit. Folders and archives are
    /// read again if `reread`: they change without anybody saying so.
    pub fn request(
        &self,
        config: &Config,
        index: &Index,
        renew: Renew<'_>,
        reread: bool,
    ) -> Result<InstallRequest, WorkspaceError> {
        let mut request = self.rules(config)?;
        let stale = self.stale(&request.registries);
        request
            .locked
            .retain(|name, _| !renew.includes(name) && !stale.contains(name));
        match renew {
            Renew::Nothing => {}
            Renew::These(names) => request.update.extend(names.iter().cloned()),
            Renew::Everything => {
                let installed = index.skills().iter().map(|skill| skill.name.clone());
                request.update.extend(installed);
            }
        }
        for wish in self.project.wishes().skills.values() {
            let name = wish.installed_name();
            let is_kept = request.locked.contains_key(name);
            match &wish.source {
                ProjectSource::Registry { range, .. } => {
                    request.roots.push(requirement(name, range.clone()));
                    let url = request.registries.get(name);
                    if index
                        .get(name)
                        .is_some_and(|skill| is_elsewhere(skill, url))
                    {
                        request.update.insert(name.clone());
                    }
                }
                ProjectSource::Path(_) if is_kept && !reread => {
                    request.roots.push(requirement(name, Range::any()));
                }
                ProjectSource::Git { .. } if is_kept => {
                    request.roots.push(requirement(name, Range::any()));
                }
                ProjectSource::Path(_) | ProjectSource::Git { .. } => {
                    request.wanted.push(self.wanted(wish)?);
                }
            }
        }
        Ok(request)
    }

    /// Exactly what is locked, which must fit what the project asks for.
    pub fn frozen_request(&self, config: &Config) -> Result<InstallRequest, WorkspaceError> {
        let lock = self.lock.as_ref().ok_or_else(|| WorkspaceError::NoLock {
            dir: self.project.dir().to_owned(),
        })?;
        let mut request = self.rules(config)?;
        let differences = self.differences(lock, &request.registries);
        if !differences.is_empty() {
            return Err(WorkspaceError::Differs { differences });
        }
        let bare = |skill: &&LockedSkill| {
            skill.sha256.is_none() && matches!(skill.source, Origin::Registry(_) | Origin::File(_))
        };
        if let Some(skill) = lock.skills().values().find(bare) {
            return Err(WorkspaceError::NoDigest {
                skill: skill.name.clone(),
            });
        }
        request.frozen = true;
        for wish in self.project.wishes().skills.values() {
            let range = match &wish.source {
                ProjectSource::Registry { range, .. } => range.clone(),
                ProjectSource::Path(_) | ProjectSource::Git { .. } => Range::any(),
            };
            let root = requirement(wish.installed_name(), range);
            request.roots.push(root);
        }
        Ok(request)
    }

    /// How a lockfile fails to be one for this project.
    pub fn differences(
        &self,
        lock: &Lockfile,
        registries: &BTreeMap<SkillName, String>,
    ) -> Vec<Difference> {
        let mut differences = lock.differences(&self.project);
        for (name, url) in registries {
            if let Some(locked) = lock.get(name)
                && let Some(from) = locked.source.registry().filter(|from| from != url)
            {
                differences.push(Difference::WrongSource {
                    skill: name.clone(),
                    locked: Origin::Registry(from.to_owned()),
                    wanted: url.clone(),
                });
            }
        }
        differences
    }

    /// Locked from elsewhere than the project takes them from.
    fn stale(&self, registries: &BTreeMap<SkillName, String>) -> BTreeSet<SkillName> {
        let Some(lock) = &self.lock else {
            return BTreeSet::new();
        };
        let differences = self.differences(lock, registries).into_iter();
        differences
            .filter_map(|difference| match difference {
                Difference::WrongSource { skill, .. } => Some(skill),
                _ => None,
            })
            .collect()
    }

    /// A request for nothing, by the project's rules.
    fn rules(&self, config: &Config) -> Result<InstallRequest, WorkspaceError> {
        let wishes = self.project.wishes();
        let aliases = wishes.skills.values().filter_map(|wish| {
            let alias = wish.alias.as_ref()?;
            Some((alias.clone(), wish.name.clone()))
        });
        let lock = self.lock.as_ref();
        Ok(InstallRequest {
            aliases: aliases.collect(),
            registries: self.addresses(config)?,
            overrides: wishes.overrides.clone(),
            locked: lock.map_or_else(BTreeMap::new, |lock| lock.releases(self.project.dir())),
            allow_unsigned: wishes.policy.allow_unsigned,
            minimum_age: wishes.policy.minimum_release_age,
            ..InstallRequest::default()
        })
    }

    fn wanted(&self, wish: &ProjectSkill) -> Result<Wanted, WorkspaceError> {
        let source = self.project.source_of(wish);
        let source = source.map_err(|source| WorkspaceError::Source {
            skill: wish.name.clone(),
            source,
        })?;
        Ok(Wanted {
            source,
            alias: wish.alias.clone(),
            only: Some(wish.name.clone()),
        })
    }

    /// Refuses a name that neither file knows.
    pub fn check_known(&self, names: &[SkillName]) -> Result<(), WorkspaceError> {
        let wished = self.project.wishes().skills.values();
        let locked = self.lock.iter().flat_map(|lock| lock.skills().keys());
        let known: BTreeSet<&SkillName> = wished
            .map(ProjectSkill::installed_name)
            .chain(locked)
            .collect();
        match names.iter().find(|name| !known.contains(name)) {
            None => Ok(()),
            Some(name) => Err(WorkspaceError::Unknown {
                name: name.clone(),
                nearest: nearest(name.as_str(), known.iter().map(|name| name.as_str()), 3),
            }),
        }
    }

    /// Refuses what could not be written to `skills.toml` afterwards.
    pub fn check_can_save(&self, wanted: &[Wanted]) -> Result<(), WorkspaceError> {
        for wanted in wanted {
            for wish in self.project.wishes().skills.values() {
                let is_it = match (&wanted.source, &wish.source) {
                    (SkillSource::Registry { name, .. }, _) => wish.name == *name,
                    (SkillSource::Dir(named), ProjectSource::Path(path)) => {
                        same_path(named, &self.project.dir().join(path))
                    }
                    _ => false,
                };
                let own = match &wanted.source {
                    SkillSource::Registry { name, .. } => Some(name),
                    _ => is_it.then_some(&wish.name),
                };
                let installed = wanted.alias.as_ref().or(own);
                let other = wish.installed_name();
                if is_it != (Some(other) == installed) {
                    return Err(WorkspaceError::OtherName {
                        skill: wish.name.clone(),
                        installed: other.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Writes what changed, `skills.toml` first: see the top of this module. Says whether the
    /// lockfile changed.
    pub fn write(&mut self, lock: Lockfile) -> Result<bool, WorkspaceError> {
        let on_disk = Project::read(self.project.dir())?;
        if on_disk.is_none_or(|on_disk| on_disk.to_string() != self.project.to_string()) {
            self.project.save()?;
        }
        let changed = lock.write(self.project.dir())?;
        self.lock = Some(lock);
        Ok(changed)
    }
}

fn own_registry(wish: &ProjectSkill) -> Option<&str> {
    match &wish.source {
        ProjectSource::Registry { registry, .. } => registry.as_deref(),
        _ => None,
    }
}

/// Whether a skill has to be asked for anew because it is not from where it should be.
fn is_elsewhere(skill: &InstalledSkill, registry: Option<&String>) -> bool {
    match (&skill.source, registry) {
        (Origin::Registry(from), Some(wanted)) => from != wanted,
        (Origin::Registry(_), None) => false,
        _ => true,
    }
}

fn requirement(name: &SkillName, range: Range) -> Requirement {
    Requirement {
        name: name.clone(),
        range,
        origin: PROJECT_FILE.into(),
    }
}
