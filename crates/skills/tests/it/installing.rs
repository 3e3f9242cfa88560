//! What `install`, `update` and `uninstall` tell of what they did, and of what they left.

use std::path::Path;
use std::process::Command;

use crate::project::{refused, says};
use crate::support::{Ran, Sandbox};

/// A skill folder of this version below the project folder.
fn skill(sandbox: &Sandbox, name: &str, version: &str) {
    sandbox.skill(name);
    sandbox.write(
        &format!("{name}/skill.yaml"),
        &format!(
            "name: {name}\nversion: {version}\ndescription: Does {name}. Use it when asked to.\n"
        ),
    );
}

fn versions(sandbox: &Sandbox) -> Vec<String> {
    let list = sandbox.run(&["--json", "list"]).ok().json();
    let skills = list["skills"].as_array().expect("skills").iter();
    let shown = |skill: &serde_json::Value| {
        let text = |key: &str| skill[key].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("name"), text("version"))
    };
    skills.map(shown).collect()
}

#[track_caller]
fn says_nothing_of(ran: &Ran, text: &str) {
    assert!(!ran.stderr().contains(text), "{}", ran.snapshot());
}

#[test]
fn a_changed_copy_that_an_agent_still_sees_is_told_of() {
    let sandbox = Sandbox::new();
    sandbox.skill("notes");
    let install = ["install", "./notes", "--agent", "claude-code", "--copy"];
    let copy = sandbox.home().join(".claude/skills/notes/SKILL.md");
    let change = || {
        sandbox.run(&install).ok();
        std::fs::write(&copy, "mine\n").expect("the copy is there");
    };
    change();
    let ran = sandbox.run(&["uninstall", "notes"]);
    assert_eq!(ran.code(), 1, "{}", ran.snapshot());
    says(
        &ran,
        "was changed and stays: notes is still seen by claude-code",
    );
    assert!(copy.is_file(), "nobody's work is lost");

    std::fs::remove_dir_all(copy.parent().expect("a folder")).expect("removed");
    change();
    let ran = sandbox.run(&["uninstall", "notes", "--force"]).ok();
    says(&ran, "what you had changed is kept in");
    assert!(!copy.exists(), "no agent sees it any more");
    let saved = sandbox.home().join(".skills/.backup/notes.1/SKILL.md");
    assert_eq!(std::fs::read_to_string(saved).expect("saved"), "mine\n");
}

#[test]
fn only_agents_that_see_something_new_are_said_to_be_linked() {
    let sandbox = Sandbox::new();
    sandbox.skill("notes");
    sandbox.skill("charts");
    let ran = sandbox
        .run(&["install", "./notes", "--agent", "claude-code"])
        .ok();
    says(&ran, "Linked for claude-code");
    says_nothing_of(&ran, "no agent sees");
    let ran = sandbox.run(&["install", "./charts"]).ok();
    says_nothing_of(&ran, "Linked");
    says(&ran, "no agent sees charts yet: `skills install /");
    says(&ran, "/charts --agent NAME`");
    let again = sandbox.run(&["install", "./charts"]).ok();
    says(&again, "no agent sees charts yet");
    let ran = sandbox
        .run(&["install", "./charts", "--agent", "claude-code"])
        .ok();
    says(&ran, "Linked for claude-code");
}

#[test]
fn installing_the_folder_around_a_store_takes_nothing_out_of_the_store() {
    let sandbox = Sandbox::new();
    sandbox.skill("notes");
    sandbox.write("skills.toml", "");
    for _ in 0..2 {
        sandbox.run(&["install", "."]).ok();
        assert_eq!(versions(&sandbox).len(), 1);
    }
}

