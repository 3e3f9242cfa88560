//! Whether a lockfile fits its project, and how two lockfiles differ: exactly, entry by entry.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde::Serialize;
use skill_format::{Range, SkillName, Version};

use super::{LockedSkill, Lockfile, clean};
use crate::paths::PROJECT_FILE;
use crate::project::{Project, ProjectSkill, ProjectSource};
use crate::source::Origin;

/// One way in which `skills.lock` does not fit `skills.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Difference {
    /// Something is asked for and not locked.
    NotLocked {
        skill: SkillName,
        range: Range,
        /// `skills.toml`, or `NAME VERSION` of the skill that needs it.
        by: String,
    },
    /// What is locked is not what is asked for.
    WrongVersion {
        skill: SkillName,
        locked: Version,
        range: Range,
        by: String,
    },
    /// It is locked from elsewhere.
    WrongSource {
        skill: SkillName,
        locked: Origin,
        wanted: String,
    },
    /// Nobody asks for it any more.
    NotNeeded { skill: SkillName, locked: Version },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLocked { skill, range, by } => {
                write!(f, "{skill} is not locked; {by} asks for {range}")
            }
            Self::WrongVersion {
                skill,
                locked,
                range,
                by,
            } => write!(f, "{skill} is locked at {locked}; {by} asks for {range}"),
            Self::WrongSource {
                skill,
                locked,
                wanted,
            } => write!(
                f,
                "{skill} is locked from {locked}; {PROJECT_FILE} takes it from {wanted}"
            ),
            Self::NotNeeded { skill, locked } => {
                write!(f, "{skill} {locked} is locked, and nothing asks for it")
            }
        }
    }
}

/// What a new lockfile changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LockChange {
    Added {
        skill: SkillName,
        version: Version,
    },
    Removed {
        skill: SkillName,
        version: Version,
    },
    Changed {
        skill: SkillName,
        from: Version,
        to: Version,
    },
    /// The version stays, and its bytes, signer, source or dependencies do not.
    Details {
        skill: SkillName,
        version: Version,
        fields: Vec<&'static str>,
    },
}

impl fmt::Display for LockChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { skill, version } => write!(f, "+ {skill} {version}"),
            Self::Removed { skill, version } => write!(f, "- {skill} {version}"),
            Self::Changed { skill, from, to } => write!(f, "~ {skill} {from} → {to}"),
            Self::Details {
                skill,
                version,
                fields,
            } => write!(f, "~ {skill} {version}: {}", fields.join(", ")),
        }
    }
}

impl Lockfile {
    /// How this lockfile fails to be one for `project`. Empty: `install --frozen` may go on.
    pub fn differences(&self, project: &Project) -> Vec<Difference> {
        let mut check = Check {
            lock: self,
            project,
            differences: Vec::new(),
            needed: BTreeSet::new(),
        };
        for skill in project.wishes().skills.values() {
            check.direct(skill);
        }
        check.dependencies();
        check.rest();
        check.differences
    }

    /// What changes from this lockfile to `new`, by name.
    pub fn changes_to(&self, new: &Lockfile) -> Vec<LockChange> {
        let names: BTreeSet<&SkillName> = self.skills.keys().chain(new.skills.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| change(self.get(name), new.get(name)))
            .collect()
    }
}

struct Check<'a> {
    lock: &'a Lockfile,
    project: &'a Project,
    differences: Vec<Difference>,
    needed: BTreeSet<SkillName>,
}

impl<'a> Check<'a> {
    fn direct(&mut self, skill: &ProjectSkill) {
        let name = skill.installed_name();
        let range = match &skill.source {
            ProjectSource::Registry { range, .. } => range.clone(),
            ProjectSource::Path(_) | ProjectSource::Git { .. } => Range::any(),
        };
        let Some(locked) = self.require(name, &range, PROJECT_FILE) else {
            return;
        };
        if let Some(wanted) = self.wrong_source(skill, locked) {
            self.differences.push(Difference::WrongSource {
                skill: name.clone(),
                locked: locked.source.clone(),
                wanted,
            });
        }
    }

