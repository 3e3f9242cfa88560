//! A solution as the installer, the lockfile and `why` want it: every skill with its release, who
//! asked for it, and what keeps it from being newer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use skill_format::{Range, SkillName, Version, version_identity};

use super::ReleaseMeta;
use super::solve::Chosen;
use super::universe::{PackageId, Universe};

/// One version of every skill that is needed, dependencies before what depends on them (as far as
/// there is no cycle).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub skills: Vec<Planned>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub name: SkillName,
    pub release: ReleaseMeta,
    /// Everyone who asked for it, never empty.
    pub reasons: Vec<Reason>,
    /// It is the version that was locked.
    pub kept: bool,
    /// A newer version that could have been chosen, had it been allowed.
    pub held_back: Option<HeldBack>,
}

/// A newer version, and who does not allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    pub newest: Version,
    /// Empty when the lock alone keeps the old version, or when the newer one would not fit with other skills.
    pub by: Vec<Reason>,
}

/// Who asked, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub requirer: Requirer,
    /// As stated.
    pub range: Range,
    /// As it counts, if an override replaces it.
    pub overridden: Option<Range>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirer {
    /// A direct requirement: `skills.toml`, `the command line`.
    Direct(String),
    Skill {
        name: SkillName,
        version: Version,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.requirer {
            Requirer::Direct(origin) => write!(f, "{origin} asks for {}", self.range)?,
            Requirer::Skill { name, version } => {
                write!(f, "{name} {version} needs {}", self.range)?;
            }
        }
        match &self.overridden {
            Some(range) => write!(f, " (overridden by {range})"),
            None => Ok(()),
        }
    }
}

impl Plan {
    pub fn get(&self, name: &SkillName) -> Option<&Planned> {
        self.skills.iter().find(|planned| planned.name == *name)
    }

    /// A shortest chain from a direct requirement to `name`: who brings it in, step by step. Empty
    /// if the plan does not hold it.
    pub fn why(&self, name: &SkillName) -> Vec<(&SkillName, &Reason)> {
        let mut chain = Vec::new();
        let mut seen = BTreeSet::from([name]);
        let mut paths: Vec<Vec<(&SkillName, &Reason)>> =
            self.get(name).map(first_steps).unwrap_or_default();
        while !paths.is_empty() && chain.is_empty() {
            let mut longer = Vec::new();
            for path in paths {
                let Some((_, reason)) = path.last() else {
                    continue;
                };
                match &reason.requirer {
                    Requirer::Direct(_) => {
                        chain = path;
                        break;
                    }
                    Requirer::Skill { name, .. } => {
                        let Some(planned) = self.get(name).filter(|_| seen.insert(name)) else {
                            continue;
                        };
                        for reason in &planned.reasons {
                            let mut next = path.clone();
                            next.push((&planned.name, reason));
                            longer.push(next);
                        }
                    }
                }
            }
            paths = longer;
        }
        chain.reverse();
        chain
    }
}

fn first_steps(planned: &Planned) -> Vec<Vec<(&SkillName, &Reason)>> {
    planned
        .reasons
        .iter()
        .map(|reason| vec![(&planned.name, reason)])
        .collect()
}

pub(super) fn plan(universe: &Universe<'_>, chosen: &Chosen) -> Plan {
    let mut reasons = reasons(universe, chosen);
    let skills = in_order(universe, chosen)
        .into_iter()
        .map(|id| {
            let package = universe.package(id);
            let release = universe.release(id, chosen[&id]).clone();
            let locked = universe.request.locked.get(&package.name);
            let reasons = reasons.remove(&id).unwrap_or_default();
            Planned {
                kept: locked.is_some_and(|locked| {
                    version_identity(locked) == version_identity(&release.version)
                }),
                held_back: held_back(universe, id, &release, &reasons),
                name: package.name.clone(),
                release,
                reasons,
            }
        })
        .collect();
    Plan { skills }
}

fn reasons(universe: &Universe<'_>, chosen: &Chosen) -> BTreeMap<PackageId, Vec<Reason>> {
    let mut reasons: BTreeMap<PackageId, Vec<Reason>> = BTreeMap::new();
    let overridden = |name: &SkillName, range: &Range| {
        let effective = universe.effective(name, range);
        (effective != range).then(|| effective.clone())
    };
    for wish in &universe.request.requirements {
        if let Some(id) = universe.id(&wish.name) {
            reasons.entry(id).or_default().push(Reason {
                requirer: Requirer::Direct(wish.origin.clone()),
                range: wish.range.clone(),
                overridden: overridden(&wish.name, &wish.range),
            });
        }
    }
    let mut by_name: Vec<_> = chosen.iter().collect();
    by_name.sort_by_key(|(id, _)| &universe.package(**id).name);
    for (id, position) in by_name {
        let release = universe.release(*id, *position);
        for (name, range) in &release.dependencies {
            let Some(dependency) = universe.id(name).filter(|dependency| dependency != id) else {
                continue;
            };
            reasons.entry(dependency).or_default().push(Reason {
                requirer: Requirer::Skill {
                    name: universe.package(*id).name.clone(),
                    version: release.version.clone(),
                },
                range: range.clone(),
                overridden: overridden(name, range),
            });
        }
    }
    reasons
}

/// Depth first over names in alphabetical order, what is needed before what needs it.
fn in_order(universe: &Universe<'_>, chosen: &Chosen) -> Vec<PackageId> {
    let mut roots: Vec<PackageId> = chosen.keys().copied().collect();
    roots.sort_by_key(|id| &universe.package(*id).name);
    let mut ordered = Vec::with_capacity(roots.len());
    let mut seen = BTreeSet::new();
    // An explicit stack: a chain of a thousand skills must not use the thread's.
    let mut stack: Vec<(PackageId, bool)> = roots.into_iter().rev().map(|id| (id, false)).collect();
    while let Some((id, finished)) = stack.pop() {
        if finished {
            ordered.push(id);
            continue;
        }
        if !seen.insert(id) {
            continue;
        }
        stack.push((id, true));
        let release = universe.release(id, chosen[&id]);
        for name in release.dependencies.keys().rev() {
            if let Some(dependency) = universe.id(name)
                && chosen.contains_key(&dependency)
            {
                stack.push((dependency, false));
            }
        }
    }
    ordered
}

fn held_back(
    universe: &Universe<'_>,
    id: PackageId,
    release: &ReleaseMeta,
    reasons: &[Reason],
) -> Option<HeldBack> {
    let newest = universe
        .package(id)
        .eligible
        .iter()
        .rev()
        .map(|candidate| &candidate.version)
        .find(|version| version.pre.is_empty())
        .filter(|newest| **newest > release.version)?;
    let by = reasons
        .iter()
        .filter(|reason| {
            let counts = reason.overridden.as_ref().unwrap_or(&reason.range);
            !counts.matches(newest)
        })
        .cloned()
        .collect();
    Some(HeldBack {
        newest: newest.clone(),
        by,
    })
}
