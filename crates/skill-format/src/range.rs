//! Ranges of versions, as `dependencies` and the command line write them.
//!
//! A range is a list of alternatives (`||`), an alternative a list of comparators that all must
//! hold (separated by commas or spaces). An incomplete version stands for all versions that begin
//! with it: `1.2` is `1.2.*`, and `>1.2` begins at `1.3.0`. A complete one without an operator
//! is exact.
//!
//! A pre-release is matched only where a comparator of the same alternative names a pre-release
//! of the same three numbers: `>=1.0.0-beta` takes `1.0.0-rc`, not `1.1.0-rc`. Build metadata
//! plays no part.

use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use semver::{Prerelease, Version};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::explain::{Explain, Fault};
use crate::version::without_build;

mod parse;

/// Longest range, in bytes.
const RANGE_BYTES_MAX: usize = 1024;

/// A set of versions.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Range {
    /// Never empty.
    alternatives: Vec<Alternative>,
}

/// Comparators that all must hold; none of them means every version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Alternative(Vec<Comparator>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Comparator {
    operator: Operator,
    version: Partial,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operator {
    Exact,
    Greater,
    GreaterEq,
    Less,
    LessEq,
    Tilde,
    Caret,
}

/// A version whose last parts may be missing. `patch` only with `minor`, `pre` only with both.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Partial {
    major: u64,
    minor: Option<u64>,
    patch: Option<u64>,
    pre: Prerelease,
}

/// Why a text is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    #[error("a version range is not empty")]
    Empty,
    #[error(
        "a version range of {bytes} bytes is longer than the {RANGE_BYTES_MAX} that are allowed"
    )]
    TooLong { bytes: usize },
    #[error("`{part}` is not a version range: {reason}")]
    Malformed { part: String, reason: &'static str },
}

impl Explain for RangeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "range-empty",
            Self::TooLong { .. } => "range-too-long",
            Self::Malformed { .. } => "range-malformed",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        Some(
            "write a range such as `*`, `1.2.3`, `^1.2`, `~1.2`, `>=1.0.0, <2` or `1.x || 2.x`"
                .into(),
        )
    }
}

/// A lower and an upper bound in the order of [`Version`].
type Interval = (Bound<Version>, Bound<Version>);

impl Range {
    /// Every version.
    pub fn any() -> Self {
        Self {
            alternatives: vec![Alternative(Vec::new())],
        }
    }

    /// This version only, whatever its build metadata.
    pub fn exact(version: &Version) -> Self {
        let version = Partial {
            major: version.major,
            minor: Some(version.minor),
            patch: Some(version.patch),
            pre: version.pre.clone(),
        };
        let comparator = Comparator {
            operator: Operator::Exact,
            version,
        };
        Self {
            alternatives: vec![Alternative(vec![comparator])],
        }
    }

    pub fn matches(&self, version: &Version) -> bool {
        let version = without_build(version);
        self.alternatives.iter().any(|alternative| {
            let interval = alternative.interval();
            contains(&interval, &version)
                && (version.pre.is_empty() || alternative.names_prerelease_of(&version))
        })
    }

    /// The range as disjoint intervals in ascending order, for a resolver.
    ///
    /// Versions are compared without build metadata. An interval may contain pre-releases that
    /// [`Range::matches`] does not take; it contains no pre-release of an upper bound that the
    /// range does not name, so `^1` ends before `2.0.0-0`, the lowest of them.
    pub fn intervals(&self) -> Vec<Interval> {
        let mut intervals: Vec<Interval> = self
            .alternatives
            .iter()
            .map(Alternative::interval)
            .filter(|interval| !is_empty(interval))
            .collect();
        intervals.sort_by(|a, b| cmp_lower(&a.0, &b.0));
        let mut merged: Vec<Interval> = Vec::with_capacity(intervals.len());
        for interval in intervals {
            match merged.last_mut() {
                Some(last) if touches(&last.1, &interval.0) => {
                    if cmp_upper(&last.1, &interval.1).is_lt() {
                        last.1 = interval.1;
                    }
                }
                _ => merged.push(interval),
            }
        }
        merged
    }

