//! What is known of the skills within reach: their releases, which of them may be chosen, and the
//! set of releases that a requirement allows. Fetches in parallel, level by level.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::ops::Bound;

use futures::stream::{self, StreamExt};
use pubgrub::Ranges;
use skill_format::{Range, SkillName, Version};

use super::{PackageSource, ReleaseMeta, Request, Requirement, ResolveError, SourceError};

/// Questions to a source under way at once; a hub answers them over one HTTP/2 connection.
const FETCHES_AT_ONCE: usize = 32;

/// A skill within one resolution. Numbered in the order of discovery, so what is required directly
/// comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PackageId(u32);

impl PackageId {
    /// Stands for the request itself, whose dependencies are the requirements.
    pub const ROOT: Self = Self(u32::MAX);
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Releases of one skill, as positions in [`Package::eligible`].
pub(super) type Releases = Ranges<u32>;

/// Why a release may not be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exclusion {
    Yanked { reason: Option<String> },
    TooYoung { age_hours: Option<i64> },
}

#[derive(Debug)]
pub(super) enum Known {
    Not,
    /// The source does not have it.
    Missing {
        nearest: Vec<String>,
        offline: bool,
    },
    Yes,
}

#[derive(Debug)]
pub(super) struct Package {
    pub name: SkillName,
    pub known: Known,
    /// Oldest first.
    pub eligible: Vec<ReleaseMeta>,
    /// What each of `eligible` depends on, in the order of its dependencies.
    needs: Vec<Vec<PackageId>>,
    /// Position of the locked version.
    pub locked: Option<u32>,
    has_prereleases: bool,
    pub excluded: Vec<(ReleaseMeta, Exclusion)>,
}

impl Package {
    fn new(name: SkillName) -> Self {
        Self {
            name,
            known: Known::Not,
            eligible: Vec::new(),
            needs: Vec::new(),
            locked: None,
            has_prereleases: false,
            excluded: Vec::new(),
        }
    }

    /// Position of the first release that a lower bound allows.
    fn first_within(&self, lower: &Bound<Version>) -> usize {
        self.eligible.partition_point(|release| match lower {
            Bound::Included(lower) => release.version.cmp_precedence(lower).is_lt(),
            Bound::Excluded(lower) => release.version.cmp_precedence(lower).is_le(),
            Bound::Unbounded => false,
        })
    }

    /// Position after the last release that an upper bound allows.
    fn first_beyond(&self, upper: &Bound<Version>) -> usize {
        self.eligible.partition_point(|release| match upper {
            Bound::Included(upper) => release.version.cmp_precedence(upper).is_le(),
            Bound::Excluded(upper) => release.version.cmp_precedence(upper).is_lt(),
            Bound::Unbounded => true,
        })
    }
}

#[derive(Debug)]
pub(super) struct Universe<'a> {
    pub request: &'a Request,
    packages: Vec<Package>,
    ids: BTreeMap<SkillName, PackageId>,
    /// Releases whose dependencies have been fetched ahead.
    walked: HashSet<(PackageId, u32)>,
}

impl<'a> Universe<'a> {
    pub fn new(request: &'a Request) -> Self {
        let mut universe = Self {
            request,
            packages: Vec::new(),
            ids: BTreeMap::new(),
            walked: HashSet::new(),
        };
        for requirement in &request.requirements {
            universe.intern(&requirement.name);
        }
        universe
    }

    pub fn root_names(&self) -> Vec<PackageId> {
        let mut ids: Vec<_> = self.ids.values().copied().collect();
        ids.sort();
        ids
    }

    pub fn id(&self, name: &SkillName) -> Option<PackageId> {
        self.ids.get(name).copied()
    }

    /// Of any id but [`PackageId::ROOT`].
    pub fn package(&self, id: PackageId) -> &Package {
        &self.packages[id.0 as usize]
    }

    pub fn release(&self, id: PackageId, position: u32) -> &ReleaseMeta {
        &self.package(id).eligible[position as usize]
    }

    /// What a release needs.
    pub fn dependencies(
        &self,
        id: PackageId,
        position: u32,
    ) -> impl Iterator<Item = (PackageId, &Range)> {
        let needs = self.package(id).needs[position as usize].iter().copied();
        needs.zip(self.release(id, position).dependencies.values())
    }

