//! What a version number amounts to in a database: the identity that is used once for ever, and a text that orders
//! bytewise as semantic versions do (semver.org §11).

use std::fmt::Write as _;

use skill_format::{Version, VersionError, parse_version, version_identity};

/// The stored forms of a version number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionKeys {
    /// Without build metadata: `1.0.0+b` and `1.0.0` are the same version.
    pub identity: String,
    /// See [`precedence_key`].
    pub precedence: String,
    pub prerelease: bool,
}

impl VersionKeys {
    pub fn parse(version: &str) -> Result<Self, VersionError> {
        parse_version(version).map(|version| Self::of(&version))
    }

    pub fn of(version: &Version) -> Self {
        Self {
            identity: version_identity(version),
            precedence: precedence_key(version),
            prerelease: !version.pre.is_empty(),
        }
    }
}

/// A text whose bytewise order is the order of semantic versions; build metadata has no part in it.
///
/// A number is written as the count of its digits (two characters) and its digits; a release ends in `~`, a
/// prerelease in `-` and its identifiers, numbers marked `0` before words marked `1`, each ended by a blank. Both `~`
/// and the blank lie outside the characters of a version, `~` above and the blank below all of them.
pub fn precedence_key(version: &Version) -> String {
    let mut key = String::new();
    for number in [version.major, version.minor, version.patch] {
        push_number(&mut key, &number.to_string());
    }
    if version.pre.is_empty() {
        key.push('~');
        return key;
    }
    key.push('-');
    for identifier in version.pre.as_str().split('.') {
        if identifier.bytes().all(|byte| byte.is_ascii_digit()) {
            key.push('0');
            push_number(&mut key, identifier);
        } else {
            key.push('1');
            key.push_str(identifier);
        }
        key.push(' ');
    }
    key
}

/// Longer numbers are greater. A prerelease's number may have any length; beyond 99 digits their order is lost, not
/// their distinctness.
fn push_number(key: &mut String, digits: &str) {
    let _ = write!(key, "{:02}{digits}", digits.len().min(99));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    #[test]
    fn orders_as_the_specification_says() {
        // The example of semver.org §11, and a few edges.
        let ascending = [
            "0.0.0-0",
            "0.0.0",
            "0.9.0",
            "1.0.0-1",
            "1.0.0-2",
            "1.0.0-10",
            "1.0.0--",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-alpha-",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2.0",
            "1.10.0",
            "2.0.0",
            "10.0.0",
            "18446744073709551615.0.0",
        ];
        for pair in ascending.windows(2) {
            let (low, high) = (version(pair[0]), version(pair[1]));
            assert!(low < high, "{low} < {high}");
            assert!(
                precedence_key(&low) < precedence_key(&high),
                "{low} < {high}"
            );
        }
    }

    #[test]
    fn build_metadata_changes_nothing() {
        assert_eq!(
            VersionKeys::of(&version("1.0.0+b")),
            VersionKeys::of(&version("1.0.0"))
        );
    }

    proptest! {
        #[test]
        fn the_key_orders_like_the_version(
            left in "[0-9]{1,2}\\.[0-2]\\.[0-2](-(0|[1-9][0-9]?|[a-c-]{1,2})(\\.(0|[1-9]|[a-b-]))?)?",
            right in "[0-9]{1,2}\\.[0-2]\\.[0-2](-(0|[1-9][0-9]?|[a-c-]{1,2})(\\.(0|[1-9]|[a-b-]))?)?",
        ) {
            if let (Ok(left), Ok(right)) = (left.parse::<Version>(), right.parse::<Version>()) {
                prop_assert_eq!(left.cmp(&right), precedence_key(&left).cmp(&precedence_key(&right)));
            }
        }
    }
}
