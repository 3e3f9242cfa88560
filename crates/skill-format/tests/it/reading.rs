//! `SKILL.md` as the world writes it.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use skill_format::{Explain, Fault, ReadOptions, Skill, SkillTree, Version, lint};

use crate::samples::{codes, errors, read, skill_md, tree};

fn fields(text: &str) -> String {
    format!("---\n{text}---\nBody\n")
}

#[test]
fn a_bare_folder_is_a_skill() {
    let skill = read(skill_md(fields("name: pdf\ndescription: Reads PDF.\n")));
    assert_eq!(skill.manifest.name.as_str(), "pdf");
    assert_eq!(skill.manifest.version, None);
    assert_eq!(skill.body, "Body\n");
    assert!(skill.diagnostics.is_empty(), "{:?}", skill.diagnostics);
}

#[test]
fn what_skill_yaml_would_say_is_derived() {
    let skill = read(tree(&[
        (
            "SKILL.md",
            "---\nname: a\ndescription: b\nlicense: MIT\nmetadata:\n  version: 1.10\n  author: alice\n  tags: x, y, x\n---\n",
        ),
        ("scripts/run.sh", "exit 0\n"),
        ("scripts/run.py", "pass\n"),
    ]));
    let manifest = &skill.manifest;
    assert_eq!(manifest.version, Some(Version::new(1, 10, 0)));
    assert_eq!(manifest.author.as_deref(), Some("alice"));
    assert_eq!(manifest.tags, ["x", "y"]);
    assert_eq!(manifest.metadata["version"], "1.10");
    let scripts: Vec<_> = manifest
        .entrypoints
        .iter()
        .map(|e| (e.name.as_str(), e.command.as_str()))
        .collect();
    assert_eq!(scripts, [("run", "scripts/run.sh")]);
    assert_eq!(
        codes(&skill.diagnostics),
        ["SKILL.md:6 warning version-malformed"]
    );
}

#[test]
fn a_version_given_from_outside_wins() {
    let options = ReadOptions {
        version: Some(Version::new(2, 0, 0)),
        ..ReadOptions::default()
    };
    let skill = Skill::from_tree(crate::samples::full(), &options).expect("a skill");
    assert_eq!(skill.manifest.version, Some(Version::new(2, 0, 0)));
}

#[test]
fn version_1_10_stays_text_and_no_stays_no() {
    let skill = read(skill_md(fields(
        "name: no\ndescription: yes\nlicense: 0x10\nversion: 1.10\nauthor: null-ish\nmetadata:\n  a: 1.10\n  b: no\n  c: 0777\n",
    )));
    let manifest = &skill.manifest;
    assert_eq!(manifest.name.as_str(), "no");
    assert_eq!(manifest.description, "yes");
    assert_eq!(manifest.license.as_deref(), Some("0x10"));
    assert_eq!(manifest.version, Some(Version::new(1, 10, 0)));
    let metadata: Vec<&str> = manifest.metadata.values().map(String::as_str).collect();
    assert_eq!(metadata, ["1.10", "no", "0777"]);
}

#[test]
fn top_level_version_and_author_are_read_and_warned_about() {
    let skill = read(skill_md(fields(
        "name: a\ndescription: b\nversion: 1.0.0\nauthor: alice\n",
    )));
    assert_eq!(skill.manifest.version, Some(Version::new(1, 0, 0)));
    assert_eq!(skill.manifest.author.as_deref(), Some("alice"));
    let expected = [
        "SKILL.md:4 warning field-misplaced",
        "SKILL.md:5 warning field-misplaced",
    ];
    assert_eq!(codes(&skill.diagnostics), expected);
}

#[test]
fn byte_order_mark_and_crlf_are_overlooked() {
    let skill = read(skill_md(
        "\u{feff}---\r\nname: a\r\ndescription: >\r\n  b\r\n  c\r\n---\r\nOne\r\nTwo\r\n",
    ));
    assert_eq!(skill.manifest.description, "b c");
    assert_eq!(skill.body, "One\nTwo\n");
    assert_eq!(
        codes(&skill.diagnostics),
        ["SKILL.md:1 info byte-order-mark", "SKILL.md:1 info crlf"]
    );
}

