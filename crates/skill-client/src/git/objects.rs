//! The entries of a commit, and which of them make up skills. Pure.

use std::collections::BTreeSet;

use super::GitError;

/// One entry of `git ls-tree -r -l -z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    mode: String,
    pub object: String,
    pub size: u64,
    pub path: String,
}

impl Entry {
    pub fn is_executable(&self) -> bool {
        self.mode == "100755"
    }

    fn not_a_file(&self) -> Option<&'static str> {
        match self.mode.as_str() {
            "120000" => Some("symbolic link"),
            "160000" => Some("submodule"),
            _ => None,
        }
    }
}

/// Reads the output of `git ls-tree -r -l -z`; `None` if it is something else. Entries whose names
/// are not UTF-8 are left out: no skill may have them.
pub(super) fn parse_listing(output: &[u8]) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    for record in output
        .split(|byte| *byte == 0)
        .filter(|record| !record.is_empty())
    {
        let tab = record.iter().position(|byte| *byte == b'\t')?;
        let (head, path) = (
            std::str::from_utf8(&record[..tab]).ok()?,
            &record[tab + 1..],
        );
        let mut words = head.split_ascii_whitespace();
        let (mode, _kind, object, size) =
            (words.next()?, words.next()?, words.next()?, words.next()?);
        let Ok(path) = std::str::from_utf8(path) else {
            continue;
        };
        entries.push(Entry {
            mode: mode.to_owned(),
            object: object.to_owned(),
            // Submodules have `-`.
            size: size.parse().unwrap_or(0),
            path: path.to_owned(),
        });
    }
    Some(entries)
}

/// The folders that hold a `SKILL.md`, outermost ones only: what lies inside a skill is part of it.
/// With `path`, only that folder and what is in it.
pub(super) fn skill_folders(
    entries: &[Entry],
    path: Option<&str>,
    depth_max: usize,
    url: &str,
) -> Result<Vec<String>, GitError> {
    let base = path.unwrap_or_default();
    if !base.is_empty() && inside(entries, base).next().is_none() {
        return Err(GitError::NoSuchPath {
            url: url.to_owned(),
            path: base.to_owned(),
        });
    }
    let holders: BTreeSet<&str> = inside(entries, base)
        .filter_map(|entry| match entry.path.rsplit_once('/') {
            Some((folder, "SKILL.md")) => Some(folder),
            None if entry.path == "SKILL.md" => Some(""),
            _ => None,
        })
        .filter(|folder| {
            depth(relative(folder, base)) <= depth_max && !is_hidden(relative(folder, base))
        })
        .collect();
    let outermost = |folder: &&str| !ancestors(folder).any(|above| holders.contains(above));
    let folders: Vec<String> = holders
        .iter()
        .filter(|folder| outermost(folder))
        .map(|f| (*f).to_owned())
        .collect();
    match folders.is_empty() {
        true => Err(GitError::NoSkill {
            url: url.to_owned(),
        }),
        false => Ok(folders),
    }
}

/// The files of a folder, all of which must be plain files.
pub(super) fn wanted<'a>(
    entries: &'a [Entry],
    root: &str,
    url: &str,
) -> Result<Vec<&'a Entry>, GitError> {
    let mut wanted = Vec::new();
    for entry in inside(entries, root) {
        if let Some(kind) = entry.not_a_file() {
            return Err(GitError::NotAFile {
                url: url.to_owned(),
                path: entry.path.clone(),
                kind,
            });
        }
        wanted.push(entry);
    }
    Ok(wanted)
}

/// The entries below a folder; all of them for the root.
pub(super) fn inside<'a>(entries: &'a [Entry], folder: &str) -> impl Iterator<Item = &'a Entry> {
    let folder = folder.to_owned();
    entries.iter().filter(move |entry| {
        folder.is_empty()
            || entry
                .path
                .strip_prefix(&folder)
                .is_some_and(|rest| rest.starts_with('/'))
    })
}

/// `path` as seen from `folder`, in which it lies.
pub(super) fn relative<'a>(path: &'a str, folder: &str) -> &'a str {
    path.strip_prefix(folder)
        .unwrap_or(path)
        .trim_start_matches('/')
}

