//! Names of skills: the specification's rule, the key under which a registry keeps a name unique,
//! and names that nobody may take. Knows nothing of who owns which name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;

use crate::explain::{Explain, Fault, Place};

/// Longest name, in characters (Agent Skills specification, field `name`).
pub const NAME_CHARS_MAX: usize = 64;

/// The name of a skill: 1–64 characters `^[a-z0-9]+(-[a-z0-9]+)*$` (Agent Skills specification,
/// field `name`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SkillName(String);

/// Why a text is no skill name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a skill's name is not empty")]
    Empty,
    #[error("the name has {chars} characters, more than the {NAME_CHARS_MAX} that are allowed")]
    TooLong { chars: usize },
    #[error("the name `{name}` contains {character:?}")]
    Character { name: String, character: char },
    #[error("the name `{name}` begins or ends with a hyphen")]
    EdgeHyphen { name: String },
    #[error("the name `{name}` has two hyphens in a row")]
    DoubleHyphen { name: String },
}

impl Explain for NameError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "name-empty",
            Self::TooLong { .. } => "name-too-long",
            Self::Character { .. } => "name-character",
            Self::EdgeHyphen { .. } => "name-edge-hyphen",
            Self::DoubleHyphen { .. } => "name-double-hyphen",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        Some("use lower-case letters and digits in groups joined by single hyphens, such as `csv-analyzer`".into())
    }

    fn place(&self) -> Option<Place> {
        Some(Place {
            field: Some("name".into()),
            ..Place::default()
        })
    }
}

impl SkillName {
    /// Checks a name against the specification.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        // Counting stops early: the text may be a megabyte that someone sent.
        let chars = text.chars().take(NAME_CHARS_MAX * 64).count();
        if chars > NAME_CHARS_MAX {
            return Err(NameError::TooLong { chars });
        }
        let name = || text.to_owned();
        if let Some(character) = text.chars().find(|c| !is_name_character(*c)) {
            return Err(NameError::Character {
                name: name(),
                character,
            });
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(NameError::EdgeHyphen { name: name() });
        }
        if text.contains("--") {
            return Err(NameError::DoubleHyphen { name: name() });
        }
        Ok(Self(name()))
    }

    /// The nearest correct name of a text in ASCII: `My_Skill` gives `my-skill`.
    ///
    /// Letters outside ASCII are not replaced: their look-alikes would be a way to take over the
    /// name of another skill.
    pub fn nearest(text: &str) -> Option<Self> {
        if !text.is_ascii() || text.len() > NAME_CHARS_MAX {
            return None;
        }
        let words = text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty());
        let name = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
        Self::parse(&name).ok()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key under which a registry keeps names apart: equal for names that a person may take
    /// for each other.
    ///
    /// NFKC, case folding, `_` to `-` and the confusable skeleton (Unicode TS #39, section 4), so
    /// that `b0t`, `bot` and `bOt` share one, and so do `modern` and `rnodern`.
    pub fn uniqueness_key(&self) -> String {
        uniqueness_key(&self.0)
    }
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

fn uniqueness_key(name: &str) -> String {
    let folded: String = name.nfkc().flat_map(char::to_lowercase).collect();
    let skeleton: String = unicode_security::skeleton(&folded).collect();
    // The skeleton of `0` is `O`: fold once more.
    skeleton
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c == '_' { '-' } else { c })
        .collect()
}

/// Hosts and runtimes that a skill may require under `dependencies`. Since the same key would
/// otherwise name a skill, no skill may take one of these names.
const HOSTS: &[&str] = &[
    "anthropic",
    "anthropic-claude",
    "bash",
    "bun",
    "claude",
    "claude-code",
    "codex",
    "cursor",
    "deno",
    "gemini",
    "go",
    "google",
    "google-vertex",
    "java",
    "mcp",
    "node",
    "npm",
    "openai",
    "packages",
    "pip",
    "python",
    "roundtable",
    "ruby",
    "rust",
    "skills",
    "system",
    "vertex",
];