#[test]
fn unquoted_colons_are_read_as_text() {
    let skill = read(skill_md(fields(
        "name: a\ndescription: Use this: now\n  and later: too\nargument-hint: [file] [--flag]\nlicense: \"MIT\" or so\nmetadata:\n  note: x: y\n",
    )));
    assert_eq!(skill.manifest.description, "Use this: now and later: too");
    assert_eq!(skill.manifest.license.as_deref(), Some("\"MIT\" or so"));
    assert_eq!(skill.manifest.metadata["note"], "x: y");
    let expected = [
        "SKILL.md:3 warning yaml-unquoted",
        "SKILL.md:5 warning yaml-unquoted",
        "SKILL.md:6 warning yaml-unquoted",
        "SKILL.md:8 warning yaml-unquoted",
        "SKILL.md:5 info field-of-one-client",
    ];
    assert_eq!(codes(&skill.diagnostics), expected);
}

#[test]
fn a_repair_leaves_correct_block_scalars_alone() {
    let skill = read(skill_md(fields(
        "name: a\ndescription: |\n  Keep: this\n  - as: it is\nlicense: a: b\ncompatibility: >-\n  x:\n  y\n",
    )));
    assert_eq!(skill.manifest.description, "Keep: this\n- as: it is");
    assert_eq!(skill.manifest.compatibility.as_deref(), Some("x: y"));
}

#[test]
fn tabs_as_indentation_are_read_as_spaces() {
    let skill = read(skill_md(fields(
        "name: a\ndescription: b\nmetadata:\n\tauthor: alice\n",
    )));
    assert_eq!(skill.manifest.author.as_deref(), Some("alice"));
    assert_eq!(codes(&skill.diagnostics), ["SKILL.md:5 warning yaml-tab"]);
}

#[test]
fn three_hyphens_count_only_as_a_whole_line() {
    let skill = read(skill_md(
        "--- \nname: a\ndescription: a --- b\nlicense: x---\n# ----\n---\t\none\n---\ntwo\n",
    ));
    assert_eq!(skill.manifest.description, "a --- b");
    assert_eq!(skill.manifest.license.as_deref(), Some("x---"));
    assert_eq!(skill.body, "one\n---\ntwo\n");
}

#[test]
fn blank_lines_before_the_frontmatter_are_overlooked_even_100_000_of_them() {
    let text = "\n".repeat(100_000) + &fields("name: a\ndescription: b\nversion: x\n");
    let skill = read(skill_md(text));
    let expected = [
        "SKILL.md:1 warning frontmatter-not-first",
        "SKILL.md:100004 warning field-misplaced",
        "SKILL.md:100004 warning version-malformed",
    ];
    assert_eq!(codes(&skill.diagnostics), expected);
}

#[test]
fn a_name_that_breaks_the_rule_is_read_as_the_nearest() {
    let skill = read(skill_md(fields("name: My_Skill\ndescription: b\n")));
    assert_eq!(skill.manifest.name.as_str(), "my-skill");
    assert_eq!(
        codes(&skill.diagnostics),
        ["SKILL.md:2 warning name-character"]
    );
    assert_eq!(
        errors(skill_md(fields("name: прив\ndescription: b\n"))),
        ["SKILL.md:2 error name-character"]
    );
}

#[test]
fn a_missing_name_is_the_folders() {
    let options = ReadOptions {
        folder_name: Some("my-folder".into()),
        ..ReadOptions::default()
    };
    let bare = skill_md(fields("description: b\n"));
    let skill = Skill::from_tree(bare.clone(), &options).expect("a skill");
    assert_eq!(skill.manifest.name.as_str(), "my-folder");
    assert_eq!(
        codes(&skill.diagnostics),
        ["SKILL.md:1 warning name-missing"]
    );
    assert_eq!(errors(bare), ["SKILL.md:1 error name-missing"]);
}

#[test]
fn another_folder_name_is_warned_about() {
    let options = ReadOptions {
        folder_name: Some("other".into()),
        ..ReadOptions::default()
    };
    let skill =
        Skill::from_tree(skill_md(fields("name: a\ndescription: b\n")), &options).expect("a skill");
    assert_eq!(skill.manifest.name.as_str(), "a");
    assert_eq!(
        codes(&skill.diagnostics),
        ["SKILL.md:2 warning name-folder-mismatch"]
    );
}

