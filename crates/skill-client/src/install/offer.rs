//! What the resolver is asked, and what it is told: which releases there are of each skill, from
//! what was named directly, the lockfile, what is installed, and the registry.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use skill_format::{Range, SkillName};

use super::held::Setback;
use super::local::LocalSkill;
use super::{
    InstallError, InstallRequest, Installer, LockedRelease, ORIGIN_COMMAND, ORIGIN_INSTALLED,
};
use crate::api::{ApiError, Client, SkillDetail};
use crate::index::{Index, InstalledSkill};
use crate::resolver::{
    PackageSource, ReleaseMeta, Request, Requirement, ResolveError, SourceError,
};
use crate::source::{Origin, SkillSource};

/// What is to be resolved.
pub(super) struct Question {
    pub request: Request,
    /// What was asked for directly, by the name it is installed under.
    pub requested: BTreeMap<SkillName, Range>,
    /// Name it is installed under → name in the registry.
    pub aliases: BTreeMap<SkillName, SkillName>,
    /// Names that may change.
    moving: BTreeSet<SkillName>,
    /// Names that a person or a project asks for, whatever depends on them.
    pub direct: BTreeSet<SkillName>,
    /// Names that this request is about: the others are only kept in mind.
    pub asked: BTreeSet<SkillName>,
}

impl Question {
    pub fn new(
        request: &InstallRequest,
        locals: &[LocalSkill],
        index: &Index,
        now: Timestamp,
    ) -> Result<Self, InstallError> {
        let mut requirements = Requirements::default();
        let mut aliases = request.aliases.clone();
        for local in locals {
            requirements.add(local.name.clone(), Range::any(), ORIGIN_COMMAND);
        }
        for wanted in &request.wanted {
            let SkillSource::Registry { name, range } = &wanted.source else {
                continue;
            };
            let installed_as = wanted.alias.as_ref().unwrap_or(name);
            if let Some(alias) = &wanted.alias {
                aliases.insert(alias.clone(), name.clone());
            }
            requirements.add(installed_as.clone(), range.clone(), ORIGIN_COMMAND);
        }
        let stated: BTreeSet<SkillName> = requirements.names().cloned().collect();
        for root in request
            .roots
            .iter()
            .filter(|root| !stated.contains(&root.name))
        {
            requirements.add(root.name.clone(), root.range.clone(), &root.origin);
        }
        let direct: BTreeSet<SkillName> = requirements.names().cloned().collect();
        let moving: BTreeSet<SkillName> = stated.union(&request.update).cloned().collect();
        let asked = match request.spare_roots {
            true => moving.clone(),
            false => direct.union(&moving).cloned().collect(),
        };
        for skill in index.skills() {
            if let (Some(package), Origin::Registry(_)) = (&skill.package, &skill.source) {
                aliases
                    .entry(skill.name.clone())
                    .or_insert_with(|| package.clone());
            }
            if let (Some(range), false) = (
                &skill.requested,
                request.prune || requirements.contains(&skill.name),
            ) {
                requirements.add(skill.name.clone(), range.clone(), ORIGIN_INSTALLED);
            }
        }
        let requested = requirements.ranges();
        let mut resolver_request = Request::new(requirements.list, now);
        resolver_request.overrides = request.overrides.clone();
        resolver_request.minimum_age = request.minimum_age;
        let installed = index
            .skills()
            .iter()
            .map(|skill| (&skill.name, &skill.version));
        let locked = request
            .locked
            .iter()
            .map(|(name, locked)| (name, &locked.version));
        // What the lockfile says comes last and replaces what is installed.
        for (name, version) in installed
            .chain(locked)
            .filter(|(name, _)| !moving.contains(*name))
        {
            resolver_request
                .locked
                .insert(name.clone(), version.clone());
        }
        Ok(Self {
            request: resolver_request,
            requested,
            aliases,
            moving,
            direct,
            asked,
        })
    }
}

impl Question {
    /// Keeps the installed version of a skill that was to change, if it fits. Says whether that is
    /// news.
    pub fn keep(&mut self, name: &SkillName, range: &Range, index: &Index) -> bool {
        let fitting = index
            .get(name)
            .filter(|skill| range.matches(&skill.version));
        fitting.is_some_and(|skill| {
            let locked = &mut self.request.locked;
            locked.insert(name.clone(), skill.version.clone()).is_none()
        })
    }
}

#[derive(Default)]
struct Requirements {
    list: Vec<Requirement>,
}

impl Requirements {
    fn add(&mut self, name: SkillName, range: Range, origin: &str) {
        self.list.push(Requirement {
            name,
            range,
            origin: origin.to_owned(),
        });
    }

    fn names(&self) -> impl Iterator<Item = &SkillName> {
        self.list.iter().map(|requirement| &requirement.name)
    }

