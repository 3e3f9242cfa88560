//! Advisories about packages that a skill declares (`dependencies: python: {pandas: ">=1.0"}`).
//! Which version is really installed is not known here, so a declared range is reported only if
//! every version it allows is affected, and what is not fully understood is left undecided.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde_json::Value;

use super::severity::{Level, level};
use crate::ecosystem::{Ecosystem, Interval, Release, contains, exactly};

/// What an advisory says about one package.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Affected {
    ecosystem: Ecosystem,
    /// As the advisory writes it.
    pub name: String,
    normal_name: String,
    versions: Vec<Release>,
    intervals: Vec<Interval>,
    fixed: Option<String>,
    pub level: Option<Level>,
}

impl Affected {
    pub fn read(ecosystem: Ecosystem, name: &str, part: &Value) -> Self {
        let ranges = part.get("ranges").and_then(Value::as_array);
        let mut intervals = Vec::new();
        let mut fixed = None;
        for range in ranges.into_iter().flatten() {
            let kind = range.get("type").and_then(Value::as_str);
            if matches!(kind, Some("SEMVER" | "ECOSYSTEM"))
                && let Some(mut events) = read_events(range)
            {
                events.sort();
                intervals.extend(pairs(&events));
                fixed = last_fix(range).or(fixed);
            }
        }
        let versions = part.get("versions").and_then(Value::as_array);
        Self {
            ecosystem,
            name: name.to_owned(),
            normal_name: ecosystem.normal_name(name),
            versions: versions
                .into_iter()
                .flatten()
                .filter_map(|version| Release::parse(version.as_str()?))
                .collect(),
            intervals,
            fixed,
            level: level(part),
        }
    }

    pub fn is_about(&self, ecosystem: Ecosystem, normal_name: &str) -> bool {
        self.ecosystem == ecosystem && self.normal_name == normal_name
    }

    pub fn is_among(&self, wanted: &BTreeMap<Ecosystem, BTreeSet<String>>) -> bool {
        let names = wanted.get(&self.ecosystem);
        names.is_some_and(|names| names.contains(&self.normal_name))
    }

    /// Whether every version that the declared range allows is affected.
    pub fn affects_all_of(&self, declared: &str) -> bool {
        match self.ecosystem.range(declared) {
            Some((Bound::Included(first), Bound::Included(last))) if first == last => {
                self.affects(&first)
            }
            Some(allowed) => self.intervals.iter().any(|known| contains(known, &allowed)),
            None => false,
        }
    }

    /// A version that fixes it, as the advisory writes it.
    pub fn fixed_in(&self) -> Option<&str> {
        self.fixed.as_deref()
    }

    fn affects(&self, version: &Release) -> bool {
        let exactly = exactly(version.clone());
        let listed = self.versions.contains(version);
        listed || self.intervals.iter().any(|known| contains(known, &exactly))
    }
}

/// A point at which a range begins or ends, in the order in which points of one version count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: Release,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Fixed,
    Introduced,
    LastAffected,
}

/// `None` if one of them is not understood: a range without it would be another range.
fn read_events(range: &Value) -> Option<Vec<Event>> {
    let events = range.get("events")?.as_array()?;
    events
        .iter()
        .map(|event| {
            let (kind, version) = event.as_object()?.iter().next()?;
            let kind = match kind.as_str() {
                "introduced" => Kind::Introduced,
                "fixed" => Kind::Fixed,
                "last_affected" => Kind::LastAffected,
                _ => return None,
            };
            let at = Release::parse(version.as_str()?)?;
            Some(Event { at, kind })
        })
        .collect()
}

fn last_fix(range: &Value) -> Option<String> {
    let events = range.get("events")?.as_array()?;
    let mut fixes = events
        .iter()
        .rev()
        .filter_map(|event| event.get("fixed")?.as_str());
    fixes.next().map(str::to_owned)
}

/// Sorted events as intervals.
fn pairs(events: &[Event]) -> Vec<Interval> {
    let mut intervals = Vec::new();
    let mut open: Option<Bound<Release>> = None;
    for event in events {
        match event.kind {
            // `0` is before everything, and no release is below it.
            Kind::Introduced => open = open.or_else(|| Some(from(&event.at))),
            Kind::Fixed => {
                let end = Bound::Excluded(event.at.clone());
                intervals.extend(open.take().map(|first| (first, end)));
            }
            Kind::LastAffected => {
                let end = Bound::Included(event.at.clone());
                intervals.extend(open.take().map(|first| (first, end)));
            }
        }
    }
    intervals.extend(open.map(|first| (first, Bound::Unbounded)));
    intervals
}

fn from(release: &Release) -> Bound<Release> {
    if Release::parse("0").as_ref() == Some(release) {
        Bound::Unbounded
    } else {
        Bound::Included(release.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affected(ecosystem: Ecosystem, events: Value) -> Affected {
        let part = serde_json::json!({
            "ranges": [{"type": "ECOSYSTEM", "events": events}], "versions": ["9.9.9"],
        });
        Affected::read(ecosystem, "x", &part)
    }

    #[test]
    fn only_what_is_certain_is_reported() {
        // Events may stand in any order.
        let early = affected(
            Ecosystem::PyPi,
            serde_json::json!([{"fixed": "2.5"}, {"introduced": "0"}]),
        );
        for certain in [
            "==1.2",
            "<2",
            "~=2.4.1",
            "==2.4.*",
            ">=1, <=2.4.9",
            "==9.9.9",
        ] {
            assert!(early.affects_all_of(certain), "{certain}");
        }
        for open in [
            ">=1.0.0",
            "==2.5",
            "==2.5.0",
            "~=2.4",
            "",
            "!=1.0",
            "==1.0rc1",
            "<3",
            "git+https://x",
        ] {
            assert!(!early.affects_all_of(open), "{open}");
        }
        let npm = affected(
            Ecosystem::Npm,
            serde_json::json!([{"introduced": "1.0.0"}, {"fixed": "1.9.0"}, {"introduced": "3.0.0"}]),
        );
        for certain in [
            "1.2.3",
            "~1.2.0",
            "1.2.x",
            "1.8",
            ">=1.0.0 <1.9.0",
            "^3.1.0",
            ">=3.0.0",
        ] {
            assert!(npm.affects_all_of(certain), "{certain}");
        }
        for open in [
            "^1.0.0",
            "*",
            "1.9.0",
            "2",
            "1.2.3 || 1.3.0",
            "latest",
            "file:../x",
        ] {
            assert!(!npm.affects_all_of(open), "{open}");
        }
    }

    #[test]
    fn a_range_with_an_event_that_is_not_understood_is_left_undecided() {
        let odd = affected(
            Ecosystem::PyPi,
            serde_json::json!([{"introduced": "0"}, {"fixed": "2.0rc1"}]),
        );
        assert!(!odd.affects_all_of("==5.0"));
        assert!(odd.affects_all_of("==9.9.9"), "its list still counts");
    }
}
