//! Every rule of the linter, by an example that breaks it and nothing else.

use skill_format::{SkillFile, SkillTree, lint};

use crate::samples::{FULL_YAML, PLAIN, codes, full, skill_md, skill_yaml, tree};

/// `SKILL.md` with these lines among its fields and this body.
fn with(fields: &str, body: &str) -> SkillTree {
    let base = "---\nname: sample\ndescription: Shows a sample.\nlicense: MIT\nmetadata: {version: 1.0.0}\n";
    skill_md(format!("{base}{fields}---\n{body}"))
}

fn found(tree: &SkillTree) -> Vec<String> {
    codes(&lint(tree, None))
}

#[test]
fn a_plain_skill_is_clean() {
    assert_eq!(lint(&skill_md(PLAIN), Some("sample")), []);
    assert_eq!(lint(&with("", "Do it.\n"), None), []);
}

#[test]
fn the_output_as_people_see_it() {
    let mut tree = full();
    tree.insert(".skill/openai.json", SkillFile::plain("{\n\"tools\": oops"))
        .expect("a good path");
    tree.insert("nested/skill.yaml", SkillFile::plain("x"))
        .expect("a good path");
    let remarks: Vec<String> = lint(&tree, Some("data-analysis"))
        .iter()
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(remarks.join("\n"));
}

#[test]
fn the_output_as_programs_see_it() {
    let remarks = lint(
        &skill_md("---\nname: Data Analysis\ncategory: x\n---\n"),
        Some("data"),
    );
    insta::assert_json_snapshot!(remarks);
}

#[test]
fn rules_about_fields() {
    let long = "x".repeat(501);
    let cases = [
        ("category: x\n", "SKILL.md:6 error field-unknown"),
        ("allowed_tools: x\n", "SKILL.md:6 error field-spelling"),
        ("version: 1.0.0\n", "SKILL.md:6 warning field-misplaced"),
        ("model: x\n", "SKILL.md:6 info field-of-one-client"),
        ("compatibility: [a]\n", "SKILL.md:6 error field-type"),
        (
            "allowed-tools: [a]\n",
            "SKILL.md:6 error allowed-tools-not-text",
        ),
        (
            &format!("compatibility: {long}\n"),
            "SKILL.md:6 error compatibility-too-long",
        ),
    ];
    for (field, expected) in cases {
        assert!(
            found(&with(field, "x")).contains(&expected.to_owned()),
            "{field}"
        );
    }
}

#[test]
fn rules_about_name_and_description() {
    let of = |name: &str, description: &str| {
        let text = format!(
            "---\nname: {name}\ndescription: {description}\nlicense: MIT\nmetadata: {{version: 1.0.0}}\n---\nx"
        );
        found(&skill_md(text))
    };
    assert_eq!(of("api", "b"), ["SKILL.md:2 warning name-reserved"]);
    assert_eq!(
        of("claude-helper", "b"),
        ["SKILL.md:2 info name-vendor-word"]
    );
    assert_eq!(of("My-skill", "b"), ["SKILL.md:2 error name-character"]);
    assert_eq!(
        of("a", "Use <b>this</b>"),
        ["SKILL.md:3 warning description-markup"]
    );
    assert_eq!(of("a", "a < b and c > d"), Vec::<String>::new());
    assert_eq!(
        of("a", "b\u{200b}c"),
        ["SKILL.md:3 warning description-hidden-character"]
    );
    assert_eq!(
        of("a", &"long words ".repeat(50)),
        ["SKILL.md:3 info catalogue-entry-long"]
    );
    assert_eq!(
        of("a", &"x".repeat(1025)),
        ["SKILL.md:3 error description-too-long"]
    );
    assert_eq!(of("a", &"x".repeat(399)), Vec::<String>::new());
    assert_eq!(
        codes(&lint(&skill_md(PLAIN), Some("other"))),
        ["SKILL.md:2 error name-folder-mismatch"]
    );
}

#[test]
fn missing_licence_and_version_are_information() {
    let bare = skill_md("---\nname: a\ndescription: b\n---\nx");
    assert_eq!(
        found(&bare),
        [
            "SKILL.md:1 info version-missing",
            "SKILL.md:2 info license-missing"
        ]
    );
    let mut with_file = bare;
    with_file
        .insert("LICENSE.txt", SkillFile::plain("MIT"))
        .expect("a good path");
    let help = lint(&with_file, None)[1].help.clone();
    assert_eq!(
        help.as_deref(),
        Some("add `license: LICENSE.txt`, or the SPDX expression of the licence")
    );
}

