//! Why there is no solution, in words: the requirements that clash, and which one to change. Tries
//! its advice on the solver before giving it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use pubgrub::{DerivationTree, External};
use serde::Serialize;
use skill_format::{Explain, Fault, Range, SkillName, Version};

use super::help;
use super::solve::{Tree, solve_relaxed};
use super::universe::{Exclusion, Known, Package, PackageId, Releases, Universe};
use super::{Requirement, SourceError};
use crate::near::did_you_mean;

/// Why no plan could be made.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("there is no skill `{name}`, which {origin} asks for")]
    UnknownSkill {
        name: SkillName,
        origin: String,
        nearest: Vec<String>,
    },
    #[error("nothing is known of `{name}`, which {origin} asks for, without asking the registry")]
    NotCached { name: SkillName, origin: String },
    #[error("no version of `{name}` fits {range}, which {origin} asks for")]
    NoMatchingVersion {
        name: SkillName,
        origin: String,
        range: Range,
        /// Newest first, at most five.
        available: Vec<Version>,
        /// Why versions that would fit were left out.
        left_out: Vec<String>,
    },
    #[error("the requirements do not fit together{}", listed(facts))]
    Conflict {
        facts: Vec<Fact>,
        advice: Vec<Advice>,
    },
    /// Not a proof that there is no solution.
    #[error("the requirements are too entangled: no solution was found in reasonable time")]
    TooHard,
    #[error("the releases of `{name}` could not be read")]
    Source {
        name: SkillName,
        source: SourceError,
    },
}

/// One of the requirements that clash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fact {
    /// A direct requirement.
    Asked {
        origin: String,
        skill: SkillName,
        range: Range,
    },
    Needs {
        skill: SkillName,
        /// Oldest first.
        versions: Vec<Version>,
        /// These are all the versions there are.
        every: bool,
        needs: SkillName,
        range: Range,
        /// The range is not theirs: an override replaces what they say.
        overridden: bool,
    },
    /// A skill that something needs does not exist.
    Unknown {
        skill: SkillName,
        nearest: Vec<String>,
    },
    /// No version of a skill fits what something needs.
    NoVersion {
        skill: SkillName,
        range: Range,
        /// Newest first, at most five.
        available: Vec<Version>,
        left_out: Vec<String>,
        /// Some would fit, and all of those were yanked.
        withdrawn: bool,
    },
    /// A version that needs another version of itself.
    NeedsOtherSelf {
        skill: SkillName,
        versions: Vec<Version>,
    },
}

/// One change that was tried and leads to a solution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    pub skill: SkillName,
    pub origin: String,
    /// What is asked for now.
    pub from: Range,
    /// The version that would fit with everything else.
    pub version: Version,
}

/// Beyond this many lines an explanation is no longer read.
const FACTS_SHOWN_MAX: usize = 12;
/// Each costs one more run of the solver.
const ADVICE_TRIES_MAX: usize = 16;
const VERSIONS_SHOWN_MAX: usize = 5;

impl Explain for ResolveError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownSkill { .. } => "unknown-skill",
            Self::NotCached { .. } => "not-cached",
            Self::NoMatchingVersion { .. } => "no-matching-version",
            Self::Conflict { .. } => "version-conflict",
            Self::TooHard => "resolution-too-hard",
            Self::Source { .. } => "releases-unavailable",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::UnknownSkill { .. } => Fault::NotFound,
            Self::NoMatchingVersion { .. } => Fault::NotFound,
            Self::Conflict { .. } | Self::TooHard => Fault::Conflict,
            Self::NotCached { .. } | Self::Source { .. } => Fault::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::UnknownSkill { nearest, .. } => Some(
                did_you_mean(nearest)
                    .unwrap_or_else(|| "`skills search WORDS` finds skills by what they do".into()),
            ),
            Self::NotCached { .. } => Some("run it once without --offline".into()),
            Self::NoMatchingVersion {
                available,
                left_out,
                ..
            } => Some(help::no_version(available, left_out)),
            Self::Conflict { advice, facts } => Some(help::conflict(advice, facts)),
            Self::TooHard => {
                Some("name exact versions of some of the skills in skills.toml".into())
            }
            Self::Source { .. } => {
                Some("try again, or use --offline to work with what was seen last".into())
            }
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked {
                origin,
                skill,
                range,
            } => write!(f, "{origin} asks for {skill} {range}"),
            Self::Needs {
                skill,
                versions,
                every,
                needs,
                range,
                overridden,
            } => {
                let range = match overridden {
                    true => format!("(overridden: {range})"),
                    false => range.to_string(),
                };
                if *every && versions.len() > 1 {
                    write!(f, "every version of {skill} needs {needs} {range}")
                } else {
                    let verb = if versions.len() == 1 { "needs" } else { "need" };
                    write!(
                        f,
                        "{skill} {} {verb} {needs} {range}",
                        version_list(versions)
                    )
                }
            }
            Self::Unknown { skill, nearest } => {
                write!(f, "there is no skill {skill}")?;
                match did_you_mean(nearest) {
                    Some(question) => write!(f, " ({question})"),
                    None => Ok(()),
                }
            }
            Self::NoVersion {
                skill,
                range,
                available,
                left_out,
                ..
            } => write!(
                f,
                "no version of {skill} fits {range} ({})",
                help::no_version(available, left_out)
            ),
            Self::NeedsOtherSelf { skill, versions } => write!(
                f,
                "{skill} {} cannot be used: it needs another version of itself",
                version_list(versions)
            ),
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ask for {} {} instead of {} in {}",
            self.skill, self.version, self.from, self.origin
        )
    }
}

