//! From folders to skills that are ready. One that is not is left out and said so; one that was ready
//! before and is broken now stays as it was, since it may be in the middle of being written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use skill_client::python::PythonError;
use skill_client::run::{EntryPoint, RunError, entry_points};
use skill_format::{Explain, Manifest, ReadOptions, read_manifest};
use skill_mesh::matcher::{Candidate, Matcher};

use super::stamp::Stamp;
use super::{LeftOut, LibraryError, Member, Snapshot, Source, Surroundings, sources};
use crate::contain::{Contained, NotContained, Rules};
use crate::preparing::Preparer;

/// What skills are made ready with.
pub(super) struct Way<'a> {
    pub surroundings: &'a Surroundings,
    pub preparer: &'a Arc<Preparer>,
    /// Python packages have come, or are to be tried again: whoever waits for some is read again.
    pub again: bool,
}

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
    /// Files that it is run with: its entry points' scripts, inside it, and what says that packages are there.
    scripts: Vec<String>,
    skill: Result<Arc<Loaded>, LeftOut>,
    /// Its Python packages are not there: that may be otherwise although no file of it changes.
    waits: bool,
}

/// Why a skill is not ready.
struct NotReady {
    left_out: LeftOut,
    /// As in [`Cached`].
    scripts: Vec<String>,
    waits: bool,
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
    /// See [`Snapshot`].
    protected: Vec<PathBuf>,
}

pub(super) fn load(
    sources: &[Source],
    way: &Way<'_>,
    cache: &mut HashMap<PathBuf, Cached>,
) -> Result<Part, LibraryError> {
    let mut part = Part {
        stamp: Stamp::default(),
        skills: Vec::new(),
        left_out: Vec::new(),
        protected: sources.iter().map(Source::path).cloned().collect(),
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
    let here: BTreeSet<&PathBuf> = found.iter().flat_map(|found| &found.folders).collect();
    let elsewhere: Vec<Arc<Loaded>> = before
        .iter()
        .filter(|(folder, _)| !here.contains(folder))
        .filter_map(|(_, cached)| cached.skill.as_ref().ok().cloned())
        .collect();
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for found in found {
        for remark in found.remarks {
            tracing::warn!(remark, "some skills were passed over");
        }
        for path in found.deciding {
            part.stamp.look_at(path);
        }
        for folder in found.folders {
            part.protect(&folder);
            if cache.contains_key(&folder) {
                continue;
            }
            let cached = read(&folder, before.remove(&folder), &elsewhere, way);
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

/// A folder that is as it was is not read again. `elsewhere` are skills whose folders no longer count.
fn read(folder: &Path, before: Option<Cached>, elsewhere: &[Arc<Loaded>], way: &Way<'_>) -> Cached {
    let scripts = before.as_ref().map_or(&[][..], Cached::scripts);
    let stamp = Stamp::of_skill(folder, scripts.iter().map(String::as_str));
    let before = match before {
        Some(before) if before.stamp == stamp && !(before.waits && way.again) => return before,
        other => other,
    };
    // Whoever changes a skill wants what has failed to be tried again.
    let is_changed = before.as_ref().is_none_or(|before| before.stamp != stamp);
    let not_ready = match prepare(folder, way, is_changed) {
        Ok(skill) => return Cached::good(folder, &stamp, skill),
        Err(not_ready) => not_ready,
    };
    let (error, waits, scripts) = (not_ready.left_out, not_ready.waits, not_ready.scripts);
    let marked = |scripts: &[String]| {
        Stamp::of_skill(folder, scripts.iter().map(String::as_str)).or_earlier(&stamp)
    };
    let good = before.and_then(|before| before.skill.ok());
    // A new version in a folder of its own waits for its packages while the one before it is served.
    let other = || elsewhere.iter().find(|other| other.stands_in_for(&error));
    let good = good.or_else(|| other().filter(|_| waits).cloned());
    if let Some(good) = good {
        tracing::warn!(skill = %good.manifest.name, why = error.why, "changed and cannot be run so: it stays as it was");
        return Cached {
            stamp: marked(&scripts),
            scripts,
            skill: Ok(good),
            waits,
        };
    }
    Cached {
        stamp: marked(&scripts),
        scripts,
        skill: Err(error),
        waits,
    }
}

impl Cached {
    fn good(folder: &Path, stamp: &Stamp, skill: Loaded) -> Self {
        let entries = skill.entries.iter();
        let scripts = entries.clone().map(|entry| entry.entry().path.clone());
        let packages = entries.filter_map(Contained::packages_record);
        let packages = packages.filter_map(|path| path.into_os_string().into_string().ok());
        let scripts: Vec<String> = scripts.chain(packages).collect();
        Self {
            stamp: Stamp::of_skill(folder, scripts.iter().map(String::as_str)).or_earlier(stamp),
            scripts,
            skill: Ok(Arc::new(skill)),
            waits: false,
        }
    }
}

impl Loaded {
    /// Whether this is another version of what is left out, and still there.
    fn stands_in_for(&self, left_out: &LeftOut) -> bool {
        self.manifest.name.as_str() == left_out.name && self.folder.is_dir()
    }
}

fn prepare(folder: &Path, way: &Way<'_>, is_changed: bool) -> Result<Loaded, NotReady> {
    let surroundings = way.surroundings;
    let called = folder
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let left_out = |name: &str, error: &dyn Explain| NotReady {
        left_out: LeftOut {
            name: name.to_owned(),
            folder: folder.to_owned(),
            why: crate::executor::told(error),
            is_preparing: false,
        },
        scripts: Vec::new(),
        waits: false,
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
    let scripts: Vec<String> = entries.iter().map(|entry| entry.path.clone()).collect();
    let rules = Rules {
        variable: &*surroundings.variable,
        granting: &surroundings.granting,
        packages: &|needs, search| way.preparer.ask(needs, search, is_changed),
    };
    let entries: Vec<Result<Contained, NotContained>> = entries
        .into_iter()
        .map(|entry: EntryPoint| Contained::new(folder, &manifest, entry, &rules))
        .collect();
    let entries: Result<Vec<Contained>, _> = entries.into_iter().collect();
    let entries = entries.map_err(|error| {
        let mut not_ready = left_out(name, &error);
        not_ready.scripts = scripts;
        if let NotContained::Packages(error) = &error {
            not_ready.waits = error.may_pass();
            not_ready.left_out.is_preparing = matches!(**error, PythonError::Preparing { .. });
        }
        not_ready
    })?;
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
                is_preparing: false,
            });
            return;
        }
        seen.insert(name, skill.folder.clone());
        self.skills.push(skill.clone());
    }

    /// A folder that lies in none that is protected.
    fn protect(&mut self, folder: &Path) {
        let mut already = self.protected.iter();
        if !already.any(|outer| folder.starts_with(outer)) {
            self.protected.push(folder.to_owned());
        }
    }

    pub fn into_snapshot(mut self) -> Snapshot {
        let entries = self.skills.iter().flat_map(|skill| &skill.entries);
        let packages: BTreeSet<PathBuf> = entries
            .filter_map(Contained::packages_folder)
            .map(Path::to_owned)
            .collect();
        for folder in &packages {
            self.protect(folder);
        }
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
            protected: self.protected,
            digest: OnceLock::new(),
        }
    }
}
