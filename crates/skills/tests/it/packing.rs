//! `skills pack` and `skills unpack`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ran, Sandbox};

/// A folder `csv` below the project, with a version and a script.
fn versioned(sandbox: &Sandbox) -> PathBuf {
    sandbox.write(
        "csv/SKILL.md",
        "---\nname: csv\ndescription: Reads CSV. Use when asked to.\nlicense: MIT\nmetadata:\n  version: \"1.2.0\"\n---\n\n# CSV\n\nDo it.\n",
    );
    sandbox.write("csv/scripts/run.py", "print(1)\n");
    sandbox.write("csv/node_modules/x/index.js", "");
    sandbox.project().join("csv")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder");
    let mut names: Vec<_> = entries
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

#[track_caller]
fn refused(ran: &Ran, exit_code: i32, code: &str) {
    assert_eq!(ran.code(), exit_code, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains(&format!("[{code}]")),
        "{}",
        ran.snapshot()
    );
    assert!(ran.stderr().contains("help: "), "{}", ran.snapshot());
    assert_eq!(ran.stdout(), "", "{}", ran.snapshot());
}

#[test]
fn a_folder_is_packed_and_unpacked_again() {
    let sandbox = Sandbox::new();
    versioned(&sandbox);
    let ran = sandbox.run(&["pack", "csv"]).ok();
    assert_eq!(
        ran.stdout(),
        format!("{}\n", sandbox.project().join("csv-1.2.0.spm").display())
    );
    assert!(
        ran.stderr().starts_with("Packed csv@1.2.0, 2 files, "),
        "{}",
        ran.snapshot()
    );
    let ran = sandbox.run(&["unpack", "csv-1.2.0.spm", "out/csv"]).ok();
    assert_eq!(
        ran.stdout(),
        format!("{}\n", sandbox.project().join("out/csv").display())
    );
    assert_eq!(
        names(&sandbox.project().join("out/csv")),
        ["SKILL.md", "scripts"]
    );
    assert_eq!(names(&sandbox.project().join("out")), ["csv"]);
}

#[test]
fn json_says_what_was_packed_and_unpacked() {
    let sandbox = Sandbox::new();
    versioned(&sandbox);
    let packed = sandbox.run(&["--json", "pack", "csv"]).ok().json();
    let bytes = fs::read(sandbox.project().join("csv-1.2.0.spm")).expect("the archive");
    assert_eq!(packed["name"], "csv");
    assert_eq!(packed["version"], "1.2.0");
    assert_eq!(packed["size"], bytes.len());
    assert_eq!(packed["files"], 2);
    assert_eq!(packed["sha256"], skill_format::Sha256::of(&bytes).hex());
    let unpacked = sandbox
        .run(&["--json", "unpack", "csv-1.2.0.spm", "out"])
        .ok()
        .json();
    assert_eq!(unpacked["contentDigest"], packed["contentDigest"]);
    assert_eq!(
        unpacked["dir"],
        sandbox.project().join("out").display().to_string()
    );
}

#[test]
fn packing_twice_in_the_skills_own_folder_gives_the_same_bytes() {
    let sandbox = Sandbox::new();
    let folder = versioned(&sandbox);
    let pack = || {
        sandbox
            .finish(sandbox.command(&["pack"]).current_dir(&folder))
            .ok()
    };
    pack();
    let first = fs::read(folder.join("csv-1.2.0.spm")).expect("the archive");
    pack();
    assert_eq!(
        fs::read(folder.join("csv-1.2.0.spm")).expect("the archive"),
        first
    );
}

#[test]
fn another_archive_is_replaced_only_by_force() {
    let sandbox = Sandbox::new();
    versioned(&sandbox);
    sandbox.run(&["pack", "csv"]).ok();
    sandbox.write("csv/more.md", "more\n");
    refused(&sandbox.run(&["pack", "csv"]), 1, "file-exists");
    sandbox.run(&["pack", "csv", "--force"]).ok();
    assert_eq!(
        sandbox
            .run(&["--json", "unpack", "csv-1.2.0.spm", "out"])
            .ok()
            .json()["files"],
        3
    );
}

#[test]
fn the_output_may_be_a_file_or_a_folder() {
    let sandbox = Sandbox::new();
    versioned(&sandbox);
    fs::create_dir(sandbox.project().join("dist")).expect("a folder");
    sandbox.run(&["pack", "csv", "--output", "dist"]).ok();
    sandbox
        .run(&["pack", "csv", "--output", "dist/other.spm"])
        .ok();
    assert_eq!(
        names(&sandbox.project().join("dist")),
        ["csv-1.2.0.spm", "other.spm"]
    );
}

#[test]
fn a_skill_without_a_version_takes_one_with_it() {
    let sandbox = Sandbox::new();
    let folder = sandbox.skill("bare");
    refused(&sandbox.run(&["pack", "bare"]), 2, "version-missing");
    let before = fs::read(folder.join("SKILL.md")).expect("a file");
    sandbox
        .run(&["pack", "bare", "--version", "2.0.0-rc.1"])
        .ok();
    assert_eq!(
        fs::read(folder.join("SKILL.md")).expect("a file"),
        before,
        "the folder stays as it is"
    );
    let unpacked = sandbox
        .run(&["--json", "unpack", "bare-2.0.0-rc.1.spm", "out"])
        .ok()
        .json();
    assert_eq!(
        unpacked["version"], "2.0.0-rc.1",
        "the archive says its version"
    );
    sandbox.run(&["pack", "bare", "--output", "bare.spm"]).ok();
}

#[test]
fn a_version_that_contradicts_the_skill_is_refused() {
    let sandbox = Sandbox::new();
    versioned(&sandbox);
    refused(
        &sandbox.run(&["pack", "csv", "--version", "1.3.0"]),
        2,
        "version-declared",
    );
    refused(
        &sandbox.run(&["pack", "csv", "--version", "one"]),
        2,
        "version-malformed",
    );
    sandbox.run(&["pack", "csv", "--version", "1.2.0"]).ok();
}

#[test]
fn what_is_no_skill_is_not_packed() {
    let sandbox = Sandbox::new();
    sandbox.write("empty/README.md", "");
    refused(&sandbox.run(&["pack", "empty"]), 2, "invalid-skill");
    refused(&sandbox.run(&["pack", "missing"]), 1, "folder-not-found");
    let folder = versioned(&sandbox);
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).expect("a link");
    refused(&sandbox.run(&["pack", "csv"]), 2, "folder-link");
    assert_eq!(
        names(&sandbox.project()),
        ["csv", "empty"],
        "nothing was written"
    );
}

