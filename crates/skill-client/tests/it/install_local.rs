//! Installing from folders and archives: no registry is asked.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use skill_client::install::{InstallRequest, Status, Wanted};
use skill_signing::{SecretKey, Statement, sign};

use crate::support::{Author, User, installed, name};

#[tokio::test]
async fn a_folder_of_skills_is_installed_as_a_whole_and_again_without_a_change() {
    let user = User::alone();
    for skill in ["alpha", "beta"] {
        Author::of(skill, "1.0.0").write(&user.folder().join("skills"));
    }
    let request = user.request(&["./skills"]);
    let outcome = user.install(&request).await.expect("installs");
    assert!(
        outcome
            .skills
            .iter()
            .all(|skill| skill.status == Status::Installed && !skill.dependency)
    );
    assert_eq!(user.installed(), ["alpha@1.0.0", "beta@1.0.0"]);
    let again = user.install(&request).await.expect("installs");
    assert!(again.is_unchanged(), "{again:?}");
    assert!(user.entry("alpha").source.to_string().starts_with("dir:/"));
}

#[tokio::test]
async fn a_second_project_gets_links_and_not_copies() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").pack(user.folder());
    let mut request = user.request(&["alpha-1.0.0.spm"]);
    request.allow_unsigned = true;
    user.install(&request).await.expect("installs");
    let other = user.other_store("second");
    user.install_into(&other, &request).await.expect("installs");
    let first = user
        .path_of("alpha", "SKILL.md")
        .metadata()
        .expect("metadata");
    let second = other
        .dir()
        .join("alpha/1.0.0/SKILL.md")
        .metadata()
        .expect("metadata");
    assert_eq!((first.dev(), first.ino()), (second.dev(), second.ino()));
    assert_eq!(
        first.permissions().mode() & 0o222,
        0,
        "a shared file is read-only"
    );
}

#[tokio::test]
async fn skills_are_picked_by_name_and_get_other_names() {
    let user = User::alone();
    for skill in ["alpha", "beta"] {
        Author::of(skill, "1.0.0").write(&user.folder().join("skills"));
    }
    let mut request = InstallRequest {
        pick: vec![name("beta")],
        ..user.request(&["./skills"])
    };
    request.wanted[0].alias = Some(name("gamma"));
    user.install(&request).await.expect("installs");
    assert_eq!(user.installed(), ["gamma@1.0.0"]);
    assert_eq!(user.entry("gamma").package.as_ref(), Some(&name("beta")));
    request.pick = vec![name("delta")];
    assert_eq!(user.refused(&request).await, "nothing-picked");
    request.pick.clear();
    assert_eq!(user.refused(&request).await, "alias-for-several");
}

#[tokio::test]
async fn nothing_is_installed_if_one_skill_cannot_be() {
    let user = User::alone();
    let skills = user.folder().join("skills");
    Author::of("alpha", "1.0.0").write(&skills);
    Author::of("beta", "1.0.0")
        .yaml("1.0.0", "dependencies:\n  nowhere: \"*\"\n")
        .write(&skills);
    let error = user
        .install(&user.request(&["./skills"]))
        .await
        .expect_err("beta needs what nobody has");
    assert!(user.installed().is_empty(), "{error}");
    assert!(!user.store.dir().join("alpha").exists());
}

#[tokio::test]
async fn dependencies_among_the_named_skills_need_no_registry() {
    let user = User::alone();
    let skills = user.folder().join("skills");
    Author::of("app", "1.0.0")
        .yaml("1.0.0", "dependencies:\n  lib: ^2.0\n")
        .write(&skills);
    Author::of("lib", "2.1.0").write(&skills);
    let outcome = user
        .install(&user.request(&["./skills"]))
        .await
        .expect("installs");
    let order: Vec<_> = outcome
        .skills
        .iter()
        .map(|skill| skill.name.as_str())
        .collect();
    assert_eq!(order, ["lib", "app"]);
}

