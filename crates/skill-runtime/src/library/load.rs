//! From folders to skills that are ready. One that is not is left out and said so; one that was ready
//! before and is broken now stays as it was, since it may be in the middle of being written.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skill_client::run::{EntryPoint, RunError, entry_points};
use skill_format::{Explain, Manifest, ReadOptions, read_manifest};
use skill_mesh::matcher::{Candidate, Matcher};

use super::stamp::Stamp;
use super::{LeftOut, LibraryError, Member, Snapshot, Source, Surroundings, sources};
use crate::contain::{Contained, Rules};

/// A skill that is ready to be run.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub manifest: Manifest,
    pub folder: PathBuf,
    /// At least one; the first is the one that runs where none is named.
    pub entries: Vec<Contained>,
}

/// What is known of a folder.
pub(super) struct Cached {
    stamp: Stamp,
    /// Paths of its entry points' scripts.
    scripts: Vec<String>,
    skill: Result<Arc<Loaded>, LeftOut>,
}

impl Cached {
    pub fn scripts(&self) -> &[String] {
        &self.scripts
    }
}

/// Everything that was loaded.
pub(super) struct Part {
    pub stamp: Stamp,
    skills: Vec<Arc<Loaded>>,
    left_out: Vec<LeftOut>,
}

pub(super) fn load(
    sources: &[Source],
    surroundings: &Surroundings,
    cache: &mut HashMap<PathBuf, Cached>,
) -> Result<Part, LibraryError> {
    let mut part = Part {
        stamp: Stamp::default(),
        skills: Vec::new(),
        left_out: Vec::new(),
    };
    let mut before = std::mem::take(cache);
    let found: Result<Vec<_>, _> = sources.iter().map(sources::find).collect();
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            *cache = before;
            return Err(error);
        }
    };
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for found in found {
        for remark in found.remarks {
            tracing::warn!(remark, "some skills were passed over");
        }
        for path in found.deciding {
            part.stamp.look_at(path);
        }
        for folder in found.folders {
            if cache.contains_key(&folder) {
                continue;
            }
            let cached = read(&folder, before.remove(&folder), surroundings);
            part.stamp.extend(cached.stamp.clone());
            match &cached.skill {
                Ok(skill) => part.add(skill, &mut seen),
                Err(left_out) => part.left_out.push(left_out.clone()),
            }
            cache.insert(folder, cached);
        }
    }
    Ok(part)
}

/// A folder that is as it was is not read again.
fn read(folder: &Path, before: Option<Cached>, surroundings: &Surroundings) -> Cached {
    let scripts = before.as_ref().map_or(&[][..], Cached::scripts);
    let stamp = Stamp::of_skill(folder, scripts.iter().map(String::as_str));
    let before = match before {
        Some(before) if before.stamp == stamp => return before,
        other => other,
    };
    let skill = prepare(folder, surroundings);
    if let (
        Err(error),
        Some(Cached {
            skill: Ok(good),
            scripts,
            ..
        }),
    ) = (&skill, &before)
    {
        tracing::warn!(skill = %good.manifest.name, why = error.why, "changed and cannot be run so: it stays as it was");
        return Cached {
            stamp,
            scripts: scripts.clone(),
            skill: Ok(good.clone()),
        };
    }
    let scripts: Vec<String> = skill
        .iter()
        .flat_map(|skill| skill.entries.iter().map(|entry| entry.entry().path.clone()))
        .collect();
    Cached {
        stamp: Stamp::of_skill(folder, scripts.iter().map(String::as_str)).or_earlier(&stamp),
        scripts,
        skill: skill.map(Arc::new),
    }
}

fn prepare(folder: &Path, surroundings: &Surroundings) -> Result<Loaded, LeftOut> {
    let called = folder
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let left_out = |name: &str, error: &dyn Explain| LeftOut {
        name: name.to_owned(),
        folder: folder.to_owned(),
        why: crate::executor::told(error),
    };
    let options = ReadOptions {
        folder_name: Some(called.clone()),
        ..ReadOptions::default()
    };
    let manifest = read_manifest(folder, &options).map_err(|error| left_out(&called, &error))?;
    let name = manifest.name.as_str();
    let entries = entry_points(folder, &manifest);
    if entries.is_empty() {
        let skill = name.to_owned();
        return Err(left_out(name, &RunError::NoEntryPoint { skill }));
    }
    let rules = Rules {
        variable: &*surroundings.variable,
        cwd: &surroundings.cwd,
        allow_network: surroundings.allow_network,
    };
    let entries: Result<Vec<Contained>, _> = entries
        .into_iter()
        .map(|entry: EntryPoint| Contained::new(folder, &manifest, entry, &rules))
        .collect();
    let entries = entries.map_err(|error| left_out(name, &error))?;
    Ok(Loaded {
        folder: folder.to_owned(),
        entries,
        manifest,
    })
}

impl Part {
    /// Of two skills of one name the one that was found first is run.
    fn add(&mut self, skill: &Arc<Loaded>, seen: &mut BTreeMap<String, PathBuf>) {
        let name = skill.manifest.name.to_string();
        if let Some(other) = seen.get(&name) {
            self.left_out.push(LeftOut {
                why: format!(
                    "skill-twice: {} has a skill of this name already",
                    other.display()
                ),
                folder: skill.folder.clone(),
                name,
            });
            return;
        }
        seen.insert(name, skill.folder.clone());
        self.skills.push(skill.clone());
    }

    pub fn into_snapshot(self) -> Snapshot {
        let folders: HashMap<String, PathBuf> = self
            .skills
            .iter()
            .map(|skill| (skill.manifest.name.to_string(), skill.folder.clone()))
            .collect();
        let candidates = self.skills.iter().map(|skill| Candidate {
            name: skill.manifest.name.to_string(),
            description: skill.manifest.description.clone(),
            tags: skill.manifest.tags.clone(),
        });
        let matcher = Matcher::new(candidates.collect());
        let beside = |skill: &Loaded| {
            let needs = skill.manifest.dependencies.skills.keys();
            needs
                .filter_map(|name| folders.get(name.as_str()).cloned())
                .collect()
        };
        let members = self
            .skills
            .into_iter()
            .map(|skill| Member {
                beside: beside(&skill),
                skill,
            })
            .collect();
        Snapshot {
            members,
            matcher,
            left_out: self.left_out,
        }
    }
}
