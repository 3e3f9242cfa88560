//! What a module can reach: the folders that it was given, for reading.

use std::fs;
use std::os::unix::fs::symlink;

use skill_wasm::{Ended, Outcome};

use crate::support::{job, module, module_with, run, shown};

const CREATE: u32 = 1;
const TRUNCATE: u32 = 8;
const READ: u64 = 1 << 1;
const WRITE: u64 = 1 << 6;

const ACCES: i32 = 2;
const BADF: i32 = 8;
const NOENT: i32 = 44;
const NOSYS: i32 = 52;
const ROFS: i32 = 69;
const NOTCAPABLE: i32 = 76;

/// A skill's folder beside a secret, with ways that lead there.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let skill = folder.path().join("skill");
    fs::create_dir_all(skill.join("data")).expect("made");
    fs::write(folder.path().join("secret"), "a secret").expect("written");
    fs::write(skill.join("data/words.txt"), "some words").expect("written");
    symlink("../secret", skill.join("link")).expect("linked");
    symlink("..", skill.join("up")).expect("linked");
    symlink("words.txt", skill.join("data/inside")).expect("linked");
    folder
}

/// Opens a path and copies what is there, or exits with the error's number.
fn open(path: &str, how: u32, rights: u64) -> Outcome {
    let folder = folder();
    let opening = module_with(
        &format!("(data (i32.const 1024) \"{path}\")"),
        &format!(
            "(call $check (call $path_open (i32.const 3) (i32.const 1) (i32.const 1024) (i32.const {})
               (i32.const {how}) (i64.const {rights}) (i64.const 0) (i32.const 0) (i32.const 16)))
             (call $copy (i32.load (i32.const 16)))",
            path.len()
        ),
    );
    let mut job = job();
    job.folders = shown(folder.path().join("skill"));
    let outcome = run(&opening, job);
    let secret = fs::read_to_string(folder.path().join("secret"));
    assert_eq!(secret.expect("still there"), "a secret");
    let words = fs::read_to_string(folder.path().join("skill/data/words.txt"));
    assert_eq!(words.expect("still there"), "some words");
    outcome
}

#[test]
fn files_of_the_folder_are_read() {
    for path in ["data/words.txt", "data/../data/words.txt", "data/inside"] {
        let outcome = open(path, 0, READ);
        assert_eq!(outcome.ended, Ended::Exited(0), "{path}");
        assert_eq!(outcome.stdout, b"some words", "{path}");
    }
    assert_eq!(open("data/none", 0, READ).ended, Ended::Exited(NOENT));
}

#[test]
fn no_path_leads_out_of_the_folder() {
    for path in [
        "../secret",
        "data/../../secret",
        "/etc/passwd",
        "link",
        "up/secret",
        "..",
    ] {
        let outcome = open(path, 0, READ);
        assert_eq!(outcome.ended, Ended::Exited(NOTCAPABLE), "{path}");
    }
}

#[test]
fn nothing_is_written_made_or_removed() {
    assert_eq!(open("data/new", CREATE, WRITE).ended, Ended::Exited(ROFS));
    assert_eq!(open("data/words.txt", 0, WRITE).ended, Ended::Exited(ROFS));
    assert_eq!(
        open("data/words.txt", TRUNCATE, READ).ended,
        Ended::Exited(ROFS)
    );
    let folder = folder();
    let skill = folder.path().join("skill");
    for (call, path) in [("mkdir", "new"), ("unlink", "data/words.txt")] {
        let changing = module_with(
            &format!("(data (i32.const 1024) \"{path}\")"),
            &format!(
                "(call $check (call ${call} (i32.const 3) (i32.const 1024) (i32.const {})))",
                path.len()
            ),
        );
        let mut job = job();
        job.folders = shown(&skill);
        assert_eq!(run(&changing, job).ended, Ended::Exited(ROFS), "{call}");
    }
    assert!(!skill.join("new").exists());
    assert!(skill.join("data/words.txt").exists());
}

#[test]
fn pipes_are_not_waited_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = std::process::Command::new("mkfifo")
        .arg(folder.path().join("pipe"))
        .status();
    assert!(made.expect("mkfifo runs").success());
    let opening = module_with(
        "(data (i32.const 1024) \"pipe\")",
        "(call $check (call $path_open (i32.const 3) (i32.const 1) (i32.const 1024) (i32.const 4)
           (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))",
    );
    let mut job = job();
    job.folders = shown(folder.path());
    assert_eq!(run(&opening, job).ended, Ended::Exited(ACCES));
}

#[test]
fn folders_are_listed() {
    let folder = folder();
    let listing = module(
        "(call $check (call $fd_readdir (i32.const 3) (i32.const 1024) (i32.const 4096) (i64.const 0) (i32.const 16)))
         (call $write (i32.const 1) (i32.const 1024) (i32.load (i32.const 16)))",
    );
    let mut job = job();
    job.folders = shown(folder.path().join("skill"));
    let outcome = run(&listing, job);
    let mut rest = &*outcome.stdout;
    let mut names = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[16..20].try_into().expect("4 bytes")) as usize;
        names.push(String::from_utf8_lossy(&rest[24..24 + length]).into_owned());
        rest = &rest[24 + length..];
    }
    names.sort();
    assert_eq!(names, [".", "..", "data", "link", "up"]);
}

#[test]
fn without_a_folder_there_are_no_files_and_never_a_network() {
    let opening = module(
        "(call $check (call $path_open (i32.const 3) (i32.const 1) (i32.const 1024) (i32.const 1)
           (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))",
    );
    assert_eq!(run(&opening, job()).ended, Ended::Exited(BADF));
    let listening =
        module("(call $check (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 16)))");
    assert_eq!(run(&listening, job()).ended, Ended::Exited(NOSYS));
}
