//! A tree on disk: complete or not at all.

use std::fs;
use std::path::Path;

use skill_format::{Explain as _, Limits, SkillFile, SkillTree, TEMPORARY_PREFIX, sweep_leftovers};
use tempfile::tempdir;

use super::tree;

fn sample() -> SkillTree {
    let mut sample = tree([
        ("SKILL.md", "# hi\n"),
        ("a/b/c.md", "deep\n"),
        ("a/d.md", ""),
        ("é", "x"),
    ]);
    sample
        .insert("scripts/run.py", SkillFile::executable("print(1)\n"))
        .expect("a good path");
    sample
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_extracted_reads_back_equal_and_nothing_else_is_left() {
    let dir = tempdir().expect("a temporary folder");
    let dest = dir.path().join("not/there/yet/skill");
    sample().extract_to(&dest).expect("it extracts");
    assert_eq!(
        SkillTree::read_dir_exactly(&dest, &Limits::default()).expect("it reads"),
        sample()
    );
    assert_eq!(names(dest.parent().expect("a parent")), ["skill"]);
    let fast = dir.path().join("fast");
    sample().extract_fast(&fast).expect("it extracts");
    assert_eq!(
        SkillTree::read_dir_exactly(&fast, &Limits::default()).expect("it reads"),
        sample()
    );
}

#[cfg(unix)]
#[test]
fn permissions_are_those_of_ordinary_new_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempdir().expect("a temporary folder");
    let ordinary = dir.path().join("ordinary");
    fs::create_dir(&ordinary).expect("a folder");
    let dest = dir.path().join("skill");
    sample().extract_to(&dest).expect("it extracts");
    let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode();
    assert_eq!(mode(&dest), mode(&ordinary));
    assert_eq!(mode(&dest.join("SKILL.md")) & 0o111, 0);
    assert_eq!(mode(&dest.join("scripts/run.py")) & 0o700, 0o700);
}

#[test]
fn an_existing_target_is_left_alone() {
    let dir = tempdir().expect("a temporary folder");
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).expect("a folder");
    let file = dir.path().join("file");
    fs::write(&file, "mine").expect("a file");
    for dest in [&folder, &file] {
        let error = sample().extract_to(dest).expect_err("it exists");
        assert_eq!(error.code(), "extract-target-exists");
    }
    assert_eq!(fs::read(&file).expect("still there"), b"mine");
    assert_eq!(names(dir.path()), ["file", "folder"]);
}

#[cfg(unix)]
#[test]
fn a_dangling_link_at_the_target_is_not_followed() {
    let dir = tempdir().expect("a temporary folder");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), &link).expect("a link");
    assert_eq!(
        sample().extract_to(&link).expect_err("it exists").code(),
        "extract-target-exists"
    );
    assert_eq!(names(dir.path()), ["link"]);
}

#[test]
fn a_target_without_a_name_is_refused() {
    for dest in ["", "/", ".."] {
        assert_eq!(
            sample()
                .extract_to(Path::new(dest))
                .expect_err("no name")
                .code(),
            "extract-target-no-name"
        );
    }
}

