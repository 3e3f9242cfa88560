//! What an author publishes and validates is the author's own: skills that were installed into the
//! same project, or into the home folder, are other people's.

use crate::project::{Team, refused, says, skill};
use crate::support::Ran;

/// A project in which `csv-analyzer` was installed and `mine` is written.
async fn project(install: &[&str]) -> Team {
    let team = Team::new(&[skill("csv-analyzer", "1.0.0")], "").await;
    let arguments = [
        &["install", "csv-analyzer", "--agent", "claude-code"],
        install,
    ]
    .concat();
    team.run(&arguments).ok();
    let text = "---\nname: mine\ndescription: Does mine. Use it when asked to.\nlicense: MIT\n\
                metadata:\n  version: 1.0.0\n---\n\n# mine\n\nDo it.\n";
    team.sandbox.write("mine/SKILL.md", text);
    team
}

#[track_caller]
fn would_publish(ran: Ran) -> Vec<String> {
    let document = ran.ok().json();
    let published = document["published"].as_array().expect("skills");
    let name = |skill: &serde_json::Value| skill["name"].as_str().expect("a name").to_owned();
    published.iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skills_that_were_installed_are_not_published_under_your_key() {
    for install in [&["--copy"][..], &[]] {
        let team = project(install).await;
        assert_eq!(
            would_publish(team.run(&["--json", "publish", "--dry-run"])),
            ["mine"],
            "{install:?}"
        );
        let ran = team.run(&["validate", "--strict"]).ok();
        assert!(
            ran.stdout().starts_with("1 skill is valid strictly"),
            "{}",
            ran.snapshot()
        );
        assert_eq!(
            ran.stderr(),
            "",
            "what is known to be installed is not worth a word"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_names_an_installed_skill_means_it() {
    let team = project(&["--copy"]).await;
    let named = [
        "--json",
        "publish",
        "--dry-run",
        ".claude/skills/csv-analyzer",
    ];
    assert_eq!(would_publish(team.run(&named)), ["csv-analyzer"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_folder_of_skills_holds_own_and_installed_ones() {
    let team = Team::new(&[skill("csv-analyzer", "1.0.0")], "").await;
    team.run(&["install", "csv-analyzer", "--agent", "openclaw", "--copy"])
        .ok();
    assert!(
        team.sandbox
            .project()
            .join("skills/csv-analyzer/SKILL.md")
            .is_file()
    );
    team.sandbox.skill("skills/own");
    let text = std::fs::read_to_string(team.sandbox.project().join("skills/own/SKILL.md"));
    team.sandbox.write(
        "skills/own/SKILL.md",
        &text.expect("the skill").replace("skills/own", "own"),
    );
    let publish = ["--json", "publish", "--dry-run", "--version", "1.0.0"];
    assert_eq!(would_publish(team.run(&publish)), ["own"]);
    let named = [&publish[..], &["skills"]].concat();
    assert_eq!(would_publish(team.run(&named)), ["own"]);
    let ran = team.run(&["--json", "validate"]).ok();
    assert_eq!(ran.json()["skills"][0]["path"], "skills/own");
    assert_eq!(ran.json()["summary"]["skills"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skill_of_unknown_origin_in_an_agents_folder_is_pointed_out() {
    let team = project(&[]).await;
    team.sandbox.skill(".claude/skills/drafts");
    says(
        &team.run(&["publish", "--dry-run"]).ok(),
        "not looked into, since agents keep installed skills there: .claude/skills;",
    );
    std::fs::remove_dir_all(team.sandbox.project().join("mine")).expect("remove");
    let ran = team.run(&["publish", "--dry-run"]);
    refused(&ran, 1, "no-skill-md");
    says(&ran, "to publish one that is your own, name its folder");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_of_a_home_folder_is_not_published() {
    let team = project(&["--global", "--copy"]).await;
    let home = team.sandbox.home();
    std::fs::rename(team.sandbox.project().join("mine"), home.join("mine")).expect("move");
    let mut publish = team.sandbox.command(&["--json", "publish", "--dry-run"]);
    let ran = team.sandbox.finish(publish.current_dir(&home));
    assert_eq!(would_publish(ran), ["mine"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_not_published_by_mistake() {
    let team = Team::new(&[], "").await;
    let folder = team.sandbox.skill("mine");
    team.sandbox.write("mine/assets/.env", "TOKEN=1\n");
    let publish = ["publish", "mine", "--dry-run", "--version", "1.0.0"];
    let ran = team.run(&publish);
    refused(&ran, 2, "secret-file");
    says(
        &ran,
        "would publish what usually holds a secret: assets/.env",
    );
    says(&ran, "mine/assets/.env");
    says(&ran, "write `/assets/.env` into .skillignore");
    team.run(&[&publish[..], &["--allow-secret-files"]].concat())
        .ok();
    let ran = team.run(&["pack", "mine", "--version", "1.0.0"]).ok();
    says(&ran, "assets/.env is packed, and usually holds a secret");
    let archive = ["publish", "mine-1.0.0.spm", "--dry-run"];
    refused(&team.run(&archive), 2, "secret-file");
    refused_by_validate(&team.run(&["validate", "mine", "--strict"]));
    std::fs::write(folder.join(".skillignore"), "/assets/.env\n").expect("a file");
    team.run(&publish).ok();
}

#[track_caller]
fn refused_by_validate(ran: &Ran) {
    assert_eq!(ran.code(), 2, "{}", ran.snapshot());
    assert!(ran.stdout().contains("[secret-file]"), "{}", ran.snapshot());
}