    fn contains(&self, name: &SkillName) -> bool {
        self.names().any(|known| known == name)
    }

    /// Of two for one name the first, which is the more direct one.
    fn ranges(&self) -> BTreeMap<SkillName, Range> {
        let backwards = self.list.iter().rev();
        backwards
            .map(|requirement| (requirement.name.clone(), requirement.range.clone()))
            .collect()
    }
}

/// How much is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Skills that are locked or installed, and of which nothing new is asked, offer the version
    /// they have.
    Needed,
    /// All of them are looked up.
    Everything,
}

/// The answers to the resolver's questions.
pub(super) struct Offer<'a> {
    installer: &'a Installer<'a>,
    request: &'a InstallRequest,
    aliases: BTreeMap<SkillName, SkillName>,
    moving: BTreeSet<SkillName>,
    direct: BTreeSet<SkillName>,
    locals: &'a [LocalSkill],
    index: &'a Index,
    reach: Reach,
    /// Where skills come from that only those of another registry depend on.
    inherited: RefCell<BTreeMap<SkillName, String>>,
    held_back: Cell<bool>,
    /// The first failure, which the resolver can only pass on as text.
    failure: RefCell<Option<Setback>>,
    /// Advice of those who deprecated a skill.
    deprecated: RefCell<BTreeMap<SkillName, String>>,
}

impl<'a> Offer<'a> {
    pub fn new(
        installer: &'a Installer<'a>,
        request: &'a InstallRequest,
        question: &Question,
        locals: &'a [LocalSkill],
        index: &'a Index,
        reach: Reach,
    ) -> Self {
        Self {
            installer,
            request,
            aliases: question.aliases.clone(),
            moving: question.moving.clone(),
            direct: question.direct.clone(),
            locals,
            index,
            reach,
            inherited: RefCell::default(),
            held_back: Cell::new(false),
            failure: RefCell::default(),
            deprecated: RefCell::default(),
        }
    }

    /// Whether a skill offered less than there is.
    pub fn held_back(&self) -> bool {
        self.held_back.get()
    }

    /// Advice of those who deprecated a skill.
    pub fn deprecation(&self, name: &SkillName) -> Option<String> {
        self.deprecated.borrow().get(name).cloned()
    }

