//! Unpublishing: yank and restore at any time, delete only while nobody can rely on the version yet.

use jiff::{SignedDuration, Timestamp};
use skill_format::{Explain, Fault, Range, parse_version};

use crate::catalogue::{Dependent, VersionRecord, VersionState};

/// How long after publishing a version can be deleted for good.
pub const HARD_DELETE_WINDOW: SignedDuration = SignedDuration::from_hours(72);

/// Most dependents that a refusal names.
const NAMED_MAX: usize = 5;

/// What is to happen to a version's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Needed,
    /// It is so already; repeating a request is no error.
    None,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnpublishRefused {
    #[error("version {version} was deleted")]
    Deleted { version: String },
    #[error("version {version} was published at {published_at}, more than {} hours ago", HARD_DELETE_WINDOW.as_hours())]
    TooLate {
        version: String,
        published_at: Timestamp,
    },
    #[error("other skills depend on version {version}: {}", .by.join(", "))]
    HasDependents {
        version: String,
        /// `name@version` of the first few.
        by: Vec<String>,
    },
}

pub fn yank(version: &VersionRecord) -> Result<Change, UnpublishRefused> {
    change(version, VersionState::Yanked)
}

pub fn restore(version: &VersionRecord) -> Result<Change, UnpublishRefused> {
    change(version, VersionState::Active)
}

fn change(version: &VersionRecord, wanted: VersionState) -> Result<Change, UnpublishRefused> {
    match version.state {
        VersionState::Deleted => Err(UnpublishRefused::Deleted {
            version: version.version.clone(),
        }),
        state if state == wanted => Ok(Change::None),
        _ => Ok(Change::Needed),
    }
}

/// Whether the version is young enough; asked before its dependents are looked up.
pub fn delete_in_time(version: &VersionRecord, now: Timestamp) -> Result<(), UnpublishRefused> {
    if version.state == VersionState::Deleted {
        return Err(UnpublishRefused::Deleted {
            version: version.version.clone(),
        });
    }
    if now.duration_since(version.published_at) > HARD_DELETE_WINDOW {
        return Err(UnpublishRefused::TooLate {
            version: version.version.clone(),
            published_at: version.published_at,
        });
    }
    Ok(())
}

/// Decides on deleting a version for good. `dependents` are the versions of other skills, not deleted, that name this
/// skill; those whose range admits this version stand in the way.
pub fn delete(
    version: &VersionRecord,
    now: Timestamp,
    dependents: &[Dependent],
) -> Result<(), UnpublishRefused> {
    delete_in_time(version, now)?;
    let by: Vec<String> = dependents
        .iter()
        .filter(|dependent| relies_on(dependent, &version.version))
        .take(NAMED_MAX)
        .map(|dependent| format!("{}@{}", dependent.name, dependent.version))
        .collect();
    if by.is_empty() {
        Ok(())
    } else {
        Err(UnpublishRefused::HasDependents {
            version: version.version.clone(),
            by,
        })
    }
}

/// A range or version that cannot be read counts as relying on it.
fn relies_on(dependent: &Dependent, version: &str) -> bool {
    match (dependent.range.parse::<Range>(), parse_version(version)) {
        (Ok(range), Ok(version)) => range.matches(&version),
        _ => true,
    }
}

impl Explain for UnpublishRefused {
    fn code(&self) -> &'static str {
        match self {
            Self::Deleted { .. } => "version-not-found",
            Self::TooLate { .. } => "too-late-to-delete",
            Self::HasDependents { .. } => "has-dependents",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Deleted { .. } => Fault::NotFound,
            Self::TooLate { .. } | Self::HasDependents { .. } => Fault::Conflict,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Deleted { .. } => None,
            Self::TooLate { .. } | Self::HasDependents { .. } => Some(
                "yank it instead: new installs avoid it, and those who have it locked keep it"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::About;
    use crate::ids::TenantId;

    const PUBLISHED: &str = "2026-01-01T00:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn version(state: VersionState) -> VersionRecord {
        let id = "00000000-0000-7000-8000-000000000001";
        VersionRecord {
            id: id.parse().expect("an id"),
            tenant: TenantId::DEFAULT,
            skill_id: id.parse().expect("an id"),
            version: "1.2.0".into(),
            state,
            yank_reason: None,
            state_changed_at: None,
            about: About::default(),
            manifest: serde_json::Value::Null,
            sha256: String::new(),
            size: 0,
            media_type: String::new(),
            content_digest: String::new(),
            signature: None,
            signer: None,
            published_by: id.parse().expect("an id"),
            published_at: at(PUBLISHED),
            downloads: 0,
        }
    }

    fn dependent(range: &str) -> Dependent {
        let id = "00000000-0000-7000-8000-000000000002";
        Dependent {
            skill_id: id.parse().expect("an id"),
            name: "report-writer".into(),
            version_id: id.parse().expect("an id"),
            version: "3.0.0".into(),
            range: range.into(),
        }
    }

    #[test]
    fn every_change_of_state() {
        use VersionState::{Active, Deleted, Yanked};
        let deleted = Err("version-not-found");
        for (state, yanked, restored) in [
            (Active, Ok(Change::Needed), Ok(Change::None)),
            (Yanked, Ok(Change::None), Ok(Change::Needed)),
            (Deleted, deleted, deleted),
        ] {
            assert_eq!(
                yank(&version(state)).map_err(|refused| refused.code()),
                yanked,
                "{state:?}"
            );
            assert_eq!(
                restore(&version(state)).map_err(|refused| refused.code()),
                restored,
                "{state:?}"
            );
        }
    }

    #[test]
    fn deleting_is_possible_for_exactly_72_hours() {
        for (now, expected) in [
            (PUBLISHED, Ok(())),
            ("2026-01-04T00:00:00Z", Ok(())),
            ("2026-01-04T00:00:00.001Z", Err("too-late-to-delete")),
            ("2027-01-01T00:00:00Z", Err("too-late-to-delete")),
            // Another replica's clock may be ahead.
            ("2025-12-31T23:59:59Z", Ok(())),
        ] {
            let decision = delete(&version(VersionState::Active), at(now), &[]);
            assert_eq!(
                decision.map_err(|refused| refused.code()),
                expected,
                "{now}"
            );
        }
    }

    #[test]
    fn a_yanked_version_can_be_deleted_and_a_deleted_one_is_gone() {
        assert_eq!(
            delete(&version(VersionState::Yanked), at(PUBLISHED), &[]),
            Ok(())
        );
        let refused =
            delete(&version(VersionState::Deleted), at(PUBLISHED), &[]).expect_err("refused");
        assert_eq!(refused.fault(), Fault::NotFound);
    }

    #[test]
    fn only_dependents_whose_range_admits_the_version_stand_in_the_way() {
        for (range, stands) in [
            ("^1.0", true),
            ("=1.2.0", true),
            ("*", true),
            ("^2.0", false),
            ("=1.1.0", false),
            ("?!", true),
        ] {
            let decision = delete(
                &version(VersionState::Active),
                at(PUBLISHED),
                &[dependent(range)],
            );
            assert_eq!(decision.is_err(), stands, "{range}");
        }
    }

    #[test]
    fn a_refusal_names_a_few_dependents() {
        let many = vec![dependent("*"); 20];
        let refused =
            delete(&version(VersionState::Active), at(PUBLISHED), &many).expect_err("refused");
        let UnpublishRefused::HasDependents { by, .. } = refused else {
            panic!("{refused}")
        };
        assert_eq!(by, vec!["report-writer@3.0.0"; NAMED_MAX]);
    }
}