    /// Where the project takes it from, if that is not where it is locked from.
    fn wrong_source(&self, skill: &ProjectSkill, locked: &LockedSkill) -> Option<String> {
        match (&skill.source, &locked.source) {
            (ProjectSource::Registry { .. }, Origin::Registry(_)) => {
                (skill.name != *locked.package()).then(|| format!("the registry as {}", skill.name))
            }
            (ProjectSource::Registry { .. }, _) => Some("a registry".into()),
            (
                ProjectSource::Git { url, rev, path },
                Origin::Git {
                    url: from,
                    path: inside,
                    ..
                },
            ) => {
                let same = same_repository(url, from)
                    && *rev == locked.rev
                    && path.as_deref().is_none_or(|path| {
                        let inside = Path::new(inside.as_deref().unwrap_or_default());
                        inside.starts_with(path.trim_matches('/'))
                    });
                let rev = rev
                    .as_ref()
                    .map(|rev| format!(" at {rev}"))
                    .unwrap_or_default();
                (!same).then(|| format!("{url}{rev}"))
            }
            (ProjectSource::Git { url, .. }, _) => Some(url.clone()),
            (ProjectSource::Path(path), Origin::Dir(locked) | Origin::File(locked)) => {
                let dir = self.project.dir();
                (!same_path(&dir.join(path), &dir.join(locked))).then(|| path.display().to_string())
            }
            (ProjectSource::Path(path), _) => Some(path.display().to_string()),
        }
    }

    fn dependencies(&mut self) {
        let mut open: Vec<SkillName> = self.needed.iter().cloned().collect();
        while let Some(name) = open.pop() {
            let Some(locked) = self.lock.get(&name) else {
                continue;
            };
            let by = format!("{} {}", locked.name, locked.version);
            for (needed, range) in &locked.dependencies {
                let new = !self.needed.contains(needed);
                self.require(needed, range, &by);
                if new {
                    open.push(needed.clone());
                }
            }
        }
    }

    /// Notes that `by` needs a skill, and what is locked for it if it is there.
    fn require(&mut self, name: &SkillName, range: &Range, by: &str) -> Option<&'a LockedSkill> {
        let lock: &'a Lockfile = self.lock;
        let range = self.project.wishes().overrides.get(name).unwrap_or(range);
        self.needed.insert(name.clone());
        let Some(locked) = lock.get(name) else {
            self.differences.push(Difference::NotLocked {
                skill: name.clone(),
                range: range.clone(),
                by: by.to_owned(),
            });
            return None;
        };
        let local = locked.source.registry().is_none() && *range == Range::any();
        if !range.matches(&locked.version) && !local {
            self.differences.push(Difference::WrongVersion {
                skill: name.clone(),
                locked: locked.version.clone(),
                range: range.clone(),
                by: by.to_owned(),
            });
        }
        Some(locked)
    }

    fn rest(&mut self) {
        for locked in self.lock.skills.values() {
            if !self.needed.contains(&locked.name) {
                self.differences.push(Difference::NotNeeded {
                    skill: locked.name.clone(),
                    locked: locked.version.clone(),
                });
            }
        }
    }
}

/// The same path, also through a link.
pub(crate) fn same_path(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    clean(a) == clean(b) || real(a).is_some_and(|a| Some(a) == real(b))
}

/// The same repository, with or without the user that only one of the two texts may show.
fn same_repository(a: &str, b: &str) -> bool {
    let bare = |url: &str| {
        let url = url.trim_start_matches("git+").trim_end_matches('/');
        match url.split_once("://") {
            Some((scheme, rest)) => {
                let host = rest.split_once('@').map_or(rest, |(_, host)| host);
                format!("{scheme}://{host}")
            }
            None => url.to_owned(),
        }
    };
    bare(a) == bare(b)
}

fn change(old: Option<&LockedSkill>, new: Option<&LockedSkill>) -> Option<LockChange> {
    match (old, new) {
        (None, None) => None,
        (None, Some(new)) => Some(LockChange::Added {
            skill: new.name.clone(),
            version: new.version.clone(),
        }),
        (Some(old), None) => Some(LockChange::Removed {
            skill: old.name.clone(),
            version: old.version.clone(),
        }),
        (Some(old), Some(new)) if old.version != new.version => Some(LockChange::Changed {
            skill: new.name.clone(),
            from: old.version.clone(),
            to: new.version.clone(),
        }),
        (Some(old), Some(new)) => {
            let fields: Vec<&'static str> = [
                ("source", old.source != new.source),
                ("sha256", old.sha256 != new.sha256),
                ("size", old.size != new.size),
                ("signer", old.signer != new.signer),
                ("package", old.package != new.package),
                ("rev", old.rev != new.rev),
                ("dependencies", old.dependencies != new.dependencies),
            ]
            .into_iter()
            .filter_map(|(field, differs)| differs.then_some(field))
            .collect();
            (!fields.is_empty()).then(|| LockChange::Details {
                skill: new.name.clone(),
                version: new.version.clone(),
                fields,
            })
        }
    }
}