#[test]
fn rules_about_the_body() {
    assert_eq!(found(&with("", " \n")), ["SKILL.md:7 warning body-empty"]);
    assert_eq!(found(&with("", &"x\n".repeat(499))), Vec::<String>::new());
    assert_eq!(
        found(&with("", &"x\n".repeat(500))),
        ["SKILL.md:7 warning body-too-long"]
    );
    assert_eq!(
        found(&with("", &"x".repeat(20_001))),
        ["SKILL.md:7 info body-many-tokens"]
    );
}

#[test]
fn rules_about_references() {
    let body = "[a](references/a.md) [gone](references/gone.md)\n`scripts/gone.py`\n[up](../other/x.md)\n[b](references/deep/b.md) [a](references)\n";
    let tree = tree(&[
        ("SKILL.md", &PLAIN.replace("Do it.\n", body)),
        (
            "references/a.md",
            "[c](c.md) [d](../assets/d.md) [back](../SKILL.md)\n\n[e](e.md)\n[b](deep/b.md)",
        ),
        ("references/c.md", ""),
        ("references/deep/b.md", ""),
        ("assets/d.md", ""),
    ]);
    let expected = [
        "SKILL.md:11 warning reference-missing",
        "SKILL.md:12 warning reference-missing",
        "SKILL.md:13 warning reference-outside",
        "SKILL.md:14 info reference-deep",
        "references/a.md:1 warning reference-chain",
        "references/a.md:1 warning reference-chain",
        "references/a.md:3 warning reference-missing",
    ];
    assert_eq!(found(&tree), expected);
}

#[test]
fn a_checksum_is_compared_with_the_files() {
    let plain = skill_yaml("");
    let right = format!("checksum: {}\n", plain.content_digest());
    assert_eq!(found(&skill_yaml(&right)), Vec::<String>::new());
    let mut changed = skill_yaml(&right);
    changed
        .insert("assets/x", SkillFile::plain("x"))
        .expect("a good path");
    assert_eq!(found(&changed), ["skill.yaml:1 error checksum-mismatch"]);
}

#[test]
fn rules_about_the_package() {
    let cases = [
        ("licence: MIT\n", "skill.yaml:1 warning field-unknown"),
        ("name: other\n", "skill.yaml:1 error manifest-mismatch"),
        (
            "frameworks: [cobol]\n",
            "skill.yaml:1 info framework-unknown",
        ),
        (
            "frameworks: [{name: openai, instructions-file: x.json}]\n",
            "skill.yaml:1 error framework-file-missing",
        ),
        (
            "dependencies: {sample: 1}\n",
            "skill.yaml error dependency-on-itself",
        ),
        (
            "dependencies: {a: '>2, <1'}\n",
            "skill.yaml error dependency-never-matches",
        ),
        ("tags: [Two Words]\n", "skill.yaml warning tag-odd"),
        ("tags: ['', x]\n", "skill.yaml:1 warning list-entry-empty"),
        (
            "frameworks: [{name: openai, compatibility: foo bar}]\n",
            "skill.yaml:1 warning framework-range-malformed",
        ),
        (
            "signing:\n  algorithm: rsa\n",
            "skill.yaml:2 warning signing-algorithm-unknown",
        ),
        (
            "signing: {algorithm: OpenPGP, public-key-id: zzz}\n",
            "skill.yaml:1 warning signing-key-id-malformed",
        ),
        (
            "signing: {public-key-id: '1234567'}\n",
            "skill.yaml:1 warning signing-key-id-malformed",
        ),
        (
            "homepage: example.com\n",
            "skill.yaml:1 warning address-malformed",
        ),
        (
            "entrypoints: {a: {command: x.py}}\n",
            "skill.yaml:1 error entrypoint-missing",
        ),
        (
            "entrypoints: {a: {command: SKILL.md}}\n",
            "skill.yaml:1 warning entrypoint-not-executable",
        ),
    ];
    for (yaml, expected) in cases {
        assert_eq!(found(&skill_yaml(yaml)), [expected], "{yaml}");
    }
    let many: Vec<String> = (0..21).map(|i| format!("t{i}")).collect();
    assert_eq!(
        found(&skill_yaml(format!("tags: [{}]\n", many.join(", ")))),
        ["skill.yaml warning tags-too-many"]
    );
    let mut other_name = skill_md(PLAIN);
    other_name
        .insert("skill.yml", SkillFile::plain(""))
        .expect("a good path");
    assert_eq!(found(&other_name), ["skill.yml warning skill-yml"]);
}

