//! The catalogue's records: skills, their versions, owners, ratings and counts, as stored.
//! Plain data; the rules over it stand in `rules`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{SkillId, TenantId, UserId, VersionId};

/// A skill: what all its versions have in common, and a copy of what its latest version says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillRecord {
    pub id: SkillId,
    pub tenant: TenantId,
    /// As first published.
    pub name: String,
    /// `SkillName::uniqueness_key`: unique within the tenant.
    pub name_key: String,
    pub about: About,
    /// The newest version that is not yanked, releases before prereleases; `None` while there is none
    /// (then the skill is in no list).
    pub latest: Option<Latest>,
    pub downloads: u64,
    pub rating: RatingSummary,
    pub deprecated: Option<Deprecation>,
    pub created_by: UserId,
    pub created_at: Timestamp,
    /// When a version was last published, yanked, restored or deleted, or the deprecation changed.
    pub updated_at: Timestamp,
}

/// What the latest version's manifest says, copied to the skill so that a list needs no second look-up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    pub description: String,
    pub author: Option<String>,
    pub license: Option<String>,
    pub repository: Option<String>,
    pub homepage: Option<String>,
    pub tags: Vec<String>,
    pub capabilities: Vec<String>,
    /// JSON array, as in the manifest.
    pub frameworks: serde_json::Value,
    /// JSON object, as in `skill.yaml`.
    pub dependencies: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    pub id: VersionId,
    pub version: String,
    /// Hex SHA-256 of the archive, without prefix.
    pub sha256: String,
    /// Bytes of the archive.
    pub size: u64,
    /// As [`VersionRecord::media_type`]: the download's address ends accordingly.
    pub media_type: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deprecation {
    pub message: String,
    pub at: Timestamp,
}

/// How many rated a skill, and the sum of what they gave (1 to 5 each).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RatingSummary {
    pub sum: u64,
    pub count: u64,
}

impl RatingSummary {
    /// The arithmetic mean, 0.0 while nobody has rated.
    pub fn mean(self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum as f64 / self.count as f64
        }
    }
}

/// Whether a version can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionState {
    Active,
    /// Not chosen for new installs; whoever has it locked still gets it.
    Yanked,
    /// The archive is gone. The row stays, so that the number is never used again.
    Deleted,
}

impl VersionState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Yanked => "yanked",
            Self::Deleted => "deleted",
        }
    }

    /// The state that `text` names, as stored.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Yanked, Self::Deleted]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// One published version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRecord {
    pub id: VersionId,
    pub tenant: TenantId,
    pub skill_id: SkillId,
    /// As published, with build metadata.
    pub version: String,
    pub state: VersionState,
    pub yank_reason: Option<String>,
    /// When it was last yanked or deleted.
    pub state_changed_at: Option<Timestamp>,
    /// What a list shows of the skill while this is its latest version.
    pub about: About,
    /// The manifest as JSON (`skill_format::Manifest`); null once deleted.
    pub manifest: serde_json::Value,
    /// Hex SHA-256 of the archive, without prefix: the blob's name.
    pub sha256: String,
    /// Bytes of the archive.
    pub size: u64,
    /// `application/gzip` or `application/zip`: what the publisher sent, byte for byte.
    pub media_type: String,
    /// Hex SHA-256 over the content tree, without prefix.
    pub content_digest: String,
    /// Armored detached OpenPGP signature over the statement.
    pub signature: Option<String>,
    /// Fingerprint of the key that signed, upper-case hex.
    pub signer: Option<String>,
    pub published_by: UserId,
    pub published_at: Timestamp,
    pub downloads: u64,
}

/// What a list of versions needs of each: everything but the manifest and the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRecord {
    pub id: VersionId,
    pub skill_id: SkillId,
    pub version: String,
    pub state: VersionState,
    pub yank_reason: Option<String>,
    /// JSON object: the dependencies as in `skill.yaml`.
    pub dependencies: serde_json::Value,
    pub sha256: String,
    pub size: u64,
    /// As [`VersionRecord::media_type`].
    pub media_type: String,
    pub signer: Option<String>,
    pub published_at: Timestamp,
    pub downloads: u64,
}

/// A skill as the search index takes it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    pub skill: SkillRecord,
    /// The latest version's instructions: SKILL.md without its frontmatter. Empty while there is no version.
    pub body: String,
}

/// Downloads of one version on one day, to be added to what is counted already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Downloads {
    pub skill_id: SkillId,
    pub version_id: VersionId,
    /// Days since 1970-01-01, see [`day_of`](crate::day_of).
    pub day: i64,
    pub count: u64,
}

/// A dependency on another skill, as kept for the question "who depends on this?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillDependency {
    pub name: String,
    /// `SkillName::uniqueness_key` of the name.
    pub name_key: String,
    /// `skill_format::Range` as text.
    pub range: String,
}

/// A version that depends on the skill asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependent {
    pub skill_id: SkillId,
    pub name: String,
    pub version_id: VersionId,
    pub version: String,
    /// The range that it asks for.
    pub range: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerRecord {
    pub skill_id: SkillId,
    pub user_id: UserId,
    pub username: String,
    pub added_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatingRecord {
    pub skill_id: SkillId,
    pub user_id: UserId,
    pub username: String,
    /// 1 to 5.
    pub rating: u8,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagCount {
    pub name: String,
    /// Listed skills that carry the tag.
    pub count: u64,
}

/// Downloads of one UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCount {
    /// Days since 1970-01-01.
    pub day: i64,
    pub downloads: u64,
}

/// What one tenant holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Skills in the list.
    pub skills: u64,
    /// Versions ever published and not deleted.
    pub versions: u64,
    pub downloads: u64,
    /// Users who ever published.
    pub publishers: u64,
}
