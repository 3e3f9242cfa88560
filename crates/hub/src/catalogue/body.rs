//! The JSON that describes skills and releases, the same wherever it appears.

use hub_model::{Deprecation, ReleaseRecord, SkillRecord, VersionState};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::links::Links;

/// A skill as lists and search show it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillBody {
    #[schema(example = "data-analysis-expert")]
    pub name: String,
    /// The newest version that is not yanked; null while there is none.
    #[schema(example = "1.0.0")]
    pub version: Option<String>,
    pub description: String,
    pub author: Option<String>,
    pub tags: Vec<String>,
    pub downloads: u64,
    /// Mean of all ratings, 0 while there is none.
    #[schema(minimum = 0, maximum = 5)]
    pub rating: f64,
    pub rating_count: u64,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// Versions that are not deleted, newest first, yanked ones among them; in
    /// lists the newest 100.
    pub versions: Vec<String>,
    /// Where the latest version's archive is.
    pub download_url: Option<String>,
    /// `sha256:` and 64 hex digits, of the latest version's archive.
    pub checksum: Option<String>,
    pub homepage: Option<String>,
    /// Name to range, as in `skill.yaml`.
    #[schema(value_type = Object)]
    pub dependencies: Value,
    pub repository: Option<String>,
    pub license: Option<String>,
    pub capabilities: Vec<String>,
    #[schema(value_type = Vec<Object>)]
    pub frameworks: Value,
    pub deprecated: Option<DeprecatedBody>,
    /// Usernames.
    pub owners: Vec<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeprecatedBody {
    pub message: String,
}

/// A skill with all its releases.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SkillDetailBody {
    #[serde(flatten)]
    pub skill: SkillBody,
    /// Newest first. Yanked releases are among them, deleted ones are not.
    pub releases: Vec<ReleaseBody>,
}

/// One published version.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseBody {
    pub version: String,
    #[schema(format = DateTime)]
    pub published_at: String,
    /// `sha256:` and 64 hex digits, of the archive.
    pub checksum: String,
    /// Bytes of the archive.
    pub size: u64,
    pub yanked: bool,
    pub yank_reason: Option<String>,
    /// Fingerprint of the key that signed it.
    pub signer: Option<String>,
    #[schema(value_type = Object)]
    pub dependencies: Value,
    pub downloads: u64,
    pub download_url: String,
}

impl SkillBody {
    pub fn new(
        skill: SkillRecord,
        versions: Vec<String>,
        owners: Vec<String>,
        links: &Links,
    ) -> Self {
        let latest = skill.latest;
        let about = skill.about;
        Self {
            download_url: latest
                .as_ref()
                .map(|latest| links.archive(&skill.name, &latest.version, &latest.media_type)),
            checksum: latest.as_ref().map(|latest| checksum(&latest.sha256)),
            version: latest.map(|latest| latest.version),
            name: skill.name,
            description: about.description,
            author: about.author,
            tags: about.tags,
            downloads: skill.downloads,
            rating: skill.rating.mean(),
            rating_count: skill.rating.count,
            created_at: time(skill.created_at),
            updated_at: time(skill.updated_at),
            versions,
            homepage: about.homepage,
            dependencies: about.dependencies,
            repository: about.repository,
            license: about.license,
            capabilities: about.capabilities,
            frameworks: about.frameworks,
            deprecated: skill.deprecated.map(DeprecatedBody::from),
            owners,
        }
    }
}

impl From<Deprecation> for DeprecatedBody {
    fn from(deprecation: Deprecation) -> Self {
        Self {
            message: deprecation.message,
        }
    }
}

impl ReleaseBody {
    pub fn new(name: &str, release: ReleaseRecord, links: &Links) -> Self {
        Self {
            download_url: links.archive(name, &release.version, &release.media_type),
            published_at: time(release.published_at),
            checksum: checksum(&release.sha256),
            size: release.size,
            yanked: release.state == VersionState::Yanked,
            yank_reason: release.yank_reason,
            signer: release.signer,
            dependencies: release.dependencies,
            downloads: release.downloads,
            version: release.version,
        }
    }
}

/// `sha256:<hex>`.
pub fn checksum(hex: &str) -> String {
    format!("sha256:{hex}")
}

/// RFC 3339 in UTC.
pub fn time(at: Timestamp) -> String {
    at.to_string()
}
