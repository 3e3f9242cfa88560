//! `skills doctor` as a person runs it: what is proved, what is found, what is mended and what is
//! left alone.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::{Ran, Sandbox};

/// A sandbox with `notes` installed for one agent into the user's store.
struct Patient {
    sandbox: Sandbox,
}

impl Patient {
    fn new() -> Self {
        Self::of("")
    }

    /// With further lines in its `skill.yaml`.
    fn of(yaml: &str) -> Self {
        let sandbox = Sandbox::new();
        sandbox.skill("notes");
        let head = "name: notes\nversion: 1.0.0\ndescription: Does notes. Use it when asked to.\n";
        sandbox.write("notes/skill.yaml", &format!("{head}{yaml}"));
        sandbox
            .run(&["install", "./notes", "--agent", "claude-code"])
            .ok();
        Self { sandbox }
    }

    fn home(&self, path: &str) -> PathBuf {
        self.sandbox.home().join(path)
    }

    /// Where the agent looks for the skill.
    fn seen(&self) -> PathBuf {
        self.home(".claude/skills/notes")
    }

    /// Where it is installed.
    fn installed(&self) -> PathBuf {
        self.home(".skills/notes/1.0.0")
    }

    fn doctor(&self, more: &[&str]) -> Ran {
        let mut arguments = vec!["doctor", "--offline", "--json"];
        arguments.extend(more);
        self.sandbox.run(&arguments)
    }

    /// The codes of all problems, from a run that must end with 1 exactly if there are any.
    #[track_caller]
    fn problems(&self) -> Vec<String> {
        let ran = self.doctor(&[]);
        let problems = problems(&ran);
        assert_eq!(
            ran.code(),
            i32::from(!problems.is_empty()),
            "{}",
            ran.snapshot()
        );
        problems
    }

    /// `--fix` mends everything.
    #[track_caller]
    fn is_mended(&self) {
        self.doctor(&["--fix"]).ok();
        assert_eq!(self.problems(), [""; 0]);
        let text =
            std::fs::read_to_string(self.seen().join("SKILL.md")).expect("the agent reads it");
        assert!(text.contains("name: notes"));
    }
}

fn problems(ran: &Ran) -> Vec<String> {
    let document = ran.json();
    let symptoms = document["symptoms"].as_array().expect("symptoms").iter();
    let problems = symptoms.filter(|symptom| symptom["severity"] != "info");
    problems
        .map(|symptom| symptom["code"].as_str().expect("a code").to_owned())
        .collect()
}

fn replace(file: &Path, text: &str) {
    // A new file in its place, as editors write: what lies in the cache stays.
    std::fs::remove_file(file).expect("remove");
    std::fs::write(file, text).expect("write");
}

#[test]
fn a_healthy_install_is_proved() {
    let patient = Patient::new();
    let ran = patient.doctor(&[]).ok();
    let folder = patient
        .home(".claude/skills")
        .canonicalize()
        .expect("it exists");
    assert_eq!(
        ran.json()["proofs"],
        json!([{"folder": folder, "agents": ["claude-code"], "seen": ["notes"], "unseen": []}])
    );
    assert_eq!(patient.problems(), [""; 0]);
    let ran = patient.sandbox.run(&["doctor", "--offline"]).ok();
    assert!(ran.stdout().contains("1 of 1"), "{}", ran.snapshot());
}

#[test]
fn an_empty_home_is_healthy_and_stays_empty() {
    let sandbox = Sandbox::new();
    sandbox.run(&["doctor", "--offline"]).ok();
    sandbox.run(&["doctor", "--offline", "--fix"]).ok();
    assert!(!sandbox.home().join(".skills").exists());
}

#[test]
fn a_missing_link_is_put_back() {
    let patient = Patient::new();
    std::fs::remove_file(patient.seen()).expect("remove");
    assert_eq!(patient.problems(), ["link-missing"]);
    patient.is_mended();
}

#[test]
fn a_missing_skill_is_put_back_from_the_cache() {
    let patient = Patient::new();
    std::fs::remove_dir_all(patient.installed()).expect("remove");
    assert_eq!(patient.problems(), ["files-missing", "link-dangling"]);
    patient.is_mended();
}

#[test]
fn a_link_to_another_version_is_led_to_the_installed_one() {
    let patient = Patient::new();
    let other = patient.home(".skills/notes/0.9.0");
    std::fs::create_dir(&other).expect("mkdir");
    std::fs::copy(patient.installed().join("SKILL.md"), other.join("SKILL.md")).expect("copy");
    std::fs::remove_file(patient.seen()).expect("remove");
    symlink(&other, patient.seen()).expect("link");
    assert_eq!(patient.problems(), ["link-outdated"]);
    patient.is_mended();
    assert_eq!(
        patient.seen().canonicalize().expect("resolves"),
        patient.installed().canonicalize().expect("exists")
    );
}