    /// Whether the range names a pre-release, so that pre-releases have to be considered at all.
    pub fn mentions_prerelease(&self) -> bool {
        let mut comparators = self.alternatives.iter().flat_map(|a| &a.0);
        comparators.any(|comparator| !comparator.version.pre.is_empty())
    }
}

impl Alternative {
    fn interval(&self) -> Interval {
        let everything = (Bound::Unbounded, Bound::Unbounded);
        self.0
            .iter()
            .fold(everything, |(lower, upper), comparator| {
                let (other_lower, other_upper) = comparator.interval();
                let lower = if cmp_lower(&lower, &other_lower).is_lt() {
                    other_lower
                } else {
                    lower
                };
                let upper = if cmp_upper(&upper, &other_upper).is_gt() {
                    other_upper
                } else {
                    upper
                };
                (lower, upper)
            })
    }

    fn names_prerelease_of(&self, version: &Version) -> bool {
        self.0.iter().any(|Comparator { version: named, .. }| {
            !named.pre.is_empty()
                && named.major == version.major
                && named.minor == Some(version.minor)
                && named.patch == Some(version.patch)
        })
    }
}

impl Comparator {
    fn interval(&self) -> Interval {
        let version = &self.version;
        let complete = version.patch.is_some();
        let from = || Bound::Included(version.lowest());
        match self.operator {
            Operator::Exact if complete => (from(), Bound::Included(version.lowest())),
            Operator::Exact => (from(), version.end()),
            Operator::Greater if complete => (Bound::Excluded(version.lowest()), Bound::Unbounded),
            Operator::Greater => match version.next() {
                Some(next) => (Bound::Included(next), Bound::Unbounded),
                None => NOTHING_ABOVE,
            },
            Operator::GreaterEq => (from(), Bound::Unbounded),
            Operator::Less => (Bound::Unbounded, version.before()),
            Operator::LessEq if complete => (Bound::Unbounded, Bound::Included(version.lowest())),
            Operator::LessEq => (Bound::Unbounded, version.end()),
            Operator::Tilde => (from(), version.end_of_minor()),
            Operator::Caret => (from(), version.end_of_compatible()),
        }
    }
}

/// What is above the highest major version: nothing.
const NOTHING_ABOVE: Interval = (
    Bound::Excluded(Version::new(u64::MAX, u64::MAX, u64::MAX)),
    Bound::Excluded(Version::new(0, 0, 0)),
);

impl Partial {
    /// The version with zeros for what is missing.
    fn lowest(&self) -> Version {
        Version {
            pre: self.pre.clone(),
            ..Version::new(self.major, self.minor.unwrap_or(0), self.patch.unwrap_or(0))
        }
    }

    /// The first release after all versions that begin like this one.
    fn next(&self) -> Option<Version> {
        match (self.minor, self.patch) {
            (Some(minor), Some(patch)) => match patch.checked_add(1) {
                Some(patch) => Some(Version::new(self.major, minor, patch)),
                None => next_minor(self.major, minor),
            },
            (Some(minor), None) => next_minor(self.major, minor),
            (None, _) => next_major(self.major),
        }
    }

    /// The end of all versions that begin like this one.
    fn end(&self) -> Bound<Version> {
        end_before(self.next())
    }

    fn before(&self) -> Bound<Version> {
        if self.pre.is_empty() {
            end_before(Some(self.lowest()))
        } else {
            Bound::Excluded(self.lowest())
        }
    }

    /// `~1.2.3` and `~1.2` stay within `1.2`, `~1` within `1`.
    fn end_of_minor(&self) -> Bound<Version> {
        end_before(match self.minor {
            Some(minor) => next_minor(self.major, minor),
            None => next_major(self.major),
        })
    }

    /// `^` keeps the leftmost number that is not zero.
    fn end_of_compatible(&self) -> Bound<Version> {
        match (self.major, self.minor) {
            (0, Some(0)) => self.end(),
            (0, Some(minor)) => end_before(next_minor(0, minor)),
            (major, _) => end_before(next_major(major)),
        }
    }
}