#[tokio::test]
async fn a_newer_folder_takes_the_place_of_the_older_version() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").write(user.folder());
    let request = user.request(&["./alpha"]);
    user.install(&request).await.expect("installs");
    Author::of("alpha", "1.1.0")
        .file("new.md", "new\n")
        .write(user.folder());
    let outcome = user.install(&request).await.expect("installs");
    assert_eq!(outcome.skills[0].status, Status::Updated);
    assert_eq!(user.installed(), ["alpha@1.1.0"]);
    assert!(!user.store.dir().join("alpha/1.0.0").exists());
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").write(user.folder());
    let request = InstallRequest {
        dry_run: true,
        ..user.request(&["./alpha"])
    };
    let outcome = user.install(&request).await.expect("plans");
    assert!(outcome.dry_run && outcome.skills[0].status == Status::Installed);
    assert!(user.installed().is_empty());
    assert!(!user.store.dir().join("alpha").exists());
}

#[tokio::test]
async fn changes_that_the_update_does_not_touch_are_carried_over() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").write(user.folder());
    let request = user.request(&["./alpha"]);
    user.install(&request).await.expect("installs");
    user.edit("alpha", "notes.md", "ONE\ntwo\nthree\nfour\nfive\n");
    std::fs::write(user.path_of("alpha", "mine.md"), "mine\n").expect("write");
    Author::of("alpha", "1.1.0")
        .file("notes.md", "one\ntwo\nthree\nfour\nFIVE\n")
        .write(user.folder());
    let outcome = user.install(&request).await.expect("merges");
    assert!(outcome.skills[0].merged);
    assert_eq!(
        user.read("alpha", "notes.md"),
        "ONE\ntwo\nthree\nfour\nFIVE\n"
    );
    assert_eq!(user.read("alpha", "mine.md"), "mine\n");
    assert_eq!(
        std::fs::read_to_string(outcome.backups[0].join("mine.md")).expect("a backup"),
        "mine\n"
    );

    // And once more: the original of a merged skill is still the published one.
    Author::of("alpha", "1.2.0")
        .file("notes.md", "one\ntwo\nTHREE\nfour\nFIVE\n")
        .write(user.folder());
    user.install(&request).await.expect("merges");
    assert_eq!(
        user.read("alpha", "notes.md"),
        "ONE\ntwo\nTHREE\nfour\nFIVE\n"
    );
}

#[tokio::test]
async fn changes_that_clash_stop_the_update_until_it_is_forced() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").write(user.folder());
    let mut request = user.request(&["./alpha"]);
    user.install(&request).await.expect("installs");
    user.edit("alpha", "notes.md", "mine\n");
    Author::of("alpha", "1.1.0")
        .file("notes.md", "theirs\n")
        .write(user.folder());
    let error = user.install(&request).await.expect_err("both changed it");
    assert!(error.to_string().contains("notes.md"), "{error}");
    assert_eq!(user.read("alpha", "notes.md"), "mine\n");
    request.force = true;
    let outcome = user.install(&request).await.expect("installs");
    assert_eq!(user.read("alpha", "notes.md"), "theirs\n");
    assert_eq!(
        std::fs::read_to_string(outcome.backups[0].join("notes.md")).expect("a backup"),
        "mine\n"
    );
}

#[tokio::test]
async fn a_changed_skill_stays_as_it_is_when_the_same_version_is_asked_for() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").write(user.folder());
    let mut request = user.request(&["./alpha"]);
    user.install(&request).await.expect("installs");
    user.edit("alpha", "notes.md", "mine\n");
    let outcome = user.install(&request).await.expect("nothing to do");
    assert!(
        outcome.is_unchanged()
            && outcome
                .warnings
                .iter()
                .any(|warning| warning.code == "local-changes-kept")
    );
    request.force = true;
    user.install(&request).await.expect("installs");
    assert_eq!(user.installed(), ["alpha@1.0.0"]);
}

