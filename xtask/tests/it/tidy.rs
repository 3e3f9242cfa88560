//! What no commit may contain.

use crate::{root, tracked_files};

/// Lines of source that are not tests or data, by file.
fn sources() -> impl Iterator<Item = (String, String)> {
    tracked_files()
        .into_iter()
        .filter(|file| file.ends_with(".rs") && !file.starts_with("xtask/tests/"))
        .map(|file| {
            let text = std::fs::read_to_string(root().join(&file)).expect("a source file is UTF-8");
            (file, text)
        })
}

#[test]
fn no_source_file_is_longer_than_one_purpose_needs() {
    let too_long: Vec<String> = sources()
        .map(|(file, text)| (text.lines().count(), file))
        .filter(|(lines, _)| *lines > 650)
        .map(|(lines, file)| format!("{file}: {lines} lines"))
        .collect();
    assert!(
        too_long.is_empty(),
        "split these along what they do:\n{}",
        too_long.join("\n")
    );
}

#[test]
fn nothing_is_left_unfinished_or_switched_off() {
    let needles = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("FIX", "ME"),
        concat!("#[ign", "ore"),
    ];
    let found: Vec<String> = sources()
        .flat_map(|(file, text)| {
            text.lines()
                .enumerate()
                .filter(|(_, line)| needles.iter().any(|needle| line.contains(needle)))
                .map(|(number, line)| format!("{file}:{}: {}", number + 1, line.trim()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "finish these:\n{}", found.join("\n"));
}

#[test]
fn no_source_file_is_left_out_of_its_crate() {
    let files: std::collections::BTreeMap<String, String> = sources().collect();
    let forgotten: Vec<&String> = files
        .keys()
        .filter(|file| file.starts_with("crates/") || file.starts_with("xtask/src/"))
        .filter(|file| {
            let (folder, name) = file.rsplit_once('/').expect("in a folder");
            let (parent, module) = match name {
                "main.rs" | "lib.rs" | "build.rs" => return false,
                "mod.rs" => folder.rsplit_once('/').expect("in a folder"),
                _ => (folder, name.trim_end_matches(".rs")),
            };
            if parent.ends_with("/examples") || parent.ends_with("/benches") {
                return false;
            }
            let declaration = format!("mod {module};");
            let parents = ["mod.rs", "lib.rs", "main.rs"]
                .map(|name| format!("{parent}/{name}"))
                .into_iter()
                .chain([format!("{parent}.rs")]);
            !parents.filter_map(|parent| files.get(&parent)).any(|text| {
                text.lines().any(|line| {
                    let line = line.trim_start();
                    !line.starts_with("//") && line.ends_with(&declaration)
                })
            })
        })
        .collect();
    assert!(
        forgotten.is_empty(),
        "nothing compiles these files, and no test in them runs: {forgotten:#?}"
    );
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<String> = sources()
        .filter(|(file, text)| {
            let in_tests = file.contains("/tests/it/")
                || file.contains("/fuzz_targets/")
                || file.ends_with("build.rs");
            !in_tests && !text.trim_start().starts_with("//!") && !text.starts_with("#![")
        })
        .map(|(file, _)| file)
        .collect();
    assert!(
        silent.is_empty(),
        "begin these with a `//!` line:\n{}",
        silent.join("\n")
    );
}

#[test]
fn text_files_end_with_one_newline_and_have_no_trailing_blanks() {
    let untidy: Vec<String> = tracked_files()
        .into_iter()
        .filter(|file| {
            [".md", ".rs", ".toml", ".yaml", ".yml"]
                .iter()
                .any(|ending| file.ends_with(ending))
        })
        // Fixtures and snapshots hold whatever their test needs.
        .filter(|file| !file.contains("/fixtures/") && !file.contains("/snapshots/"))
        .filter(|file| {
            let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
            !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n"))
        })
        .collect();
    assert!(
        untidy.is_empty(),
        "end these with exactly one newline:\n{}",
        untidy.join("\n")
    );
}