fn next_major(major: u64) -> Option<Version> {
    Some(Version::new(major.checked_add(1)?, 0, 0))
}

fn next_minor(major: u64, minor: u64) -> Option<Version> {
    match minor.checked_add(1) {
        Some(minor) => Some(Version::new(major, minor, 0)),
        None => next_major(major),
    }
}

/// An upper bound below `version` and all its pre-releases, of which `-0` is the lowest.
fn end_before(version: Option<Version>) -> Bound<Version> {
    let lowest_prerelease = Prerelease::new("0").unwrap_or(Prerelease::EMPTY);
    match version {
        Some(version) => Bound::Excluded(Version {
            pre: lowest_prerelease,
            ..version
        }),
        None => Bound::Unbounded,
    }
}

fn contains((lower, upper): &Interval, version: &Version) -> bool {
    let above = match lower {
        Bound::Included(bound) => version >= bound,
        Bound::Excluded(bound) => version > bound,
        Bound::Unbounded => true,
    };
    let below = match upper {
        Bound::Included(bound) => version <= bound,
        Bound::Excluded(bound) => version < bound,
        Bound::Unbounded => true,
    };
    above && below
}

fn is_empty((lower, upper): &Interval) -> bool {
    use Bound::{Excluded, Included, Unbounded};
    match (lower, upper) {
        (Unbounded, _) | (_, Unbounded) => false,
        (Included(a), Included(b)) => a > b,
        (Included(a) | Excluded(a), Included(b) | Excluded(b)) => a >= b,
    }
}

/// Whether an interval that begins at `lower` continues one that ends at `upper`, when no
/// interval begins before the other.
fn touches(upper: &Bound<Version>, lower: &Bound<Version>) -> bool {
    use Bound::{Excluded, Included, Unbounded};
    match (upper, lower) {
        (Unbounded, _) | (_, Unbounded) => true,
        (Excluded(a), Excluded(b)) => a > b,
        (Included(a) | Excluded(a), Included(b) | Excluded(b)) => a >= b,
    }
}

fn cmp_lower(a: &Bound<Version>, b: &Bound<Version>) -> std::cmp::Ordering {
    // Of two bounds at the same version, the one that includes it begins earlier.
    position(a, 2).cmp(&position(b, 2))
}

fn cmp_upper(a: &Bound<Version>, b: &Bound<Version>) -> std::cmp::Ordering {
    // An upper bound that is missing lies above all, one that includes its version ends later.
    match (a, b) {
        (Bound::Unbounded, Bound::Unbounded) => std::cmp::Ordering::Equal,
        (Bound::Unbounded, _) => std::cmp::Ordering::Greater,
        (_, Bound::Unbounded) => std::cmp::Ordering::Less,
        _ => position(a, 0).cmp(&position(b, 0)),
    }
}

/// Sort key of a bound: its version, then 1 where it includes it and `excluded` where not.
fn position(bound: &Bound<Version>, excluded: u8) -> Option<(&Version, u8)> {
    match bound {
        Bound::Unbounded => None,
        Bound::Included(version) => Some((version, 1)),
        Bound::Excluded(version) => Some((version, excluded)),
    }
}

/// As it is written: the parts would fill a screen.
impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Range({self})")
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, alternative) in self.alternatives.iter().enumerate() {
            if number > 0 {
                f.write_str(" || ")?;
            }
            alternative.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Alternative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("*");
        }
        for (number, comparator) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(", ")?;
            }
            comparator.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Comparator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.operator {
            Operator::Exact => "",
            Operator::Greater => ">",
            Operator::GreaterEq => ">=",
            Operator::Less => "<",
            Operator::LessEq => "<=",
            Operator::Tilde => "~",
            Operator::Caret => "^",
        })?;
        let version = &self.version;
        write!(f, "{}", version.major)?;
        for part in [version.minor, version.patch].into_iter().flatten() {
            write!(f, ".{part}")?;
        }
        if !version.pre.is_empty() {
            write!(f, "-{}", version.pre)?;
        }
        Ok(())
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        parse::range(text)
    }
}

impl Serialize for Range {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
