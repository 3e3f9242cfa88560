//! Reads of a folder what its manifest needs and nothing else, so that a large skill is known as fast
//! as a small one. Same bounds, and no link is followed either.

use std::io;
use std::path::Path;

use cap_std::fs::Dir;

use super::folder::{TreeError, open_root, read_at_most};
use super::{SKILL_MD, SKILL_YAML, SkillFile, SkillTree};
use crate::limits::{LimitError, Limits};

/// A tree of `SKILL.md`, `skill.yaml` and, without their content, those of `scripts` that are there.
pub(super) fn read(dir: &Path, scripts: &[&str], limits: &Limits) -> Result<SkillTree, TreeError> {
    let root = open_root(dir)?;
    let mut tree = SkillTree::new();
    for path in [SKILL_MD, SKILL_YAML] {
        if let Some(bytes) = content(&root, path, limits)? {
            tree.insert(path, SkillFile::plain(bytes))?;
        }
    }
    for path in scripts {
        if is_file(&root, path)? {
            tree.insert(path, SkillFile::plain(Vec::new()))?;
        }
    }
    Ok(tree)
}

fn content(root: &Dir, path: &str, limits: &Limits) -> Result<Option<Vec<u8>>, TreeError> {
    if !is_file(root, path)? {
        return Ok(None);
    }
    let unreadable = |source| TreeError::Io {
        path: path.to_owned(),
        source,
    };
    let file = root.open(path).map_err(unreadable)?;
    let max = limits.file_bytes_max;
    let hint = file.metadata().map_err(unreadable)?.len();
    let bytes = read_at_most(&file, hint, max).map_err(unreadable)?;
    let too_large = || LimitError::FileSize {
        path: path.to_owned(),
        max,
    };
    Ok(Some(bytes.ok_or_else(too_large)?))
}

fn is_file(root: &Dir, path: &str) -> Result<bool, TreeError> {
    let found = match root.symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if is_absence(&error) => return Ok(false),
        Err(source) => {
            return Err(TreeError::Io {
                path: path.to_owned(),
                source,
            });
        }
    };
    let path = || path.to_owned();
    if found.is_symlink() {
        return Err(TreeError::Link { path: path() });
    }
    if !found.is_file() {
        return Err(TreeError::Special { path: path() });
    }
    Ok(true)
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