#[test]
fn a_bad_skill_beside_good_ones_is_left_out_and_told_of() {
    let sandbox = Sandbox::new();
    let repository = sandbox.project().join("many");
    for name in ["many/good", "many/fine"] {
        let own = name.trim_start_matches("many/");
        let text =
            format!("---\nname: {own}\ndescription: Does {own}. Use it when asked to.\n---\n");
        sandbox.write(&format!("{name}/SKILL.md"), &text);
    }
    sandbox.write("many/bad/SKILL.md", "---\nname: rotten\n---\n");
    sandbox.write(
        "many/linked/SKILL.md",
        "---\nname: linked\ndescription: d\n---\n",
    );
    std::os::unix::fs::symlink("/etc/hostname", repository.join("linked/link")).expect("a link");
    git(&repository, &["init", "-q"]);
    git(&repository, &["add", "-A"]);
    git(&repository, &["commit", "-qm", "one"]);
    let url = format!("file://{}", repository.display());
    for source in ["./many", &url] {
        sandbox.run(&["install", source, "--skill", "good"]).ok();
        for picked in ["bad", "rotten", "linked"] {
            let ran = sandbox.run(&["install", source, "--skill", picked]);
            assert_ne!(ran.code(), 0, "{}", ran.snapshot());
            assert!(ran.stderr().contains("error"), "{}", ran.snapshot());
        }
        assert_eq!(versions(&sandbox).len(), 1);
        let ran = sandbox.run(&["install", source]);
        assert_eq!(ran.code(), 1, "{}", ran.snapshot());
        says(&ran, "bad was left out: ");
        says(&ran, "linked was left out: ");
        says(&ran, "Installed fine");
        sandbox.run(&["uninstall", "good", "fine"]).ok();
    }
    // Alone, it is what was meant.
    let ran = sandbox.run(&["install", "./many/bad"]);
    assert_ne!(ran.code(), 0, "{}", ran.snapshot());
    assert!(!ran.stderr().contains("left out"), "{}", ran.snapshot());
}

fn git(dir: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
        .args(arguments)
        .current_dir(dir)
        .output()
        .expect("git runs");
    assert!(status.status.success(), "{status:?}");
}

#[test]
fn a_skill_that_cannot_be_updated_does_not_stop_the_others() {
    let sandbox = Sandbox::new();
    for name in ["edited", "fine", "moved"] {
        skill(&sandbox, name, "1.0.0");
        sandbox.run(&["install", &format!("./{name}")]).ok();
    }
    let repository = sandbox.project().join("repository");
    skill(&sandbox, "repository/gone", "1.0.0");
    sandbox.write(
        "repository/gone/SKILL.md",
        "---\nname: gone\ndescription: Does gone. Use it when asked to.\n---\n\n# gone\n",
    );
    sandbox.write(
        "repository/gone/skill.yaml",
        "name: gone\nversion: 1.0.0\ndescription: Does gone. Use it when asked to.\n",
    );
    git(&repository, &["init", "-q"]);
    git(&repository, &["add", "-A"]);
    git(&repository, &["commit", "-qm", "one"]);
    sandbox
        .run(&["install", &format!("file://{}", repository.display())])
        .ok();

    let installed = sandbox.home().join(".skills/edited/1.0.0/SKILL.md");
    let text = std::fs::read_to_string(&installed).expect("installed");
    let _ = std::fs::remove_file(&installed);
    std::fs::write(&installed, text.replace("Do it.", "Do it my way.")).expect("written");
    let path = sandbox.project().join("edited/SKILL.md");
    let text = std::fs::read_to_string(&path).expect("there");
    std::fs::write(&path, text.replace("Do it.", "Do it our way.")).expect("written");
    for name in ["edited", "fine"] {
        let yaml = format!("{name}/skill.yaml");
        sandbox.write(
            &yaml,
            &format!(
                "name: {name}\nversion: 1.1.0\ndescription: Does {name}. Use it when asked to.\n"
            ),
        );
    }
    std::fs::rename(
        sandbox.project().join("moved"),
        sandbox.project().join("elsewhere"),
    )
    .expect("moved");
    std::fs::remove_dir_all(&repository).expect("removed");

    let ran = sandbox.run(&["update"]);
    assert_eq!(ran.code(), 1, "{}", ran.snapshot());
    for (name, code) in [
        ("edited", "local-changes"),
        ("moved", "source-no-such-path"),
        ("gone", "git-failed"),
    ] {
        says(&ran, &format!("{name} stays as it is: "));
        says(&ran, &format!("[{code}]"));
    }
    says(&ran, "Updated fine 1.1.0");
    assert_eq!(
        versions(&sandbox),
        ["edited 1.0.0", "fine 1.1.0", "gone 1.0.0", "moved 1.0.0"]
    );
    let document = sandbox.run(&["--json", "update"]).json();
    let held: Vec<&str> = document["held"]
        .as_array()
        .expect("held")
        .iter()
        .filter_map(|one| one["code"].as_str())
        .collect();
    assert_eq!(held.len(), 3, "{document}");
    // One that is named is an error of its own.
    refused(&sandbox.run(&["update", "edited"]), 1, "local-changes");
    // Force saves the changes aside; what is gone is still gone.
    let ran = sandbox.run(&["update", "--force"]);
    assert_eq!(ran.code(), 1, "{}", ran.snapshot());
    says(&ran, "Updated edited 1.1.0");
}