/// A path longer than the file system takes fails in the middle of the extraction.
#[test]
fn an_error_leaves_nothing_behind() {
    let dir = tempdir().expect("a temporary folder");
    let mut parent = dir.path().to_owned();
    // Within PATH_MAX (4096) so far, but with the longest path of a skill beyond it.
    while parent.as_os_str().len() < 3900 {
        parent.push("d".repeat(90));
    }
    let mut long = sample();
    let path = format!("z/{}", vec!["f".repeat(80); 3].join("/"));
    long.insert(&path, SkillFile::plain("x"))
        .expect("a good path");
    let outcome = long.extract_to(&parent.join("skill"));
    match outcome {
        Ok(()) => assert_eq!(names(&parent), ["skill"]),
        Err(error) => {
            assert_eq!(error.code(), "extract-unwritable");
            assert!(names(&parent).is_empty(), "{error}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let dir = tempdir().expect("a temporary folder");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("a file");
    let error = sample()
        .extract_to(&file.join("skill"))
        .expect_err("a file is no folder");
    assert_eq!(error.code(), "extract-unwritable");
    assert!(error.to_string().contains("file"), "{error}");
}

#[test]
fn an_existing_folder_is_replaced_as_a_whole() {
    let dir = tempdir().expect("a temporary folder");
    let dest = dir.path().join("skill");
    tree([("SKILL.md", "old"), ("old.md", "old")])
        .extract_to(&dest)
        .expect("the old one");
    sample().extract_replacing(&dest).expect("the new one");
    assert_eq!(
        SkillTree::read_dir_exactly(&dest, &Limits::default()).expect("it reads"),
        sample()
    );
    assert_eq!(names(dir.path()), ["skill"]);
}

#[test]
fn replacing_what_is_not_there_just_extracts() {
    let dir = tempdir().expect("a temporary folder");
    let dest = dir.path().join("skill");
    sample().extract_replacing(&dest).expect("a new one");
    assert!(dest.join("SKILL.md").exists());
}

#[test]
fn a_file_is_not_replaced_by_a_folder() {
    let dir = tempdir().expect("a temporary folder");
    let dest = dir.path().join("skill");
    fs::write(&dest, "mine").expect("a file");
    let error = sample().extract_replacing(&dest).expect_err("a file");
    assert_eq!(error.code(), "extract-target-not-a-folder");
    assert_eq!(fs::read(&dest).expect("still there"), b"mine");
}

#[cfg(unix)]
#[test]
fn replacing_a_link_leaves_what_it_points_to() {
    let dir = tempdir().expect("a temporary folder");
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    tree([("SKILL.md", "old")])
        .extract_to(&real)
        .expect("the real one");
    std::os::unix::fs::symlink(&real, &link).expect("a link");
    sample()
        .extract_replacing(&link)
        .expect("it replaces the link");
    assert_eq!(fs::read(real.join("SKILL.md")).expect("untouched"), b"old");
    assert!(fs::symlink_metadata(&link).expect("it exists").is_dir());
}

#[test]
fn a_sweep_removes_what_killed_runs_left_and_nothing_else() {
    let dir = tempdir().expect("a temporary folder");
    let abandoned = dir.path().join(format!("{TEMPORARY_PREFIX}abandoned"));
    fs::create_dir_all(abandoned.join("tree/a")).expect("a leftover");
    fs::write(abandoned.join("tree/a/b"), "x").expect("its file");
    let running = dir.path().join(format!("{TEMPORARY_PREFIX}running"));
    fs::create_dir(&running).expect("another's folder");
    let lock = fs::File::open(&running).expect("it opens");
    lock.lock().expect("it locks");
    fs::create_dir(dir.path().join("skill")).expect("a skill");
    fs::write(dir.path().join(format!("{TEMPORARY_PREFIX}file")), "x")
        .expect("a file of that name");

    assert_eq!(sweep_leftovers(dir.path()).expect("it sweeps"), 1);
    assert_eq!(
        names(dir.path()),
        [".skills-tmp-file", ".skills-tmp-running", "skill"]
    );
    drop(lock);
    assert_eq!(sweep_leftovers(dir.path()).expect("it sweeps"), 1);
}

/// Extractions and sweeps in one folder at once: every extraction succeeds.
#[test]
fn a_sweep_never_disturbs_an_extraction() {
    let dir = tempdir().expect("a temporary folder");
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let path = dir.path();
            scope.spawn(move || {
                for round in 0..25 {
                    sample()
                        .extract_fast(&path.join(format!("{worker}-{round}")))
                        .expect("it extracts");
                }
            });
            scope.spawn(move || {
                for _ in 0..100 {
                    sweep_leftovers(path).expect("it sweeps");
                }
            });
        }
    });
    assert_eq!(names(dir.path()).len(), 100);
}

/// Of several writers of one target exactly one wins, and the others are told.
#[test]
fn one_of_many_writers_wins() {
    let dir = tempdir().expect("a temporary folder");
    for round in 0..20 {
        let dest = dir.path().join(round.to_string());
        let won = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| sample().extract_fast(&dest)))
                .collect();
            let outcomes = writers
                .into_iter()
                .map(|writer| writer.join().expect("no panic"));
            outcomes
                .filter(|outcome| {
                    outcome
                        .as_ref()
                        .map_err(|error| assert_eq!(error.code(), "extract-target-exists"))
                        .is_ok()
                })
                .count()
        });
        assert_eq!(won, 1);
        assert_eq!(
            SkillTree::read_dir_exactly(&dest, &Limits::default()).expect("complete"),
            sample()
        );
    }
    assert_eq!(names(dir.path()).len(), 20);
}
