//! Versions and ranges of packages of other ecosystems (PyPI, npm), as far as they are understood:
//! plain releases and plain comparisons. Whatever says more (pre-releases, alternatives, exclusions)
//! is left undecided rather than guessed at.

use std::ops::Bound;

/// Package worlds whose versions are understood well enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ecosystem {
    PyPi,
    Npm,
}

impl Ecosystem {
    /// As advisories write it.
    pub fn of_advisory(name: &str) -> Option<Self> {
        match name {
            "PyPI" => Some(Self::PyPi),
            "npm" => Some(Self::Npm),
            _ => None,
        }
    }

    /// As `skill.yaml` writes it.
    pub fn of_manifest(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "python" | "pypi" | "pip" => Some(Self::PyPi),
            "node" | "nodejs" | "npm" | "javascript" => Some(Self::Npm),
            _ => None,
        }
    }

    /// The one spelling of a package's name (PEP 503 for Python).
    pub fn normal_name(self, name: &str) -> String {
        match self {
            Self::Npm => name.to_owned(),
            Self::PyPi => {
                let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
                parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
            }
        }
    }

    /// The versions that a declared range allows; `None` where it says more than is understood.
    pub fn range(self, declared: &str) -> Option<Interval> {
        match self {
            Self::PyPi => python_range(declared),
            Self::Npm => npm_range(declared),
        }
    }
}

/// Whether a version of Python, or of a package of it, is in the range that a skill declares;
/// `None` where one of the two is not understood.
pub(crate) fn python_allows(declared: &str, version: &str) -> Option<bool> {
    let allowed = python_range(declared)?;
    Some(contains(&allowed, &exactly(Release::parse(version)?)))
}

/// The numbers of a release; trailing zeros do not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release(Vec<u64>);

impl Release {
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches(['v', '=']);
        let mut numbers = numbers(text)?;
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Some(Self(numbers))
    }

    /// The release after all that begin with the numbers of `text` up to `place`: of `1.2` at 1, it is `1.3`.
    fn after(text: &str, place: usize) -> Option<Self> {
        let mut numbers = numbers(text)?;
        numbers.resize(place + 1, 0);
        numbers[place] = numbers[place].checked_add(1)?;
        Some(Self(numbers))
    }
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

/// From where to where.
pub(crate) type Interval = (Bound<Release>, Bound<Release>);

/// One version and no other.
pub(crate) fn exactly(release: Release) -> Interval {
    (Bound::Included(release.clone()), Bound::Included(release))
}

/// Whether everything in `inner` is in `outer`.
pub(crate) fn contains(outer: &Interval, inner: &Interval) -> bool {
    use Bound::{Excluded, Included, Unbounded};
    let starts = match (&outer.0, &inner.0) {
        (Unbounded, _) => true,
        (_, Unbounded) => false,
        (Excluded(a), Included(b)) => a < b,
        (Included(a) | Excluded(a), Included(b) | Excluded(b)) => a <= b,
    };
    let ends = match (&outer.1, &inner.1) {
        (Unbounded, _) => true,
        (_, Unbounded) => false,
        (Excluded(a), Included(b)) => a > b,
        (Included(a) | Excluded(a), Included(b) | Excluded(b)) => a >= b,
    };
    starts && ends
}

/// PEP 440: `==`, `>=`, `<=`, `>`, `<`, `~=`, joined by commas.
fn python_range(declared: &str) -> Option<Interval> {
    let mut range = (Bound::Unbounded, Bound::Unbounded);
    let parts = declared.split(',').map(str::trim);
    for part in parts.filter(|part| !part.is_empty()) {
        let split = part.find(|c: char| !"=<>~!".contains(c))?;
        let (operator, version) = part.split_at(split);
        let version = version.trim();
        let release = || Release::parse(version);
        let narrower = match operator {
            "==" => match version.strip_suffix(".*") {
                Some(prefix) => wildcard(prefix)?,
                None => exactly(release()?),
            },
            ">=" => (Bound::Included(release()?), Bound::Unbounded),
            ">" => (Bound::Excluded(release()?), Bound::Unbounded),
            "<=" => (Bound::Unbounded, Bound::Included(release()?)),
            "<" => (Bound::Unbounded, Bound::Excluded(release()?)),
            "~=" => {
                let place = version.split('.').count().checked_sub(2)?;
                let end = Release::after(version, place)?;
                (Bound::Included(release()?), Bound::Excluded(end))
            }
            _ => return None,
        };
        range = intersect(range, narrower);
    }
    Some(range)
}

