//! Which versions of Python a range allows (PEP 440's specifiers). Pre-releases count as their release.

use std::fmt;
use std::str::FromStr;

/// Longest text of a range, in characters.
const CHARS_MAX: usize = 200;

/// A range of versions of Python, such as `>=3.9,<3.13`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PythonRange {
    text: String,
    clauses: Vec<Clause>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Clause {
    operator: Operator,
    release: Vec<u32>,
    /// `3.11.*`
    is_prefix: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    Compatible,
    Equal,
    NotEqual,
    AtMost,
    AtLeast,
    Below,
    Above,
}

/// Longer ones first: `==` begins `===`.
const OPERATORS: [(&str, Operator); 8] = [
    ("===", Operator::Equal),
    ("~=", Operator::Compatible),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Below),
    (">", Operator::Above),
];

/// A text that is no range of versions of Python.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no range of Python versions")]
pub struct PythonRangeError {
    text: String,
}

impl FromStr for PythonRange {
    type Err = PythonRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let refused = || PythonRangeError {
            text: text.chars().take(CHARS_MAX).collect(),
        };
        if text.chars().count() > CHARS_MAX {
            return Err(refused());
        }
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty() && *part != "*");
        let clauses: Option<Vec<Clause>> = parts.map(clause).collect();
        Ok(Self {
            clauses: clauses.ok_or_else(refused)?,
            text: text.to_owned(),
        })
    }
}

fn clause(part: &str) -> Option<Clause> {
    let found = OPERATORS.iter().find_map(|(sign, operator)| {
        part.strip_prefix(sign)
            .map(|version| (*operator, version.trim()))
    });
    // A version alone is that version.
    let (operator, version) = found.unwrap_or((Operator::Equal, part));
    let (version, is_prefix) = match version.strip_suffix(".*") {
        Some(version) => (version, true),
        None => (version, false),
    };
    let allows_prefix = matches!(operator, Operator::Equal | Operator::NotEqual);
    if is_prefix && !allows_prefix {
        return None;
    }
    let release = release(version)?;
    (operator != Operator::Compatible || release.len() > 1).then_some(Clause {
        operator,
        release,
        is_prefix,
    })
}

/// The numbers of a version; what follows them, such as `rc1`, is dropped.
fn release(version: &str) -> Option<Vec<u32>> {
    let end = version
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(version.len());
    let (numbers, rest) = version.split_at(end);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".+-_".contains(c);
    if !rest.chars().all(is_plain) {
        return None;
    }
    let numbers = numbers.strip_suffix('.').filter(|_| !rest.is_empty());
    let numbers = numbers.unwrap_or(&version[..end]);
    numbers.split('.').map(|part| part.parse().ok()).collect()
}

impl PythonRange {
    /// Whether this version of Python, such as `[3, 11, 2]`, is in it.
    pub fn allows(&self, version: [u32; 3]) -> bool {
        self.clauses.iter().all(|clause| clause.allows(version))
    }
}

impl Clause {
    fn allows(&self, version: [u32; 3]) -> bool {
        let length = self.release.len().max(3);
        let padded = |numbers: &[u32]| {
            let mut numbers = numbers.to_vec();
            numbers.resize(length, 0);
            numbers
        };
        let (own, other) = (padded(&self.release), padded(&version));
        let begins_with = |prefix: &[u32]| other.starts_with(prefix);
        let is_equal = if self.is_prefix {
            begins_with(&self.release)
        } else {
            own == other
        };
        match self.operator {
            Operator::Equal => is_equal,
            Operator::NotEqual => !is_equal,
            Operator::AtMost => other <= own,
            Operator::AtLeast => other >= own,
            Operator::Below => other < own,
            Operator::Above => other > own,
            Operator::Compatible => {
                other >= own && begins_with(&self.release[..self.release.len() - 1])
            }
        }
    }
}

impl fmt::Display for PythonRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_pep_440() {
        for (range, inside, outside) in [
            (">=3.9", "3.9.0 3.14.1", "3.8.20"),
            (">=3.9,<3.12", "3.11.9", "3.12.0"),
            ("==3.11.*", "3.11.0 3.11.9", "3.12.0 3.1.1"),
            ("3.11.2", "3.11.2", "3.11.3"),
            ("!=3.10.*, >3", "3.9.1 3.11.0", "3.10.4"),
            ("~=3.8", "3.8.0 3.13.0", "3.7.9 4.0.0"),
            ("~=3.8.1", "3.8.5", "3.9.0 3.8.0"),
            (">=3.13rc1", "3.13.0", "3.12.9"),
            ("<4.0.dev0", "3.13.0", "4.0.0"),
            ("", "2.7.18", ""),
            ("*", "3.11.2", ""),
        ] {
            let range: PythonRange = range.parse().expect(range);
            let version = |text: &str| {
                let numbers: Vec<u32> = text.split('.').map(|n| n.parse().unwrap()).collect();
                [numbers[0], numbers[1], numbers[2]]
            };
            for text in inside.split_whitespace() {
                assert!(range.allows(version(text)), "{range} allows {text}");
            }
            for text in outside.split_whitespace() {
                assert!(!range.allows(version(text)), "{range} forbids {text}");
            }
        }
        for bad in [
            ">=",
            "^3.9",
            ">=3.x y",
            "~=3",
            ">=3.*",
            "3.9 || 3.10",
            "=>3.9",
        ] {
            assert!(bad.parse::<PythonRange>().is_err(), "{bad}");
        }
    }
}
