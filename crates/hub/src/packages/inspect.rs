//! What uploaded bytes are: read by the one bounded reader, derived to a skill,
//! linted. Pure; knows neither publisher nor catalogue.

use bytes::Bytes;
use hub_model::{About, SkillDependency};
use serde_json::{Map, Value, json};
use skill_format::{
    ArchiveError, Dependencies, Diagnostic, Explain, Limits, Manifest, ReadOptions, Sha256, Skill,
    SkillTree, Version, is_reserved, lint, parse_version,
};

use crate::catalogue::links::ZIP;

/// The media type of `.spm`, a gzip-compressed tar.
pub const GZIP: &str = "application/gzip";

/// Everything the catalogue wants to know about an archive.
#[derive(Debug, Clone)]
pub struct Inspected {
    pub manifest: Manifest,
    pub version: Version,
    pub sha256: Sha256,
    pub size: u64,
    pub media_type: &'static str,
    pub content_digest: Sha256,
    /// SKILL.md without its frontmatter.
    pub body: String,
}

/// Why bytes are not a skill that can be published.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error("the archive cannot be read: {0}")]
    Archive(#[from] ArchiveError),
    /// What the reader or the linter found; at least one is an error.
    #[error("this is not a valid skill")]
    Invalid(Vec<Diagnostic>),
    #[error("the given version is not a version: {0}")]
    GivenVersion(skill_format::VersionError),
    #[error("the skill says that its version is {stated}, not {given}")]
    OtherVersion { stated: Version, given: Version },
    #[error("the skill has no version: state one in skill.yaml or give one with the upload")]
    NoVersion,
}

/// Reads an archive. `given_version` is for a skill that states none itself.
/// Takes as long as unpacking takes: call it where blocking is allowed.
pub fn inspect(
    archive: &Bytes,
    given_version: Option<&str>,
    limits: &Limits,
) -> Result<Inspected, InspectError> {
    let given = given_version
        .map(parse_version)
        .transpose()
        .map_err(InspectError::GivenVersion)?;
    let tree = SkillTree::read_archive(archive, limits)?;
    let remarks = lint(&tree, None);
    if remarks.iter().any(Diagnostic::is_error) {
        return Err(InspectError::Invalid(remarks));
    }
    let skill = Skill::from_tree(tree, &ReadOptions::default())
        .map_err(|invalid| InspectError::Invalid(invalid.diagnostics))?;
    let mut manifest = skill.manifest;
    let version = match (manifest.version.take(), given) {
        (Some(stated), Some(given)) if stated != given => {
            return Err(InspectError::OtherVersion { stated, given });
        }
        (Some(version), _) | (None, Some(version)) => version,
        (None, None) => return Err(InspectError::NoVersion),
    };
    manifest.version = Some(version.clone());
    Ok(Inspected {
        manifest,
        version,
        sha256: Sha256::of(archive),
        size: archive.len() as u64,
        media_type: if archive.starts_with(b"PK") {
            ZIP
        } else {
            GZIP
        },
        content_digest: skill.tree.content_digest(),
        body: skill.body,
    })
}

impl Inspected {
    /// What lists show of the skill while this is its latest version.
    pub fn about(&self) -> About {
        let manifest = &self.manifest;
        About {
            description: manifest.description.clone(),
            author: manifest.author.clone(),
            license: manifest.license.clone(),
            repository: manifest.repository.clone(),
            homepage: manifest.homepage.clone(),
            tags: manifest.tags.clone(),
            capabilities: manifest.capabilities.clone(),
            frameworks: json!(manifest.frameworks),
            dependencies: as_in_skill_yaml(&manifest.dependencies),
        }
    }

    /// The skills it depends on, each once.
    pub fn depends_on(&self) -> Vec<SkillDependency> {
        let skills = self.manifest.dependencies.skills.iter();
        skills
            .map(|(name, range)| SkillDependency {
                name: name.as_str().to_owned(),
                name_key: name.uniqueness_key(),
                range: range.to_string(),
            })
            .collect()
    }
}