#[test]
fn what_skill_yaml_hints_at_may_be_written_as_usual() {
    for yaml in [
        "signing: {algorithm: gpg, public-key-id: '0x1234ABCD'}\n",
        "signing: {public-key-id: 8DBF 4D9F 1A2B 3C4D 5E6F  7081 92A3 B4C5 D6E7 F809}\n",
        "frameworks: [{name: openai, compatibility: '>=1.0, <3 || 4.x'}]\n",
    ] {
        assert_eq!(found(&skill_yaml(yaml)), Vec::<String>::new(), "{yaml}");
    }
}

#[test]
fn rules_about_python_packages() {
    let with_script = |path: &str, text: &str| {
        let mut tree = skill_md(PLAIN);
        tree.insert(path, SkillFile::plain(text))
            .expect("a good path");
        found(&tree)
    };
    let script = |block: &str| format!("{block}print(1)\n");
    for (block, expected) in [
        (
            "# /// script\n# dependencies = [\"pandas>=2\"]\n# ///\n",
            &[][..],
        ),
        (
            "# /// script\n# dependencies = [\n# ///\n",
            &["scripts/run.py:2 error python-metadata-invalid"],
        ),
        (
            "# /// script\n# dependencies = [\"a b c\"]\n# ///\n",
            &["scripts/run.py:2 error python-metadata-invalid"],
        ),
        (
            "# /// script\n# requires-python = \"three\"\n# ///\n",
            &["scripts/run.py:2 error python-metadata-invalid"],
        ),
        (
            "# /// script\n# dependencies = []\n",
            &["scripts/run.py:1 warning python-metadata-unclosed"],
        ),
    ] {
        assert_eq!(
            with_script("scripts/run.py", &script(block)),
            expected,
            "{block}"
        );
    }
    // What is not started is text like any other.
    let unread = script("# /// script\n# dependencies = [\n# ///\n");
    assert_eq!(
        with_script("assets/example.py", &unread),
        Vec::<String>::new()
    );
    for (yaml, expected) in [
        ("dependencies: {python: {pandas: '>=2'}}\n", &[][..]),
        (
            "dependencies: {python: {pandas: 'newest'}}\n",
            &["skill.yaml warning python-requirement-invalid"],
        ),
    ] {
        assert_eq!(found(&skill_yaml(yaml)), expected, "{yaml}");
    }
}

#[test]
fn files_that_hold_secrets_are_pointed_out() {
    let with_file = |path: &str, text: &str| {
        let mut tree = skill_md(PLAIN);
        tree.insert(path, SkillFile::plain(text))
            .expect("a good path");
        found(&tree)
    };
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (path, text) in [
        (".env", "TOKEN=1"),
        (".env.local", "TOKEN=1"),
        ("assets/.envrc", "export TOKEN=1"),
        ("assets/id_rsa", PRIVATE),
        ("id_ed25519", PRIVATE),
        ("assets/server.KEY", PRIVATE),
        ("server.pem", PRIVATE),
        ("both.pem", &format!("{PUBLIC}{PRIVATE}")),
        ("unknown.pem", "AAAA"),
        (".npmrc", "x"),
        (".netrc", "x"),
        (".git-credentials", "x"),
        (".pypirc", "x"),
    ] {
        assert_eq!(
            with_file(path, text),
            [format!("{path} warning secret-file")]
        );
    }
    for (path, text) in [
        (".env.example", "TOKEN="),
        (".env.production.sample", "TOKEN="),
        (".env.template", "TOKEN="),
        (".environment", "x"),
        ("assets/id_rsa.pub", "x"),
        ("assets/ca.pem", PUBLIC),
        ("assets/key", "x"),
    ] {
        assert_eq!(with_file(path, text), Vec::<String>::new(), "{path}");
    }
    let mut tree = skill_md(PLAIN);
    tree.insert("assets/.env", SkillFile::plain("x"))
        .expect("a good path");
    let help = lint(&tree, None)[0].help.clone();
    assert_eq!(
        help.as_deref(),
        Some("leave it out: write the line `/assets/.env` into .skillignore")
    );
}

#[test]
fn a_command_with_an_interpreter_is_explained() {
    let mut tree = skill_yaml("entrypoints: {a: {command: python3 scripts/a.py --fast}}\n");
    tree.insert("scripts/a.py", SkillFile::plain("pass"))
        .expect("a good path");
    let help = lint(&tree, None)[0].help.clone();
    let expected = "write `command: scripts/a.py`: interpreter and arguments do not belong here";
    assert_eq!(help.as_deref(), Some(expected));
}