#[test]
fn what_cannot_be_read_says_where() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "SKILL.md:1 error frontmatter-missing"),
        (b"# Title\n---\n", "SKILL.md:1 error frontmatter-missing"),
        (b"\n\n----\n", "SKILL.md:3 error frontmatter-missing"),
        (b"---\nname: a\n", "SKILL.md:1 error frontmatter-unclosed"),
        (b"---\n- a\n---\n", "SKILL.md:2 error frontmatter-not-a-map"),
        (
            b"---\nname: a\nname: b\n---\n",
            "SKILL.md:3 error yaml-duplicate-key",
        ),
        (
            b"---\nname: a\n[a]: b\n---\n",
            "SKILL.md:3 error yaml-key-kind",
        ),
        (b"---\n\"name: a\n---\n", "SKILL.md:2 error yaml-syntax"),
        (
            b"---\nname: a\n...\nb: c\n---\n",
            "SKILL.md:4 error yaml-second-document",
        ),
        (b"\xff\xfe-\0", "SKILL.md:1 error skill-md-utf16"),
        (
            b"---\nname: a\ndescription: \xe9\n---\n",
            "SKILL.md:3 error skill-md-not-utf8",
        ),
        (
            b"---\nname: a\ndescription:\n---\n",
            "SKILL.md:1 error description-missing",
        ),
        (
            b"---\nname: a\ndescription: '  '\n---\n",
            "SKILL.md:1 error description-missing",
        ),
        (
            b"---\nname: a\ndescription: [b]\n---\n",
            "SKILL.md:1 error description-missing",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            errors(skill_md(bytes)),
            [*expected],
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
    assert_eq!(
        errors(SkillTree::new()),
        ["SKILL.md error skill-md-missing"]
    );
}

#[test]
fn an_invalid_skill_explains_itself() {
    let tree = tree(&[("skill.md", "x")]);
    let error = Skill::from_tree(tree, &ReadOptions::default()).expect_err("no skill");
    assert_eq!(error.code(), "invalid-skill");
    assert_eq!(error.fault(), Fault::BadInput);
    assert_eq!(
        error.to_string(),
        "this is not a valid skill: there is no SKILL.md"
    );
    assert_eq!(
        error.help().as_deref(),
        Some("rename `skill.md` to `SKILL.md`")
    );
    assert_eq!(
        error.place().and_then(|place| place.file).as_deref(),
        Some("SKILL.md")
    );
}

/// The reference validator splits the file at the substring `---`.
#[test]
fn reference_defect_frontmatter_cut_at_hyphens_in_a_value() {
    let skill = read(skill_md(fields("name: a\ndescription: before --- after\n")));
    assert_eq!(skill.manifest.description, "before --- after");
}

/// The reference validator accepts a list.
#[test]
fn reference_defect_allowed_tools_list_passes() {
    let tree = skill_md(fields(
        "name: a\ndescription: b\nallowed-tools: [Read, 'Bash(git:*)']\n",
    ));
    assert_eq!(
        read(tree.clone()).manifest.allowed_tools,
        ["Read", "Bash(git:*)"]
    );
    let remarks = codes(&lint(&tree, None));
    assert!(
        remarks.contains(&"SKILL.md:4 error allowed-tools-not-text".into()),
        "{remarks:?}"
    );
}