#[tokio::test]
async fn a_skill_of_the_same_name_from_elsewhere_needs_force_or_another_name() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").write(user.folder());
    user.install(&user.request(&["./alpha"]))
        .await
        .expect("installs");
    user.store_entry_from_registry("alpha");
    let request = user.request(&["./alpha"]);
    assert_eq!(user.refused(&request).await, "name-in-use");
    let wanted = Wanted {
        source: user.source("./alpha"),
        alias: Some(name("alpha-two")),
        only: None,
    };
    user.install(&InstallRequest {
        wanted: vec![wanted],
        ..InstallRequest::default()
    })
    .await
    .expect("installs");
    user.install(&InstallRequest {
        force: true,
        ..request
    })
    .await
    .expect("installs");
    assert_eq!(user.installed(), ["alpha@1.0.0", "alpha-two@1.0.0"]);
}

#[tokio::test]
async fn a_bare_skill_installs_and_names_missing_variables_are_reported() {
    let user = User::alone();
    Author::bare("plain").write(user.folder());
    let environment = "permissions:\n  environment:\n    - name: API_KEY\n      required: true\n    - name: HOME\n      required: true\n";
    Author::of("needy", "1.0.0")
        .yaml("1.0.0", environment)
        .write(user.folder());
    let mut request = user.request(&["./plain", "./needy"]);
    request.environment = Some(["HOME".to_owned()].into());
    let outcome = user.install(&request).await.expect("installs");
    assert_eq!(user.installed(), ["needy@1.0.0", "plain@0.0.0"]);
    let warning = outcome
        .warnings
        .iter()
        .find(|warning| warning.code == "environment-missing")
        .expect("a warning");
    assert!(
        warning.message.contains("API_KEY") && !warning.message.contains("HOME"),
        "{}",
        warning.message
    );
}

#[tokio::test]
async fn an_archive_is_installed_if_its_signature_is_good_or_not_asked_for() {
    let user = User::alone();
    let path = Author::of("alpha", "1.0.0").pack(user.folder());
    let archive = std::fs::read(path).expect("read");
    let mut request = user.request(&["alpha-1.0.0.spm"]);
    assert_eq!(user.refused(&request).await, "unsigned");

    let now = crate::support::now();
    let key = SecretKey::generate("alice <alice@example.org>", None, now, &mut rand::rng())
        .expect("a key");
    let sign_as = |version: &str| {
        let statement = Statement::about(
            &name("alpha"),
            &version.parse().expect("a version"),
            &archive,
        );
        let signature = sign(&key, None, &statement.to_bytes(), now).expect("signs");
        std::fs::write(user.folder().join("alpha-1.0.0.spm.asc"), signature).expect("write");
    };
    sign_as("1.0.1");
    user.keyring()
        .import(key.public().to_armored().as_bytes())
        .expect("imports");
    assert_eq!(user.refused(&request).await, "signature-bad");
    sign_as("1.0.0");
    let outcome = user.install(&request).await.expect("installs");
    assert_eq!(
        outcome.skills[0].signer.as_deref(),
        Some(key.fingerprint().as_str())
    );
    assert!(outcome.skills[0].first_signer);

    std::fs::remove_file(user.folder().join("alpha-1.0.0.spm.asc")).expect("remove");
    request.allow_unsigned = true;
    assert_eq!(user.refused(&request).await, "signature-missing");
}

#[tokio::test]
async fn a_damaged_cache_costs_time_and_no_correctness() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").pack(user.folder());
    let mut request = user.request(&["alpha-1.0.0.spm"]);
    request.allow_unsigned = true;
    user.install(&request).await.expect("installs");
    // Whoever may write read-only files changes the cache and every store that links to it.
    let cached = walk(&user.cache.dir().join("trees"))
        .into_iter()
        .find(|path| path.ends_with("notes.md"))
        .expect("a file");
    std::fs::set_permissions(&cached, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    std::fs::write(&cached, "evil\n").expect("write");
    let other = user.other_store("second");
    user.install_into(&other, &request).await.expect("installs");
    assert_eq!(installed(&other), ["alpha@1.0.0"]);
    let report = user.cache.verify(|_| {}).await.expect("checks");
    assert!(
        report.dropped.is_empty() && report.checked > 0,
        "the damaged tree was replaced: {report:?}"
    );
}

