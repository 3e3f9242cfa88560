//! Audits of what is really installed: with a registry, with a lockfile, and with neither.

use serde_json::json;
use skill_client::Client;
use skill_client::audit::{Collected, Collector, Level};
use skill_client::lockfile::Lockfile;
use skill_client::store::{Drift, FileChange, FileChangeKind};
use skill_signing::RevocationReason;
use testkit::{Fixture, TestHub};

use crate::audit::{codes, report};
use crate::support::{Author, User, now};

async fn collect(user: &User, clients: &[Client], lock: Option<&Lockfile>) -> Collected {
    let collector = Collector {
        store: &user.store,
        cache: &user.cache,
        lock: lock.map(|lock| ("/project/skills.lock".into(), lock)),
        clients,
        keyring: &user.keyring(),
        pins: &user.pins(),
        now: now(),
    };
    collector.collect().await.expect("a store")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_since_the_installation_is_found_in_a_real_registry() {
    let hub = TestHub::start().await;
    let mut alice = hub.publisher("alice").await;
    for skill in ["charts", "fonts", "colors"] {
        let fixture = Fixture::new(skill).version("1.0.0");
        let fixture = fixture.yaml("dependencies: {python: {pandas: \"==1.4\"}}\n");
        alice.publish(&fixture).await.assert_status(201);
    }
    let user = User::of(&hub.url);
    let all = user.request(&["charts", "fonts", "colors"]);
    user.install(&all).await.expect("installs");
    let clients = std::slice::from_ref(&user.client);
    let before = collect(&user, clients, None).await;
    assert_eq!(codes(&report(&before.skills, &[], &[])), []);
    assert_eq!(before.gaps, Vec::<String>::new());
    let pandas = ("python".into(), "pandas".into(), "==1.4".into());
    assert_eq!(before.skills[0].packages, [pandas]);

    // One is yanked, one gets a new signer, one is edited here; and the first key is revoked.
    let yank = json!({"yanked": true, "yankReason": "leaks"});
    alice
        .patch("/api/v1/skills/charts/1.0.0", yank)
        .await
        .assert_status(200);
    let advice = json!({"message": "use fonts"});
    alice
        .put("/api/v1/skills/charts/deprecation", advice)
        .await
        .assert_status(200);
    user.edit(
        "colors",
        "SKILL.md",
        "---\nname: colors\ndescription: Mine now.\n---\n",
    );
    let old = alice.key().expect("a key");
    let revoked = old.revoke(None, RevocationReason::Compromised, "stolen", now());
    let revoked = revoked.expect("it is ours").to_armored();
    alice.make_key().await;
    alice
        .publish(&Fixture::new("fonts").version("2.0.0"))
        .await
        .assert_status(201);
    alice
        .post("/api/v1/keys", json!({"armored": revoked}))
        .await
        .assert_status(200);

    let after = collect(&user, clients, None).await;
    let colors = &after.skills[1];
    let edited = FileChange {
        path: "SKILL.md".into(),
        kind: FileChangeKind::Modified,
    };
    assert_eq!(
        (&colors.drift, &colors.changes),
        (&Drift::Changed, &vec![edited])
    );
    let report = report(&after.skills, &[], &[]);
    let mut found: Vec<(&str, &str, Level)> = report
        .findings
        .iter()
        .map(|finding| (finding.skill.as_str(), finding.code, finding.level))
        .collect();
    found.retain(|(_, code, _)| *code != "key-revoked");
    assert_eq!(
        found,
        [
            ("colors", "files-changed", Level::High),
            ("charts", "yanked", Level::Moderate),
            ("fonts", "signer-changed", Level::Low),
            ("charts", "deprecated", Level::Info),
        ]
    );
    let revoked = report
        .findings
        .iter()
        .filter(|finding| finding.code == "key-revoked");
    assert_eq!(revoked.count(), 3, "{:?}", report.findings);
}

#[tokio::test]
async fn without_a_registry_the_files_are_still_checked() {
    let user = User::alone();
    Author::of("notes", "1.0.0").write(user.folder());
    user.install(&user.request(&["./notes"]))
        .await
        .expect("installs");
    std::fs::remove_dir_all(user.path_of("notes", "")).expect("remove");
    let collected = collect(&user, &[], None).await;
    assert_eq!(collected.skills[0].drift, Drift::Missing);
    assert_eq!(
        codes(&report(&collected.skills, &[], &[])),
        [("files-missing", Level::Moderate)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_locked_is_compared_with_what_is_installed_and_what_is_there() {
    let hub = TestHub::start().await;
    let alice = hub.publisher("alice").await;
    for version in ["1.0.0", "2.0.0"] {
        alice
            .publish(&Fixture::new("charts").version(version))
            .await
            .assert_status(201);
    }
    let user = User::of(&hub.url);
    user.install(&user.request(&["charts@1.0.0"]))
        .await
        .expect("installs");
    let lock = |version: &str| {
        let zeros = "0".repeat(64);
        let url = &user.client.registry().url;
        let text = format!(
            "version = 1\n\n[[skill]]\nname = \"charts\"\nversion = \"{version}\"\nsource = \"{url}\"\nsha256 = \"sha256:{zeros}\"\nsize = 1\n"
        );
        Lockfile::parse("skills.lock", &text).expect("valid")
    };
    let clients = std::slice::from_ref(&user.client);
    let same = collect(&user, clients, Some(&lock("1.0.0"))).await;
    assert_eq!(same.skills.len(), 1);
    assert_eq!(
        codes(&report(&same.skills, &[], &[])),
        [("lock-mismatch", Level::High)]
    );

    let other = collect(&user, clients, Some(&lock("2.0.0"))).await;
    let found = report(&other.skills, &[], &[]);
    let from_lock: Vec<&str> = found.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(from_lock, ["archive-changed", "signer-changed", "unsigned"]);
    assert!(
        found
            .findings
            .iter()
            .all(|finding| finding.version.major == 2)
    );
}