/// Dependencies in the form of `skill.yaml`: skills and hosts by name, packages
/// by ecosystem; a skill that a reader could take for a host stands in `skills`.
fn as_in_skill_yaml(dependencies: &Dependencies) -> Value {
    let mut all = Map::new();
    all.extend(
        dependencies
            .hosts
            .iter()
            .map(|(host, range)| (host.clone(), json!(range))),
    );
    all.extend(
        dependencies
            .packages
            .iter()
            .map(|(ecosystem, list)| (ecosystem.clone(), json!(list))),
    );
    let mut set_apart = Map::new();
    for (name, range) in &dependencies.skills {
        let name = name.as_str();
        let is_ambiguous = name == "skills" || all.contains_key(name) || is_reserved(name);
        let place = if is_ambiguous {
            &mut set_apart
        } else {
            &mut all
        };
        place.insert(name.to_owned(), json!(range.to_string()));
    }
    if !set_apart.is_empty() {
        all.insert("skills".to_owned(), Value::Object(set_apart));
    }
    Value::Object(all)
}

impl InspectError {
    /// The stable code of the archive's fault, where that is what it is.
    pub fn archive_code(&self) -> Option<&'static str> {
        match self {
            Self::Archive(error) => Some(error.code()),
            Self::Invalid(_)
            | Self::GivenVersion(_)
            | Self::OtherVersion { .. }
            | Self::NoVersion => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use skill_format::SkillFile;

    use super::*;

    fn archive(files: &[(&str, &str)]) -> Bytes {
        let mut tree = SkillTree::new();
        for (path, text) in files {
            tree.insert(path, SkillFile::plain(text.as_bytes()))
                .expect("a path");
        }
        tree.pack().into()
    }

    const BARE: &str = "---\nname: csv-reader\ndescription: Reads CSV files.\n---\n\n# Reading\n";

    #[test]
    fn a_bare_skill_takes_the_version_that_is_given() {
        let archive = archive(&[("SKILL.md", BARE)]);
        let found = inspect(&archive, Some("1.2.0"), &Limits::default()).expect("a skill");
        assert_eq!(found.version.to_string(), "1.2.0");
        assert_eq!(found.manifest.name.as_str(), "csv-reader");
        assert_eq!(found.media_type, GZIP);
        assert_eq!(found.size, archive.len() as u64);
        let without = inspect(&archive, None, &Limits::default());
        assert!(matches!(without, Err(InspectError::NoVersion)));
    }

    #[test]
    fn a_version_that_contradicts_the_skill_is_refused() {
        let yaml = "name: csv-reader\nversion: 1.0.0\ndescription: Reads CSV files.\n";
        let archive = archive(&[("SKILL.md", BARE), ("skill.yaml", yaml)]);
        let other = inspect(&archive, Some("2.0.0"), &Limits::default());
        assert!(matches!(other, Err(InspectError::OtherVersion { .. })));
        assert!(inspect(&archive, Some("1.0.0"), &Limits::default()).is_ok());
        let no_version = inspect(&archive, Some("one"), &Limits::default());
        assert!(matches!(no_version, Err(InspectError::GivenVersion(_))));
    }

    #[test]
    fn dependencies_are_told_as_in_skill_yaml() {
        let yaml = "name: csv-reader\nversion: 1.0.0\ndescription: Reads CSV files.\n\
                    dependencies:\n  roundtable: \">=1.0.0\"\n  chart-maker: \"^2\"\n  python:\n    pandas: \">=1.0.0\"\n";
        let archive = archive(&[("SKILL.md", BARE), ("skill.yaml", yaml)]);
        let found = inspect(&archive, None, &Limits::default()).expect("a skill");
        let about = found.about();
        assert_eq!(about.dependencies["roundtable"], ">=1.0.0");
        assert_eq!(about.dependencies["python"]["pandas"], ">=1.0.0");
        assert_eq!(about.dependencies["chart-maker"], "^2");
        let depends_on = found.depends_on();
        assert_eq!(
            depends_on
                .iter()
                .map(|on| on.name.as_str())
                .collect::<Vec<_>>(),
            ["chart-maker"]
        );
    }

    #[test]
    fn bytes_that_are_no_archive_are_refused() {
        let nothing = inspect(&Bytes::from_static(b"hello"), None, &Limits::default());
        assert!(nothing.is_err_and(|error| error.archive_code().is_some()));
    }
}