fn listed(facts: &[Fact]) -> String {
    let mut text = String::from(":");
    for fact in facts.iter().take(FACTS_SHOWN_MAX) {
        text.push_str(&format!("\n  - {fact}"));
    }
    if let Some(more) = facts
        .len()
        .checked_sub(FACTS_SHOWN_MAX)
        .filter(|more| *more > 0)
    {
        text.push_str(&format!("\n  - and {more} more"));
    }
    text
}

fn version_list(versions: &[Version]) -> String {
    match versions {
        [] => "(no version)".into(),
        [only] => only.to_string(),
        [first, second] => format!("{first} and {second}"),
        [first, second, third] => format!("{first}, {second} and {third}"),
        [first, .., last] => format!("{first} to {last} ({} versions)", versions.len()),
    }
}

pub(super) fn no_matching_version(
    universe: &Universe<'_>,
    package: &Package,
    requirement: &Requirement,
) -> ResolveError {
    let range = universe.effective(&package.name, &requirement.range);
    ResolveError::NoMatchingVersion {
        name: package.name.clone(),
        origin: requirement.origin.clone(),
        range: range.clone(),
        available: newest(package),
        left_out: left_out(package, range),
    }
}

fn newest(package: &Package) -> Vec<Version> {
    package
        .eligible
        .iter()
        .rev()
        .take(VERSIONS_SHOWN_MAX)
        .map(|release| release.version.clone())
        .collect()
}

/// Versions that `range` would allow, had they not been excluded; and prereleases it does not mention.
fn left_out(package: &Package, range: &Range) -> Vec<String> {
    let mut reasons: Vec<String> = package
        .excluded
        .iter()
        .filter(|(release, _)| range.matches(&release.version))
        .take(VERSIONS_SHOWN_MAX)
        .map(|(release, why)| match why {
            Exclusion::Yanked { reason } => {
                let reason = reason.as_deref().unwrap_or("no reason given");
                format!("{} was yanked: {reason}", release.version)
            }
            Exclusion::TooYoung {
                age_hours: Some(hours),
            } => format!(
                "{} is {hours} hours old, less than the minimum age",
                release.version
            ),
            Exclusion::TooYoung { age_hours: None } => format!(
                "the registry does not say how old {} is, and there is a minimum age",
                release.version
            ),
        })
        .collect();
    let newest_pre = package
        .eligible
        .iter()
        .rev()
        .map(|release| &release.version)
        .find(|version| !version.pre.is_empty());
    if let Some(version) = newest_pre.filter(|_| !range.mentions_prerelease()) {
        reasons.push(format!(
            "the prerelease {version} is taken only if asked for by name, as in {}@{version}",
            package.name
        ));
    }
    reasons
}

/// Whether all versions that `range` allows were yanked, and there are such.
fn is_withdrawn(package: &Package, range: &Range) -> bool {
    let mut fitting = package
        .excluded
        .iter()
        .filter(|(release, _)| range.matches(&release.version))
        .peekable();
    fitting.peek().is_some() && fitting.all(|(_, why)| matches!(why, Exclusion::Yanked { .. }))
}

pub(super) fn conflict(universe: &Universe<'_>, tree: &Tree) -> ResolveError {
    let leaves = leaves(tree);
    let mut facts: Vec<Fact> = Vec::new();
    for leaf in leaves {
        for fact in facts_of(universe, leaf) {
            if !facts.contains(&fact) {
                facts.push(fact);
            }
        }
    }
    let facts = in_reading_order(facts);
    ResolveError::Conflict {
        advice: advice(universe, &facts),
        facts,
    }
}

type Leaf = External<PackageId, Releases, super::solve::NeedsOtherSelf>;

/// The tree shares its branches, so walking it as a tree could take exponential time.
fn leaves(tree: &Tree) -> Vec<&Leaf> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut stack = vec![tree];
    while let Some(node) = stack.pop() {
        match node {
            DerivationTree::External(leaf) => found.push(leaf),
            DerivationTree::Derived(derived) => {
                for cause in [&derived.cause2, &derived.cause1] {
                    if seen.insert(Arc::as_ptr(cause)) {
                        stack.push(cause);
                    }
                }
            }
        }
    }
    found
}