#[test]
fn a_removed_folder_of_an_agent_is_forgotten() {
    let patient = Patient::new();
    std::fs::remove_dir_all(patient.home(".claude")).expect("remove");
    assert_eq!(patient.problems(), ["link-missing"]);
    patient.doctor(&["--fix"]).ok();
    assert_eq!(patient.problems(), [""; 0]);
    assert!(
        !patient.home(".claude").exists(),
        "it was removed on purpose"
    );
}

#[test]
fn what_somebody_put_in_the_place_of_a_link_stays() {
    let patient = Patient::new();
    std::fs::remove_file(patient.seen()).expect("remove");
    std::fs::create_dir(patient.seen()).expect("mkdir");
    let own = "---\nname: notes\ndescription: My own. Use it.\n---\n";
    std::fs::write(patient.seen().join("SKILL.md"), own).expect("write");
    assert_eq!(patient.problems(), ["link-replaced"]);
    assert_eq!(patient.doctor(&["--fix"]).code(), 1, "it cannot be mended");
    let text = std::fs::read_to_string(patient.seen().join("SKILL.md")).expect("read");
    assert_eq!(text, own);
}

#[test]
fn a_changed_skill_is_told_and_left_alone() {
    let patient = Patient::new();
    let file = patient.installed().join("SKILL.md");
    let text = "---\nname: notes\ndescription: Changed. Use it.\n---\n";
    replace(&file, text);
    assert_eq!(patient.problems(), ["files-changed"]);
    assert_eq!(patient.doctor(&["--fix"]).code(), 1);
    assert_eq!(std::fs::read_to_string(&file).expect("read"), text);

    replace(&file, "no frontmatter");
    assert_eq!(patient.problems(), ["skill-unreadable", "files-changed"]);
}

#[test]
fn a_configuration_that_others_can_read_is_protected() {
    let patient = Patient::new();
    patient
        .sandbox
        .run(&["registry", "add", "ours", "http://127.0.0.1:9"])
        .ok();
    assert_eq!(
        patient.problems(),
        [""; 0],
        "it is written for its owner only"
    );
    let file = patient.home(".skills/config.json");
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode));
    mode(0o644).expect("chmod");
    assert_eq!(patient.problems(), ["config-exposed"]);
    patient.is_mended();
    let mode = file.metadata().expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_configuration_that_cannot_be_read_is_one_of_the_problems() {
    let patient = Patient::new();
    let file = patient.home(".skills/config.json");
    std::fs::write(&file, "{").expect("write");
    let ran = patient.doctor(&[]);
    assert_eq!(ran.code(), 1);
    assert!(
        ran.json()["configuration"]["file"].is_string(),
        "{}",
        ran.snapshot()
    );
    assert_eq!(ran.json()["proofs"][0]["seen"], json!(["notes"]));
}

#[test]
fn what_a_crash_left_is_swept() {
    let patient = Patient::new();
    let left = patient.home(".claude/skills/other.skills-new");
    std::fs::create_dir(&left).expect("mkdir");
    let staged = patient.home(".skills/.staging/new-0");
    std::fs::create_dir_all(&staged).expect("mkdir");
    assert_eq!(patient.problems(), ["leftover", "store-interrupted"]);
    patient.is_mended();
    assert!(!left.exists() && !staged.exists());
}

#[test]
fn a_link_to_a_skill_that_is_not_installed_is_removed() {
    let patient = Patient::new();
    std::fs::remove_dir_all(patient.home(".skills/notes")).expect("remove");
    std::fs::remove_file(patient.home(".skills/index.json")).expect("remove");
    assert_eq!(patient.problems(), ["link-orphaned"]);
    patient.doctor(&["--fix"]).ok();
    assert!(patient.seen().symlink_metadata().is_err());
}

#[test]
fn an_index_that_cannot_be_read_makes_no_orphans() {
    let patient = Patient::new();
    let index = patient.home(".skills/index.json");
    std::fs::write(&index, "{").expect("write");
    assert_eq!(patient.problems(), ["index-unreadable"]);
    assert_eq!(patient.doctor(&["--fix"]).code(), 2, "nothing is guessed");
    assert!(patient.seen().join("SKILL.md").is_file());

    // What its help says: without the file the store itself tells what is installed.
    std::fs::remove_file(&index).expect("remove");
    patient.is_mended();
}

