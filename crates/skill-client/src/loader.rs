//! Loads installed skills for an agent framework: the project's before the user's, the bad ones
//! warned about and left out. Runs nothing and changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use skill_format::adapters::{self, RenderOptions};
use skill_format::{
    Diagnostic, Framework, Limits, ReadOptions, Skill, SkillName, SkillTree, discover,
};

use crate::store::Store;

/// Where a loaded skill comes from. Of two skills of one name the one from the earlier place wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precedence {
    Project,
    User,
}

/// A place that holds skills.
#[derive(Debug, Clone)]
pub struct Place {
    pub precedence: Precedence,
    pub kind: PlaceKind,
}

#[derive(Debug, Clone)]
pub enum PlaceKind {
    /// A store with its index.
    Store(PathBuf),
    /// Any folder with skills in it, such as `.agents/skills`.
    Folder(PathBuf),
}

/// A skill that can be used.
#[derive(Debug, Clone)]
pub struct LoadedSkill {
    /// The name it is known under: its own, or the alias it was installed under.
    pub name: SkillName,
    pub folder: PathBuf,
    pub precedence: Precedence,
    pub skill: Skill,
}

/// Everything that could be loaded, by name, and what could not.
#[derive(Debug, Default)]
pub struct Loaded {
    pub skills: Vec<LoadedSkill>,
    pub warnings: Vec<Diagnostic>,
}

impl Loaded {
    pub fn get(&self, name: &SkillName) -> Option<&LoadedSkill> {
        self.skills.iter().find(|skill| skill.name == *name)
    }

    /// In the form that `framework` reads.
    pub fn render(&self, framework: Framework, instructions: bool) -> Value {
        let folder = |skill: &Skill| {
            let found = self
                .skills
                .iter()
                .find(|loaded| std::ptr::eq(&loaded.skill, skill));
            found.map(|loaded| loaded.folder.display().to_string())
        };
        let options = RenderOptions {
            path_of: Some(&folder),
            instructions,
            ..RenderOptions::default()
        };
        let skills: Vec<&Skill> = self.skills.iter().map(|loaded| &loaded.skill).collect();
        adapters::render(&skills, framework, &options)
    }
}

/// Loads all skills of these places, or those of `names` if there are any.
pub fn load(places: &[Place], names: &[SkillName]) -> Loaded {
    let mut loaded = Loaded::default();
    let mut found: BTreeMap<SkillName, LoadedSkill> = BTreeMap::new();
    let mut ordered: Vec<&Place> = places.iter().collect();
    ordered.sort_by_key(|place| place.precedence);
    for place in ordered {
        for (name, folder) in folders(&place.kind, &mut loaded.warnings) {
            let known = name.as_ref().and_then(|name| found.get(name));
            if let Some(known) = known {
                shadowed(&known.name, &known.folder, &folder, &mut loaded.warnings);
                continue;
            }
            if name
                .as_ref()
                .is_some_and(|name| !names.is_empty() && !names.contains(name))
            {
                continue;
            }
            let mut skill = match read_skill(&folder) {
                Ok(skill) => skill,
                Err(warning) => {
                    // A skill in a plain folder is called as its folder is.
                    let is_asked = |name: &SkillName| folder.ends_with(name.as_str());
                    if name.is_some() || names.is_empty() || names.iter().any(is_asked) {
                        loaded.warnings.push(warning);
                    }
                    continue;
                }
            };
            let name = name.unwrap_or_else(|| skill.manifest.name.clone());
            if !names.is_empty() && !names.contains(&name) {
                continue;
            }
            if let Some(known) = found.get(&name) {
                shadowed(&name, &known.folder, &folder, &mut loaded.warnings);
                continue;
            }
            // Frameworks know it by the name it was installed under.
            skill.manifest.name.clone_from(&name);
            found.insert(
                name.clone(),
                LoadedSkill {
                    name,
                    folder,
                    precedence: place.precedence,
                    skill,
                },
            );
        }
    }
    loaded.skills = found.into_values().collect();
    loaded
}

/// The folders of a place, with the names that are known without reading them.
fn folders(kind: &PlaceKind, warnings: &mut Vec<Diagnostic>) -> Vec<(Option<SkillName>, PathBuf)> {
    match kind {
        PlaceKind::Store(dir) => {
            let store = Store::new(dir);
            let index = match store.index() {
                Ok(index) => index,
                Err(error) => {
                    warnings.push(Diagnostic::warning("store-unreadable", error.to_string()));
                    return Vec::new();
                }
            };
            for entry in index.unreadable() {
                let text = format!(
                    "an entry of {} cannot be read: {}",
                    store.index_path().display(),
                    entry.problem
                );
                warnings.push(Diagnostic::warning("index-entry-unreadable", text));
            }
            let newest = index
                .skills()
                .iter()
                .filter(|skill| index.get(&skill.name) == Some(skill));
            newest
                .map(|skill| (Some(skill.name.clone()), store.skill_dir(skill)))
                .collect()
        }
        PlaceKind::Folder(dir) => match discover(dir) {
            Ok(found) => {
                if found.is_partial {
                    let text = format!(
                        "{} has too many folders; some were not looked into",
                        dir.display()
                    );
                    warnings.push(Diagnostic::warning("folder-too-large", text));
                }
                found
                    .folders
                    .into_iter()
                    .map(|folder| (None, folder))
                    .collect()
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let text = format!("{} cannot be read: {error}", dir.display());
                warnings.push(Diagnostic::warning("folder-unreadable", text));
                Vec::new()
            }
        },
    }
}

fn shadowed(name: &SkillName, used: &Path, ignored: &Path, warnings: &mut Vec<Diagnostic>) {
    let text = format!(
        "{name} is there twice: {} is used, {} is not",
        used.display(),
        ignored.display()
    );
    warnings.push(Diagnostic::info("shadowed", text));
}

fn read_skill(folder: &Path) -> Result<Skill, Diagnostic> {
    let left_out = |reason: String| {
        let text = format!("{} is left out: {reason}", folder.display());
        Diagnostic::warning("skill-unreadable", text)
            .help("`skills doctor` says more; reinstall it with `skills install --force`")
    };
    let tree = SkillTree::read_dir(folder, &Limits::default())
        .map_err(|error| left_out(error.to_string()))?;
    Skill::from_tree(tree, &ReadOptions::default()).map_err(|error| left_out(error.to_string()))
}