#[tokio::test]
async fn the_cache_is_counted_checked_and_emptied() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").pack(user.folder());
    Author::of("beta", "1.0.0").write(user.folder());
    let mut request = user.request(&["alpha-1.0.0.spm", "./beta"]);
    request.allow_unsigned = true;
    user.install(&request).await.expect("installs");
    let size = user.cache.size().expect("a size");
    assert_eq!((size.archives.count, size.trees.count), (1, 2));
    std::fs::remove_file(user.tree("alpha").join("notes.md")).expect("remove");
    let file = user.tree("beta").with_extension("spm");
    std::fs::write(&file, "damaged").expect("write");
    let report = user.cache.verify(|_| {}).await.expect("checks");
    assert_eq!((report.checked, report.dropped.len()), (3, 2));
    assert!(!file.exists() && !user.tree("alpha").exists());
    let cleared = user.cache.clear(|_| {}).await.expect("clears");
    assert_eq!((cleared.archives.count, cleared.trees.count), (1, 0));
    assert_eq!(user.cache.size().expect("a size").bytes, 0);
    assert_eq!(
        user.installed(),
        ["alpha@1.0.0", "beta@1.0.0"],
        "installed skills stay"
    );
}

#[tokio::test]
async fn of_a_folder_the_cache_keeps_one_file_that_no_store_shares() {
    let user = User::alone();
    Author::of("alpha", "1.0.0").write(user.folder());
    let request = user.request(&["./alpha"]);
    user.install(&request).await.expect("installs");
    let kept = walk(&user.cache.dir().join("trees"));
    assert_eq!(kept, [user.tree("alpha").with_extension("spm")]);
    // Written over where it lies: the original is still known, so the change is carried over.
    let installed = user.path_of("alpha", "notes.md");
    std::fs::set_permissions(&installed, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    std::fs::write(&installed, "ONE\ntwo\nthree\nfour\nfive\n").expect("write");
    Author::of("alpha", "1.1.0")
        .file("notes.md", "one\ntwo\nthree\nfour\nFIVE\n")
        .write(user.folder());
    let outcome = user.install(&request).await.expect("merges");
    assert!(outcome.skills[0].merged);
    assert_eq!(
        user.read("alpha", "notes.md"),
        "ONE\ntwo\nthree\nfour\nFIVE\n"
    );
}

#[tokio::test]
async fn a_large_folder_is_kept_unpacked() {
    let user = User::alone();
    let text = "x".repeat(5 * 1024 * 1024);
    Author::of("alpha", "1.0.0")
        .file("large.txt", &text)
        .write(user.folder());
    user.install(&user.request(&["./alpha"]))
        .await
        .expect("installs");
    assert!(user.tree("alpha").join("large.txt").is_file());
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(walk(&path))
        } else {
            found.push(path)
        }
    }
    found
}

impl User {
    /// Where the cache keeps an installed skill unpacked.
    fn tree(&self, skill: &str) -> std::path::PathBuf {
        let digest = self.entry(skill).digest.expect("a digest");
        self.cache.dir().join("trees").join(digest.hex())
    }

    /// As if a skill had come from the registry.
    fn store_entry_from_registry(&self, skill: &str) {
        let path = self.store.index_path();
        let mut index: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
        for entry in index["installedSkills"].as_array_mut().expect("a list") {
            if entry["name"] == skill {
                entry["source"] = self.client.registry().url.as_str().into();
            }
        }
        std::fs::write(&path, index.to_string()).expect("write");
    }
}
