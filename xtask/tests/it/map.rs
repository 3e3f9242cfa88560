//! ARCHITECTURE.md's map names what exists, and what exists is on the map.

use crate::root;

/// The lines of the fenced block after the heading `## The tree`, as (depth, name).
fn map() -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let section = text
        .split("## The tree")
        .nth(1)
        .expect("a section `## The tree`");
    let block = section.split("```").nth(1).expect("a fenced map");
    block
        .lines()
        .filter(|line| !line.trim().is_empty())
        .skip_while(|line| line.trim() == "text")
        .map(|line| {
            let depth = (line.len() - line.trim_start().len()) / 2;
            (
                depth,
                line.split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            )
        })
        .collect()
}

/// The map's entries as paths from the root.
fn paths() -> Vec<String> {
    let mut parents: Vec<String> = Vec::new();
    let mut paths = Vec::new();
    for (depth, name) in map() {
        parents.truncate(depth);
        let path = parents.concat() + &name;
        if name.ends_with('/') {
            parents.push(name);
        }
        paths.push(path);
    }
    paths
}

#[test]
fn every_entry_of_the_map_exists() {
    let paths = paths();
    assert!(paths.len() > 20, "the map was not read: {paths:?}");
    for path in paths {
        assert!(
            root().join(&path).exists(),
            "ARCHITECTURE.md names {path}, which does not exist"
        );
    }
}

#[test]
fn every_crate_and_every_top_folder_is_on_the_map() {
    let paths = paths();
    // What git knows: whoever tries the program here has its data folder and skills of their own beside it.
    let output = std::process::Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .expect("git");
    let listed = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let files: Vec<&str> = listed.split_terminator('\0').collect();
    assert!(files.len() > 100, "git lists {} files", files.len());
    for file in files {
        let mut folders = file.split('/');
        let first = folders.next().unwrap_or_default();
        let path = match (first, folders.next(), folders.next()) {
            (_, None, _) => continue,
            ("crates", Some(name), Some(_)) => format!("crates/{name}/"),
            (hidden, ..) if hidden.starts_with('.') => continue,
            (top, ..) => format!("{top}/"),
        };
        assert!(
            paths.contains(&path),
            "{path} is missing on the map in ARCHITECTURE.md"
        );
    }
}
