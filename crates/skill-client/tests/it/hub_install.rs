//! Installing from a real hub: resolution, trust, locks, offline work.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use skill_client::Origin;
use skill_client::install::{InstallRequest, LockedRelease, Status, Wanted};
use skill_client::resolver::Requirement;
use skill_format::{Explain as _, Sha256, SkillName};
use testkit::{Fixture, Person, TestHub};

use crate::hub_trust::Later;
use crate::support::{User, installed, name};

pub fn skill(text: &str, version: &str) -> Fixture {
    Fixture::new(text)
        .version(version)
        .file("notes.md", format!("{text} {version}\n"))
}

pub async fn hub_with(skills: &[Fixture]) -> (TestHub, Person) {
    let hub = TestHub::start().await;
    let alice = hub.publisher("alice").await;
    for skill in skills {
        alice.publish(skill).await.assert_status(201);
    }
    (hub, alice)
}

fn lock_of(user: &User) -> BTreeMap<SkillName, LockedRelease> {
    let index = user.store.index().expect("an index");
    let release = |skill: &skill_client::InstalledSkill| LockedRelease {
        version: skill.version.clone(),
        sha256: Some(skill.checksum),
        signer: skill.signer.clone(),
        source: skill.source.clone(),
        dependencies: skill.dependencies.clone(),
    };
    index
        .skills()
        .iter()
        .map(|skill| (skill.name.clone(), release(skill)))
        .collect()
}

