//! `skills init` and `skills validate`: a new skill is in order, and what is not is said so that
//! an editor can jump there.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::Sandbox;

#[test]
fn init_scaffolds_a_skill_that_validates_strictly() {
    for template in ["instruction", "python", "bash"] {
        let sandbox = Sandbox::new();
        sandbox
            .run(&[
                "init",
                "word-count",
                "--template",
                template,
                "--author",
                "Alice: the first",
            ])
            .ok();
        let ran = sandbox
            .run(&["validate", "word-count", "--strict", "-v"])
            .ok();
        assert_eq!(
            ran.stdout(),
            "1 skill is valid strictly: 0 errors, 0 warnings, 0 notes\n",
            "{template}"
        );
        let bare = sandbox.run(&["init", "bare", "--template", template, "--bare"]);
        assert!(!sandbox.project().join("bare/skill.yaml").exists());
        bare.ok();
        sandbox.run(&["validate", "bare", "--strict"]).ok();
    }
}

#[test]
fn init_says_what_it_made() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["init", "word-count", "--template", "python"]);
    insta::assert_snapshot!("init_python", ran.snapshot());
    let skill_md =
        std::fs::read_to_string(sandbox.project().join("word-count/SKILL.md")).expect("SKILL.md");
    insta::assert_snapshot!("init_python_skill_md", skill_md);
    let skill_yaml = std::fs::read_to_string(sandbox.project().join("word-count/skill.yaml"))
        .expect("skill.yaml");
    insta::assert_snapshot!("init_python_skill_yaml", skill_yaml);
}

#[test]
fn init_with_json_prints_one_document() {
    let sandbox = Sandbox::new();
    let document = sandbox
        .run(&["init", "a", "--path", "skills", "--json"])
        .ok()
        .json();
    let expected =
        serde_json::json!({ "name": "a", "path": "skills/a", "files": ["SKILL.md", "skill.yaml"] });
    assert_eq!(document, expected);
}

#[test]
fn init_refuses_what_would_not_be_valid_and_writes_nothing() {
    let sandbox = Sandbox::new();
    let long = "x".repeat(1025);
    for (arguments, code) in [
        (&["init"][..], "name-required"),
        (&["init", "My_Skill"], "name-character"),
        (&["init", "api"], "name-reserved"),
        (
            &["init", "a", "--description", &long],
            "description-too-long",
        ),
        (&["init", "a", "--description", " "], "description-missing"),
    ] {
        let ran = sandbox.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code(), 2, "{}", ran.snapshot());
        assert_eq!(ran.json()["error"]["code"], code);
    }
    let left = std::fs::read_dir(sandbox.project())
        .expect("a folder")
        .count();
    assert_eq!(left, 0);
    let ran = sandbox.run(&["init", "My_Skill"]);
    assert!(
        ran.stderr().contains("did you mean `my-skill`?"),
        "{}",
        ran.snapshot()
    );
    let ran = sandbox.run(&["init", "team/skills/word-count"]);
    let help = "to make it in `team/skills`: skills init word-count --path team/skills";
    assert!(ran.stderr().contains(help), "{}", ran.snapshot());
}

#[test]
fn init_leaves_what_is_there_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("a/notes.txt", "mine");
    let ran = sandbox.run(&["init", "a"]);
    assert_eq!(ran.code(), 2);
    assert!(ran.stderr().contains("folder-exists"), "{}", ran.snapshot());
    let names: Vec<_> = std::fs::read_dir(sandbox.project().join("a"))
        .expect("a folder")
        .collect();
    assert_eq!(names.len(), 1);
}

/// Runs a script of a template with this input; its exit code and output.
fn script(program: &str, path: std::path::PathBuf, input: &str) -> (i32, String) {
    let mut child = Command::new(program)
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("an interpreter");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes())
        .expect("input");
    let output = child.wait_with_output().expect("an end");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    (output.status.code().expect("a code"), text)
}