    /// What is really demanded of `name` where `stated` is written.
    pub fn effective<'r>(&'r self, name: &SkillName, stated: &'r Range) -> &'r Range {
        self.request.overrides.get(name).unwrap_or(stated)
    }

    /// The releases of `id` that a requirement allows. All of them is [`Ranges::full`], which lets
    /// the solver see that two requirements agree.
    pub fn allowed(&self, id: PackageId, stated: &Range) -> Releases {
        let package = self.package(id);
        let range = self.effective(&package.name, stated);
        let takes_local = *range == Range::any();
        let takes = |position: usize| {
            let release = &package.eligible[position];
            release.version.pre.is_empty()
                || (takes_local && release.is_local())
                || (range.mentions_prerelease() && range.matches(&release.version))
        };
        let count = package.eligible.len();
        let mut allowed = Releases::empty();
        for (lower, upper) in range.intervals() {
            let start = package.first_within(&lower);
            let end = package.first_beyond(&upper);
            if start >= end {
                continue;
            }
            // Stable versions inside an interval always match.
            if !package.has_prereleases {
                allowed = allowed.union(&positions(start, end - 1, count));
                continue;
            }
            for position in (start..end).filter(|position| takes(*position)) {
                allowed = allowed.union(&positions(position, position, count));
            }
        }
        allowed
    }

    /// The release to try first among `allowed`: the locked one, else the newest.
    pub fn preferred(&self, id: PackageId, allowed: &Releases) -> Option<u32> {
        let package = self.package(id);
        if let Some(locked) = package.locked.filter(|locked| allowed.contains(locked)) {
            return Some(locked);
        }
        let count = package.eligible.len() as u32;
        let end = match allowed.bounding_range()?.1 {
            Bound::Included(last) => count.min(last.saturating_add(1)),
            Bound::Excluded(end) => count.min(*end),
            Bound::Unbounded => count,
        };
        (0..end).rev().find(|position| allowed.contains(position))
    }

    /// Fetches `wanted` and everything that the releases tried first depend on.
    pub async fn fetch(
        &mut self,
        wanted: Vec<PackageId>,
        source: &impl PackageSource,
    ) -> Result<(), ResolveError> {
        self.fetch_batch(wanted.clone(), source).await?;
        let mut level: Vec<(PackageId, Range)> = self
            .request
            .requirements
            .iter()
            .filter_map(|wish| Some((self.id(&wish.name)?, wish.range.clone())))
            .chain(wanted.into_iter().map(|id| (id, Range::any())))
            .collect();
        while !level.is_empty() {
            self.fetch_batch(level.iter().map(|(id, _)| *id).collect(), source)
                .await?;
            let mut next = Vec::new();
            for (id, range) in level {
                let allowed = self.allowed(id, &range);
                let Some(position) = self.preferred(id, &allowed) else {
                    continue;
                };
                if self.walked.insert((id, position)) {
                    next.extend(
                        self.dependencies(id, position)
                            .map(|(dependency, range)| (dependency, range.clone())),
                    );
                }
            }
            level = next;
        }
        Ok(())
    }

    /// Every skill that some known release mentions and that has not been fetched.
    pub fn all_within_reach(&self) -> Vec<PackageId> {
        (0..self.packages.len() as u32)
            .map(PackageId)
            .filter(|id| matches!(self.package(*id).known, Known::Not))
            .collect()
    }

    /// Finds the requirements that nothing can satisfy, before any solving: their message is simpler.
    pub fn check_requirements(&self) -> Result<(), ResolveError> {
        for requirement in &self.request.requirements {
            let Some(id) = self.id(&requirement.name) else {
                continue;
            };
            let package = self.package(id);
            if let Known::Missing { nearest, offline } = &package.known {
                return Err(self.unknown(requirement, nearest, *offline));
            }
            if self.allowed(id, &requirement.range) == Releases::empty() {
                return Err(super::explain::no_matching_version(
                    self,
                    package,
                    requirement,
                ));
            }
        }
        Ok(())
    }

