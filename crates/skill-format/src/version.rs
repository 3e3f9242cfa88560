//! Versions of skills: strict where a version is published, forgiving where an old `SKILL.md` is
//! read. Ranges of versions are in `range.rs`.

pub use semver::Version;

use crate::explain::{Explain, Fault, Place};

/// Longest version or comparator that is looked at, in bytes: three numbers of 20 digits leave
/// room for 190 bytes of pre-release and build.
pub(crate) const VERSION_BYTES_MAX: usize = 256;

/// Why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    #[error("a version is not empty")]
    Empty,
    #[error("a version of {bytes} bytes is longer than the {VERSION_BYTES_MAX} that are allowed")]
    TooLong { bytes: usize },
    #[error("`{text}` is not a version: {reason}")]
    Malformed {
        text: String,
        reason: String,
        /// What was probably meant.
        meant: Option<Version>,
    },
}

impl Explain for VersionError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "version-empty",
            Self::TooLong { .. } => "version-too-long",
            Self::Malformed { .. } => "version-malformed",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Malformed {
                meant: Some(version),
                ..
            } => format!("write `{version}`"),
            _ => "a version has three numbers, such as `1.0.0` or `2.1.0-beta.1` (https://semver.org)".into(),
        })
    }

    fn place(&self) -> Option<Place> {
        Some(Place {
            field: Some("version".into()),
            ..Place::default()
        })
    }
}

/// Reads a version by Semantic Versioning 2.0.0, section 2 and 9 to 10, without leniency.
pub fn parse_version(text: &str) -> Result<Version, VersionError> {
    if text.is_empty() {
        return Err(VersionError::Empty);
    }
    if text.len() > VERSION_BYTES_MAX {
        return Err(VersionError::TooLong { bytes: text.len() });
    }
    Version::parse(text).map_err(|_| VersionError::Malformed {
        text: text.to_owned(),
        reason: fault_of(text),
        meant: complete(text),
    })
}

/// Why a text is no version, for its author: of the parser's words nobody has heard.
fn fault_of(text: &str) -> String {
    if text.starts_with(['v', 'V']) {
        return "it begins with a letter".into();
    }
    let numbers = text.split(['-', '+']).next().unwrap_or(text);
    let parts: Vec<&str> = numbers.split('.').collect();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    for part in &parts {
        if part.is_empty() {
            return "a number is missing beside a dot".into();
        }
        if !is_number(part) {
            return format!("`{part}` is not a number");
        }
        if part.len() > 1 && part.starts_with('0') {
            return format!("the number `{part}` begins with a zero");
        }
        if part.parse::<u64>().is_err() {
            return format!("the number `{part}` is too large");
        }
    }
    match parts.len() {
        1 => "it is one number, and a version has three".into(),
        3 => {
            "after `-` and `+` stand letters, digits and hyphens, with dots between and no number \
              that begins with a zero"
                .into()
        }
        several => format!("it has {several} numbers, and a version has three"),
    }
}

/// What a version names, without build metadata: `1.0.0+b` and `1.0.0` are one version
/// (Semantic Versioning, section 10), of which a registry takes the first.
pub fn version_identity(version: &Version) -> String {
    without_build(version).to_string()
}

/// The version without build metadata, which `Ord` of [`Version`] would count.
pub(crate) fn without_build(version: &Version) -> Version {
    Version {
        build: semver::BuildMetadata::EMPTY,
        ..version.clone()
    }
}

/// Reads `v1.2.3`, `1.2` and `1` as people write them, filling up with zeros. `None` if the text
/// is a correct version already or cannot be one.
pub(crate) fn complete(text: &str) -> Option<Version> {
    if text.len() > VERSION_BYTES_MAX {
        return None;
    }
    let text = text.trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    if let Ok(version) = Version::parse(text) {
        return Some(version);
    }
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<u64>().ok()).flatten()
    };
    let mut parts = text.split('.');
    let major = number(parts.next()?)?;
    let mut next = || parts.next().map_or(Some(0), number);
    let (minor, patch) = (next()?, next()?);
    parts
        .next()
        .is_none()
        .then(|| Version::new(major, minor, patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_strict() {
        for good in ["0.0.0", "1.10.0", "1.0.0-beta.1", "1.0.0+b", "1.0.0-0a.x+7"] {
            assert_eq!(parse_version(good).expect("good").to_string(), good);
        }
        for bad in [
            "1", "1.10", "v1.0.0", "01.0.0", "1.0.0-01", "1.0.0.0", " 1.0.0", "latest",
        ] {
            let error = parse_version(bad).expect_err(bad);
            assert_eq!(error.code(), "version-malformed", "{bad}");
        }
        assert_eq!(parse_version("").expect_err("empty"), VersionError::Empty);
        let error = parse_version(&"1".repeat(257)).expect_err("long");
        assert_eq!(error.code(), "version-too-long");
    }

    #[test]
    fn an_error_says_why_in_words_of_its_own() {
        for (text, reason) in [
            ("1.10", "it has 2 numbers, and a version has three"),
            ("7", "it is one number, and a version has three"),
            ("1.0.0.0", "it has 4 numbers, and a version has three"),
            ("v1.0.0", "it begins with a letter"),
            ("latest", "`latest` is not a number"),
            (" 1.0.0", "` 1` is not a number"),
            ("1..0", "a number is missing beside a dot"),
            ("-1.0.0", "a number is missing beside a dot"),
            ("01.0.0", "the number `01` begins with a zero"),
            (
                "99999999999999999999.0.0",
                "the number `99999999999999999999` is too large",
            ),
        ] {
            let error = parse_version(text).expect_err(text);
            let expected = format!("`{text}` is not a version: {reason}");
            assert_eq!(error.to_string(), expected);
        }
        for text in ["1.0.0-", "1.0.0-01", "1.0.0+", "1.0.0-a..b", "1.0.0-ü"] {
            let error = parse_version(text).expect_err(text).to_string();
            assert!(error.contains("after `-` and `+` stand letters"), "{error}");
        }
    }

    #[test]
    fn an_error_says_what_was_probably_meant() {
        let help = |text| parse_version(text).expect_err(text).help().expect("help");
        assert_eq!(help("v1.2.3"), "write `1.2.3`");
        assert_eq!(help("1.10"), "write `1.10.0`");
        assert_eq!(help("01.2"), "write `1.2.0`");
        assert!(help("one").starts_with("a version has three numbers"));
    }

    #[test]
    fn build_metadata_is_no_part_of_the_identity() {
        let a = parse_version("1.0.0+a").expect("good");
        let b = parse_version("1.0.0+b").expect("good");
        assert_eq!(version_identity(&a), "1.0.0");
        assert_eq!(version_identity(&a), version_identity(&b));
    }

    #[test]
    fn completing_does_not_guess() {
        assert_eq!(complete("1.10"), Some(Version::new(1, 10, 0)));
        for text in [
            "",
            ".",
            "1.",
            "1.x",
            "-1",
            "+1",
            "1.2.3.4",
            "99999999999999999999",
            "one",
        ] {
            assert_eq!(complete(text), None, "{text}");
        }
    }
}