#[test]
fn copies_are_held_against_what_was_copied_and_what_is_installed() {
    let patient = Patient::new();
    patient
        .sandbox
        .run(&["install", "./notes", "--agent", "codex", "--copy"])
        .ok();
    assert_eq!(patient.problems(), [""; 0]);
    let copy = patient.home(".agents/skills/notes/SKILL.md");
    let text = std::fs::read_to_string(&copy).expect("a copy");
    replace(&copy, &format!("{text}\nMine.\n"));
    assert_eq!(patient.problems(), ["copy-changed"]);
    assert_eq!(patient.doctor(&["--fix"]).code(), 1);
    assert!(
        std::fs::read_to_string(&copy)
            .expect("read")
            .ends_with("Mine.\n")
    );

    replace(&copy, &text);
    replace(
        &patient.installed().join("SKILL.md"),
        &format!("{text}\nNewer.\n"),
    );
    assert_eq!(patient.problems(), ["copy-outdated", "files-changed"]);
    assert_eq!(patient.doctor(&["--fix"]).code(), 1);
    assert_eq!(patient.problems(), ["files-changed"]);
    assert!(
        std::fs::read_to_string(&copy)
            .expect("read")
            .ends_with("Newer.\n")
    );
}

#[test]
fn a_damaged_cache_is_found_without_a_change_and_cleared_by_fix() {
    let patient = Patient::new();
    let trees = patient.home(".skills/.cache/trees");
    let tree = std::fs::read_dir(&trees).expect("trees").next();
    let file = tree.expect("one").expect("entry").path();
    replace(&file, "damaged");
    assert_eq!(patient.problems(), ["cache-damaged"]);
    assert!(file.exists());
    patient.is_mended();
    assert!(!file.exists());
}

#[test]
fn what_is_worth_knowing_is_no_problem() {
    let patient = Patient::new();
    // An agent that is used here and was given no skill, and a skill that an agent finds twice.
    std::fs::create_dir(patient.home(".codex")).expect("mkdir");
    patient.sandbox.write("skills.toml", "");
    patient
        .sandbox
        .run(&["install", "./notes", "--agent", "claude-code"])
        .ok();
    let ran = patient.doctor(&[]).ok();
    let document = ran.json();
    let symptoms = document["symptoms"].as_array().expect("symptoms").iter();
    let told: Vec<(&str, &str)> = symptoms
        .map(|symptom| (symptom["code"].as_str(), symptom["subject"].as_str()))
        .map(|(code, subject)| (code.expect("a code"), subject.expect("a subject")))
        .collect();
    assert_eq!(
        told,
        [("agent-without-skills", "codex"), ("shadowed", "notes")]
    );
}

#[test]
fn a_missing_variable_is_named() {
    let yaml = "permissions:\n  environment:\n    - name: NOTES_KEY\n      required: true\n";
    let patient = Patient::of(yaml);
    assert_eq!(patient.problems(), ["environment-missing"]);
    let mut command = patient.sandbox.command(&["doctor", "--offline"]);
    patient.sandbox.finish(command.env("NOTES_KEY", "x")).ok();
}

#[test]
fn a_missing_program_is_named() {
    let yaml = "dependencies:\n  system:\n    no-such-program-anywhere: \"*\"\n";
    let patient = Patient::of(yaml);
    let ran = patient.doctor(&[]);
    assert_eq!(problems(&ran), ["program-missing"]);
    let symptom = ran.json()["symptoms"][0].clone();
    assert_eq!(symptom["subject"], "no-such-program-anywhere");
    assert!(symptom["message"].as_str().expect("text").contains("notes"));
}

/// Runs the doctor with a PATH on which only this `python3` is.
fn with_python(patient: &Patient, script: &str) -> Ran {
    let python = patient.sandbox.write("bin/python3", script);
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let mut command = patient.sandbox.command(&["doctor", "--offline", "--json"]);
    let path = python.parent().expect("a folder");
    patient.sandbox.finish(command.env("PATH", path))
}

