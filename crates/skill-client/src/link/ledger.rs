//! `agents.json` in the store: which skill was put into which folder, for which agents and how.
//! It is what makes an update stay with the agents it was meant for, and an uninstall take away
//! nothing but ours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use skill_format::{Explain, Fault, Place, Sha256};

use super::Mode;
use crate::fsx::{self, FsError};

const FILE: &str = "agents.json";
const VERSION: u64 = 1;

/// One skill in one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// Relative to the store where both lie in one project, so that the project can move.
    folder: PathBuf,
    /// Agents it was put there for.
    pub agents: Vec<String>,
    pub mode: Mode,
    /// Of a copy as it was made: whatever differs was changed by someone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Sha256>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl Placement {
    /// The agents' folder that holds the skill.
    pub fn folder_from(&self, store: &Path) -> PathBuf {
        resolve(store, &self.folder)
    }
}

/// Everything that was put into agents' folders from one store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    skills: BTreeMap<String, Vec<Placement>>,
    /// Folders that did not exist before.
    created: BTreeSet<PathBuf>,
    extra: Map<String, Value>,
    changed: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    version: u64,
    #[serde(default)]
    skills: BTreeMap<String, Vec<Placement>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    created_folders: BTreeSet<PathBuf>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    File(#[from] FsError),
    #[error("{} cannot be read: {source}", .path.display())]
    Invalid {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("{} is of version {found}, written by a newer program", .path.display())]
    Newer { path: PathBuf, found: u64 },
}

impl Explain for LedgerError {
    fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Invalid { .. } => "agents-ledger-invalid",
            Self::Newer { .. } => "agents-ledger-newer",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::File(error) => error.fault(),
            Self::Invalid { .. } | Self::Newer { .. } => Fault::BadInput,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.help(),
            Self::Invalid { .. } => {
                "move the file away and install for your agents again: links that are there are taken over".into()
            }
            Self::Newer { .. } => "update this program".into(),
        })
    }

    fn place(&self) -> Option<Place> {
        let (path, line) = match self {
            Self::File(error) => return error.place(),
            Self::Invalid { path, source } => (path, u32::try_from(source.line()).ok()),
            Self::Newer { path, .. } => (path, None),
        };
        Some(Place {
            file: Some(path.display().to_string()),
            line: line.filter(|line| *line > 0),
            field: None,
        })
    }
}

impl Ledger {
    /// Reads the ledger of a store; an absent file is an empty one.
    pub fn read(store: &Path) -> Result<Self, LedgerError> {
        let path = store.join(FILE);
        let Some(bytes) = fsx::read_optional(&path)? else {
            return Ok(Self::default());
        };
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|source| LedgerError::Invalid {
                path: path.clone(),
                source,
            })?;
        if document.version > VERSION {
            return Err(LedgerError::Newer {
                path,
                found: document.version,
            });
        }
        Ok(Self {
            skills: document.skills,
            created: document.created_folders,
            extra: document.extra,
            changed: false,
        })
    }

    /// Writes it, if there is something new in it.
    pub(super) fn write(&mut self, store: &Path) -> Result<(), LedgerError> {
        if !self.changed {
            return Ok(());
        }
        let document = Document {
            version: VERSION,
            skills: self.skills.clone(),
            created_folders: self.created.clone(),
            extra: self.extra.clone(),
        };
        let path = store.join(FILE);
        let mut bytes =
            serde_json::to_vec_pretty(&document).map_err(|source| LedgerError::Invalid {
                path: path.clone(),
                source,
            })?;
        bytes.push(b'\n');
        fsx::write_atomic(&path, &bytes, 0o644)?;
        self.changed = false;
        Ok(())
    }

    /// Every skill that some agent sees, with its folders.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Placement])> {
        self.skills
            .iter()
            .map(|(skill, placements)| (skill.as_str(), placements.as_slice()))
    }

    /// The agents that `skill` was installed for.
    pub fn agents_of(&self, skill: &str) -> Vec<&str> {
        let agents: BTreeSet<&str> = self
            .placements(skill)
            .iter()
            .flat_map(|placement| placement.agents.iter().map(String::as_str))
            .collect();
        agents.into_iter().collect()
    }

    pub fn placements(&self, skill: &str) -> &[Placement] {
        self.skills.get(skill).map_or(&[], Vec::as_slice)
    }

    pub(super) fn placement(&self, skill: &str, folder: &Path, store: &Path) -> Option<&Placement> {
        self.placements(skill)
            .iter()
            .find(|placement| placement.folder_from(store) == folder)
    }

    pub(super) fn forget(&mut self, skill: &str, placement: &Placement) {
        if let Some(placements) = self.skills.get_mut(skill) {
            placements.retain(|known| known != placement);
            if placements.is_empty() {
                self.skills.remove(skill);
            }
            self.changed = true;
        }
    }

    pub(super) fn record(
        &mut self,
        skill: &str,
        folder: &Path,
        store: &Path,
        agents: &[String],
        mode: Mode,
        digest: Option<Sha256>,
    ) {
        let written = relative_or_absolute(store, folder);
        let placements = self.skills.entry(skill.to_owned()).or_default();
        let known = placements
            .iter_mut()
            .find(|placement| resolve(store, &placement.folder) == folder);
        match known {
            Some(placement) => {
                let mut all: BTreeSet<String> = placement.agents.iter().cloned().collect();
                all.extend(agents.iter().cloned());
                let agents: Vec<String> = all.into_iter().collect();
                if placement.agents != agents
                    || placement.mode != mode
                    || placement.digest != digest
                {
                    self.changed = true;
                }
                placement.agents = agents;
                placement.mode = mode;
                placement.digest = digest;
            }
            None => {
                let agents: BTreeSet<String> = agents.iter().cloned().collect();
                placements.push(Placement {
                    folder: written,
                    agents: agents.into_iter().collect(),
                    mode,
                    digest,
                    extra: Map::new(),
                });
                placements.sort_by(|a, b| a.folder.cmp(&b.folder));
                self.changed = true;
            }
        }
    }

    /// Forgets a skill and says where it was.
    pub(super) fn take(&mut self, skill: &str) -> Vec<Placement> {
        let taken = self.skills.remove(skill).unwrap_or_default();
        self.changed |= !taken.is_empty();
        taken
    }

    pub(super) fn restore(&mut self, skill: &str, placement: Placement) {
        self.skills
            .entry(skill.to_owned())
            .or_default()
            .push(placement);
        self.changed = true;
    }

    pub(super) fn record_created(&mut self, folder: &Path, store: &Path) {
        self.changed |= self.created.insert(relative_or_absolute(store, folder));
    }

    /// Folders that were made for skills and that no skill uses now, deepest first. They are forgotten.
    pub(super) fn unused_folders(&mut self, store: &Path) -> Vec<PathBuf> {
        let used: Vec<PathBuf> = self
            .skills
            .values()
            .flatten()
            .map(|placement| placement.folder_from(store))
            .collect();
        let (kept, unused): (BTreeSet<PathBuf>, BTreeSet<PathBuf>) =
            std::mem::take(&mut self.created)
                .into_iter()
                .partition(|created| {
                    let created = resolve(store, created);
                    used.iter().any(|folder| folder.starts_with(&created))
                });
        self.changed |= !unused.is_empty();
        self.created = kept;
        let mut unused: Vec<PathBuf> = unused.iter().map(|folder| resolve(store, folder)).collect();
        unused.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        unused
    }
}

