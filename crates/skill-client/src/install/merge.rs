//! Carries local changes over to a new version: file by file, and inside text files line by line
//! with `git merge-file`. What both sides changed in one place is a conflict, and nothing is merged.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::process::Stdio;

use skill_format::{SkillFile, SkillTree};
use tokio::process::Command;

use super::InstallError;
use crate::fsx::{At as _, FsError};

/// A file that both sides changed in ways that exclude each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeConflict {
    /// Inside the skill.
    pub path: String,
    /// A clause.
    pub reason: &'static str,
}

impl fmt::Display for MergeConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path, self.reason)
    }
}

/// The result for one file.
enum Merged {
    Keep(SkillFile),
    Gone,
    Conflict(&'static str),
}

/// `theirs` with what `ours` changed of `base`; the conflicts if that is not possible.
pub async fn merge(
    base: &SkillTree,
    ours: &SkillTree,
    theirs: &SkillTree,
) -> Result<Result<SkillTree, Vec<MergeConflict>>, InstallError> {
    let paths: BTreeSet<&str> = [base, ours, theirs]
        .into_iter()
        .flat_map(|tree| tree.iter().map(|(path, _)| path))
        .collect();
    let mut merged = SkillTree::new();
    let mut conflicts = Vec::new();
    for path in paths {
        match merge_file(base.get(path), ours.get(path), theirs.get(path)).await? {
            Merged::Gone => {}
            Merged::Conflict(reason) => conflicts.push(MergeConflict {
                path: path.to_owned(),
                reason,
            }),
            Merged::Keep(file) => {
                if merged.insert(path, file).is_err() {
                    let reason = "its name collides with that of another file";
                    conflicts.push(MergeConflict {
                        path: path.to_owned(),
                        reason,
                    });
                }
            }
        }
    }
    Ok(if conflicts.is_empty() {
        Ok(merged)
    } else {
        Err(conflicts)
    })
}

async fn merge_file(
    base: Option<&SkillFile>,
    ours: Option<&SkillFile>,
    theirs: Option<&SkillFile>,
) -> Result<Merged, InstallError> {
    let keep =
        |file: Option<&SkillFile>| file.map_or(Merged::Gone, |file| Merged::Keep(file.clone()));
    if ours == theirs || base == ours {
        return Ok(keep(theirs));
    }
    if base == theirs {
        return Ok(keep(ours));
    }
    match (base, ours, theirs) {
        (Some(base), Some(ours), Some(theirs)) => merge_text(base, ours, theirs).await,
        (None, Some(_), Some(_)) => Ok(Merged::Conflict("both sides added it")),
        (Some(_), None, _) => Ok(Merged::Conflict("removed here, changed there")),
        _ => Ok(Merged::Conflict("changed here, removed there")),
    }
}

async fn merge_text(
    base: &SkillFile,
    ours: &SkillFile,
    theirs: &SkillFile,
) -> Result<Merged, InstallError> {
    let executable = if ours.executable == base.executable {
        theirs.executable
    } else {
        ours.executable
    };
    let scratch = tempfile::tempdir().at("create a folder in", std::env::temp_dir())?;
    for (name, file) in [("ours", ours), ("base", base), ("theirs", theirs)] {
        let path = scratch.path().join(name);
        std::fs::write(&path, &file.bytes).at("write", &path)?;
    }
    Ok(match git_merge_file(scratch.path()).await? {
        Some(bytes) => Merged::Keep(SkillFile { executable, bytes }),
        None => Merged::Conflict("changed in the same place on both sides"),
    })
}

/// The merged text; `None` if there are conflicts, if it is not text, or if there is no git.
async fn git_merge_file(dir: &Path) -> Result<Option<Vec<u8>>, FsError> {
    let output = Command::new("git")
        .args([
            "merge-file",
            "--stdout",
            "--quiet",
            "ours",
            "base",
            "theirs",
        ])
        .current_dir(dir)
        .env("GIT_CEILING_DIRECTORIES", dir)
        .env_remove("GIT_DIR")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("run", "git"),
        Ok(output) => Ok(output.status.success().then_some(output.stdout)),
    }
}