fn facts_of(universe: &Universe<'_>, leaf: &Leaf) -> Vec<Fact> {
    match leaf {
        External::FromDependencyOf(PackageId::ROOT, _, id, allowed) => {
            asked(universe, *id, allowed)
        }
        External::FromDependencyOf(by, positions, id, _) => needs(universe, *by, positions, *id),
        External::Custom(id, positions, _) if *id != PackageId::ROOT => {
            vec![Fact::NeedsOtherSelf {
                skill: universe.package(*id).name.clone(),
                versions: versions(universe.package(*id), positions),
            }]
        }
        // That no version is left follows from the other facts.
        External::NoVersions(..) | External::NotRoot(..) | External::Custom(..) => Vec::new(),
    }
}

fn asked(universe: &Universe<'_>, id: PackageId, allowed: &Releases) -> Vec<Fact> {
    let name = &universe.package(id).name;
    universe
        .request
        .requirements
        .iter()
        .filter(|wish| wish.name == *name && universe.allowed(id, &wish.range) == *allowed)
        .map(|wish| Fact::Asked {
            origin: wish.origin.clone(),
            skill: wish.name.clone(),
            range: universe.effective(name, &wish.range).clone(),
        })
        .collect()
}

fn needs(universe: &Universe<'_>, by: PackageId, positions: &Releases, id: PackageId) -> Vec<Fact> {
    let (requirer, needed) = (universe.package(by), universe.package(id));
    let mut by_range: BTreeMap<String, (Range, Vec<Version>)> = BTreeMap::new();
    for (position, release) in requirer.eligible.iter().enumerate() {
        if let Some(stated) = release.dependencies.get(&needed.name)
            && positions.contains(&(position as u32))
        {
            let range = universe.effective(&needed.name, stated);
            by_range
                .entry(range.to_string())
                .or_insert_with(|| (range.clone(), Vec::new()))
                .1
                .push(release.version.clone());
        }
    }
    let mut facts = Vec::new();
    for (_, (range, versions)) in by_range {
        let nothing_fits = universe.allowed(id, &range) == Releases::empty();
        facts.push(Fact::Needs {
            skill: requirer.name.clone(),
            every: versions.len() == requirer.eligible.len(),
            versions,
            needs: needed.name.clone(),
            range: range.clone(),
            overridden: universe.request.overrides.contains_key(&needed.name),
        });
        match &needed.known {
            Known::Missing { nearest, .. } => facts.push(Fact::Unknown {
                skill: needed.name.clone(),
                nearest: nearest.clone(),
            }),
            _ if nothing_fits => facts.push(Fact::NoVersion {
                skill: needed.name.clone(),
                available: newest(needed),
                left_out: left_out(needed, &range),
                withdrawn: is_withdrawn(needed, &range),
                range,
            }),
            _ => {}
        }
    }
    facts
}

fn versions(package: &Package, positions: &Releases) -> Vec<Version> {
    (0u32..)
        .zip(&package.eligible)
        .filter(|(position, _)| positions.contains(position))
        .map(|(_, release)| release.version.clone())
        .collect()
}

/// What was asked for first, then from there along the dependencies.
fn in_reading_order(facts: Vec<Fact>) -> Vec<Fact> {
    let (asked, mut rest): (Vec<Fact>, Vec<Fact>) = facts
        .into_iter()
        .partition(|fact| matches!(fact, Fact::Asked { .. }));
    let mut reached: BTreeSet<SkillName> = asked.iter().map(|fact| subject(fact).clone()).collect();
    let mut ordered = asked;
    while !rest.is_empty() {
        let (now, later): (Vec<Fact>, Vec<Fact>) = rest
            .into_iter()
            .partition(|fact| reached.contains(subject(fact)));
        if now.is_empty() {
            ordered.extend(later);
            break;
        }
        for fact in &now {
            if let Fact::Needs { needs, .. } = fact {
                reached.insert(needs.clone());
            }
        }
        ordered.extend(now);
        rest = later;
    }
    ordered
}

fn subject(fact: &Fact) -> &SkillName {
    match fact {
        Fact::Asked { skill, .. }
        | Fact::Needs { skill, .. }
        | Fact::Unknown { skill, .. }
        | Fact::NoVersion { skill, .. }
        | Fact::NeedsOtherSelf { skill, .. } => skill,
    }
}

/// Relaxes each direct requirement that takes part in the conflict, one at a time.
fn advice(universe: &Universe<'_>, facts: &[Fact]) -> Vec<Advice> {
    let involved = |wish: &Requirement| {
        facts
            .iter()
            .any(|fact| matches!(fact, Fact::Asked { skill, .. } if *skill == wish.name))
    };
    universe
        .request
        .requirements
        .iter()
        .enumerate()
        .filter(|(_, wish)| involved(wish))
        .take(ADVICE_TRIES_MAX)
        .filter_map(|(index, wish)| {
            let id = universe.id(&wish.name)?;
            if universe.allowed(id, &wish.range) == universe.allowed(id, &Range::any()) {
                return None;
            }
            let chosen = solve_relaxed(universe, Some(&[index])).ok()?;
            let version = universe.release(id, *chosen.get(&id)?).version.clone();
            Some(Advice {
                skill: wish.name.clone(),
                origin: wish.origin.clone(),
                from: wish.range.clone(),
                version,
            })
        })
        .collect()
}
