//! What a folder or a repository holds: skills, and folders that look like one and cannot be used.
//! A bad one does not stop the good ones, and is nobody's business where others were picked.

use serde::Serialize;
use skill_format::SkillName;

use super::InstallError;
use super::error::Why;
use super::local::LocalSkill;

/// A folder that holds a `SKILL.md` and was left out, because it is no skill that can be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    pub place: String,
    #[serde(flatten)]
    pub why: Why,
}

/// A folder that holds a `SKILL.md` and cannot be used.
#[derive(Debug)]
pub(super) struct Bad {
    pub place: String,
    /// Its folder's name, and the one that its `SKILL.md` states.
    pub names: Vec<String>,
    pub error: InstallError,
}

/// Everything that one source holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub skills: Vec<LocalSkill>,
    pub bad: Vec<Bad>,
}

impl Found {
    pub fn one(skill: LocalSkill) -> Self {
        Self {
            skills: vec![skill],
            bad: Vec::new(),
        }
    }

    /// Whether there is something to choose from.
    pub fn is_several(&self) -> bool {
        self.skills.len() + self.bad.len() > 1
    }

    /// Judges what cannot be used: an error if it was picked, or if there is nothing else; of no
    /// concern if others were picked; else left out.
    pub fn judge(
        self,
        picked: &[SkillName],
    ) -> Result<(Vec<LocalSkill>, Vec<LeftOut>), InstallError> {
        let is_there = |name: &SkillName| self.skills.iter().any(|skill| skill.name == *name);
        let missing: Vec<&SkillName> = picked.iter().filter(|name| !is_there(name)).collect();
        let is_meant = |bad: &Bad| {
            let is_it = |name: &&SkillName| bad.names.iter().any(|known| name.as_str() == known);
            self.skills.is_empty() && picked.is_empty() || missing.iter().any(is_it)
        };
        if let Some(meant) = self.bad.iter().position(is_meant) {
            let mut bad = self.bad;
            return Err(bad.swap_remove(meant).error);
        }
        let left_out = self.bad.iter().filter(|_| picked.is_empty());
        let left_out = left_out.map(|bad| LeftOut {
            place: bad.place.clone(),
            why: Why::of(&bad.error),
        });
        Ok((self.skills, left_out.collect()))
    }
}

/// The name in the frontmatter of a `SKILL.md` that may be wrong otherwise.
pub(super) fn stated_name(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim_end);
    lines.next().filter(|line| *line == "---")?;
    let head = lines.take_while(|line| *line != "---");
    head.filter_map(|line| line.strip_prefix("name:"))
        .map(|name| name.trim().trim_matches(['"', '\'']).to_owned())
        .next()
}
