//! The rules for paths hold in every format, and name the path that broke them.

use skill_format::{PathProblem, SkillFile, SkillTree};

use super::build::{TarEntry, ZipEntry, gzip, pax, tar_gz, zip};
use super::{read, refusal};

/// The code that both formats must give for a file of this name.
fn both(name: impl AsRef<[u8]>) -> &'static str {
    all(&[name.as_ref()])
}

/// The same for several files.
fn all(names: &[&[u8]]) -> &'static str {
    let tar = refusal(&tar_gz(names.iter().map(TarEntry::file)));
    let entries: Vec<_> = std::iter::once(ZipEntry::skill_md())
        .chain(names.iter().map(ZipEntry::file))
        .collect();
    assert_eq!(refusal(&zip(&entries)), tar, "zip and tar must agree");
    assert!(tar.1.is_some(), "the path is named");
    tar.0
}

#[test]
fn absolute_paths_are_refused() {
    assert_eq!(both("/etc/passwd"), "path-absolute");
    assert_eq!(both("//server/share"), "path-absolute");
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in ["../evil", "a/../../evil", "a/..", ".."] {
        assert_eq!(both(path), "path-traversal");
    }
}

#[test]
fn backslashes_are_refused() {
    assert_eq!(both("..\\evil"), "path-backslash");
}

#[test]
fn drive_letters_are_refused() {
    assert_eq!(both("C:/evil"), "path-drive-letter");
    assert_eq!(both("c:evil"), "path-drive-letter");
}

#[test]
fn alternate_data_streams_are_refused() {
    assert_eq!(both("SKILL.md:hidden"), "path-windows-character");
}

#[test]
fn control_characters_are_refused() {
    for path in ["a\nb", "a\x1b[2Jb", "a\x7f", "a\u{9b}b"] {
        assert_eq!(both(path), "path-control-character");
    }
}

#[test]
fn a_nul_is_refused_wherever_a_name_can_hold_one() {
    assert_eq!(
        refusal(&zip(&[ZipEntry::skill_md(), ZipEntry::file("a\0b")])).0,
        "path-control-character"
    );
    let long = TarEntry::new("././@LongLink", b'L', "a\0b\0");
    assert_eq!(
        refusal(&tar_gz([long, TarEntry::file("a")])).0,
        "path-control-character"
    );
    let extended = TarEntry::new("PaxHeader", b'x', pax("path", "a\0b"));
    assert_eq!(
        refusal(&tar_gz([extended, TarEntry::file("a")])).0,
        "path-control-character"
    );
}

#[test]
fn names_that_are_not_utf8_are_refused() {
    assert_eq!(both(b"caf\xe9.md"), "path-not-utf8");
    // An overlong slash, and half a surrogate pair.
    assert_eq!(both(b"a\xc0\xafb"), "path-not-utf8");
    assert_eq!(both(b"a\xed\xa0\x80"), "path-not-utf8");
}

#[test]
fn empty_components_are_refused() {
    assert_eq!(both("a//b"), "path-empty-component");
    assert_eq!(both("a/./b"), "path-current-folder");
}

#[test]
fn bidirectional_and_invisible_characters_are_refused() {
    for path in [
        "a\u{202e}fdp.exe",
        "a\u{2066}b",
        "a\u{200b}b",
        "a\u{feff}b",
        "a\u{ad}b",
        "\u{e0041}",
        "a\u{fe0f}",
    ] {
        assert_eq!(both(path), "path-invisible-character");
    }
}

#[test]
fn names_of_windows_devices_are_refused() {
    for path in ["NUL", "a/con.txt", "Aux.", "COM1.md", "lpt9"] {
        let code = both(path);
        assert!(
            matches!(code, "path-windows-reserved" | "path-trailing-dot-or-space"),
            "{path}: {code}"
        );
    }
}

#[test]
fn trailing_dots_and_spaces_are_refused() {
    for path in ["a.", "a ", "a./b", "a /b", "..."] {
        assert_eq!(both(path), "path-trailing-dot-or-space");
    }
}

#[test]
fn version_control_folders_are_refused() {
    for path in [
        ".git/config",
        "a/.GIT/hooks/post-checkout",
        "GIT~1/config",
        ".hg/hgrc",
        ".svn/entries",
    ] {
        assert_eq!(both(path), "path-version-control");
    }
}

#[test]
fn lookalikes_of_separators_are_refused() {
    for path in ["a／b", "a＼b", "‥/a", "․/a"] {
        assert_eq!(both(path), "path-lookalike");
    }
}

#[test]
fn too_long_and_too_deep_paths_are_refused() {
    let deep = vec!["d"; 17].join("/");
    assert_eq!(both(&deep), "path-too-deep");
    let long = TarEntry::new("PaxHeader", b'x', pax("path", &"n".repeat(256)));
    assert_eq!(
        refusal(&tar_gz([long, TarEntry::file("a")])).0,
        "path-too-long"
    );
    assert_eq!(
        refusal(&zip(&[
            ZipEntry::skill_md(),
            ZipEntry::file("n".repeat(256))
        ]))
        .0,
        "path-too-long"
    );
}

#[test]
fn duplicates_are_refused() {
    assert_eq!(all(&[b"a", b"a"]), "path-duplicate");
    assert_eq!(all(&[b"SKILL.md"]), "path-duplicate");
}

#[test]
fn names_that_differ_in_case_only_are_refused() {
    assert_eq!(all(&[b"a", b"A"]), "path-case-collision");
    assert_eq!(all(&[b"skill.MD"]), "path-case-collision");
    assert_eq!(
        all(&["straße".as_bytes(), b"STRASSE"]),
        "path-case-collision"
    );
    assert_eq!(all(&[b"Docs/a", b"docs/b"]), "path-case-collision");
}

#[test]
fn names_that_differ_in_normal_form_only_are_refused() {
    assert_eq!(
        all(&["é".as_bytes(), "e\u{301}".as_bytes()]),
        "path-normalisation-collision"
    );
    assert_eq!(
        all(&["ﬁle".as_bytes(), b"file"]),
        "path-normalisation-collision"
    );
    assert_eq!(
        all(&["é/a".as_bytes(), "e\u{301}/b".as_bytes()]),
        "path-normalisation-collision"
    );
}

#[test]
fn a_name_that_is_file_and_folder_is_refused() {
    assert_eq!(all(&[b"a", b"a/b"]), "path-file-folder-conflict");
    assert_eq!(all(&[b"a/b", b"a"]), "path-file-folder-conflict");
    let folder = TarEntry::new("a/", b'5', "");
    assert_eq!(
        refusal(&tar_gz([folder, TarEntry::file("a")])).0,
        "path-file-folder-conflict"
    );
}

#[test]
fn a_decomposed_name_is_stored_composed() {
    let tree = read(&tar_gz([TarEntry::file("cafe\u{301}.md")])).expect("as macOS writes it");
    assert!(tree.get("caf\u{e9}.md").is_some());
}

#[test]
fn an_error_shows_the_path_without_what_could_deceive() {
    let error = read(&tar_gz([TarEntry::file("a\u{202e}b\x07")])).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "`a\\u{202e}b\\u{7}` contains the invisible or direction-changing character U+202E"
    );
}

#[test]
fn a_tree_keeps_the_same_rules_without_any_archive() {
    let mut tree = SkillTree::new();
    let error = tree
        .insert("../a", SkillFile::default())
        .expect_err("leads out");
    assert_eq!(error.problem, PathProblem::Traversal);
    assert!(tree.is_empty());
    assert_eq!(refusal(&gzip(&[])).0, "archive-tar-truncated");
}