#[test]
fn an_existing_folder_is_replaced_only_by_force_and_as_a_whole() {
    let sandbox = Sandbox::new();
    versioned(&sandbox);
    sandbox.run(&["pack", "csv"]).ok();
    sandbox.write("out/SKILL.md", "old\n");
    sandbox.write("out/old.md", "old\n");
    let ran = sandbox.run(&["unpack", "csv-1.2.0.spm", "out"]);
    refused(&ran, 1, "extract-target-exists");
    assert!(ran.stderr().contains("--force"), "{}", ran.snapshot());
    assert_eq!(
        names(&sandbox.project().join("out")),
        ["SKILL.md", "old.md"]
    );
    sandbox
        .run(&["unpack", "csv-1.2.0.spm", "out", "--force"])
        .ok();
    assert_eq!(
        names(&sandbox.project().join("out")),
        ["SKILL.md", "scripts"]
    );
    assert_eq!(
        names(&sandbox.project()),
        ["csv", "csv-1.2.0.spm", "out"],
        "nothing is left over"
    );
    sandbox
        .run(&["unpack", "csv-1.2.0.spm", "new", "--force"])
        .ok();
}

#[test]
fn force_never_removes_a_folder_of_other_things() {
    let sandbox = Sandbox::new();
    versioned(&sandbox);
    sandbox.run(&["pack", "csv"]).ok();
    sandbox.write("photos/holiday.jpg", "x");
    refused(
        &sandbox.run(&["unpack", "csv-1.2.0.spm", "photos", "--force"]),
        1,
        "not-a-skill",
    );
    assert_eq!(names(&sandbox.project().join("photos")), ["holiday.jpg"]);
    fs::create_dir(sandbox.project().join("empty")).expect("a folder");
    sandbox
        .run(&["unpack", "csv-1.2.0.spm", "empty", "--force"])
        .ok();
}

#[test]
fn hostile_archives_leave_nothing_behind() {
    let sandbox = Sandbox::new();
    versioned(&sandbox);
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(program)
            .args(arguments)
            .current_dir(sandbox.project())
            .status();
        assert!(status.expect("the program starts").success());
    };
    std::os::unix::fs::symlink("/etc/passwd", sandbox.project().join("csv/link")).expect("a link");
    run("tar", &["-C", "csv", "-czf", "link.spm", "."]);
    fs::remove_file(sandbox.project().join("csv/link")).expect("the link");
    run(
        "tar",
        &[
            "-czf",
            "out.spm",
            "--transform",
            "s,^scripts,../../scripts,",
            "-C",
            "csv",
            "SKILL.md",
            "scripts",
        ],
    );
    sandbox.write("text.spm", "not an archive");
    for (file, code) in [
        ("link.spm", "archive-symbolic-link"),
        ("out.spm", "path-traversal"),
        ("text.spm", "archive-unknown-format"),
    ] {
        refused(&sandbox.run(&["unpack", file, "out"]), 2, code);
    }
    refused(&sandbox.run(&["unpack", "missing.spm", "out"]), 2, "io");
    assert_eq!(
        names(&sandbox.project()),
        ["csv", "link.spm", "out.spm", "text.spm"]
    );
}

#[test]
fn a_zip_is_unpacked_too() {
    let sandbox = Sandbox::new();
    versioned(&sandbox);
    let script = "import shutil; shutil.make_archive('a', 'zip', '.', 'csv')";
    let zipped = Command::new("python3")
        .args(["-c", script])
        .current_dir(sandbox.project())
        .status();
    assert!(zipped.expect("python3 starts").success());
    sandbox.run(&["unpack", "a.zip", "out"]).ok();
    assert!(sandbox.project().join("out/SKILL.md").is_file());
}
