//! Roles and scopes: who may do what. Knows no credential and no HTTP.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name_pattern::NamePattern;

/// What an account may do at most. A token narrows it further, never widens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Reader,
    Publisher,
    Admin,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Reader, Role::Publisher, Role::Admin];

    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Publisher => "publisher",
            Role::Admin => "admin",
        }
    }

    /// The most that an account of this role may be granted.
    pub const fn scopes(self) -> ScopeSet {
        match self {
            Role::Reader => ScopeSet::of(&[Scope::Read, Scope::Invoke]),
            Role::Publisher => ScopeSet::of(&[
                Scope::Read,
                Scope::Publish,
                Scope::Yank,
                Scope::Owners,
                Scope::Keys,
                Scope::Invoke,
            ]),
            Role::Admin => ScopeSet::ALL,
        }
    }
}

/// One kind of action that a token may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Read the catalogue and download (needed in private mode), rate.
    Read,
    /// Publish a new skill or version, deprecate.
    Publish,
    /// Yank, restore and delete versions.
    Yank,
    /// Add and remove owners.
    Owners,
    /// Register and remove signing keys.
    Keys,
    /// Run skills through the gateway, and see what one's own invocations came to.
    Invoke,
    /// Manage users.
    Admin,
}

impl Scope {
    pub const ALL: [Scope; 7] = [
        Scope::Read,
        Scope::Publish,
        Scope::Yank,
        Scope::Owners,
        Scope::Keys,
        Scope::Invoke,
        Scope::Admin,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Publish => "publish",
            Scope::Yank => "yank",
            Scope::Owners => "owners",
            Scope::Keys => "keys",
            Scope::Invoke => "invoke",
            Scope::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A word that names no role or scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not a {kind}; known are {known}")]
pub struct UnknownWord {
    /// `role` or `scope`.
    pub kind: &'static str,
    /// The word as given, cut to 40 characters.
    pub word: String,
    pub known: &'static str,
}

impl UnknownWord {
    fn new(kind: &'static str, word: &str, known: &'static str) -> Self {
        Self {
            kind,
            word: word.chars().take(40).collect(),
            known,
        }
    }
}

impl FromStr for Role {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| UnknownWord::new("role", word, "reader, publisher, admin"))
    }
}

impl FromStr for Scope {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == word)
            .ok_or_else(|| {
                UnknownWord::new(
                    "scope",
                    word,
                    "read, publish, yank, owners, keys, invoke, admin",
                )
            })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A set of scopes. Text form: words joined by one space (as in OAuth 2.0, RFC 6749 §3.3); JSON form: an array.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ScopeSet(u8);

impl ScopeSet {
    pub const EMPTY: Self = Self(0);
    pub const ALL: Self = Self::of(&Scope::ALL);

    pub const fn of(scopes: &[Scope]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < scopes.len() {
            bits |= scopes[i].bit();
            i += 1;
        }
        Self(bits)
    }

    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    pub const fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .into_iter()
            .filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, scope) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScopeSet({self})")
    }
}

impl FromStr for ScopeSet {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        text.split_ascii_whitespace().map(Scope::from_str).collect()
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Scope>::deserialize(deserializer).map(|scopes| scopes.into_iter().collect())
    }
}

/// What one request may do: the account's role, narrowed by the token that it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub role: Role,
    /// The token's scopes; effective is what the role allows too.
    pub scopes: ScopeSet,
    /// `None`: every skill.
    pub skills: Option<Vec<NamePattern>>,
}

/// Why a grant does not reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("the role `{role}` may not do this: it needs the scope `{needed}`")]
    Role { role: Role, needed: Scope },
    #[error("this token lacks the scope `{needed}`")]
    Scope { needed: Scope },
    #[error("this token may not act on the skill `{name}`")]
    Skill { name: String },
}

