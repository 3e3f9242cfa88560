//! Which installed skills have newer versions: what is there, what the ranges allow, what exists.

use jiff::Timestamp;
use serde::Serialize;
use skill_format::{Range, SkillName, Version};

use crate::api::{Client, SkillDetail};
use crate::index::{Index, InstalledSkill};
use crate::source::Origin;

/// How an installed skill stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    UpToDate,
    /// The range allows a newer version.
    Outdated,
    /// There is a newer version, which the range does not allow.
    HeldBack,
    /// It is not from a registry.
    Local,
    /// The registry does not have it.
    Unknown,
    /// The registry could not be asked.
    Unreachable,
}

/// One installed skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutdatedRow {
    pub name: SkillName,
    pub current: Version,
    pub source: Origin,
    /// The newest version that everybody who asks for it allows.
    pub wanted: Option<Version>,
    /// The newest version there is.
    pub latest: Option<Version>,
    pub standing: Standing,
    /// Of the installed version: it was withdrawn, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub yanked: Option<String>,
    /// Of the skill: the advice to its users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
    /// Why nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl OutdatedRow {
    /// Whether somebody should do something about it.
    pub fn needs_attention(&self) -> bool {
        matches!(self.standing, Standing::Outdated | Standing::HeldBack)
            || self.yanked.is_some()
            || self.deprecated.is_some()
    }

    fn bare(skill: &InstalledSkill, standing: Standing) -> Self {
        Self {
            name: skill.name.clone(),
            current: skill.version.clone(),
            source: skill.source.clone(),
            wanted: None,
            latest: None,
            standing,
            yanked: None,
            deprecated: None,
            problem: None,
        }
    }
}

/// Which versions count as available.
#[derive(Debug, Clone, Copy, Default)]
pub struct Availability {
    /// Releases after this moment are too young to be chosen.
    pub published_until: Option<Timestamp>,
}

/// The row of one skill, from what its registry says. `ranges` are what is asked for now.
pub fn row(
    skill: &InstalledSkill,
    ranges: &[Range],
    detail: &SkillDetail,
    availability: Availability,
) -> OutdatedRow {
    let old_enough = |published: Option<Timestamp>| match availability.published_until {
        Some(until) => published.is_some_and(|published| published <= until),
        None => true,
    };
    let newest = |allowed: &dyn Fn(&Version) -> bool| {
        detail
            .releases
            .iter()
            .filter(|release| !release.yanked && old_enough(release.published_at))
            .map(|release| &release.version)
            .filter(|version| allowed(version))
            .max_by(|a, b| a.cmp_precedence(b))
            .cloned()
    };
    let wanted = newest(&|version| ranges.iter().all(|range| range.matches(version)));
    // Whoever has a prerelease wants to hear of newer ones.
    let latest = newest(&|version| version.pre.is_empty() || !skill.version.pre.is_empty());
    let is_newer = |version: &Option<Version>| {
        version
            .as_ref()
            .is_some_and(|version| version.cmp_precedence(&skill.version).is_gt())
    };
    let standing = if is_newer(&wanted) {
        Standing::Outdated
    } else if is_newer(&latest) {
        Standing::HeldBack
    } else {
        Standing::UpToDate
    };
    let current = detail
        .releases
        .iter()
        .find(|release| release.version.cmp_precedence(&skill.version).is_eq());
    OutdatedRow {
        wanted,
        latest,
        yanked: current.filter(|release| release.yanked).map(|release| {
            let reason = release.yank_reason.clone();
            reason.unwrap_or_else(|| "no reason given".into())
        }),
        deprecated: detail
            .info
            .deprecated
            .as_ref()
            .map(|deprecation| deprecation.message.clone()),
        ..OutdatedRow::bare(skill, standing)
    }
}

/// What is asked of an installed skill: by whoever wanted it (`own`, else what was asked for when it
/// was installed) and by the installed skills that depend on it.
pub fn ranges(index: &Index, skill: &InstalledSkill, own: Option<Range>) -> Vec<Range> {
    let dependents = index
        .skills()
        .iter()
        .filter_map(|other| other.dependencies.get(&skill.name).cloned());
    own.or_else(|| skill.requested.clone())
        .into_iter()
        .chain(dependents)
        .collect()
}

/// One row for every installed skill. Skills whose registry has no client among `clients` are
/// reported as unreachable; `ranges_of` is what the project, the person and other skills ask for now.
pub async fn outdated(
    skills: &[InstalledSkill],
    clients: &[&Client],
    ranges_of: &dyn Fn(&InstalledSkill) -> Vec<Range>,
    availability: Availability,
) -> Vec<OutdatedRow> {
    use futures::stream::{self, StreamExt as _};
    stream::iter(skills)
        .map(|skill| row_of(skill, clients, ranges_of, availability))
        .buffered(ASKED_AT_ONCE)
        .collect()
        .await
}

/// Questions under way at once.
const ASKED_AT_ONCE: usize = 16;

async fn row_of(
    skill: &InstalledSkill,
    clients: &[&Client],
    ranges_of: &dyn Fn(&InstalledSkill) -> Vec<Range>,
    availability: Availability,
) -> OutdatedRow {
    let Origin::Registry(url) = &skill.source else {
        return OutdatedRow::bare(skill, Standing::Local);
    };
    let client = clients
        .iter()
        .find(|client| client.registry().url.as_str() == url);
    let Some(client) = client else {
        return OutdatedRow {
            problem: Some(format!("{url} is not configured")),
            ..OutdatedRow::bare(skill, Standing::Unreachable)
        };
    };
    match client.skill(skill.package()).await {
        Ok(detail) => row(skill, &ranges_of(skill), &detail, availability),
        Err(error) => OutdatedRow {
            problem: Some(error.to_string()),
            ..OutdatedRow::bare(
                skill,
                if error.is_not_found() {
                    Standing::Unknown
                } else {
                    Standing::Unreachable
                },
            )
        },
    }
}
