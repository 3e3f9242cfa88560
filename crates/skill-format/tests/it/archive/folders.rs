//! A folder on disk, as its author keeps it and as it is.

use std::fs;
use std::path::Path;

use skill_format::{Explain as _, Fault, Limits, SkillTree, TreeError};
use tempfile::{TempDir, tempdir};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempdir().expect("a temporary folder");
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("its folder");
        fs::write(path, text).expect("a file");
    }
    dir
}

fn read(dir: &Path) -> Result<SkillTree, TreeError> {
    SkillTree::read_dir(dir, &Limits::default())
}

fn paths(tree: &SkillTree) -> Vec<&str> {
    tree.iter().map(|(path, _)| path).collect()
}

fn refusal(dir: &Path, limits: &Limits) -> (&'static str, Option<String>) {
    let error = SkillTree::read_dir(dir, limits).expect_err("this folder must be refused");
    assert!(
        error.help().is_some(),
        "every refusal says what to do: {error}"
    );
    (error.code(), error.place().and_then(|place| place.file))
}

#[test]
fn what_never_belongs_to_a_skill_is_left_out() {
    let dir = folder(&[
        ("SKILL.md", ""),
        (".git/config", ""),
        (".hg/hgrc", ""),
        (".svn/entries", ""),
        ("node_modules/a/index.js", ""),
        ("scripts/__pycache__/run.pyc", ""),
        ("scripts/run.py", ""),
        (".DS_Store", ""),
        (".gitignore", ""),
        ("a-1.0.0.spm", ""),
        ("a-1.0.0.spm.asc", ""),
        ("assets/b.spm", ""),
        ("target/kept", ""),
    ]);
    assert_eq!(
        paths(&read(dir.path()).expect("a good folder")),
        [
            ".gitignore",
            "SKILL.md",
            "assets/b.spm",
            "scripts/run.py",
            "target/kept"
        ]
    );
}

#[test]
fn skillignore_leaves_out_what_it_names_and_itself() {
    let dir = folder(&[
        ("SKILL.md", ""),
        (
            ".skillignore",
            "# build results\n/dist/\n*.log\n!keep.log\n",
        ),
        ("dist/a", ""),
        ("src/dist/b", ""),
        ("a/x.log", ""),
        ("a/keep.log", ""),
    ]);
    assert_eq!(
        paths(&read(dir.path()).expect("a good folder")),
        ["SKILL.md", "a/keep.log", "src/dist/b"]
    );
}

#[test]
fn a_bad_skillignore_names_its_line() {
    let dir = folder(&[("SKILL.md", ""), (".skillignore", "a\n[b\n")]);
    let error = read(dir.path()).expect_err("an open class");
    assert_eq!(error.code(), "folder-bad-skillignore");
    assert_eq!(
        error.to_string(),
        "`.skillignore` line 2: `[` without a closing `]`"
    );
    assert_eq!(error.place().and_then(|place| place.line), Some(2));

    let dir = folder(&[(".skillignore", &"a".repeat(5000))]);
    assert_eq!(
        refusal(dir.path(), &Limits::default()).0,
        "folder-bad-skillignore"
    );
}

#[test]
fn exact_reading_leaves_nothing_out() {
    let dir = folder(&[
        ("SKILL.md", ""),
        (".skillignore", "*"),
        ("__pycache__/run.pyc", ""),
    ]);
    let tree = SkillTree::read_dir_exactly(dir.path(), &Limits::default()).expect("a good folder");
    assert_eq!(
        paths(&tree),
        [".skillignore", "SKILL.md", "__pycache__/run.pyc"]
    );
}

#[cfg(unix)]
#[test]
fn links_are_refused_by_name_wherever_they_point() {
    for target in ["SKILL.md", "/etc/passwd", "nowhere", "."] {
        let dir = folder(&[("SKILL.md", ""), ("a/b", "")]);
        std::os::unix::fs::symlink(target, dir.path().join("a/link")).expect("a link");
        assert_eq!(
            refusal(dir.path(), &Limits::default()),
            ("folder-link", Some("a/link".into()))
        );
    }
}

#[cfg(unix)]
#[test]
fn an_ignored_link_is_no_obstacle() {
    let dir = folder(&[("SKILL.md", ""), (".skillignore", "link")]);
    std::os::unix::fs::symlink("/etc", dir.path().join("link")).expect("a link");
    assert_eq!(
        paths(&read(dir.path()).expect("a good folder")),
        ["SKILL.md"]
    );
}

#[cfg(unix)]
#[test]
fn sockets_are_refused_by_name() {
    let dir = folder(&[("SKILL.md", "")]);
    let _socket =
        std::os::unix::net::UnixListener::bind(dir.path().join("socket")).expect("a socket");
    assert_eq!(
        refusal(dir.path(), &Limits::default()),
        ("folder-special-file", Some("socket".into()))
    );
}