/// `path` as seen from `base`, both absolute and without `..`, if they share more than the root.
pub(crate) fn relative(base: &Path, path: &Path) -> Option<PathBuf> {
    let shared = base
        .components()
        .zip(path.components())
        .take_while(|(a, b)| a == b)
        .count();
    if shared <= 1 {
        return None;
    }
    let up = base
        .components()
        .skip(shared)
        .map(|_| Component::ParentDir.as_os_str());
    let down = path.components().skip(shared).map(Component::as_os_str);
    let relative: PathBuf = up.chain(down).collect();
    Some(if relative.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        relative
    })
}

fn relative_or_absolute(store: &Path, folder: &Path) -> PathBuf {
    relative(store, folder).unwrap_or_else(|| folder.to_owned())
}

/// Follows `..` by name; right where no part of the path is a link.
pub(super) fn resolve(base: &Path, relative: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in base.join(relative).components() {
        match component {
            Component::ParentDir => {
                resolved.pop();
            }
            Component::CurDir => {}
            other => resolved.push(other),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_lead_back() {
        for (base, path, expected) in [
            ("/p/.skills", "/p/.claude/skills", Some("../.claude/skills")),
            ("/p/a/b", "/p", Some("../..")),
            ("/p", "/p", Some(".")),
            ("/a/b", "/c/d", None),
        ] {
            let found = relative(Path::new(base), Path::new(path));
            assert_eq!(found.as_deref(), expected.map(Path::new));
            if let Some(found) = found {
                assert_eq!(resolve(Path::new(base), &found), Path::new(path));
            }
        }
    }

    #[test]
    fn what_a_newer_version_wrote_survives() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let text = r#"{"version":1,"skills":{"a":[{"folder":"../.x/skills","agents":["x"],"mode":"link","note":1}]},"theme":"dark"}"#;
        std::fs::write(dir.path().join(FILE), text).expect("write");
        let mut ledger = Ledger::read(dir.path()).expect("valid");
        ledger.record_created(&dir.path().join("new"), dir.path());
        ledger.write(dir.path()).expect("write");
        let written = std::fs::read_to_string(dir.path().join(FILE)).expect("read");
        assert!(written.contains("\"note\": 1") && written.contains("\"theme\": \"dark\""));

        std::fs::write(dir.path().join(FILE), r#"{"version":2}"#).expect("write");
        assert_eq!(
            Ledger::read(dir.path()).expect_err("newer").code(),
            "agents-ledger-newer"
        );
        std::fs::write(dir.path().join(FILE), "{").expect("write");
        assert_eq!(
            Ledger::read(dir.path()).expect_err("cut").code(),
            "agents-ledger-invalid"
        );
    }
}
