//! `index.json`: what is installed in a store. Keys and entries that this version does not
//! understand survive; knows nothing of the folders beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use skill_format::{Explain, Fault, Place, Range, Sha256, SkillName, Version};

use crate::fsx::{self, FsError};
use crate::source::Origin;

/// One installed skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstalledSkill {
    /// The name it is installed under: its own, or an alias.
    pub name: SkillName,
    pub version: Version,
    pub installed_at: Timestamp,
    /// Where it came from.
    pub source: Origin,
    /// What was typed, where that is needed to fetch a newer one: a branch of a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<String>,
    /// SHA-256 of the archive. A folder or a commit has none: there it is the `full_digest`.
    pub checksum: Sha256,
    /// `full_digest` of the folder as it was installed: whatever differs was changed here. Absent
    /// only in an index that another program wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Sha256>,
    /// Fingerprint of the key that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Its own name, where it is installed under an alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<SkillName>,
    /// What was asked for. Absent for a skill that is here because others depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<Range>,
    /// Skills it depends on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dependencies: BTreeMap<SkillName, Range>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl InstalledSkill {
    /// The skill's own name, whatever it is installed under.
    pub fn package(&self) -> &SkillName {
        self.package.as_ref().unwrap_or(&self.name)
    }

    /// Its folder, relative to the store.
    pub fn folder(&self) -> PathBuf {
        folder(&self.name, &self.version)
    }
}

/// The folder of a version of a skill, relative to the store.
pub fn folder(name: &SkillName, version: &Version) -> PathBuf {
    Path::new(name.as_str()).join(version.to_string())
}

/// An entry that cannot be understood. It is kept as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct UnreadableEntry {
    /// As found.
    pub value: Value,
    /// What is wrong with it.
    pub problem: String,
}

/// The content of `index.json`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Index {
    skills: Vec<InstalledSkill>,
    unreadable: Vec<UnreadableEntry>,
    last_sync_time: Option<Timestamp>,
    extra: Map<String, Value>,
}

impl Index {
    /// Every installed skill, by name, then newest first.
    pub fn skills(&self) -> &[InstalledSkill] {
        &self.skills
    }

    /// The newest installed version of a skill.
    pub fn get(&self, name: &SkillName) -> Option<&InstalledSkill> {
        self.skills.iter().find(|skill| skill.name == *name)
    }

    /// One installed version of a skill.
    pub fn get_version(&self, name: &SkillName, version: &Version) -> Option<&InstalledSkill> {
        self.skills
            .iter()
            .find(|skill| skill.name == *name && skill.version == *version)
    }

    /// For a change to an entry that leaves name and version as they are.
    pub fn get_mut(&mut self, name: &SkillName) -> Option<&mut InstalledSkill> {
        self.skills.iter_mut().find(|skill| skill.name == *name)
    }

    /// Entries that could not be understood.
    pub fn unreadable(&self) -> &[UnreadableEntry] {
        &self.unreadable
    }

    /// When a registry was last asked for this store.
    pub fn last_sync_time(&self) -> Option<Timestamp> {
        self.last_sync_time
    }

    /// See [`Index::last_sync_time`].
    pub fn set_last_sync_time(&mut self, now: Timestamp) {
        self.last_sync_time = Some(now);
    }

    /// Adds an entry, replacing one of the same name and version.
    pub fn insert(&mut self, skill: InstalledSkill) {
        self.remove(&skill.name, &skill.version);
        let at = self
            .skills
            .partition_point(|other| (&other.name, &skill.version) < (&skill.name, &other.version));
        self.skills.insert(at, skill);
    }

    /// Takes an entry out.
    pub fn remove(&mut self, name: &SkillName, version: &Version) -> Option<InstalledSkill> {
        let at = self
            .skills
            .iter()
            .position(|skill| skill.name == *name && skill.version == *version)?;
        Some(self.skills.remove(at))
    }

