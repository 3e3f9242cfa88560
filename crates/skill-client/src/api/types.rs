//! What a registry says about skills, as its interface promises it. Unknown fields are ignored;
//! fields that an older registry lacks have a default.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use skill_format::{Manifest, Range, Sha256, SkillName, Version};

/// A skill as lists and searches show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkillInfo {
    pub name: SkillName,
    /// The newest version that is not yanked.
    pub version: Option<Version>,
    #[serde(default)]
    pub description: String,
    pub author: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub downloads: u64,
    /// Mean of all ratings.
    pub rating: Option<f64>,
    #[serde(default)]
    pub rating_count: u64,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    /// Newest first.
    #[serde(default)]
    pub versions: Vec<Version>,
    pub download_url: Option<String>,
    pub checksum: Option<Sha256>,
    pub homepage: Option<String>,
    /// As in `skill.yaml`: skills, hosts and packages mixed.
    #[serde(default)]
    pub dependencies: Map<String, Value>,
    pub repository: Option<String>,
    pub license: Option<String>,
    #[serde(default)]
    pub capabilities: Vec<String>,
    #[serde(default)]
    pub frameworks: Value,
    pub deprecated: Option<Deprecation>,
    /// User names.
    #[serde(default)]
    pub owners: Vec<String>,
    /// Of a search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// Advice to those who use a skill that should no longer be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deprecation {
    pub message: String,
}

/// A skill with all its releases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SkillDetail {
    #[serde(flatten)]
    pub info: SkillInfo,
    /// Newest first, yanked ones included.
    #[serde(default)]
    pub releases: Vec<Release>,
}

/// One published version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    pub version: Version,
    pub published_at: Option<Timestamp>,
    /// Of the archive.
    pub checksum: Sha256,
    /// Bytes of the archive.
    pub size: u64,
    #[serde(default)]
    pub yanked: bool,
    pub yank_reason: Option<String>,
    /// Fingerprint of the key that signed it.
    pub signer: Option<String>,
    /// Other skills; hosts and packages that the registry names beside them are left out.
    #[serde(default, deserialize_with = "skill_dependencies")]
    pub dependencies: BTreeMap<SkillName, Range>,
    #[serde(default)]
    pub downloads: u64,
    pub download_url: Option<String>,
}

/// One version with everything that is needed to verify it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseDetail {
    pub name: SkillName,
    #[serde(flatten)]
    pub release: Release,
    #[serde(default)]
    pub description: String,
    pub manifest: Option<Manifest>,
    pub content_digest: Option<Sha256>,
    /// Armored and detached.
    pub signature: Option<String>,
    /// The text that was signed, as the registry has it. Never trusted: the client writes its own.
    pub statement: Option<String>,
    pub published_by: Option<String>,
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkillPage {
    pub skills: Vec<SkillInfo>,
    #[serde(default)]
    pub total: u64,
    #[serde(default)]
    pub limit: u32,
    #[serde(default)]
    pub offset: u64,
    pub next_cursor: Option<String>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchPage {
    #[serde(default)]
    pub query: String,
    /// Best first.
    pub results: Vec<SkillInfo>,
    #[serde(default)]
    pub total: u64,
    /// A better spelling.
    pub suggestion: Option<String>,
}

/// Order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Downloads,
    Rating,
    Recent,
    Name,
}

impl Sort {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Downloads => "downloads",
            Self::Rating => "rating",
            Self::Recent => "recent",
            Self::Name => "name",
        }
    }
}

/// What to list. The default lists everything, most downloaded first.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    pub search: Option<String>,
    /// All of them.
    pub tags: Vec<String>,
    pub sort: Option<Sort>,
    /// At most 100.
    pub limit: Option<u32>,
    pub offset: Option<u32>,
    /// From the page before; takes the place of `offset`.
    pub cursor: Option<String>,
}

/// What to search for.
#[derive(Debug, Clone, Default)]
pub struct SearchQuery {
    pub text: String,
    /// All of them.
    pub tags: Vec<String>,
    pub framework: Option<String>,
    pub author: Option<String>,
    /// At most 100.
    pub limit: Option<u32>,
    pub offset: Option<u32>,
}

/// A tag in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagCount {
    pub name: String,
    pub count: u64,
}

/// A file of a published skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    pub path: String,
    pub size: u64,
    #[serde(default)]
    pub executable: bool,
    pub sha256: Sha256,
}

/// Downloads of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayDownloads {
    /// `2026-01-31`, UTC.
    pub day: String,
    pub downloads: u64,
}

/// A release that depends on the skill asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependent {
    pub name: SkillName,
    pub version: Version,
    /// The versions that it accepts.
    pub range: String,
}

/// The state of a registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    pub status: String,
    pub version: Option<String>,
    pub uptime_seconds: Option<f64>,
    #[serde(default)]
    pub stats: Map<String, Value>,
}

/// Reads what is a skill out of a mixture: a text is the range of a skill, unless the name is that
/// of a host (reserved, so that no skill has it); a map is an ecosystem, except `skills`.
fn skill_dependencies<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<SkillName, Range>, D::Error> {
    let mut found = BTreeMap::new();
    for (name, value) in
        Option::<Map<String, Value>>::deserialize(deserializer)?.unwrap_or_default()
    {
        match value {
            Value::Object(skills) if name == "skills" => {
                found.extend(
                    skills
                        .iter()
                        .filter_map(|(name, range)| skill_dependency(name, range)),
                );
            }
            value => found.extend(skill_dependency(&name, &value)),
        }
    }
    Ok(found)
}

fn skill_dependency(name: &str, range: &Value) -> Option<(SkillName, Range)> {
    let range = range
        .as_str()
        .filter(|_| !skill_format::is_reserved(name))?;
    Some((name.parse().ok()?, range.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skills_are_told_apart_from_hosts_and_packages() {
        let text = r#"{"version":"1.0.0","size":1,
            "checksum":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "dependencies":{"roundtable":">=1.0.0","csv-reader":"^1.2","python":{"pandas":">=1.0.0"},"skills":{"chart-maker":"2"}}}"#;
        let release: Release = serde_json::from_str(text).expect("a release");
        let names: Vec<_> = release.dependencies.keys().map(SkillName::as_str).collect();
        assert_eq!(names, ["chart-maker", "csv-reader"]);
    }
}