fn root(text: &str, range: &str) -> Requirement {
    Requirement {
        name: name(text),
        range: range.parse().expect("a range"),
        origin: "skills.toml".into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skill_comes_with_what_it_needs_verified_and_pinned() {
    let (hub, alice) = hub_with(&[
        skill("colors", "1.2.0"),
        skill("colors", "2.0.0"),
        skill("charts", "1.0.0").depends_on("colors", "^1.0"),
    ])
    .await;
    let user = User::of(&hub.url);
    let outcome = user
        .install(&user.request(&["charts"]))
        .await
        .expect("installs");
    assert_eq!(user.installed(), ["charts@1.0.0", "colors@1.2.0"]);
    let key = alice.key().expect("a key").fingerprint().to_string();
    assert!(
        outcome
            .skills
            .iter()
            .all(|skill| skill.signer.as_deref() == Some(&key) && skill.first_signer)
    );
    assert!(outcome.skills[0].dependency && !outcome.skills[1].dependency);
    let entry = user.entry("colors");
    assert_eq!(entry.source, Origin::Registry(hub.url.clone()));
    assert_eq!(
        entry.checksum,
        Sha256::of(&skill("colors", "1.2.0").archive())
    );
    assert!(
        user.store
            .index()
            .expect("an index")
            .last_sync_time()
            .is_some()
    );
    let pins: Vec<_> = user
        .pins()
        .list()
        .expect("pins")
        .into_iter()
        .map(|pin| pin.skill)
        .collect();
    assert_eq!(pins, ["charts", "colors"]);
    assert!(user.home().join(".cache/registry-metadata.json").is_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_project_needs_no_network() {
    let (hub, _) = hub_with(&[
        skill("colors", "1.0.0"),
        skill("charts", "1.0.0").depends_on("colors", "*"),
    ])
    .await;
    let mut user = User::of(&hub.url);
    user.install(&user.request(&["charts"]))
        .await
        .expect("installs");
    let url = hub.url.clone();
    hub.stop().await;
    user.reconnect(&url, |options| options.offline = true);
    let other = user.other_store("second");
    user.install_into(&other, &user.request(&["charts"]))
        .await
        .expect("installs offline");
    assert_eq!(installed(&other), ["charts@1.0.0", "colors@1.0.0"]);
    assert_eq!(user.refused(&user.request(&["unseen"])).await, "not-cached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lockfile_alone_installs_what_the_cache_has_verified() {
    let (hub, _) = hub_with(&[skill("colors", "1.0.0")]).await;
    let mut user = User::of(&hub.url);
    user.install(&user.request(&["colors"]))
        .await
        .expect("installs");
    let request = InstallRequest {
        roots: vec![root("colors", "*")],
        locked: lock_of(&user),
        frozen: true,
        ..InstallRequest::default()
    };
    std::fs::remove_file(user.home().join(".cache/registry-metadata.json")).expect("forget");
    user.reconnect(&hub.url, |options| options.offline = true);
    let other = user.other_store("second");
    user.install_into(&other, &request).await.expect("installs");
    assert_eq!(installed(&other), ["colors@1.0.0"]);
    let mut other_signer = request.clone();
    other_signer
        .locked
        .get_mut(&name("colors"))
        .expect("locked")
        .signer = Some("A".repeat(40));
    let error = user
        .install_into(&user.other_store("third"), &other_signer)
        .await
        .expect_err("not what was verified");
    assert_eq!(error.code(), "not-cached");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installed_skills_stay_at_their_version_until_they_are_updated() {
    let (hub, alice) = hub_with(&[
        skill("colors", "1.0.0"),
        skill("charts", "1.0.0").depends_on("colors", "^1.0"),
    ])
    .await;
    let user = User::of(&hub.url);
    user.install(&user.request(&["charts@^1.0"]))
        .await
        .expect("installs");
    alice
        .publish(&skill("colors", "1.1.0"))
        .await
        .assert_status(201);
    alice
        .publish(&skill("charts", "1.1.0").depends_on("colors", "^1.0"))
        .await
        .assert_status(201);
    alice
        .publish(&skill("charts", "2.0.0"))
        .await
        .assert_status(201);
    alice
        .publish(&skill("fonts", "1.0.0").depends_on("colors", "*"))
        .await
        .assert_status(201);
    user.install(&user.request(&["fonts"]))
        .await
        .expect("installs");
    assert_eq!(
        user.installed(),
        ["charts@1.0.0", "colors@1.0.0", "fonts@1.0.0"]
    );
    let index = || user.store.index().expect("an index");
    let update = InstallRequest::update(&index(), &[], false).expect("a request");
    let outcome = user.install(&update).await.expect("updates");
    assert_eq!(
        user.installed(),
        ["charts@1.1.0", "colors@1.1.0", "fonts@1.0.0"]
    );
    let charts = outcome
        .skills
        .iter()
        .find(|skill| skill.name == name("charts"))
        .expect("in the plan");
    assert_eq!(
        (
            charts.status,
            charts.previous.as_ref().map(ToString::to_string)
        ),
        (Status::Updated, Some("1.0.0".into()))
    );
    let latest = InstallRequest::update(&index(), &[name("charts")], true).expect("a request");
    user.install(&latest).await.expect("updates");
    assert_eq!(
        user.installed(),
        ["charts@2.0.0", "colors@1.1.0", "fonts@1.0.0"]
    );
    let error =
        InstallRequest::update(&index(), &[name("chart")], false).expect_err("not installed");
    assert!(error.help().expect("advice").contains("charts"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skill_that_holds_another_back_is_moved_if_it_has_to_be() {
    let (hub, alice) = hub_with(&[
        skill("colors", "1.0.0"),
        skill("charts", "1.0.0").depends_on("colors", "^1.0"),
    ])
    .await;
    let user = User::of(&hub.url);
    user.install(&user.request(&["charts"]))
        .await
        .expect("installs");
    alice
        .publish(&skill("colors", "2.0.0"))
        .await
        .assert_status(201);
    alice
        .publish(&skill("charts", "1.1.0").depends_on("colors", "^2.0"))
        .await
        .assert_status(201);
    alice
        .publish(&skill("fonts", "1.0.0").depends_on("colors", "^2.0"))
        .await
        .assert_status(201);
    user.install(&user.request(&["fonts"]))
        .await
        .expect("installs");
    assert_eq!(
        user.installed(),
        ["charts@1.1.0", "colors@2.0.0", "fonts@1.0.0"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_name_is_answered_with_near_ones() {
    let (hub, _) = hub_with(&[skill("csv-analyzer", "1.0.0")]).await;
    hub.ready().await;
    hub.eventually("/api/v1/skills/csv-analyser", |answer| {
        answer.text().contains("csv-analyzer")
    })
    .await;
    let user = User::of(&hub.url);
    let error = user
        .install(&user.request(&["csv-analyser"]))
        .await
        .expect_err("unknown");
    assert_eq!(error.code(), "unknown-skill");
    assert!(
        error.help().expect("advice").contains("csv-analyzer"),
        "{:?}",
        error.help()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lockfile_outranks_the_registry() {
    let (hub, _) = hub_with(&[skill("colors", "1.0.0"), skill("colors", "1.1.0")]).await;
    let mut user = User::of(&hub.url);
    user.install(&user.request(&["colors@1.0.0"]))
        .await
        .expect("installs");
    let locked = lock_of(&user);
    let request = InstallRequest {
        roots: vec![root("colors", "^1.0")],
        locked: locked.clone(),
        ..InstallRequest::default()
    };
    let fresh = user.other_store("second");
    user.install_into(&fresh, &request).await.expect("installs");
    assert_eq!(
        installed(&fresh),
        ["colors@1.0.0"],
        "the locked version is kept"
    );

    let mut other_bytes = request.clone();
    other_bytes
        .locked
        .get_mut(&name("colors"))
        .expect("locked")
        .sha256 = Some(Sha256::of(b"else"));
    user.reconnect(&hub.url, |_| {});
    let error = user
        .install_into(&user.other_store("third"), &other_bytes)
        .await
        .expect_err("other bytes");
    assert_eq!(error.code(), "lock-checksum-mismatch");
    let mut other_signer = request.clone();
    other_signer
        .locked
        .get_mut(&name("colors"))
        .expect("locked")
        .signer = Some("A".repeat(40));
    let error = user
        .install_into(&user.other_store("fourth"), &other_signer)
        .await
        .expect_err("another signer");
    assert_eq!(error.code(), "lock-signer-mismatch");
    let frozen = InstallRequest {
        frozen: true,
        roots: vec![root("colors", "*"), root("fonts", "*")],
        ..request
    };
    let error = user
        .install_into(&user.other_store("fifth"), &frozen)
        .await
        .expect_err("fonts is not locked");
    assert_eq!(error.code(), "not-locked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withdrawn_versions_are_not_chosen_but_locked_ones_still_install() {
    let (hub, alice) = hub_with(&[skill("colors", "1.0.0"), skill("colors", "1.1.0")]).await;
    let mut user = User::of(&hub.url);
    user.install(&user.request(&["colors"]))
        .await
        .expect("installs");
    let locked = lock_of(&user);
    alice
        .delete("/api/v1/skills/colors/1.1.0?reason=broken")
        .await;
    alice
        .put(
            "/api/v1/skills/colors/deprecation",
            serde_json::json!({"message": "use paints"}),
        )
        .await;
    user.reconnect(&hub.url, |_| {});
    let fresh = user.other_store("second");
    let outcome = user
        .install_into(&fresh, &user.request(&["colors"]))
        .await
        .expect("installs");
    assert_eq!(installed(&fresh), ["colors@1.0.0"]);
    assert!(
        outcome
            .warnings
            .iter()
            .any(|warning| warning.code == "deprecated" && warning.message.contains("use paints"))
    );
    let request = InstallRequest {
        roots: vec![root("colors", "*")],
        locked,
        ..InstallRequest::default()
    };
    let third = user.other_store("third");
    let outcome = user.install_into(&third, &request).await.expect("installs");
    assert_eq!(installed(&third), ["colors@1.1.0"]);
    assert!(
        outcome
            .warnings
            .iter()
            .any(|warning| warning.code == "yanked" && warning.message.contains("broken"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn young_releases_wait_and_pruning_removes_what_nobody_asks_for() {
    let (hub, alice) = hub_with(&[skill("colors", "1.0.0"), skill("fonts", "1.0.0")]).await;
    hub.clock().advance(SignedDuration::from_hours(48));
    let alice = alice.sign_in_again().await;
    alice
        .publish(&skill("colors", "1.1.0"))
        .await
        .assert_status(201);
    let user = User::of(&hub.url);
    let clock = Later(SignedDuration::from_hours(49));
    let ignore = |_: &skill_client::Event<'_>| {};
    let installer = skill_client::Installer {
        clock: &clock,
        ..user.installer(&user.store, &ignore)
    };
    let careful = InstallRequest {
        minimum_age: Some(SignedDuration::from_hours(24)),
        ..user.request(&["colors", "fonts"])
    };
    installer.install(&careful, None).await.expect("installs");
    assert_eq!(user.installed(), ["colors@1.0.0", "fonts@1.0.0"]);
    let sync = InstallRequest {
        roots: vec![root("colors", "*")],
        prune: true,
        ..InstallRequest::default()
    };
    let outcome = installer.install(&sync, None).await.expect("installs");
    assert_eq!(user.installed(), ["colors@1.0.0"]);
    assert_eq!(outcome.removed.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_skill_can_be_installed_twice_under_two_names() {
    let (hub, _) = hub_with(&[skill("colors", "1.0.0"), skill("colors", "2.0.0")]).await;
    let user = User::of(&hub.url);
    user.install(&user.request(&["colors@1"]))
        .await
        .expect("installs");
    let wanted = Wanted {
        source: user.source("colors@2"),
        alias: Some(name("new-colors")),
        only: None,
    };
    user.install(&InstallRequest {
        wanted: vec![wanted],
        ..InstallRequest::default()
    })
    .await
    .expect("installs");
    assert_eq!(user.installed(), ["colors@1.0.0", "new-colors@2.0.0"]);
    assert_eq!(user.entry("new-colors").package(), &name("colors"));
    let update = InstallRequest::update(&user.store.index().expect("an index"), &[], true)
        .expect("a request");
    user.install(&update).await.expect("updates");
    assert_eq!(user.installed(), ["colors@2.0.0", "new-colors@2.0.0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_download_one_archive_once() {
    let (hub, _) =
        hub_with(&[skill("colors", "1.0.0").file("large.txt", vec![b'x'; 200_000])]).await;
    let user = User::of(&hub.url);
    let stores: Vec<_> = (0..4)
        .map(|number| user.other_store(&format!("project-{number}")))
        .collect();
    let request = user.request(&["colors"]);
    let installs = stores
        .iter()
        .map(|store| user.install_into(store, &request));
    for outcome in futures::future::join_all(installs).await {
        outcome.expect("installs");
    }
    assert!(
        stores
            .iter()
            .all(|store| installed(store) == ["colors@1.0.0"])
    );
    assert_eq!(user.cache.size().expect("a size").archives.count, 1);
    assert_eq!(user.cache.size().expect("a size").unfinished.count, 0);
}