#[test]
fn rules_about_schemas() {
    let of = |schema: &str| {
        let yaml = format!("entrypoints: {{a: {{command: a.py, description: x, {schema}}}}}\n");
        let mut tree = skill_yaml(yaml);
        tree.insert("a.py", SkillFile::plain("pass"))
            .expect("a good path");
        found(&tree)
    };
    assert_eq!(of("input-schema: {type: object}"), Vec::<String>::new());
    assert_eq!(
        of("input-schema: {type: string}"),
        ["skill.yaml:1 error schema-invalid"]
    );
    assert_eq!(of("output-schema: {type: string}"), Vec::<String>::new());
    assert_eq!(
        of("input-schema: {$ref: '#/x'}"),
        ["skill.yaml:1 error schema-invalid"]
    );
    assert_eq!(
        of("input-schema: {$dynamicRef: '#x'}"),
        ["skill.yaml:1 warning schema-not-checked"]
    );
    let mut bare = skill_yaml("entrypoints: {a: {command: a.py, input-schema: {type: object}}}\n");
    bare.insert("a.py", SkillFile::plain("pass"))
        .expect("a good path");
    assert_eq!(
        found(&bare),
        ["skill.yaml:1 warning entrypoint-without-description"]
    );
}

#[test]
fn rules_about_permissions() {
    let cases = [
        ("network: all", "warning permission-network-all"),
        ("network: ['*']", "warning permission-network-all"),
        ("network: ['*.com']", "warning permission-host-wide"),
        (
            "network: ['https://example.com']",
            "error permission-host-malformed",
        ),
        (
            "network: ['example.com/x']",
            "error permission-host-malformed",
        ),
        (
            "network: ['example.com:0']",
            "error permission-host-malformed",
        ),
        ("network: [localhost]", "warning permission-host-local"),
        (
            "network: ['169.254.169.254:80']",
            "warning permission-host-local",
        ),
        ("read: ['/etc']", "error permission-path-outside"),
        ("read: ['~/.ssh']", "error permission-path-outside"),
        ("write: ['a/../../b']", "error permission-path-outside"),
        ("write: ['C:/x']", "error permission-path-outside"),
        ("write: ['a\\b']", "error permission-path-outside"),
        ("write: ['**']", "warning permission-path-everything"),
        ("read: ['./**/*']", "warning permission-path-everything"),
        (
            "environment: [LD_PRELOAD]",
            "warning permission-environment-steering",
        ),
        ("environment: ['A=B']", "error permission-environment-name"),
        (
            "environment: [API_TOKEN]",
            "warning permission-secret-unmarked",
        ),
    ];
    for (permission, expected) in cases {
        let tree = skill_yaml(format!("permissions:\n  {permission}\n"));
        assert_eq!(
            found(&tree),
            [format!("skill.yaml:1 {expected}")],
            "{permission}"
        );
    }
    for good in [
        "network: [api.example.com, '*.example.com:8443', xn--bcher-kva.example]",
        "read: [data, 'data/**', a.csv, '*.md']",
        "environment: [HOME_CITY, {name: API_TOKEN, secret: true}, MONKEY]",
    ] {
        let tree = skill_yaml(format!("permissions:\n  {good}\n"));
        assert_eq!(found(&tree), Vec::<String>::new(), "{good}");
    }
}

#[test]
fn rules_about_forms_for_single_frameworks() {
    let of = |path: &str, text: &str| {
        let mut tree = skill_md(PLAIN);
        tree.insert(path, SkillFile::plain(text))
            .expect("a good path");
        found(&tree)
    };
    let tool = r#"{"type": "function", "name": "x", "parameters": {}}"#;
    assert_eq!(of(".skill/openai.json", tool), Vec::<String>::new());
    assert_eq!(
        of(".skill/openai.json", "{\n"),
        [".skill/openai.json:2 error own-form-not-json"]
    );
    assert_eq!(
        of(".skill/google.json", "{}"),
        [".skill/google.json warning own-form-without-tools"]
    );
    assert_eq!(
        of(".skill/anthropic.json", r#"{"model": "x"}"#),
        Vec::<String>::new()
    );
}

#[test]
fn the_full_example_breaks_no_rule_of_the_specification() {
    let errors: Vec<String> = found(&full())
        .into_iter()
        .filter(|line| line.contains(" error "))
        .collect();
    assert_eq!(errors, Vec::<String>::new());
    assert!(FULL_YAML.contains("permissions"));
}
