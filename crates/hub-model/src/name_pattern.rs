//! Patterns of skill names, as API tokens carry them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// Which skills a token may act on: a name in which `*` stands for any run of characters, e.g. `acme-*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct NamePattern(String);

/// Why a text is no name pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    #[error("a skill pattern has 1 to {} characters", NamePattern::LENGTH_MAX)]
    Length,
    #[error(
        "`{0}` cannot stand in a skill pattern: it takes letters a-z, digits, `-`, `_`, `.` and `*`"
    )]
    Character(char),
}

impl NamePattern {
    /// A skill's name has at most 64 characters.
    pub const LENGTH_MAX: usize = 64;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `name` fits. Linear in the name: each `*` is matched by its earliest possible piece.
    pub fn matches(&self, name: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let mut pieces: Vec<&str> = pieces.collect();
        let Some(last) = pieces.pop() else {
            return rest.is_empty();
        };
        for piece in pieces {
            match rest.find(piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for NamePattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() || text.len() > Self::LENGTH_MAX {
            return Err(InvalidPattern::Length);
        }
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.*".contains(c);
        match text.chars().find(|c| !fits(*c)) {
            Some(c) => Err(InvalidPattern::Character(c)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> NamePattern {
        text.parse().expect("a pattern")
    }

    #[test]
    fn a_star_stands_for_any_run() {
        for (text, name, fits) in [
            ("csv-analyzer", "csv-analyzer", true),
            ("csv-analyzer", "csv-analyzer2", false),
            ("*", "anything", true),
            ("*", "", true),
            ("acme-*", "acme-", true),
            ("acme-*", "acme-report", true),
            ("acme-*", "acme", false),
            ("*-report", "acme-report", true),
            ("*-report", "acme-reports", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a**c", "abc", true),
            ("ab*ba", "aba", false),
            ("ab*ba", "abba", true),
        ] {
            assert_eq!(pattern(text).matches(name), fits, "{text} on {name}");
        }
    }

    #[test]
    fn patterns_are_bounded() {
        for text in ["", "A", "a b", "a/b", "ä", "a?", "\0"] {
            assert!(text.parse::<NamePattern>().is_err(), "{text:?}");
        }
        assert!(
            "a".repeat(NamePattern::LENGTH_MAX)
                .parse::<NamePattern>()
                .is_ok()
        );
        assert!(
            "a".repeat(NamePattern::LENGTH_MAX + 1)
                .parse::<NamePattern>()
                .is_err()
        );
    }

    /// The definition, by trying every split.
    fn matches_by_definition(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => {
                (0..=name.len()).any(|skip| matches_by_definition(rest, &name[skip..]))
            }
            Some((c, rest)) => name
                .split_first()
                .is_some_and(|(n, tail)| n == c && matches_by_definition(rest, tail)),
        }
    }

    proptest! {
        #[test]
        fn matching_is_as_defined(text in "[ab*]{1,7}", name in "[ab]{0,7}") {
            prop_assert_eq!(
                pattern(&text).matches(&name),
                matches_by_definition(text.as_bytes(), name.as_bytes())
            );
        }
    }
}