    /// Reads the file; an absent file is an empty index.
    pub fn read(path: &Path) -> Result<Self, IndexError> {
        match fsx::read_optional(path)? {
            None => Ok(Self::default()),
            Some(bytes) => Self::parse(&bytes).map_err(|source| IndexError::Invalid {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Reads the text of an index.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_slice(bytes)?;
        let mut index = Self {
            last_sync_time: document.last_sync_time,
            extra: document.extra,
            ..Self::default()
        };
        for value in document.installed_skills {
            match InstalledSkill::deserialize(&value) {
                Ok(skill) => index.insert(skill),
                Err(error) => index.unreadable.push(UnreadableEntry {
                    value,
                    problem: error.to_string(),
                }),
            }
        }
        Ok(index)
    }

    /// The text of the file. Equal indexes give equal bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let readable = self.skills.iter().map(serde_json::to_value);
        let kept = self.unreadable.iter().map(|entry| Ok(entry.value.clone()));
        let document = Document {
            installed_skills: readable.chain(kept).collect::<Result<_, _>>()?,
            last_sync_time: self.last_sync_time,
            extra: self.extra.clone(),
        };
        let mut text = serde_json::to_vec_pretty(&document)?;
        text.push(b'\n');
        Ok(text)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    installed_skills: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_sync_time: Option<Timestamp>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Why the index cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error(transparent)]
    File(#[from] FsError),
    #[error("{} is not a valid index: {source}", .path.display())]
    Invalid {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

impl Explain for IndexError {
    fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Invalid { .. } => "index-invalid",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::File(error) => error.fault(),
            Self::Invalid { .. } => Fault::BadInput,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::File(error) => error.help(),
            Self::Invalid { .. } => {
                Some("move the file away; the next install takes the skills that lie in the store back in".into())
            }
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::File(error) => error.place(),
            Self::Invalid { path, source } => Some(Place {
                file: Some(path.display().to_string()),
                line: u32::try_from(source.line()).ok().filter(|line| *line > 0),
                field: None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the first design document, with a real digest.
    const SEED: &str = r#"{
  "installedSkills": [
    {
      "name": "data-analysis-expert",
      "version": "1.0.0",
      "installedAt": "2025-01-20T14:22:00Z",
      "source": "https://registry.roundtable.dev",
      "checksum": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "rating": 5
    }
  ],
  "lastSyncTime": "2025-01-20T15:00:00Z",
  "theme": "dark"
}
"#;

    #[test]
    fn an_index_is_written_as_it_was_read() {
        let index = Index::parse(SEED.as_bytes()).expect("valid");
        assert_eq!(
            String::from_utf8(index.to_bytes().expect("JSON")).expect("UTF-8"),
            SEED
        );
        assert_eq!(index.skills()[0].extra["rating"], 5);
    }

    #[test]
    fn a_bad_entry_neither_hides_the_others_nor_is_lost() {
        let text = SEED.replace(
            "\"installedSkills\": [",
            "\"installedSkills\": [{\"name\": \"../evil\"},",
        );
        let index = Index::parse(text.as_bytes()).expect("valid");
        assert_eq!((index.skills().len(), index.unreadable().len()), (1, 1));
        let again = Index::parse(&index.to_bytes().expect("JSON")).expect("valid");
        assert_eq!(again, index);
    }

    #[test]
    fn the_newest_version_comes_first_and_replaces_its_equal() {
        let seed = Index::parse(SEED.as_bytes()).expect("valid").skills()[0].clone();
        let mut index = Index::default();
        for version in ["1.0.0", "10.0.0", "2.0.0", "2.0.0"] {
            index.insert(InstalledSkill {
                version: version.parse().expect("a version"),
                ..seed.clone()
            });
        }
        let mut other = seed.clone();
        other.name = "another".parse().expect("a name");
        index.insert(other);
        let order: Vec<_> = index
            .skills()
            .iter()
            .map(|skill| format!("{}@{}", skill.name, skill.version))
            .collect();
        let name = "data-analysis-expert";
        assert_eq!(
            order,
            [
                "another@1.0.0".into(),
                format!("{name}@10.0.0"),
                format!("{name}@2.0.0"),
                format!("{name}@1.0.0")
            ]
        );
        assert_eq!(index.get(&seed.name).expect("installed").version.major, 10);
        assert!(index.remove(&seed.name, &seed.version).is_some());
        assert!(index.remove(&seed.name, &seed.version).is_none());
    }
}
