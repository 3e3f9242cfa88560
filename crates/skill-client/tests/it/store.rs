//! The store after crashes and strangers' hands.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use skill_client::store::Repair;
use skill_client::{Cache, Store};

use crate::support::{Author, User, installed, name};

const SKILLS: [&str; 4] = ["alpha", "beta", "delta", "gamma"];

/// The example program of this crate, built beside the tests.
fn install_program() -> PathBuf {
    let tests = std::env::current_exe().expect("a path");
    let program = tests
        .parent()
        .and_then(Path::parent)
        .expect("target/debug")
        .join("examples/install");
    assert!(
        program.is_file(),
        "{} is built by `cargo test` and `cargo nextest run`",
        program.display()
    );
    program
}

/// A user, skills to install, and the program that installs them.
struct Rig {
    user: User,
}

impl Rig {
    fn new() -> Self {
        let user = User::alone();
        for skill in SKILLS {
            Author::of(skill, "1.0.0")
                .file("scripts/run.sh", "echo\n")
                .write(&user.folder().join("skills"));
        }
        Self { user }
    }

    fn command(&self, store: &Store) -> Command {
        let mut command = Command::new(install_program());
        command
            .arg(self.user.home())
            .arg(store.dir())
            .arg(self.user.folder().join("skills"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Ends the program at a step; whether it got that far.
    fn end_at(&self, store: &Store, step: u32) -> bool {
        let mut command = Command::new(install_program());
        command.arg("--end-at").arg(step.to_string());
        command
            .arg(self.user.home())
            .arg(store.dir())
            .arg(self.user.folder().join("skills"));
        !command.status().expect("the program starts").success()
    }
}

/// What a store holds: nothing half, and all of it or nothing.
async fn repaired(store: &Store, cache: &Cache) -> (Vec<String>, Vec<Repair>) {
    let mut guard = store
        .lock("a test", |_| {})
        .await
        .expect("the lock is free");
    let report = guard.repair(cache, crate::support::now()).expect("repairs");
    drop(guard);
    assert!(!store.dir().join(".staging").exists());
    (installed(store), report.repairs)
}

fn everything(version: &str) -> Vec<String> {
    SKILLS
        .iter()
        .map(|skill| format!("{skill}@{version}"))
        .collect()
}

#[tokio::test]
async fn a_crash_at_any_step_of_an_install_leaves_all_or_nothing() {
    let rig = Rig::new();
    let mut steps = 0;
    for step in 1.. {
        let store = rig.user.other_store(&format!("project-{step}"));
        if !rig.end_at(&store, step) {
            break;
        }
        steps = step;
        // What a reader sees before anybody repairs is whole, too.
        installed(&store);
        let (found, repairs) = repaired(&store, &rig.user.cache).await;
        assert!(
            found.is_empty() || found == everything("1.0.0"),
            "step {step}: {found:?} {repairs:?}"
        );
        assert!(
            rig.command(&store).status().expect("runs").success(),
            "step {step}"
        );
        assert_eq!(installed(&store), everything("1.0.0"), "step {step}");
    }
    assert!(steps >= 10, "only {steps} steps were seen");
}

#[tokio::test]
async fn a_crash_at_any_step_of_an_update_leaves_the_old_or_the_new() {
    let mut steps = 0;
    for step in 1.. {
        let rig = Rig::new();
        let store = rig.user.other_store("project");
        assert!(rig.command(&store).status().expect("runs").success());
        // Two change their version, two change under the same version.
        for (skill, version) in SKILLS.iter().zip(["1.1.0", "1.1.0", "1.0.0", "1.0.0"]) {
            Author::of(skill, version)
                .file("new.md", "new\n")
                .write(&rig.user.folder().join("skills"));
        }
        if !rig.end_at(&store, step) {
            break;
        }
        steps = step;
        let (found, repairs) = repaired(&store, &rig.user.cache).await;
        let is_new: Vec<bool> = SKILLS
            .iter()
            .map(|skill| {
                let entry = store
                    .index()
                    .expect("an index")
                    .get(&name(skill))
                    .expect("installed")
                    .clone();
                store.skill_dir(&entry).join("new.md").exists()
            })
            .collect();
        assert!(
            is_new.iter().all(|new| *new == is_new[0]),
            "step {step}: {found:?} {is_new:?} {repairs:?}"
        );
        assert_eq!(found.len(), SKILLS.len(), "step {step}: {found:?}");
    }
    assert!(steps >= 10, "only {steps} steps were seen");
}

#[tokio::test]
async fn a_hundred_kills_at_random_moments_leave_no_half_installed_skill() {
    let rig = Rig::new();
    let start = std::time::Instant::now();
    assert!(
        rig.command(&rig.user.other_store("measure"))
            .status()
            .expect("runs")
            .success()
    );
    let whole = start.elapsed();
    let mut outcomes = [0, 0];
    for round in 0..100_u32 {
        let store = rig.user.other_store(&format!("project-{round}"));
        if round % 10 == 0 {
            rig.user.cache.clear(|_| {}).await.expect("clears");
        }
        let mut child = rig.command(&store).spawn().expect("the program starts");
        // Spread over the time that a whole run takes, and a little beyond.
        tokio::time::sleep(
            whole
                .mul_f64(f64::from(round * 37 % 100) / 90.0)
                .max(Duration::from_micros(200)),
        )
        .await;
        child.kill().expect("kills");
        child.wait().expect("ends");
        installed(&store);
        let (found, repairs) = repaired(&store, &rig.user.cache).await;
        assert!(
            found.is_empty() || found == everything("1.0.0"),
            "round {round}: {found:?} {repairs:?}"
        );
        outcomes[usize::from(!found.is_empty())] += 1;
    }
    assert!(
        outcomes.iter().all(|count| *count > 0),
        "the kills came too early or too late: {outcomes:?}"
    );
}

#[tokio::test]
async fn two_processes_that_install_at_once_both_succeed() {
    let rig = Rig::new();
    let store = rig.user.other_store("project");
    let mut children: Vec<_> = (0..4)
        .map(|_| rig.command(&store).spawn().expect("starts"))
        .collect();
    for child in &mut children {
        assert!(child.wait().expect("ends").success());
    }
    assert_eq!(installed(&store), everything("1.0.0"));
}

#[tokio::test]
async fn whoever_waits_is_told_for_whom() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").write(user.folder());
    let guard = user
        .store
        .lock("skills update", |_| {})
        .await
        .expect("free");
    let request = user.request(&["./alpha"]);
    let install = user.install(&request);
    let release = async {
        while user.events.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        drop(guard);
    };
    let (outcome, ()) = tokio::join!(install, release);
    outcome.expect("installs when the store is free");
    let events = user.events.borrow();
    assert!(
        events[0].contains("Waiting") && events[0].contains("skills update (process"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_lost_index_is_written_anew_from_what_was_verified() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").write(user.folder());
    user.install(&user.request(&["./alpha"]))
        .await
        .expect("installs");
    std::fs::remove_file(user.store.index_path()).expect("remove");
    let stranger = Author::of("stranger", "1.0.0").write(user.folder());
    copy(&stranger, &user.store.dir().join("stranger/1.0.0"));
    let (found, repairs) = repaired(&user.store, &user.cache).await;
    assert_eq!(found, ["alpha@1.0.0"]);
    assert!(repairs.contains(&Repair::Adopted {
        name: name("alpha"),
        version: "1.0.0".parse().expect("a version")
    }));
    let aside = repairs.iter().find_map(|repair| match repair {
        Repair::SetAside { backup, .. } => Some(backup),
        _ => None,
    });
    assert!(
        aside
            .expect("the stranger is moved away")
            .join("SKILL.md")
            .is_file()
    );
    assert!(!user.store.dir().join("stranger").exists());
}

#[tokio::test]
async fn a_lost_folder_comes_back_from_the_cache_or_is_reported() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").write(user.folder());
    user.install(&user.request(&["./alpha"]))
        .await
        .expect("installs");
    let entry = user.entry("alpha");
    let lose = || std::fs::remove_dir_all(user.store.skill_dir(&entry)).expect("remove");
    let version = entry.version.clone();
    lose();
    let (found, repairs) = repaired(&user.store, &user.cache).await;
    assert_eq!(found, ["alpha@1.0.0"]);
    assert_eq!(
        repairs,
        [Repair::Reinstalled {
            name: name("alpha"),
            version: version.clone()
        }]
    );
    user.cache.clear(|_| {}).await.expect("clears");
    lose();
    let mut guard = user.store.lock("a test", |_| {}).await.expect("free");
    let report = guard
        .repair(&user.cache, crate::support::now())
        .expect("repairs");
    assert_eq!(
        report.repairs,
        [Repair::Missing {
            name: name("alpha"),
            version
        }]
    );
}

#[tokio::test]
async fn a_link_in_the_place_of_a_skill_is_not_followed() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").write(user.folder());
    let request = user.request(&["./alpha"]);
    user.install(&request).await.expect("installs");
    let precious = user.folder().join("precious");
    std::fs::create_dir_all(&precious).expect("mkdir");
    std::fs::write(precious.join("thesis.txt"), "years").expect("write");
    let dir = user.store.skill_dir(&user.entry("alpha"));
    std::fs::remove_dir_all(&dir).expect("remove");
    std::os::unix::fs::symlink(&precious, &dir).expect("link");
    let forced = skill_client::InstallRequest {
        force: true,
        ..request
    };
    user.install(&forced).await.expect("installs");
    assert_eq!(user.installed(), ["alpha@1.0.0"]);
    assert_eq!(
        std::fs::read_to_string(precious.join("thesis.txt")).expect("untouched"),
        "years"
    );
}

#[tokio::test]
async fn a_store_that_came_with_a_repository_reaches_nothing_outside() {
    let user = User::alone();
    let outside = user.folder().join("outside");
    std::fs::create_dir_all(outside.join("1.0.0")).expect("mkdir");
    std::fs::write(outside.join("1.0.0/thesis.txt"), "years").expect("write");
    let staging = user.store.dir().join(".staging");
    std::fs::create_dir_all(staging.join("gone-0")).expect("mkdir");
    let removal =
        serde_json::json!({"name": "alpha", "version": "1.0.0", "backup": "../../outside/planted"});
    let journal = serde_json::json!({"puts": [], "removals": [removal], "syncedAt": null});
    std::fs::write(staging.join("journal.json"), journal.to_string()).expect("write");
    Author::of("alpha", "1.0.0").write(user.folder());
    let request = user.request(&["./alpha"]);
    assert_eq!(user.refused(&request).await, "journal-invalid");
    assert!(!outside.join("planted").exists());

    std::fs::remove_dir_all(&staging).expect("remove");
    std::os::unix::fs::symlink(&outside, user.store.dir().join("alpha")).expect("link");
    assert_eq!(user.refused(&request).await, "file-error");
    assert_eq!(
        std::fs::read_to_string(outside.join("1.0.0/thesis.txt")).expect("untouched"),
        "years"
    );
    assert_eq!(std::fs::read_dir(&outside).expect("a folder").count(), 1);
}

#[tokio::test]
async fn uninstalling_takes_orphans_along_and_saves_changed_folders() {
    let user = User::alone();
    let skills = user.folder().join("skills");
    Author::of("app", "1.0.0")
        .yaml("1.0.0", "dependencies:\n  lib: \"*\"\n")
        .write(&skills);
    Author::of("lib", "1.0.0").write(&skills);
    user.install(&user.request(&["./skills"]))
        .await
        .expect("installs");
    user.edit("app", "notes.md", "mine\n");
    let ignore = |_: &skill_client::Event<'_>| {};
    let installer = user.installer(&user.store, &ignore);
    let request = |names: &[&str]| skill_client::UninstallRequest {
        names: names.iter().map(|n| name(n)).collect(),
        force: false,
    };
    let error = installer
        .uninstall(&request(&["lib"]), None)
        .await
        .expect_err("app needs it");
    assert_eq!(skill_format::Explain::code(&error), "needed-by-others");
    let outcome = installer
        .uninstall(&request(&["app", "lib"]), None)
        .await
        .expect("uninstalls");
    assert_eq!(outcome.removed.len(), 2);
    assert_eq!(
        std::fs::read_to_string(outcome.backups[0].join("notes.md")).expect("a backup"),
        "mine\n"
    );
    assert!(user.installed().is_empty() && !user.store.dir().join("app").exists());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("mkdir");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copy");
    }
}
