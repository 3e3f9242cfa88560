//! Publishing: who may publish what under which name and number.
//!
//! A name is unique within its tenant after folding (`SkillName::uniqueness_key`); who publishes it first owns it. A
//! version number is used once for ever: deleting does not free it, and build metadata does not make another one.

use skill_format::{Explain, Fault, SkillName, Version, is_reserved};

use crate::catalogue::VersionState;

/// What the catalogue holds already under the name's uniqueness key.
#[derive(Debug, Clone, Copy)]
pub struct Existing<'a> {
    /// The skill's name as first published.
    pub name: &'a str,
    /// Whether the publisher is one of its owners.
    pub publisher_is_owner: bool,
    /// The state of the version with the same identity, if there ever was one.
    pub version: Option<VersionState>,
}

/// What publishing amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publishing {
    /// The name is new; the publisher becomes its owner.
    NewSkill,
    NewVersion,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefused {
    #[error("the name `{name}` is reserved")]
    NameReserved { name: String },
    #[error("the name `{name}` is taken: it counts as the same as `{existing}`")]
    NameTaken { name: String, existing: String },
    #[error("only an owner of `{name}` may publish it")]
    NotAnOwner { name: String },
    #[error("`{name}` has a version {version} already")]
    VersionExists { name: String, version: String },
    #[error("version {version} of `{name}` was deleted, and its number is not used again")]
    VersionRetired { name: String, version: String },
}

/// Decides on publishing `version` of `name`. `existing` is `None` while the name is new.
pub fn decide(
    name: &SkillName,
    version: &Version,
    existing: Option<Existing<'_>>,
) -> Result<Publishing, PublishRefused> {
    let own_name = || name.as_str().to_owned();
    let Some(existing) = existing else {
        // A skill that exists stays publishable when its name is reserved later.
        return if is_reserved(name.as_str()) {
            Err(PublishRefused::NameReserved { name: own_name() })
        } else {
            Ok(Publishing::NewSkill)
        };
    };
    if existing.name != name.as_str() {
        return Err(PublishRefused::NameTaken {
            name: own_name(),
            existing: existing.name.to_owned(),
        });
    }
    if !existing.publisher_is_owner {
        return Err(PublishRefused::NotAnOwner { name: own_name() });
    }
    match existing.version {
        None => Ok(Publishing::NewVersion),
        Some(VersionState::Active | VersionState::Yanked) => Err(PublishRefused::VersionExists {
            name: own_name(),
            version: version.to_string(),
        }),
        Some(VersionState::Deleted) => Err(PublishRefused::VersionRetired {
            name: own_name(),
            version: version.to_string(),
        }),
    }
}

impl Explain for PublishRefused {
    fn code(&self) -> &'static str {
        match self {
            Self::NameReserved { .. } => "name-reserved",
            Self::NameTaken { .. } => "name-taken",
            Self::NotAnOwner { .. } => "not-an-owner",
            Self::VersionExists { .. } => "version-exists",
            Self::VersionRetired { .. } => "version-retired",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::NameReserved { .. } => Fault::BadInput,
            Self::NotAnOwner { .. } => Fault::Denied,
            Self::NameTaken { .. } | Self::VersionExists { .. } | Self::VersionRetired { .. } => {
                Fault::Conflict
            }
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NameReserved { .. } | Self::NameTaken { .. } => "choose another name".to_owned(),
            Self::NotAnOwner { name } => {
                format!("ask an owner to add you to `{name}`, or choose another name")
            }
            Self::VersionExists { .. } | Self::VersionRetired { .. } => {
                "raise the version number: a published one is never replaced".to_owned()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SkillName {
        text.parse().expect("a name")
    }

    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    fn existing(
        publisher_is_owner: bool,
        version: Option<VersionState>,
    ) -> Option<Existing<'static>> {
        Some(Existing {
            name: "csv-analyzer",
            publisher_is_owner,
            version,
        })
    }

    fn code(name_text: &str, existing: Option<Existing<'_>>) -> Result<Publishing, &'static str> {
        decide(&name(name_text), &version("1.0.0"), existing).map_err(|refused| refused.code())
    }

    #[test]
    fn a_new_name_makes_a_skill() {
        assert_eq!(code("csv-analyzer", None), Ok(Publishing::NewSkill));
    }

    #[test]
    fn an_owner_publishes_a_new_version() {
        assert_eq!(
            code("csv-analyzer", existing(true, None)),
            Ok(Publishing::NewVersion)
        );
    }

    #[test]
    fn every_refusal() {
        use VersionState::{Active, Deleted, Yanked};
        for (publisher_is_owner, state, expected) in [
            (true, Some(Active), "version-exists"),
            (true, Some(Yanked), "version-exists"),
            (true, Some(Deleted), "version-retired"),
            // A stranger learns nothing about versions.
            (false, None, "not-an-owner"),
            (false, Some(Active), "not-an-owner"),
            (false, Some(Yanked), "not-an-owner"),
            (false, Some(Deleted), "not-an-owner"),
        ] {
            assert_eq!(
                code("csv-analyzer", existing(publisher_is_owner, state)),
                Err(expected)
            );
        }
    }

    #[test]
    fn another_spelling_of_a_taken_name_is_refused_even_to_its_owner() {
        let refused = decide(
            &name("csv-analyser"),
            &version("1.0.0"),
            existing(true, None),
        )
        .expect_err("refused");
        assert_eq!(refused.code(), "name-taken");
        assert!(refused.to_string().contains("csv-analyzer"));
    }

    #[test]
    fn a_reserved_name_is_refused_only_while_it_is_new() {
        assert_eq!(code("api", None), Err("name-reserved"));
        let taken_before = Existing {
            name: "api",
            publisher_is_owner: true,
            version: None,
        };
        assert_eq!(code("api", Some(taken_before)), Ok(Publishing::NewVersion));
    }
}
