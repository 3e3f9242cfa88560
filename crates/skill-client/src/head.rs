//! What an agent reads of a skill at its start: `SKILL.md` and `skill.yaml`, nothing else. Cheap,
//! whatever the skill carries.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use skill_format::{Limits, ReadOptions, SKILL_MD, SKILL_YAML, Skill, SkillFile, SkillTree};

/// Why the head of a skill cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    #[error("{} cannot be read: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Invalid(#[from] skill_format::InvalidSkill),
    #[error(transparent)]
    Tree(#[from] skill_format::PathError),
}

/// The skill of a folder without its other files. Links are followed, as an agent does.
pub fn read_head(folder: &Path) -> Result<Skill, HeadError> {
    let mut tree = SkillTree::new();
    for name in [SKILL_MD, SKILL_YAML] {
        let path = folder.join(name);
        match read_bounded(&path) {
            Ok(bytes) => tree.insert(name, SkillFile::plain(bytes))?,
            Err(error) if name == SKILL_YAML && error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(HeadError::File { path, source }),
        }
    }
    Ok(Skill::from_tree(tree, &ReadOptions::default())?)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let max = Limits::default().file_bytes_max;
    // A pipe would be waited for.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(max + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}