#[test]
fn the_scripts_of_the_templates_work() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init", "py", "--template", "python"]).ok();
    sandbox.run(&["init", "sh", "--template", "bash"]).ok();
    let python = || sandbox.project().join("py/scripts/run.py");
    assert_eq!(
        script("python3", python(), r#"{"text": "one two"}"#),
        (0, "{\"words\": 2}\n".into())
    );
    assert_eq!(script("python3", python(), "[]").0, 1);
    let bash = || sandbox.project().join("sh/scripts/run.sh");
    assert_eq!(
        script("sh", bash(), "one two three\n"),
        (0, "words: 3\n".into())
    );
    assert_eq!(script("sh", bash(), "").0, 1);
}

#[test]
fn validate_reports_by_file_and_line_over_a_folder_of_skills() {
    let sandbox = Sandbox::new();
    sandbox.skill("good");
    sandbox.write("team/loud/SKILL.md", "---\nname: loud\ndescription: Use it: now\nversion: 1.0.0\n---\nSee [it](references/it.md).\n");
    sandbox.write(
        "team/other/SKILL.md",
        "---\nname: another\ncategory: x\n---\n",
    );
    sandbox.write(
        "team/broken/SKILL.md",
        "---\nname: broken\nname: twice\n---\n",
    );
    sandbox.write("node_modules/no/SKILL.md", "");
    let ran = sandbox.run(&["validate"]);
    assert_eq!(ran.code(), 2);
    insta::assert_snapshot!("validate_many", ran.snapshot());
    let ran = sandbox.run(&["validate", "good", "-v"]);
    insta::assert_snapshot!("validate_one_verbosely", ran.snapshot());
}

#[test]
fn validate_takes_many_paths_files_and_archives() {
    let sandbox = Sandbox::new();
    sandbox.skill("a");
    sandbox.skill("b");
    sandbox.write("bad.spm", "no archive");
    let ran = sandbox.run(&["validate", "a", "b/SKILL.md", "bad.spm"]);
    assert_eq!(ran.code(), 2);
    insta::assert_snapshot!("validate_paths", ran.snapshot());
}

#[test]
fn validate_strict_fails_on_warnings() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "a/SKILL.md",
        "---\nname: a\ndescription: b\nlicense: MIT\nversion: 1.0.0\n---\nx\n",
    );
    sandbox.run(&["validate", "a"]).ok();
    let ran = sandbox.run(&["validate", "a", "--strict"]);
    assert_eq!(ran.code(), 2);
    assert!(
        ran.stdout()
            .ends_with("1 skill is not valid strictly: 0 errors, 1 warning, 0 notes\n"),
        "{}",
        ran.snapshot()
    );
}

#[test]
fn validate_with_json_prints_one_document() {
    let sandbox = Sandbox::new();
    sandbox.write("a/SKILL.md", "---\nname: a\n---\nx\n");
    let ran = sandbox.run(&["validate", "a", "--json"]);
    assert_eq!(ran.code(), 2);
    insta::assert_json_snapshot!("validate_json", ran.json());
    assert_eq!(ran.stderr(), "");
}

#[test]
fn validate_says_what_a_folder_without_skills_lacks() {
    let sandbox = Sandbox::new();
    sandbox.write("docs/readme.md", "x");
    sandbox.write("small/skill.md", "x");
    let ran = sandbox.run(&["validate", "docs", "small"]);
    assert_eq!(ran.code(), 2);
    insta::assert_snapshot!("validate_no_skill", ran.snapshot());
    let ran = sandbox.run(&["validate", "nowhere"]);
    assert_eq!(ran.code(), 2);
    assert!(ran.stderr().contains("nowhere"), "{}", ran.snapshot());
}

#[test]
fn validate_in_a_skills_own_folder_compares_the_real_name() {
    let sandbox = Sandbox::new();
    let folder = sandbox.skill("a");
    let ran = sandbox
        .finish(sandbox.command(&["validate"]).current_dir(&folder))
        .ok();
    assert_eq!(
        ran.stdout(),
        "1 skill is valid: 0 errors, 0 warnings, 1 note (-v shows them)\n"
    );
}

#[test]
fn control_characters_of_strangers_do_not_reach_the_terminal() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "a/SKILL.md",
        "---\nname: \"a\\e[2J\"\ndescription: b\n\"x\\e[31my\": z\n---\nx\n",
    );
    let ran = sandbox.run(&["validate", "a"]);
    assert_eq!(ran.code(), 2);
    assert!(!ran.stdout().contains('\u{1b}'), "{:?}", ran.stdout());
}
