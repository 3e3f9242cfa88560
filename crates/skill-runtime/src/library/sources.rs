//! Which folders of skills a source means. Looks at names only.

use std::path::{Path, PathBuf};

use skill_client::Store;
use skill_format::discover;

use super::{LibraryError, Source, agents_md};

/// The name of the file that lists skills.
const AGENTS_MD: &str = "AGENTS.md";

/// The skills of one source.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Folders with a `SKILL.md`, absolute and without links, in order.
    pub folders: Vec<PathBuf>,
    /// Files that decide which these are.
    pub deciding: Vec<PathBuf>,
    /// What a person should know: folders that could not be looked into, entries that lead nowhere.
    pub remarks: Vec<String>,
}

pub(super) fn find(source: &Source) -> Result<Found, LibraryError> {
    match source {
        Source::Folder(path) => below(path),
        Source::AgentsMd(path) => listed(path),
        Source::Store(path) => installed(path),
    }
}

/// The folder may itself be a link, which is how releases are switched: its skills are those of the
/// release that it leads to now.
fn below(path: &Path) -> Result<Found, LibraryError> {
    let unreadable = |source| LibraryError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let root = path.canonicalize().map_err(unreadable)?;
    let list = root.join(AGENTS_MD);
    if let Some(entries) = agents_md::read(&list).map_err(unreadable)? {
        let inside = |folder: &Path| folder.starts_with(&root);
        return Ok(resolve(&list, &root, &entries, &inside));
    }
    let found = discover(&root).map_err(unreadable)?;
    let mut remarks: Vec<String> = found
        .unreadable
        .iter()
        .map(|folder| format!("{} cannot be looked into", folder.display()))
        .collect();
    if found.is_partial {
        remarks.push(format!(
            "{} has more folders than are looked into; name one that is nearer to the skills",
            root.display()
        ));
    }
    Ok(Found {
        folders: found.folders,
        deciding: vec![list],
        remarks,
    })
}

/// A list that somebody names by itself may name folders anywhere.
fn listed(path: &Path) -> Result<Found, LibraryError> {
    let unreadable = |source| LibraryError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let path = path.canonicalize().map_err(unreadable)?;
    let entries = agents_md::read(&path).map_err(unreadable)?;
    let Some(entries) = entries else {
        return Err(LibraryError::NoList { path });
    };
    let base = path.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(resolve(&path, &base, &entries, &|_| true))
}

fn resolve(
    list: &Path,
    base: &Path,
    entries: &[agents_md::Entry],
    allowed: &dyn Fn(&Path) -> bool,
) -> Found {
    let mut found = Found {
        deciding: vec![list.to_owned()],
        ..Found::default()
    };
    for entry in entries {
        let folder = entry
            .folders(base)
            .find_map(|folder| folder.canonicalize().ok())
            .filter(|folder| folder.join("SKILL.md").is_file());
        match folder {
            Some(folder) if allowed(&folder) => found.folders.push(folder),
            Some(folder) => found.remarks.push(format!(
                "{} lists `{}` at {}, which lies outside of it",
                list.display(),
                entry.name,
                folder.display()
            )),
            None => found.remarks.push(format!(
                "{} lists `{}`, and there is no SKILL.md where it says",
                list.display(),
                entry.name
            )),
        }
    }
    found
}

fn installed(path: &Path) -> Result<Found, LibraryError> {
    let store = Store::new(path);
    let index = store.index()?;
    let mut found = Found {
        deciding: vec![store.index_path()],
        ..Found::default()
    };
    for skill in index.skills() {
        // Of several versions the one that `skills run` runs.
        let is_chosen = index
            .get(&skill.name)
            .is_some_and(|chosen| chosen.version == skill.version);
        let folder = store.skill_dir(skill);
        match folder.canonicalize() {
            Ok(folder) if is_chosen => found.folders.push(folder),
            Ok(_) => {}
            Err(error) => found
                .remarks
                .push(format!("{} cannot be read: {error}", folder.display())),
        }
    }
    Ok(found)
}