#[test]
fn python_and_its_packages_are_held_against_what_is_declared() {
    let yaml = "dependencies:\n  python:\n    pandas: \">=1.5\"\n    numpy: \"\"\n    \"requests[socks]\": \">=2\"\n";
    let patient = Patient::of(yaml);
    let answer = r#"{"version": "3.9.1", "packages": {"pandas": "1.4.0", "numpy": null, "requests": "2.31.0"}}"#;
    let ran = with_python(&patient, &format!("#!/bin/sh\necho '{answer}'\n"));
    assert_eq!(
        problems(&ran),
        ["python-package-missing", "python-package-missing"]
    );
    let messages: Vec<String> = (0..2)
        .map(|number| ran.json()["symptoms"][number]["message"].to_string())
        .collect();
    assert!(
        messages
            .iter()
            .any(|text| text.contains("pandas >=1.5") && text.contains("1.4.0"))
    );
    assert!(messages.iter().any(|text| text.contains("numpy")));

    let commands: Vec<String> = (0..2)
        .map(|number| ran.json()["symptoms"][number]["fix"].to_string())
        .collect();
    assert!(
        commands
            .iter()
            .any(|fix| fix.contains("-m pip install 'pandas>=1.5'"))
    );

    // What an author writes is no command of ours.
    let patient = Patient::of("dependencies:\n  python:\n    \"x'; rm -rf ~ #\": \"\"\n");
    let answer = r#"{"version": "3.9.1", "packages": {"x'; rm -rf ~ #": null}}"#;
    let ran = with_python(
        &patient,
        &format!("#!/bin/sh\nread -r line <<'END'\n{answer}\nEND\necho \"$line\"\n"),
    );
    assert_eq!(
        problems(&ran),
        ["python-package-missing"],
        "{}",
        ran.snapshot()
    );
    assert_eq!(ran.json()["symptoms"][0]["fix"], "install it with pip");

    let patient = Patient::of("dependencies:\n  python: \">=3.12\"\n");
    let answer = r#"{"version": "3.9.1", "packages": {}}"#;
    let ran = with_python(&patient, &format!("#!/bin/sh\necho '{answer}'\n"));
    assert_eq!(problems(&ran), ["python-version"]);
    let ran = with_python(&patient, "#!/bin/sh\necho broken >&2\nexit 3\n");
    assert_eq!(problems(&ran), ["python-unusable"]);
    assert!(ran.stdout().contains("broken"), "{}", ran.snapshot());
}

#[test]
fn the_real_python_is_asked() {
    let patient = Patient::of("dependencies:\n  python:\n    no-such-package-anywhere: \">=1\"\n");
    let ran = patient.doctor(&[]);
    assert_eq!(
        problems(&ran),
        ["python-package-missing"],
        "{}",
        ran.snapshot()
    );
}

#[test]
fn a_registry_that_does_not_answer_is_told() {
    let patient = Patient::new();
    patient
        .sandbox
        .run(&["registry", "add", "ours", "http://127.0.0.1:9", "--default"])
        .ok();
    let ran = patient.sandbox.run(&["doctor", "--json"]).ok();
    let registries = ran.json()["registries"].clone();
    let ours = json!({"registry": "http://127.0.0.1:9", "reachable": false});
    assert!(
        registries.as_array().expect("a list").contains(&ours),
        "{registries}"
    );
}

#[test]
fn broken_pins_and_exposed_secret_keys_are_found() {
    let patient = Patient::new();
    patient
        .sandbox
        .run(&["key", "generate", "ann", "--no-passphrase"])
        .ok();
    assert_eq!(patient.problems(), [""; 0]);
    let secret = patient.home(".skills/.keyring/secret");
    let key = std::fs::read_dir(&secret)
        .expect("a folder")
        .next()
        .expect("a key")
        .expect("an entry")
        .path();
    let mode = |path: &Path, mode: u32| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).expect("changed");
    };
    mode(&secret, 0o755);
    mode(&key, 0o644);
    assert_eq!(patient.problems(), ["key-exposed", "key-exposed"]);
    patient.is_mended();
    let left = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!((left(&secret), left(&key)), (0o700, 0o600));

    let pins = patient.home(".skills/pins.json");
    std::fs::write(&pins, "{").expect("written");
    assert_eq!(patient.problems(), ["pins-unreadable"]);
    let ran = patient.doctor(&["--fix"]);
    assert_eq!(ran.code(), 1, "it is nobody's to throw away");
    assert_eq!(std::fs::read_to_string(&pins).expect("there"), "{");
}

#[test]
fn the_built_in_registry_is_not_asked_once_another_is_the_default() {
    let patient = Patient::new();
    let asked = || {
        let ran = patient.sandbox.run(&["doctor", "--json"]);
        let document = ran.json();
        let registries = document["registries"]
            .as_array()
            .expect("registries")
            .clone();
        let name = |registry: serde_json::Value| registry["registry"].as_str().map(str::to_owned);
        let asked: Vec<String> = registries.into_iter().filter_map(name).collect();
        asked
    };
    assert_eq!(asked(), ["http://127.0.0.1:18801"]);
    patient
        .sandbox
        .run(&["registry", "add", "own", "http://127.0.0.1:9", "--default"])
        .ok();
    assert_eq!(asked(), ["http://127.0.0.1:9"]);
}