    /// The registry that a skill was to come from, if nobody speaks to it: what is installed stays.
    pub fn out_of_reach(&self, name: &SkillName) -> Option<&'a str> {
        self.installer.out_of_reach(self.request, name)
    }

    /// The reason behind the resolver's error.
    pub fn error(&self, error: ResolveError) -> Setback {
        self.failure.take().unwrap_or_else(|| error.into())
    }

    fn fail(&self, name: &SkillName, error: impl Into<InstallError>) -> SourceError {
        let setback = Setback::of(name, error);
        let text = setback.error.to_string();
        self.failure.borrow_mut().get_or_insert(setback);
        SourceError::Unavailable(text.into())
    }

    /// The one version that a skill offers without being looked up.
    fn present(&self, name: &SkillName) -> Option<ReleaseMeta> {
        let locked = self.request.locked.get(name).map(locked_release);
        locked.or_else(|| self.index.get(name).map(installed_release))
    }

    /// The registry to ask. What is installed or locked stays with its own, unless it is asked for
    /// anew; `None` if nobody speaks to that one.
    fn client(&self, name: &SkillName) -> Option<&'a Client> {
        if let Some(url) = self.request.registries.get(name) {
            return self.installer.client_for(url);
        }
        let present = self.present(name).filter(|_| !self.moving.contains(name));
        match present.map(|release| release.source) {
            Some(Origin::Registry(url)) => self.installer.client_for(&url),
            Some(_) => None,
            None if self.direct.contains(name) => Some(self.installer.client),
            None => match self.inherited.borrow().get(name) {
                Some(url) => self.installer.client_for(url),
                None => Some(self.installer.client),
            },
        }
    }

    /// A skill of one registry never gets its dependencies from another one, where somebody else
    /// may have taken their names.
    fn inherit(&self, releases: &[ReleaseMeta]) {
        let own = self.installer.client.registry().url.as_str();
        let mut inherited = self.inherited.borrow_mut();
        for release in releases {
            let Some(url) = release.source.registry().filter(|url| *url != own) else {
                continue;
            };
            for name in release.dependencies.keys() {
                inherited
                    .entry(name.clone())
                    .or_insert_with(|| url.to_owned());
            }
        }
    }

    async fn found(&self, name: &SkillName) -> Result<Vec<ReleaseMeta>, SourceError> {
        if let Some(local) = self.locals.iter().find(|local| local.name == *name) {
            return Ok(vec![local_release(local)]);
        }
        let present = self.present(name);
        if self.request.frozen {
            // What somebody installed beside the project stays as it is.
            return match present {
                Some(release) => Ok(vec![release]),
                None => Err(self.fail(name, InstallError::NotLocked { name: name.clone() })),
            };
        }
        if let (Some(release), false) = (present, self.moving.contains(name)) {
            if self.reach == Reach::Needed {
                self.held_back.set(true);
                return Ok(vec![release]);
            }
            // Nobody but the one who named it has another version of it.
            if release.is_local() && !self.request.registries.contains_key(name) {
                return Ok(vec![release]);
            }
        }
        match (self.client(name), self.index.get(name)) {
            (Some(client), _) => self.look_up(client, name).await,
            (None, Some(installed)) => Ok(vec![installed_release(installed)]),
            (None, None) => Err(SourceError::NotCached),
        }
    }

    async fn look_up(
        &self,
        client: &Client,
        name: &SkillName,
    ) -> Result<Vec<ReleaseMeta>, SourceError> {
        let package = self.aliases.get(name).unwrap_or(name);
        match client.skill(package).await {
            Ok(detail) => Ok(self.registry_releases(client, name, detail)),
            Err(error)
                if error.is_not_found()
                    && error
                        .problem()
                        .is_some_and(|problem| !problem.code.is_empty()) =>
            {
                // Withdrawn altogether, which what is installed outlives; or from a folder, and
                // meant by its name. From another registry it would be another skill than the one
                // that was asked for.
                let own = client.registry().url.as_str();
                let is_meant = |skill: &&InstalledSkill| match skill.source.registry() {
                    Some(from) => from == own,
                    None => !self.request.registries.contains_key(name),
                };
                match self.index.get(name).filter(is_meant) {
                    Some(installed) => Ok(vec![installed_release(installed)]),
                    None => Err(SourceError::NotFound {
                        nearest: suggested(&error, package),
                    }),
                }
            }
            Err(ApiError::Offline { .. }) => match self.present(name) {
                Some(release) => Ok(vec![release]),
                None => Err(SourceError::NotCached),
            },
            Err(error) => Err(self.fail(name, error)),
        }
    }

    fn registry_releases(
        &self,
        client: &Client,
        name: &SkillName,
        detail: SkillDetail,
    ) -> Vec<ReleaseMeta> {
        if let Some(deprecation) = detail.info.deprecated {
            self.deprecated
                .borrow_mut()
                .insert(name.clone(), deprecation.message);
        }
        let source = Origin::Registry(client.registry().url.to_string());
        let release = |release: crate::api::Release| ReleaseMeta {
            dependencies: release.dependencies,
            sha256: Some(release.checksum),
            size: Some(release.size),
            signer: release.signer,
            published_at: release.published_at,
            yanked: release.yanked,
            yank_reason: release.yank_reason,
            ..ReleaseMeta::new(release.version, source.clone())
        };
        detail.releases.into_iter().map(release).collect()
    }
}

impl PackageSource for Offer<'_> {
    async fn releases(&self, name: &SkillName) -> Result<Vec<ReleaseMeta>, SourceError> {
        let releases = self.found(name).await?;
        self.inherit(&releases);
        Ok(releases)
    }
}

/// The names that a registry puts in backquotes when it does not have the one it was asked for.
fn suggested(error: &ApiError, asked: &SkillName) -> Vec<String> {
    let detail = error
        .problem()
        .map(|problem| problem.detail.as_str())
        .unwrap_or_default();
    let quoted = detail.split('`').skip(1).step_by(2);
    quoted
        .filter(|name| SkillName::parse(name).is_ok_and(|name| name != *asked))
        .map(str::to_owned)
        .collect()
}

fn local_release(local: &LocalSkill) -> ReleaseMeta {
    ReleaseMeta {
        dependencies: local.manifest.dependencies.skills.clone(),
        sha256: Some(local.checksum),
        size: local.archive.as_ref().map(|bytes| bytes.len() as u64),
        signer: local.verdict.signer().map(ToString::to_string),
        ..ReleaseMeta::new(local.version.clone(), local.origin.clone())
    }
}

fn locked_release(locked: &LockedRelease) -> ReleaseMeta {
    ReleaseMeta {
        dependencies: locked.dependencies.clone(),
        sha256: locked.sha256,
        signer: locked.signer.clone(),
        // It is what was chosen before: the minimum age was held against it then.
        published_at: Some(Timestamp::MIN),
        ..ReleaseMeta::new(locked.version.clone(), locked.source.clone())
    }
}

fn installed_release(skill: &InstalledSkill) -> ReleaseMeta {
    ReleaseMeta {
        dependencies: skill.dependencies.clone(),
        sha256: Some(skill.checksum),
        signer: skill.signer.clone(),
        published_at: Some(Timestamp::MIN),
        ..ReleaseMeta::new(skill.version.clone(), skill.source.clone())
    }
}