/// Words that are part of addresses or folders, or that mean something in a command.
const WORDS: &[&str] = &[
    "admin",
    "administrator",
    "all",
    "api",
    "assets",
    "auth",
    "config",
    "docs",
    "download",
    "downloads",
    "events",
    "false",
    "favicon",
    "files",
    "health",
    "healthz",
    "help",
    "index",
    "keys",
    "latest",
    "login",
    "logout",
    "metrics",
    "new",
    "none",
    "null",
    "oauth",
    "openapi",
    "owners",
    "publish",
    "readyz",
    "register",
    "registry",
    "root",
    "search",
    "settings",
    "skill",
    "static",
    "status",
    "tags",
    "tokens",
    "true",
    "undefined",
    "users",
    "well-known",
    "ws",
];

/// Whether `key` under `dependencies` names a host or runtime instead of a skill.
pub(crate) fn is_host(key: &str) -> bool {
    HOSTS.binary_search(&key).is_ok()
}

/// Whether nobody may publish under this name: it names a host, a part of an address, or a
/// device of Windows, where no folder could have it. Case is ignored.
pub fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    is_host(&name) || WORDS.binary_search(&name.as_str()).is_ok() || is_device(&name)
}

/// Names that Windows gives to devices in every folder.
fn is_device(name: &str) -> bool {
    let numbered = |stem: &str| {
        name.strip_prefix(stem)
            .is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit())
    };
    matches!(name, "con" | "prn" | "aux" | "nul" | "conin$" | "conout$")
        || numbered("com")
        || numbered("lpt")
}

impl FromStr for SkillName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for SkillName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for SkillName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for SkillName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for SkillName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SkillName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_specification() {
        for good in ["a", "7", "pdf", "csv-analyzer", "a-1-b", &"x".repeat(64)] {
            assert_eq!(SkillName::parse(good).expect("good").as_str(), good);
        }
        let code = |text: &str| SkillName::parse(text).expect_err("bad").code();
        assert_eq!(code(""), "name-empty");
        assert_eq!(code(&"x".repeat(65)), "name-too-long");
        assert_eq!(code("Pdf"), "name-character");
        assert_eq!(code("a_b"), "name-character");
        assert_eq!(code("a b"), "name-character");
        assert_eq!(code("п"), "name-character");
        assert_eq!(code("a\n"), "name-character");
        assert_eq!(code("-a"), "name-edge-hyphen");
        assert_eq!(code("a-"), "name-edge-hyphen");
        assert_eq!(code("-"), "name-edge-hyphen");
        assert_eq!(code("a--b"), "name-double-hyphen");
    }

    #[test]
    fn the_length_counts_characters_not_bytes() {
        let error = SkillName::parse(&"é".repeat(64)).expect_err("not ASCII");
        assert_eq!(error.code(), "name-character");
        let error = SkillName::parse(&"é".repeat(65)).expect_err("too long");
        assert_eq!(error, NameError::TooLong { chars: 65 });
    }

    #[test]
    fn the_nearest_name_never_replaces_letters() {
        let nearest = |text| SkillName::nearest(text).map(|name| name.0);
        assert_eq!(nearest("My_Skill"), Some("my-skill".into()));
        assert_eq!(nearest(" Data  Analysis! "), Some("data-analysis".into()));
        assert_eq!(nearest("paypаl"), None, "the second a is Cyrillic");
        assert_eq!(nearest("--"), None);
        assert_eq!(nearest(&"x".repeat(65)), None);
    }

    #[test]
    fn names_that_look_alike_share_a_key() {
        let key = uniqueness_key;
        assert_eq!(key("bot"), key("b0t"));
        assert_eq!(key("modern"), key("rnodern"));
        assert_eq!(key("pay-pal"), key("PAY_pal"));
        assert_eq!(key("ﬁle"), key("file"), "compatibility forms");
        assert_eq!(key("paypal"), key("pаypаl"), "Cyrillic");
        assert_ne!(key("pay-pal"), key("paypal"));
        assert_ne!(key("cat"), key("car"));
    }

    #[test]
    fn lists_are_sorted_for_binary_search() {
        assert!(HOSTS.is_sorted() && WORDS.is_sorted());
    }

    #[test]
    fn reserved_names() {
        for name in [
            "con",
            "NUL",
            "com1",
            "lpt9",
            "api",
            "new",
            "roundtable",
            "openai",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["com", "com10", "console", "pdf", "api-client", "claude-api"] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
