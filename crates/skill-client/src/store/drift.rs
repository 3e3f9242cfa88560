//! Whether an installed folder is still what was installed.

use serde::Serialize;
use skill_format::{Limits, SkillTree};

use super::Store;
use crate::index::InstalledSkill;

/// What became of an installed folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// Nothing.
    None,
    /// The folder is gone.
    Missing,
    /// Its content is another one.
    Changed,
    /// It cannot be read as a skill any more: a link, a device, too much.
    Unreadable(String),
    /// The index does not say what was installed.
    Unknown,
}

/// What happened to one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileChangeKind {
    Added,
    Removed,
    Modified,
}

/// One file that is not as it was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Inside the skill.
    pub path: String,
    pub kind: FileChangeKind,
}

impl Store {
    /// Compares a skill's folder with what the index says. Reads all of its files.
    pub fn drift(&self, skill: &InstalledSkill) -> Drift {
        let dir = self.skill_dir(skill);
        if !dir.is_dir() {
            return Drift::Missing;
        }
        match (
            SkillTree::read_dir_exactly(&dir, &Limits::default()),
            skill.digest,
        ) {
            (Err(error), _) => Drift::Unreadable(error.to_string()),
            (Ok(_), None) => Drift::Unknown,
            (Ok(tree), Some(digest)) if tree.full_digest() == digest => Drift::None,
            (Ok(_), Some(_)) => Drift::Changed,
        }
    }
}

/// How `now` differs from `original`, by path.
pub fn changes(original: &SkillTree, now: &SkillTree) -> Vec<FileChange> {
    let mut changes = Vec::new();
    let mut note = |path: &str, kind| {
        changes.push(FileChange {
            path: path.to_owned(),
            kind,
        })
    };
    for (path, file) in original.iter() {
        match now.get(path) {
            None => note(path, FileChangeKind::Removed),
            Some(other) if other != file => note(path, FileChangeKind::Modified),
            Some(_) => {}
        }
    }
    for (path, _) in now.iter() {
        if original.get(path).is_none() {
            note(path, FileChangeKind::Added);
        }
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}