fn depth(path: &str) -> usize {
    path.split('/').filter(|part| !part.is_empty()).count()
}

/// Folders of tools (`.github`, `node_modules`) hold copies, not skills. `.claude`, `.agents` and
/// the like are where many repositories keep theirs.
fn is_hidden(path: &str) -> bool {
    path.split('/')
        .any(|part| matches!(part, ".git" | ".github" | "node_modules" | "__pycache__"))
}

/// The folders above a folder, the root included.
fn ancestors(folder: &str) -> impl Iterator<Item = &str> {
    let above = folder.match_indices('/').map(|(at, _)| &folder[..at]);
    std::iter::once("")
        .filter(|_| !folder.is_empty())
        .chain(above)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(paths: &[&str]) -> Vec<Entry> {
        let entry = |path: &&str| Entry {
            mode: "100644".into(),
            object: "0".into(),
            size: 1,
            path: (*path).into(),
        };
        paths.iter().map(entry).collect()
    }

    fn folders(paths: &[&str], base: Option<&str>) -> Result<Vec<String>, &'static str> {
        use skill_format::Explain as _;
        skill_folders(&entries(paths), base, 6, "u").map_err(|error| error.code())
    }

    #[test]
    fn a_listing_is_read_and_anything_else_is_not() {
        let listing = b"100644 blob abc       5\tSKILL.md\x00160000 commit def       -\tsub\x00100755 blob 123      10\ta b/run.sh\x00";
        let read = parse_listing(listing).expect("a listing");
        assert_eq!(
            read.iter()
                .map(|entry| entry.path.as_str())
                .collect::<Vec<_>>(),
            ["SKILL.md", "sub", "a b/run.sh"]
        );
        assert_eq!(
            (read[2].size, read[2].is_executable(), read[1].not_a_file()),
            (10, true, Some("submodule"))
        );
        assert_eq!(parse_listing(b"fatal: no"), None);
    }

    #[test]
    fn skills_are_found_wherever_repositories_keep_them() {
        let found = folders(
            &[
                "README.md",
                "skills/a/SKILL.md",
                ".claude/skills/b/SKILL.md",
                "node_modules/x/SKILL.md",
            ],
            None,
        );
        assert_eq!(
            found,
            Ok(vec![".claude/skills/b".into(), "skills/a".into()])
        );
        assert_eq!(
            folders(&["SKILL.md", "examples/a/SKILL.md"], None),
            Ok(vec!["".into()])
        );
        assert_eq!(
            folders(&["a/SKILL.md", "ab/SKILL.md"], Some("a")),
            Ok(vec!["a".into()])
        );
        assert_eq!(
            folders(&["a/b/SKILL.md", "a/c/SKILL.md"], Some("a")),
            Ok(vec!["a/b".into(), "a/c".into()])
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(folders(&["README.md"], None), Err("git-no-skill"));
        assert_eq!(folders(&["a/SKILL.md"], Some("b")), Err("git-no-such-path"));
        assert_eq!(
            folders(&["a/b/c/d/e/f/g/SKILL.md"], None),
            Err("git-no-skill")
        );
    }

    #[test]
    fn links_and_submodules_are_refused_only_where_they_matter() {
        let mut list = entries(&["a/SKILL.md", "a/link", "docs/link"]);
        list[2].mode = "120000".into();
        assert_eq!(wanted(&list, "a", "u").expect("plain files").len(), 2);
        list[1].mode = "120000".into();
        assert!(matches!(
            wanted(&list, "a", "u"),
            Err(GitError::NotAFile {
                kind: "symbolic link",
                ..
            })
        ));
    }

    proptest! {
        #[test]
        fn no_skill_lies_inside_another(paths in prop::collection::vec("([ab]/){0,4}SKILL\\.md", 1..8)) {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let found = folders(&paths, None).expect("there is one");
            for one in &found {
                let nested = |other: &&String| *other != one && (one.is_empty() || other.starts_with(&format!("{one}/")));
                prop_assert!(found.iter().find(nested).is_none());
            }
        }

        #[test]
        fn any_output_is_read_or_refused(output in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_listing(&output);
        }
    }
}