/// The reference validator accepts maps and lists as values of `metadata`.
#[test]
fn reference_defect_nested_metadata_passes() {
    let tree = skill_md(fields(
        "name: a\ndescription: b\nmetadata:\n  x: {y: 1.10}\n",
    ));
    assert_eq!(read(tree.clone()).manifest.metadata["x"], r#"{"y":1.1}"#);
    let remarks = codes(&lint(&tree, None));
    assert!(
        remarks.contains(&"SKILL.md:5 error metadata-not-text".into()),
        "{remarks:?}"
    );
}

/// The reference validator accepts an empty `compatibility`.
#[test]
fn reference_defect_empty_compatibility_passes() {
    for empty in ["compatibility:\n", "compatibility: ''\n"] {
        let tree = skill_md(fields(&format!("name: a\ndescription: b\n{empty}")));
        assert_eq!(read(tree.clone()).manifest.compatibility, None);
        let remarks = codes(&lint(&tree, None));
        assert!(
            remarks.contains(&"SKILL.md:4 error compatibility-empty".into()),
            "{remarks:?}"
        );
    }
}

/// The reference validator crashes.
#[test]
fn reference_defect_crash_on_non_utf8() {
    let remarks = lint(&skill_md(b"---\nname: a\n# \xff\n---\n"), None);
    assert_eq!(codes(&remarks), ["SKILL.md:3 error skill-md-not-utf8"]);
    assert_eq!(
        remarks[0].message,
        "the file is not UTF-8: byte 0xff on line 3 is not valid"
    );
}

/// The reference validator needs a minute. This takes well under a second even without
/// optimisation; the bound leaves room for a busy machine.
#[test]
fn reference_defect_50_000_keys_take_a_minute() {
    let keys: String = (0..50_000).map(|i| format!("key-{i}: v\n")).collect();
    let tree = skill_md(fields(&format!("name: a\ndescription: b\n{keys}")));
    let start = Instant::now();
    let remarks = lint(&tree, None);
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    assert!(codes(&remarks).contains(&"SKILL.md:4 error field-unknown".into()));
    let last = remarks
        .iter()
        .find(|remark| remark.code == "remarks-left-out")
        .expect("a count");
    assert_eq!(
        last.message,
        "49900 more remarks about this file are left out"
    );
}

/// A reader must load it, a linter must say so.
#[test]
fn a_description_of_1_068_characters_loads_and_lints() {
    let long = "x".repeat(1068);
    let tree = skill_md(fields(&format!("name: a\ndescription: {long}\n")));
    let skill = read(tree.clone());
    assert_eq!(skill.manifest.description, long);
    assert!(skill.diagnostics.is_empty());
    let remarks = codes(&lint(&tree, None));
    assert!(
        remarks.contains(&"SKILL.md:3 error description-too-long".into()),
        "{remarks:?}"
    );
}

#[test]
fn an_alias_bomb_is_stopped() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..10 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb += &format!("a{i}: &a{i} [{aliases}]\n");
    }
    let start = Instant::now();
    assert_eq!(
        errors(skill_md(fields(&bomb))),
        ["SKILL.md:7 error yaml-too-large"]
    );
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn aliases_cannot_nest_deeper_than_text() {
    let mut deep = format!("a0: &a0 {}x{}\n", "[".repeat(40), "]".repeat(40));
    deep += "a1: &a1 [[[[[[[[[[[[[[[[[[[[[[[[[*a0]]]]]]]]]]]]]]]]]]]]]]]]]\n";
    assert_eq!(
        errors(skill_md(fields(&deep))),
        ["SKILL.md:3 error yaml-too-large"]
    );
}

#[test]
fn an_alias_is_the_value_it_names() {
    let skill = read(skill_md(fields(
        "name: a\ndescription: &d Some text\ncompatibility: *d\n",
    )));
    assert_eq!(skill.manifest.compatibility.as_deref(), Some("Some text"));
}

#[test]
fn frontmatter_beyond_a_mebibyte_is_refused() {
    let text = fields(&format!("name: a\ndescription: {}\n", "x".repeat(1 << 20)));
    assert_eq!(
        errors(skill_md(text)),
        ["SKILL.md:1 error frontmatter-too-large"]
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Skill::from_tree(skill_md(&bytes), &ReadOptions::default());
        lint(&skill_md(&bytes), Some("x"));
    }

    #[test]
    fn no_frontmatter_makes_the_reader_panic(text in "[-a-z:\\[\\]{}&*!|>'\"#%@` \t\r\n0-9.~]{0,200}") {
        let text = format!("---\nname: a\ndescription: b\n{text}\n---\n");
        let _ = Skill::from_tree(skill_md(&text), &ReadOptions::default());
        lint(&skill_md(&text), None);
    }

    #[test]
    fn any_line_of_text_is_read_as_it_is_when_unquoted_or_remarked_on(value in "[A-Za-z][A-Za-z0-9:,.()/ -]{0,60}[a-z]") {
        let skill = read(skill_md(format!("---\nname: a\ndescription: {value}\n---\n")));
        prop_assert_eq!(skill.manifest.description, value);
    }
}
