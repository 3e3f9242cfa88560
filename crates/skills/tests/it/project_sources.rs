//! A project's skills from several registries, folders and repositories, and into which agents.

use std::path::Path;
use std::process::Command;

use testkit::TestHub;

use crate::project::{Team, refused, says, skill};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skill_and_its_dependencies_come_from_the_registry_that_is_named() {
    // The same names, published by somebody else in the default registry.
    let team = Team::new(
        &[
            skill("inner", "9.0.0"),
            skill("base", "9.0.0"),
            skill("charts", "1.0.0"),
        ],
        "",
    )
    .await;
    let internal = TestHub::start().await;
    let bob = internal.publisher("bob").await;
    for skill in [
        skill("inner", "1.0.0").depends_on("base", "*"),
        skill("base", "1.0.0"),
    ] {
        bob.publish(&skill).await.assert_status(201);
    }
    team.manifest(&format!(
        "[skills]\ncharts = \"*\"\ninner = {{ registry = \"internal\" }}\n\n[registries]\ninternal = \"{}\"\n",
        internal.url
    ));
    team.run(&["install"]).ok();
    assert_eq!(team.locked(), ["base 1.0.0", "charts 1.0.0", "inner 1.0.0"]);
    assert_eq!(team.read("skills.lock").matches(&internal.url).count(), 2);
    assert_eq!(team.installed(), team.locked());
    team.run(&["install", "--frozen"]).ok();
    team.run(&["lock", "--check"]).ok();

    // Named on the command line it is kept for everybody, under the project's name for it.
    team.manifest(&format!("[registries]\ninternal = \"{}\"\n", internal.url));
    std::fs::remove_file(team.sandbox.project().join("skills.lock")).expect("removed");
    std::fs::remove_dir_all(team.sandbox.project().join(".skills")).expect("removed");
    team.run(&["install", "charts"]).ok();
    team.run(&["install", "inner", "--registry", &internal.url])
        .ok();
    let manifest = team.read("skills.toml");
    assert!(
        manifest.contains("inner = { version = \"^1.0.0\", registry = \"internal\" }"),
        "{manifest}"
    );
    assert!(manifest.contains("charts = \"^1.0.0\""), "{manifest}");
    team.run(&["lock", "--check"]).ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_that_names_a_registry_gets_no_token_from_the_environment() {
    let team = Team::new(&[skill("charts", "1.0.0")], "").await;
    let internal = TestHub::start().await;
    internal
        .publisher("bob")
        .await
        .publish(&skill("charts", "2.0.0"))
        .await
        .assert_status(201);
    team.manifest(&format!(
        "[skills]\ncharts = \"*\"\n[policy]\nregistry = \"{}\"\n",
        internal.url
    ));
    let run = || {
        let mut command = team.sandbox.command(&["install"]);
        team.sandbox
            .finish(command.env("SKILLS_TOKEN", "shub_not_a_token_of_this_registry"))
    };
    run().ok();
    assert_eq!(team.locked(), ["charts 2.0.0"]);
    // Once the person has configured it, it is theirs to send; this registry refuses it.
    team.run(&["registry", "add", "internal", &internal.url])
        .ok();
    std::fs::remove_dir_all(team.sandbox.home().join(".skills/.cache")).expect("removed");
    std::fs::remove_dir_all(team.sandbox.project().join(".skills")).expect("removed");
    std::fs::remove_file(team.sandbox.project().join("skills.lock")).expect("removed");
    assert_eq!(run().code(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_the_name_that_the_registry_lacks_is_suggested() {
    let team = Team::new(&[], "").await;
    team.sandbox.skill("many");
    let ran = team.run(&["install", "many"]);
    refused(&ran, 1, "unknown-skill");
    says(&ran, "skills install ./many");
    assert_eq!(team.read("skills.toml"), "");
    team.run(&["install", "./many"]).ok();
    assert_eq!(
        team.read("skills.toml"),
        "[skills]\nmany = { path = \"many\" }\n"
    );
    let other_name = team.run(&["install", "./many", "--as", "few"]);
    refused(&other_name, 2, "project-name-taken");
    // It is read again: a folder changes without anybody saying so.
    let path = team.sandbox.project().join("many/SKILL.md");
    let text = std::fs::read_to_string(&path).expect("readable");
    std::fs::write(
        &path,
        text.replace("license: MIT", "license: MIT\nmetadata:\n  version: 1.1.0"),
    )
    .expect("written");
    refused(
        &{
            std::fs::remove_dir_all(team.sandbox.project().join(".skills")).expect("removed");
            team.run(&["install", "--frozen"])
        },
        1,
        "source-moved",
    );
    team.run(&["install"]).ok();
    assert_eq!(team.locked(), ["many 1.1.0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_nobody_knows_is_shown_where_it_is_named() {
    let team = Team::new(&[], "").await;
    for (manifest, place) in [
        (
            "[skills]\ncharts = \"*\"\n\n[policy]\nregistry = \"nowhere\"\n",
            "skills.toml:5 (policy.registry)",
        ),
        (
            "[skills]\nnotes = \"*\"\ncharts = { version = \"*\", registry = \"nowhere\" }\n",
            "skills.toml:3 (skills.charts.registry)",
        ),
        (
            "[skills]\n\n[skills.charts]\nversion = \"*\"\nregistry = \"nowhere\"\n",
            "skills.toml:5 (skills.charts.registry)",
        ),
        (
            "[skills]\ncharts = \"*\"\n[registries]\nnowhere = \"ftp://x\"\n",
            "skills.toml:4 (registries.nowhere)",
        ),
    ] {
        team.manifest(manifest);
        let ran = team.run(&["install"]);
        assert_eq!(ran.code(), 2, "{}", ran.snapshot());
        says(&ran, place);
        says(&ran, "help:");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_fetched_before_is_restored_offline() {
    let team = Team::new(&[], "").await;
    let repository = tempfile::tempdir().expect("a temporary folder");
    let dir = repository.path();
    git(dir, &["init", "--quiet", "--initial-branch", "main"]);
    let text = "---\nname: one\ndescription: Only one does one.\nmetadata:\n  version: 1.0.0\n---\n\nDo it.\n";
    std::fs::create_dir(dir.join("one")).expect("a folder");
    std::fs::write(dir.join("one/SKILL.md"), text).expect("a file");
    git(dir, &["add", "."]);
    git(dir, &["commit", "--quiet", "--message", "one"]);
    let url = format!("file://{}", dir.display());
    team.run(&["install", &format!("{url}#main:one")]).ok();
    let lock = team.read("skills.lock");
    let store = team.sandbox.project().join(".skills");

    // The repository is gone as well: nothing but the cache can have it.
    std::fs::rename(dir.join(".git"), dir.join("gone")).expect("renamed");
    for arguments in [
        &["install", "--frozen", "--offline"][..],
        &["install", "--offline"],
        &["install", "--frozen"],
    ] {
        std::fs::remove_dir_all(&store).expect("removed");
        team.run(arguments).ok();
        assert_eq!(team.installed(), ["one 1.0.0"]);
        assert_eq!(team.read("skills.lock"), lock);
    }

    std::fs::remove_dir_all(&store).expect("removed");
    team.run(&["cache", "clear"]).ok();
    let ran = team.run(&["install", "--frozen", "--offline"]);
    refused(&ran, 1, "not-cached");
    says(&ran, &url);
    says(&ran, "leave out --offline");
}

fn git(dir: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .current_dir(dir)
        .args([
            "-c",
            "user.name=alice",
            "-c",
            "user.email=alice@example.org",
        ])
        .args(arguments)
        .status()
        .expect("git runs");
    assert!(status.success(), "git {arguments:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_locked_and_another_revision_is_noticed() {
    let team = Team::new(&[], "").await;
    let repository = tempfile::tempdir().expect("a temporary folder");
    let dir = repository.path();
    git(dir, &["init", "--quiet", "--initial-branch", "main"]);
    for version in ["1.0.0", "2.0.0"] {
        for name in ["one", "two"] {
            let text = format!(
                "---\nname: {name}\ndescription: Only {name} does {name}.\nmetadata:\n  version: {version}\n---\n\nDo it.\n"
            );
            std::fs::create_dir_all(dir.join(name)).expect("a folder");
            std::fs::write(dir.join(name).join("SKILL.md"), text).expect("a file");
        }
        git(dir, &["add", "."]);
        git(dir, &["commit", "--quiet", "--message", version]);
        git(dir, &["tag", version]);
    }
    let url = format!("file://{}", dir.display());
    team.run(&["install", &format!("{url}#1.0.0:one")]).ok();
    assert_eq!(
        team.read("skills.toml"),
        format!("[skills]\none = {{ git = \"{url}\", rev = \"1.0.0\", path = \"one\" }}\n")
    );
    team.run(&["install", "--frozen"]).ok();
    team.run(&["lock", "--check"]).ok();

    // Of a repository of many, the entry's name says which one.
    team.manifest(&format!(
        "[skills]\none = {{ git = \"{url}\", rev = \"2.0.0\" }}\ntwo = {{ git = \"{url}\", as = \"deux\" }}\n"
    ));
    let ran = team.run(&["install", "--frozen"]);
    refused(&ran, 1, "lockfile-outdated");
    says(&ran, "at 2.0.0");
    team.run(&["install"]).ok();
    assert_eq!(team.locked(), ["deux 2.0.0", "one 2.0.0"]);
    assert_eq!(team.installed(), team.locked());
    std::fs::remove_dir_all(team.sandbox.project().join(".skills")).expect("removed");
    team.run(&["install", "--frozen"]).ok();
    assert_eq!(team.installed(), team.locked());
    team.run(&["uninstall", "deux"]).ok();
    assert_eq!(team.locked(), ["one 2.0.0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_project_says_which_agents_see_a_skill() {
    let published = [skill("charts", "1.0.0"), skill("notes", "1.0.0")];
    let manifest = "[skills]\ncharts = \"*\"\nnotes = { version = \"*\", agents = [\"ours\"] }\n\n\
        [agents]\ninstall = [\"claude-code\"]\n\n[agents.custom.ours]\nproject = \".ours/skills\"\n";
    let team = Team::new(&published, manifest).await;
    team.run(&["install"]).ok();
    let sees = |folder: &str, name: &str| {
        let skill = team.sandbox.project().join(folder).join(name);
        skill.join("SKILL.md").is_file()
    };
    assert!(sees(".claude/skills", "charts") && !sees(".claude/skills", "notes"));
    assert!(sees(".ours/skills", "notes") && !sees(".ours/skills", "charts"));
    team.run(&["uninstall", "notes"]).ok();
    assert!(!sees(".ours/skills", "notes"));
}