impl Grant {
    /// A session of a signed-in user: everything that the role allows.
    pub fn full(role: Role) -> Self {
        Self {
            role,
            scopes: role.scopes(),
            skills: None,
        }
    }

    pub fn effective_scopes(&self) -> ScopeSet {
        self.scopes.intersection(self.role.scopes())
    }

    pub fn require(&self, needed: Scope) -> Result<(), Denied> {
        if !self.role.scopes().contains(needed) {
            return Err(Denied::Role {
                role: self.role,
                needed,
            });
        }
        if !self.scopes.contains(needed) {
            return Err(Denied::Scope { needed });
        }
        Ok(())
    }

    /// Like [`Grant::require`], for an action on one skill.
    pub fn require_for(&self, needed: Scope, skill: &str) -> Result<(), Denied> {
        self.require(needed)?;
        match &self.skills {
            Some(patterns) if !patterns.iter().any(|pattern| pattern.matches(skill)) => {
                Err(Denied::Skill {
                    name: skill.to_owned(),
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn pattern(text: &str) -> NamePattern {
        text.parse().expect("a pattern")
    }

    #[test]
    fn roles_contain_one_another() {
        assert!(Role::Reader.scopes().is_subset_of(Role::Publisher.scopes()));
        assert!(Role::Publisher.scopes().is_subset_of(Role::Admin.scopes()));
        assert!(!Role::Publisher.scopes().contains(Scope::Admin));
        assert!(!Role::Reader.scopes().contains(Scope::Publish));
        assert_eq!(Role::Admin.scopes(), ScopeSet::ALL);
    }

    #[test]
    fn words_round_trip() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(
                serde_json::to_value(role).expect("serialises"),
                role.as_str()
            );
        }
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(
                serde_json::to_value(scope).expect("serialises"),
                scope.as_str()
            );
        }
        assert!("Admin".parse::<Role>().is_err());
        assert!("".parse::<Scope>().is_err());
    }

    #[test]
    fn a_word_in_an_error_is_cut() {
        let error = "x".repeat(10_000).parse::<Scope>().expect_err("unknown");
        assert_eq!(error.word.len(), 40);
    }

    #[test]
    fn scope_sets_have_a_text_and_a_json_form() {
        let set = ScopeSet::of(&[Scope::Publish, Scope::Read]);
        assert_eq!(set.to_string(), "read publish");
        assert_eq!("publish  read publish".parse(), Ok(set));
        assert_eq!("".parse(), Ok(ScopeSet::EMPTY));
        assert!("read,publish".parse::<ScopeSet>().is_err());
        assert_eq!(
            serde_json::to_string(&set).expect("serialises"),
            r#"["read","publish"]"#
        );
        assert_eq!(
            serde_json::from_str::<ScopeSet>(r#"["publish","read"]"#).expect("parses"),
            set
        );
        assert!(serde_json::from_str::<ScopeSet>(r#"["everything"]"#).is_err());
    }

    #[test]
    fn a_grant_needs_the_role_the_scope_and_the_skill() {
        let token = Grant {
            role: Role::Publisher,
            scopes: ScopeSet::of(&[Scope::Publish, Scope::Admin]),
            skills: Some(vec![pattern("acme-*"), pattern("tools")]),
        };
        assert_eq!(token.require_for(Scope::Publish, "acme-report"), Ok(()));
        assert_eq!(token.require_for(Scope::Publish, "tools"), Ok(()));
        assert_eq!(
            token.require_for(Scope::Publish, "other"),
            Err(Denied::Skill {
                name: "other".into()
            })
        );
        assert_eq!(
            token.require(Scope::Yank),
            Err(Denied::Scope {
                needed: Scope::Yank
            })
        );
        assert_eq!(
            token.require(Scope::Admin),
            Err(Denied::Role {
                role: Role::Publisher,
                needed: Scope::Admin
            })
        );
        assert_eq!(
            Grant::full(Role::Admin).require_for(Scope::Admin, "any"),
            Ok(())
        );
    }
}
