//! `skill.yaml`: every field, every way to write it, and what is said when it is wrong.

use proptest::prelude::*;
use skill_format::{Diagnostic, Manifest, NetworkPermission, ReadOptions, Skill, Version, lint};

use crate::samples::{FULL_YAML, codes, errors, full, read, skill_yaml};

fn manifest(yaml: &str) -> Manifest {
    read(skill_yaml(yaml)).manifest
}

fn remarks(yaml: &str) -> Vec<Diagnostic> {
    read(skill_yaml(yaml)).diagnostics
}

#[test]
fn every_field_reaches_the_manifest() {
    let skill = read(full());
    insta::assert_json_snapshot!(skill.manifest);
    let expected = [
        "SKILL.md:4 warning field-misplaced",
        "SKILL.md:5 warning field-misplaced",
        "skill.yaml:4 info manifest-mismatch",
    ];
    assert_eq!(codes(&skill.diagnostics), expected);
}

#[test]
fn a_manifest_survives_json() {
    let manifest = read(full()).manifest;
    let json = serde_json::to_string(&manifest).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Manifest>(&json).expect("the same"),
        manifest
    );
}

#[test]
fn skill_yaml_wins_and_differences_are_said() {
    let skill = read(skill_yaml(
        "name: other\nversion: 2.0.0\ndescription: Longer text\nlicense: Apache-2.0\nauthor: bob\n",
    ));
    assert_eq!(skill.manifest.name.as_str(), "other");
    assert_eq!(skill.manifest.version, Some(Version::new(2, 0, 0)));
    assert_eq!(skill.manifest.license.as_deref(), Some("Apache-2.0"));
    let expected = [
        "skill.yaml:1 warning manifest-mismatch",
        "skill.yaml:3 info manifest-mismatch",
        "skill.yaml:2 warning manifest-mismatch",
        "skill.yaml:4 warning manifest-mismatch",
    ];
    assert_eq!(codes(&skill.diagnostics), expected);
}

#[test]
fn an_empty_file_says_nothing() {
    for text in ["", "# only a comment\n", "\u{feff}", "~"] {
        assert_eq!(codes(&remarks(text)), Vec::<String>::new(), "{text:?}");
    }
}

