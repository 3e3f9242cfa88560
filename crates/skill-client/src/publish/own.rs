//! Which skills below a folder are its author's own, and not ones that were installed there for
//! agents. Looks at names and at the stores' records of agents' folders, never into a skill.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use skill_format::{Discovered, SKILL_MD, discover_except};

use crate::agents::{AgentTable, Roots, Scope};
use crate::link::{Ledger, LedgerError};

/// Places of skills that were installed. Folders of stores are left out by the scan itself.
#[derive(Debug, Clone, Default)]
pub struct InstalledPlaces {
    /// None where no agents are to be thought of.
    roots: Option<Roots>,
    /// What stores put somewhere: the folder, and the skill's name in it.
    placed: Vec<(PathBuf, String)>,
    /// Only looked up for a folder in question: most who name a folder name a skill.
    known: OnceLock<Known>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    /// Where agents look in any project, such as `.claude/skills`.
    agents_folders: HashSet<&'static str>,
    /// Absolute: where agents look in the person's home, and each skill that a store put somewhere.
    places: HashSet<PathBuf>,
}

impl InstalledPlaces {
    /// Where agents look for skills, and where these stores put any.
    pub fn new<'a>(
        roots: Roots,
        stores: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Self, LedgerError> {
        let mut placed = Vec::new();
        for store in stores {
            for (skill, placements) in Ledger::read(store)?.iter() {
                let folders = placements.iter().map(|place| place.folder_from(store));
                placed.extend(folders.map(|folder| (folder, skill.to_string())));
            }
        }
        Ok(Self {
            roots: Some(roots),
            placed,
            known: OnceLock::new(),
        })
    }

    /// A plain `skills/`, in which some agents look too, is where authors keep their own: of that,
    /// only what a store has put there counts.
    fn known(&self) -> &Known {
        self.known.get_or_init(|| {
            let mut known = Known::default();
            if let Some(roots) = &self.roots {
                for agent in AgentTable::builtin().iter() {
                    let hidden = agent.project_dir.as_deref();
                    let hidden = hidden.filter(|dir| dir.starts_with('.'));
                    known.agents_folders.extend(hidden);
                    let global = roots.folder(agent, Scope::Global);
                    known.places.extend(global.map(|folder| real(&folder)));
                }
            }
            let placed = self.placed.iter();
            known
                .places
                .extend(placed.map(|(folder, skill)| real(folder).join(skill)));
            known
        })
    }

    /// The skills below `dir`, without the installed ones. What is named itself is meant. `left_out`
    /// lists agents' folders in which there are skills of unknown origin.
    pub fn own_skills(&self, dir: &Path) -> io::Result<Discovered> {
        // Links below are not followed, so this is the one place where a path may lead elsewhere.
        let root = real(dir);
        let in_full = |folder: &Path| root.join(folder.strip_prefix(dir).unwrap_or(folder));
        let mut found = discover_except(dir, &|folder| {
            let folder = in_full(folder);
            let known = self.known();
            known.places.contains(&folder)
                || known
                    .agents_folders
                    .iter()
                    .any(|agents| folder.ends_with(agents))
        })?;
        // What is known to be installed is missed by nobody.
        found
            .left_out
            .retain(|folder| self.may_hold_own(&in_full(folder)));
        Ok(found)
    }

    /// Whether a folder of agents holds a skill that no store has put there.
    fn may_hold_own(&self, folder: &Path) -> bool {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return false;
        };
        entries.flatten().any(|entry| {
            entry.file_type().is_ok_and(|kind| kind.is_dir())
                && entry.path().join(SKILL_MD).is_file()
                && !self.known().places.contains(&entry.path())
        })
    }
}

/// Without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