/// npm: one set of comparators, no alternatives.
fn npm_range(declared: &str) -> Option<Interval> {
    let declared = declared.trim();
    if declared.contains("||") || declared.contains(" - ") {
        return None;
    }
    let mut range = (Bound::Unbounded, Bound::Unbounded);
    if matches!(declared, "" | "*" | "x") {
        return Some(range);
    }
    for part in declared.split_whitespace() {
        let split = part.find(|c: char| !"=<>~^".contains(c))?;
        let (operator, version) = part.split_at(split);
        let parts = version.split('.').count();
        let is_full = parts == 3;
        let release = || Release::parse(version);
        let narrower = match operator {
            "" | "=" if is_full && !version.ends_with(['x', '*']) => exactly(release()?),
            "" | "=" => wildcard(version.trim_end_matches(".x").trim_end_matches(".*"))?,
            "^" => (
                Bound::Included(release()?),
                Bound::Excluded(caret_end(version)?),
            ),
            "~" => {
                let end = Release::after(version, parts.min(2) - 1)?;
                (Bound::Included(release()?), Bound::Excluded(end))
            }
            ">=" => (Bound::Included(release()?), Bound::Unbounded),
            ">" if is_full => (Bound::Excluded(release()?), Bound::Unbounded),
            "<=" if is_full => (Bound::Unbounded, Bound::Included(release()?)),
            "<" => (Bound::Unbounded, Bound::Excluded(release()?)),
            _ => return None,
        };
        range = intersect(range, narrower);
    }
    Some(range)
}

/// `^1.2.3` ends before 2, `^0.2.3` before 0.3, `^0.0.3` before 0.0.4.
fn caret_end(version: &str) -> Option<Release> {
    let numbers = numbers(version)?;
    let place = numbers
        .iter()
        .position(|number| *number > 0)
        .unwrap_or(numbers.len() - 1);
    Release::after(version, place)
}

fn wildcard(prefix: &str) -> Option<Interval> {
    let place = prefix.split('.').count() - 1;
    let end = Release::after(prefix, place)?;
    Some((
        Bound::Included(Release::parse(prefix)?),
        Bound::Excluded(end),
    ))
}

fn intersect(a: Interval, b: Interval) -> Interval {
    use Bound::{Excluded, Included, Unbounded};
    let narrower = |a: Bound<Release>, b: Bound<Release>, of_ends: bool| match (&a, &b) {
        (Unbounded, _) => b,
        (_, Unbounded) => a,
        (Included(x) | Excluded(x), Included(y) | Excluded(y)) => {
            let a_is_tighter = if of_ends { x < y } else { x > y };
            if a_is_tighter || (x == y && matches!(a, Excluded(_))) {
                a
            } else {
                b
            }
        }
    };
    (narrower(a.0, b.0, false), narrower(a.1, b.1, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_keeps_the_leftmost_number_that_is_not_zero() {
        let end = |version: &str| caret_end(version).expect("an end").0;
        assert_eq!(end("1.2.3"), [2]);
        assert_eq!(end("0.2.3"), [0, 3]);
        assert_eq!(end("0.0.3"), [0, 0, 4]);
    }

    #[test]
    fn python_names_have_many_spellings() {
        assert_eq!(Ecosystem::PyPi.normal_name("Ruamel._YAML"), "ruamel-yaml");
        assert_eq!(Ecosystem::Npm.normal_name("@a/B.c"), "@a/B.c");
    }

    #[test]
    fn python_ranges_decide_what_they_understand() {
        for (range, version, allowed) in [
            (">=3.8", "3.11.7", Some(true)),
            (">=3.12", "3.11.7", Some(false)),
            (">=1.0, <2", "1.9.9", Some(true)),
            (">=1.0, <2", "2.0", Some(false)),
            ("~=2.4.1", "2.4.9", Some(true)),
            ("~=2.4.1", "2.5", Some(false)),
            ("==1.5.*", "1.5.3", Some(true)),
            ("==1.5", "1.5.0", Some(true)),
            ("", "0.1", Some(true)),
            ("!=1.0", "1.0", None),
            (">=1.0", "2.0rc1", None),
        ] {
            assert_eq!(python_allows(range, version), allowed, "{range} {version}");
        }
    }
}