    fn unknown(
        &self,
        requirement: &Requirement,
        nearest: &[String],
        offline: bool,
    ) -> ResolveError {
        let name = requirement.name.clone();
        let origin = requirement.origin.clone();
        if offline {
            return ResolveError::NotCached { name, origin };
        }
        ResolveError::UnknownSkill {
            name,
            origin,
            nearest: nearest.to_vec(),
        }
    }

    async fn fetch_batch(
        &mut self,
        wanted: Vec<PackageId>,
        source: &impl PackageSource,
    ) -> Result<(), ResolveError> {
        let missing: BTreeSet<PackageId> = wanted
            .into_iter()
            .filter(|id| matches!(self.package(*id).known, Known::Not))
            .collect();
        let names: Vec<(PackageId, SkillName)> = missing
            .into_iter()
            .map(|id| (id, self.package(id).name.clone()))
            .collect();
        // `buffered` keeps the order of the questions, so numbering does not depend on who answers first.
        let answers: Vec<_> = stream::iter(names)
            .map(|(id, name)| async move { (id, source.releases(&name).await) })
            .buffered(FETCHES_AT_ONCE)
            .collect()
            .await;
        for (id, answer) in answers {
            match answer {
                Ok(releases) => self.learn(id, releases),
                Err(SourceError::NotFound { nearest }) => self.lack(id, nearest, false),
                Err(SourceError::NotCached) => self.lack(id, Vec::new(), true),
                Err(error @ SourceError::Unavailable(_)) => {
                    return Err(ResolveError::Source {
                        name: self.package(id).name.clone(),
                        source: error,
                    });
                }
            }
        }
        Ok(())
    }

    fn lack(&mut self, id: PackageId, nearest: Vec<String>, offline: bool) {
        self.packages[id.0 as usize].known = Known::Missing { nearest, offline };
    }

    fn learn(&mut self, id: PackageId, mut releases: Vec<ReleaseMeta>) {
        releases.sort_by(|a, b| a.version.cmp(&b.version));
        // 1.0.0 and 1.0.0+build are the same version; a registry that has both is wrong, and the
        // solver must not see two.
        releases.dedup_by(|a, b| a.version.cmp_precedence(&b.version).is_eq());
        let mut package = Package::new(self.package(id).name.clone());
        package.known = Known::Yes;
        for release in releases {
            match self.exclusion(&package.name, &release) {
                Some(why) => package.excluded.push((release, why)),
                None => {
                    let needs = release.dependencies.keys().map(|name| self.intern(name));
                    package.needs.push(needs.collect());
                    if self.is_locked(&package.name, &release.version) {
                        package.locked = u32::try_from(package.eligible.len()).ok();
                    }
                    package.has_prereleases |= !release.version.pre.is_empty();
                    package.eligible.push(release);
                }
            }
        }
        self.packages[id.0 as usize] = package;
    }

    fn is_locked(&self, name: &SkillName, version: &Version) -> bool {
        let locked = self.request.locked.get(name);
        locked.is_some_and(|locked| locked.cmp_precedence(version).is_eq())
    }

    fn exclusion(&self, name: &SkillName, release: &ReleaseMeta) -> Option<Exclusion> {
        if self.is_locked(name, &release.version) {
            return None;
        }
        if release.yanked {
            return Some(Exclusion::Yanked {
                reason: release.yank_reason.clone(),
            });
        }
        let age_min = self.request.minimum_age.filter(|_| !release.is_local())?;
        let age = release
            .published_at
            .map(|published| self.request.now.duration_since(published));
        (age.is_none_or(|age| age < age_min)).then(|| Exclusion::TooYoung {
            age_hours: age.map(|age| age.as_hours()),
        })
    }

    fn intern(&mut self, name: &SkillName) -> PackageId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = PackageId(u32::try_from(self.packages.len()).unwrap_or(u32::MAX - 1));
        self.packages.push(Package::new(name.clone()));
        self.ids.insert(name.clone(), id);
        id
    }
}

/// Positions `first` to `last` of `count`; open where they touch the ends of the list.
fn positions(first: usize, last: usize, count: usize) -> Releases {
    let lower = match first {
        0 => Bound::Unbounded,
        first => Bound::Included(first as u32),
    };
    let upper = if last + 1 == count {
        Bound::Unbounded
    } else {
        Bound::Included(last as u32)
    };
    Releases::from_range_bounds((lower, upper))
}