#[cfg(unix)]
#[test]
fn the_executable_bit_is_the_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder(&[("a", ""), ("b", "")]);
    for (name, mode) in [("a", 0o744), ("b", 0o655)] {
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode))
            .expect("its mode");
    }
    let tree = read(dir.path()).expect("a good folder");
    assert_eq!(
        tree.iter()
            .map(|(_, file)| file.executable)
            .collect::<Vec<_>>(),
        [true, false]
    );
}

#[cfg(unix)]
#[test]
fn names_are_held_to_the_rules_for_paths() {
    use std::os::unix::ffi::OsStrExt as _;
    let names: [(&[u8], &str); 5] = [
        (b"caf\xe9", "path-not-utf8"),
        (b"a\\b", "path-backslash"),
        (b"aux.md", "path-windows-reserved"),
        (b"a ", "path-trailing-dot-or-space"),
        ("a\u{202e}b".as_bytes(), "path-invisible-character"),
    ];
    for (name, code) in names {
        let dir = folder(&[("SKILL.md", "")]);
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(name)), "").expect("a file");
        assert_eq!(refusal(dir.path(), &Limits::default()).0, code);
    }
    let dir = folder(&[("a", ""), ("A", "")]);
    assert_eq!(
        refusal(dir.path(), &Limits::default()).0,
        "path-case-collision"
    );
}

#[test]
fn every_limit_holds() {
    let dir = folder(&[
        ("SKILL.md", "0123456789"),
        ("a/b/c", "01234567890"),
        ("d", ""),
    ]);
    let limits = Limits {
        file_bytes_max: 11,
        unpacked_bytes_max: 21,
        files_max: 3,
        depth_max: 3,
        path_bytes_max: 8,
        ..Limits::default()
    };
    SkillTree::read_dir(dir.path(), &limits).expect("it just fits");
    let over = [
        (
            Limits {
                file_bytes_max: 10,
                ..limits.clone()
            },
            "limit-file-size",
        ),
        (
            Limits {
                unpacked_bytes_max: 20,
                ..limits.clone()
            },
            "limit-total-size",
        ),
        (
            Limits {
                files_max: 2,
                ..limits.clone()
            },
            "limit-file-count",
        ),
        (
            Limits {
                depth_max: 2,
                ..limits.clone()
            },
            "path-too-deep",
        ),
        (
            Limits {
                path_bytes_max: 7,
                ..limits
            },
            "path-too-long",
        ),
    ];
    for (limits, code) in over {
        assert_eq!(refusal(dir.path(), &limits).0, code);
    }
}

#[test]
fn empty_folders_are_counted_and_leave_no_trace() {
    let dir = folder(&[("SKILL.md", "")]);
    let limits = Limits {
        files_max: 1,
        ..Limits::default()
    };
    for index in 1..limits.entries_max() {
        fs::create_dir(dir.path().join(format!("d{index}"))).expect("a folder");
    }
    assert_eq!(
        SkillTree::read_dir(dir.path(), &limits)
            .expect("it just fits")
            .len(),
        1
    );
    fs::create_dir(dir.path().join("one-more")).expect("a folder");
    assert_eq!(refusal(dir.path(), &limits).0, "limit-entry-count");
}

#[test]
fn ignored_entries_are_bounded_too() {
    let dir = folder(&[("SKILL.md", ""), (".skillignore", "*.log")]);
    let limits = Limits {
        files_max: 1,
        ..Limits::default()
    };
    for index in 0..5 * limits.entries_max() {
        fs::write(dir.path().join(format!("{index}.log")), "").expect("a file");
    }
    assert_eq!(refusal(dir.path(), &limits).0, "limit-entry-count");
}

#[test]
fn a_folder_that_is_none_is_named() {
    let dir = folder(&[("SKILL.md", "")]);
    let missing = read(&dir.path().join("missing")).expect_err("it is not there");
    assert_eq!(
        (missing.code(), missing.fault()),
        ("folder-not-found", Fault::NotFound)
    );
    assert_eq!(
        read(&dir.path().join("SKILL.md"))
            .expect_err("a file")
            .code(),
        "folder-not-a-folder"
    );
}

/// As root every file is readable, so only an ordinary user's run shows the refusal.
#[cfg(unix)]
#[test]
fn an_unreadable_file_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder(&[("SKILL.md", ""), ("secret", "")]);
    let secret = dir.path().join("secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("its mode");
    let outcome = read(dir.path());
    if fs::File::open(&secret).is_ok() {
        assert_eq!(outcome.expect("root reads everything").len(), 2);
    } else {
        let error = outcome.expect_err("unreadable");
        assert_eq!(
            (error.code(), error.fault()),
            ("folder-unreadable", Fault::Denied)
        );
        assert_eq!(
            error.place().and_then(|place| place.file).as_deref(),
            Some("secret")
        );
    }
}
