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
    for folder in ["", "crates/"] {
        for entry in std::fs::read_dir(root().join(folder))
            .expect("a folder of the project")
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ignored = name.starts_with('.') || name == "target" || !entry.path().is_dir();
            let path = format!("{folder}{name}/");
            assert!(
                ignored || paths.contains(&path),
                "{path} is missing on the map in ARCHITECTURE.md"
            );
        }
    }
}
