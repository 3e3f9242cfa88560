//! Finds the skills below a folder, such as a repository of many. Looks at names only; what is in
//! a skill is read by [`crate::SkillTree::read_dir`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::tree::SKILL_MD;

/// Deepest folder that is looked into. `.claude/plugins/a/skills/b` is five deep.
const DEPTH_MAX: usize = 6;
/// Most folders that are looked into (Agent Skills client guide: bounded scans).
const FOLDERS_MAX: usize = 2_000;
/// What lies in a folder into which skills are installed, under whatever name.
const STORE_FILES: [&str; 2] = ["index.json", ".lock"];

/// The skills below a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Their folders, in ascending order. A skill inside a skill is part of it and not listed.
    pub folders: Vec<PathBuf>,
    /// Folders that could not be read.
    pub unreadable: Vec<PathBuf>,
    /// Folders that the caller did not want looked into.
    pub left_out: Vec<PathBuf>,
    /// Whether there were more than 2,000 folders, so that some were not looked into.
    pub is_partial: bool,
}

/// Looks for folders with a `SKILL.md`, at most six folders deep. Symbolic links to folders are
/// not followed. Folders of tools (`.git`, `node_modules`) are not entered, nor those into which
/// skills were installed (`.skills`, or any with a store's index and lock): what lies there is
/// somebody else's, or a second copy. `root` is looked into whatever it is.
///
/// Fails only where `root` itself cannot be read.
pub fn discover(root: &Path) -> io::Result<Discovered> {
    discover_except(root, &|_| false)
}

/// Like [`discover`], without the folders below `root` that `leave_out` holds for.
pub fn discover_except(root: &Path, leave_out: &dyn Fn(&Path) -> bool) -> io::Result<Discovered> {
    let mut found = Discovered::default();
    let mut looked = 0;
    let mut waiting = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        if depth > 0 && leave_out(&folder) {
            found.left_out.push(folder);
            continue;
        }
        if looked == FOLDERS_MAX {
            found.is_partial = true;
            break;
        }
        looked += 1;
        match look(&folder) {
            Ok(Folder::Skill) => found.folders.push(folder),
            Ok(Folder::Store(_)) if depth > 0 => {}
            Ok(Folder::Store(below) | Folder::Other(below)) if depth < DEPTH_MAX => {
                waiting.extend(below.into_iter().map(|folder| (folder, depth + 1)));
            }
            Ok(Folder::Store(_) | Folder::Other(_)) => {}
            Err(error) if depth == 0 => return Err(error),
            Err(_) => found.unreadable.push(folder),
        }
    }
    found.folders.sort();
    found.unreadable.sort();
    found.left_out.sort();
    Ok(found)
}

enum Folder {
    Skill,
    /// Installed skills, with the folders in it.
    Store(Vec<PathBuf>),
    /// With the folders in it.
    Other(Vec<PathBuf>),
}

fn look(folder: &Path) -> io::Result<Folder> {
    let mut below = Vec::new();
    let mut store_files = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == SKILL_MD {
            return Ok(Folder::Skill);
        }
        if STORE_FILES.iter().any(|file| name == *file) {
            store_files += 1;
        }
        if entry.file_type()?.is_dir() && !is_passed_by(&name.to_string_lossy()) {
            below.push(entry.path());
        }
    }
    // The last is looked into first: where the bound strikes must not depend on the file system.
    below.sort_by(|a, b| b.cmp(a));
    Ok(match store_files == STORE_FILES.len() {
        true => Folder::Store(below),
        false => Folder::Other(below),
    })
}

/// Folders of tools, and the stores of projects (`.roundtable/skills` is the older one).
fn is_passed_by(name: &str) -> bool {
    matches!(
        name,
        ".git"
            | ".hg"
            | ".svn"
            | ".venv"
            | "__pycache__"
            | "node_modules"
            | "target"
            | ".skills"
            | ".roundtable"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            fs::write(path, "").expect("a file");
        }
        root
    }

    fn found(root: &Path) -> Vec<String> {
        let found = discover(root).expect("a folder");
        assert!(!found.is_partial && found.unreadable.is_empty());
        let relative = |path: &PathBuf| {
            path.strip_prefix(root)
                .expect("below")
                .display()
                .to_string()
        };
        found.folders.iter().map(relative).collect()
    }

    #[test]
    fn outermost_skills_are_found_in_order() {
        let root = folder(&[
            "b/SKILL.md",
            "a/SKILL.md",
            "a/examples/x/SKILL.md",
            ".claude/skills/c/SKILL.md",
            "docs/readme.md",
            "node_modules/d/SKILL.md",
            ".git/e/SKILL.md",
            "1/2/3/4/5/6/SKILL.md",
            "1/2/3/4/5/6x/7/SKILL.md",
        ]);
        assert_eq!(
            found(root.path()),
            [".claude/skills/c", "1/2/3/4/5/6", "a", "b"]
        );
        assert_eq!(found(&root.path().join("a")), [""]);
    }

    #[test]
    fn what_was_installed_is_nobodys_own_skill() {
        let root = folder(&[
            "a/SKILL.md",
            ".skills/b/1.0.0/SKILL.md",
            ".roundtable/skills/c/SKILL.md",
            "named/index.json",
            "named/.lock",
            "named/d/1.0.0/SKILL.md",
            "index/index.json",
            "index/e/SKILL.md",
        ]);
        assert_eq!(found(root.path()), ["a", "index/e"]);
        // Whoever names a store means what is in it.
        assert_eq!(found(&root.path().join("named")), ["d/1.0.0"]);
        assert_eq!(found(&root.path().join(".skills")), ["b/1.0.0"]);
    }

    #[test]
    fn what_is_left_out_is_listed_and_not_looked_into() {
        let root = folder(&["a/SKILL.md", "a/b/SKILL.md", "c/d/SKILL.md"]);
        let found = discover_except(root.path(), &|folder| folder.ends_with("c/d")).expect("read");
        assert_eq!(found.folders, [root.path().join("a")]);
        assert_eq!(found.left_out, [root.path().join("c/d")]);
        let itself = discover_except(&root.path().join("a"), &|_| true).expect("read");
        assert_eq!(itself.folders.len(), 1, "what was named is meant");
    }

    #[cfg(unix)]
    #[test]
    fn links_to_folders_are_not_followed() {
        let root = folder(&["a/SKILL.md"]);
        std::os::unix::fs::symlink(root.path(), root.path().join("loop")).expect("a link");
        assert_eq!(found(root.path()), ["a"]);
    }

    #[test]
    fn the_scan_is_bounded() {
        let root = tempfile::tempdir().expect("a temporary folder");
        for i in 0..=FOLDERS_MAX {
            fs::create_dir(root.path().join(format!("{i:05}"))).expect("a folder");
        }
        fs::write(root.path().join("00000").join(SKILL_MD), "").expect("a file");
        let found = discover(root.path()).expect("a folder");
        assert!(found.is_partial);
        assert_eq!(
            found.folders.len(),
            1,
            "the first names are looked into first"
        );
    }

    #[test]
    fn a_root_that_cannot_be_read_is_an_error() {
        assert!(discover(Path::new("/no/such/folder")).is_err());
    }
}