#[test]
fn unknown_fields_are_warned_about_with_what_was_meant() {
    let remarks =
        remarks("licence: MIT\nrepositry: https://example.com\ninstructionsFile: x\nTags: [a]\n");
    let said: Vec<String> = remarks.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn other_spellings_of_a_field_are_read() {
    let yaml = "entrypoints:\n- name: a\n  command: x.py\n  inputSchema: {type: object}\n  timeout_seconds: 5\n";
    let skill = read(skill_yaml(yaml));
    assert_eq!(skill.manifest.entrypoints[0].timeout_seconds, Some(5));
    assert!(skill.manifest.entrypoints[0].input_schema.is_some());
    let expected = [
        "skill.yaml:4 warning field-spelling",
        "skill.yaml:5 warning field-spelling",
    ];
    assert_eq!(codes(&skill.diagnostics), expected);
}

#[test]
fn a_version_is_never_a_number() {
    assert_eq!(
        manifest("version: 1.10.0\n").version,
        Some(Version::new(1, 10, 0))
    );
    let skill = read(skill_yaml("version: 1.10\n"));
    assert_eq!(skill.manifest.version, Some(Version::new(1, 10, 0)));
    assert_eq!(
        skill.diagnostics[0].to_string(),
        "skill.yaml:1: warning[version-malformed]: `1.10` is not a version: it has 2 numbers, and a version has three (help: write `1.10.0`)"
    );
    assert_eq!(
        errors(skill_yaml("version: newest\n")),
        ["skill.yaml:1 error version-malformed"]
    );
}

#[test]
fn dependencies_can_be_written_in_several_ways() {
    let of = |yaml: &str| serde_json::to_value(manifest(yaml).dependencies).expect("JSON");
    let expected = serde_json::json!({
        "skills": { "a": "*", "b": "^1" },
        "hosts": { "roundtable": ">=1.0.0", "python": ">=3.9" },
        "packages": { "node": { "zod": "3" }, "python": {} },
    });
    let long = of(
        "dependencies:\n  a:\n  roundtable: '>=1.0.0'\n  skills: {b: ^1}\n  node: {zod: 3}\n  python: {}\n",
    );
    assert_eq!(long["skills"], expected["skills"]);
    assert_eq!(long["packages"], expected["packages"]);
    let short =
        of("dependencies:\n  skills: [a, b@^1]\n  roundtable: '>=1.0.0'\n  python: '>=3.9'\n");
    assert_eq!(short["skills"], expected["skills"]);
    assert_eq!(short["hosts"]["python"], ">=3.9");
    assert_eq!(
        of("dependencies: [a, b@^1]\n")["skills"],
        expected["skills"]
    );
    let listed = of("dependencies:\n  python: ['pandas>=1.0', numpy]\n");
    assert_eq!(
        listed["packages"]["python"],
        serde_json::json!({ "numpy": "*", "pandas": ">=1.0" })
    );
}

#[test]
fn network_can_be_written_in_several_ways() {
    let of = |text: &str| {
        manifest(&format!("permissions:\n  network: {text}\n"))
            .permissions
            .network
    };
    let hosts = |list: &[&str]| {
        NetworkPermission::Hosts(list.iter().map(|host| (*host).to_owned()).collect())
    };
    assert_eq!(of("none"), NetworkPermission::None);
    assert_eq!(of("false"), NetworkPermission::None);
    assert_eq!(of("[]"), NetworkPermission::None);
    assert_eq!(of("all"), NetworkPermission::All);
    assert_eq!(of("true"), NetworkPermission::All);
    assert_eq!(of("example.com"), hosts(&["example.com"]));
    assert_eq!(
        of("[a.example, b.example]"),
        hosts(&["a.example", "b.example"])
    );
    assert_eq!(of("{hosts: [a.example]}"), hosts(&["a.example"]));
    assert_eq!(
        errors(skill_yaml("permissions: {network: some}\n")),
        ["skill.yaml:1 error field-type"]
    );
}

#[test]
fn environment_can_be_written_in_several_ways() {
    let of =
        |text: &str| serde_json::to_value(manifest(text).permissions.environment).expect("JSON");
    let expected = serde_json::json!([
        { "name": "A", "required": true, "secret": false, "description": null },
        { "name": "B", "required": false, "secret": true, "description": "x" },
    ]);
    let list = "permissions:\n  environment:\n  - A\n  - {name: B, required: false, secret: true, description: x}\n";
    let map = "permissions:\n  environment:\n    A:\n    B: {required: false, secret: true, description: x}\n";
    assert_eq!(of(list), expected);
    assert_eq!(of(map), expected);
}

#[test]
fn entrypoints_can_be_a_list_or_a_map() {
    let list = manifest("entrypoints:\n- name: go\n  command: ./scripts/go.sh\n").entrypoints;
    let map = manifest("entrypoints:\n  go: {command: scripts/go.sh}\n").entrypoints;
    assert_eq!(list, map);
    assert_eq!(list[0].command, "scripts/go.sh");
    assert_eq!(manifest("entrypoints: []\n").entrypoints, []);
}

#[test]
fn numbers_in_a_schema_stay_numbers() {
    let yaml = "entrypoints:\n  go:\n    command: x.sh\n    input-schema:\n      properties:\n        a: {minimum: 1.5, maximum: 10, default: '7', enum: [yes, true, null, 0x10, .5, -0.0, 1e3]}\n";
    let schema = manifest(yaml).entrypoints[0]
        .input_schema
        .clone()
        .expect("a schema");
    let expected = serde_json::json!({
        "minimum": 1.5, "maximum": 10, "default": "7", "enum": ["yes", true, null, "0x10", 0.5, -0.0, 1000.0],
    });
    assert_eq!(schema["properties"]["a"], expected);
}

#[test]
fn what_is_wrong_has_its_line() {
    let cases = [
        ("- a\n", "skill.yaml:1 error skill-yaml-not-a-map"),
        ("a: b: c\n", "skill.yaml:1 error yaml-syntax"),
        (
            "name: a\nname: b\n",
            "skill.yaml:2 error yaml-duplicate-key",
        ),
        ("\n\ndescription: [a]\n", "skill.yaml:3 error field-type"),
        ("tags: {a: b}\n", "skill.yaml:1 error field-type"),
        ("dependencies: none\n", "skill.yaml:1 error field-type"),
        (
            "dependencies:\n  A_b: '*'\n",
            "skill.yaml:2 error name-character",
        ),
        (
            "dependencies:\n  a: newest\n",
            "skill.yaml:2 error range-malformed",
        ),
        (
            "dependencies:\n  a: 1\n  skills:\n    a: 2\n",
            "skill.yaml:4 error dependency-twice",
        ),
        (
            "frameworks: [{compatibility: x}]\n",
            "skill.yaml:1 error field-missing",
        ),
        ("permissions: all\n", "skill.yaml:1 error field-type"),
        (
            "permissions:\n  environment: [{secret: true}]\n",
            "skill.yaml:2 error field-missing",
        ),
        (
            "permissions:\n  environment: [{name: A, secret: maybe}]\n",
            "skill.yaml:2 error field-type",
        ),
        (
            "entrypoints:\n  go: x.sh\n",
            "skill.yaml:2 error field-type",
        ),
        (
            "entrypoints:\n  go: {}\n",
            "skill.yaml:2 error field-missing",
        ),
        (
            "entrypoints:\n- command: x.sh\n",
            "skill.yaml:2 error field-missing",
        ),
        (
            "entrypoints:\n  '../x': {command: a}\n",
            "skill.yaml:2 error entrypoint-name",
        ),
        (
            "entrypoints:\n- {name: a, command: b}\n- {name: a, command: c}\n",
            "skill.yaml:3 error entrypoint-twice",
        ),
        (
            "entrypoints:\n  go: {command: a, timeout-seconds: 0}\n",
            "skill.yaml:2 error entrypoint-timeout",
        ),
        (
            "entrypoints:\n  go: {command: a, timeout-seconds: -1}\n",
            "skill.yaml:2 error field-type",
        ),
        (
            "entrypoints:\n  go: {command: a, input-schema: x.json}\n",
            "skill.yaml:2 error field-type",
        ),
        (
            "%YAML 1.2\n---\nname: a\n",
            "skill.yaml:1 error yaml-syntax",
        ),
    ];
    for (yaml, expected) in cases {
        assert_eq!(errors(skill_yaml(yaml)), [expected], "{yaml}");
    }
    assert_eq!(
        errors(skill_yaml(b"name: a\n# \xff\n")),
        ["skill.yaml:2 error skill-yaml-not-utf8"]
    );
    assert_eq!(
        errors(skill_yaml(" ".repeat(1 << 21))),
        ["skill.yaml error skill-yaml-too-large"]
    );
}

#[test]
fn addresses_that_run_code_are_dropped() {
    let manifest = manifest("homepage: javascript:alert(1)\nrepository: git@example.com:a/b.git\n");
    assert_eq!(manifest.homepage, None);
    assert_eq!(
        manifest.repository.as_deref(),
        Some("git@example.com:a/b.git")
    );
}

#[test]
fn the_seeds_placeholder_checksum_is_no_digest_but_no_obstacle() {
    let skill = read(skill_yaml("checksum: sha256:abc123...\n"));
    assert_eq!(skill.manifest.checksum, None);
    assert_eq!(skill.diagnostics.len(), 1);
    assert_eq!(skill.diagnostics[0].field.as_deref(), Some("checksum"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Skill::from_tree(skill_yaml(&bytes), &ReadOptions::default());
        lint(&skill_yaml(&bytes), None);
    }

    /// Files that are nearly right reach further than noise.
    #[test]
    fn no_change_of_a_good_file_makes_the_reader_panic(
        at in 0..FULL_YAML.len(),
        length in 0..40_usize,
        put in "[-a-z:\\[\\]{}&*!|>'\"# \n0-9.~]{0,10}",
    ) {
        let end = (at + length).min(FULL_YAML.len());
        let yaml = [&FULL_YAML[..at], &put, &FULL_YAML[end..]].concat();
        let _ = Skill::from_tree(skill_yaml(&yaml), &ReadOptions::default());
        lint(&skill_yaml(&yaml), None);
    }
}
