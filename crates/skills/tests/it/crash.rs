//! SIGKILL at random moments: the registry while it publishes, the client while it installs.
//! What these show is safety against a crash of the program; that against a power loss rests on
//! fsync and cannot be shown by killing a process.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use skill_format::{Sha256, SkillFile, SkillTree};

use crate::hub::{Engine, Hub};
use crate::support::Sandbox;

/// On each database.
const REGISTRY_KILLS: u32 = 200;
const CLIENT_KILLS: u32 = 100;

/// A fixed sequence, so that a failure can be repeated; not for secrets.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn archive(number: u32) -> (String, Vec<u8>) {
    let version = format!("0.0.{number}");
    let text = format!(
        "---\nname: crash-test\ndescription: Number {number}. Use it to test.\nmetadata:\n  version: {version}\n---\n\nBody {number}.\n"
    );
    let mut tree = SkillTree::new();
    let file = |bytes: Vec<u8>| SkillFile {
        executable: false,
        bytes,
    };
    tree.insert("SKILL.md", file(text.into_bytes()))
        .expect("a valid path");
    let filler = (0..20_000u32)
        .flat_map(|i| (i.wrapping_mul(2_654_435_761) ^ number).to_le_bytes())
        .collect();
    tree.insert("assets/data.bin", file(filler))
        .expect("a valid path");
    (version, tree.pack())
}

/// One attempt, no retries: whether the registry acknowledged it.
async fn publish(
    client: &reqwest::Client,
    hub: &str,
    token: &str,
    number: u32,
) -> Option<(String, Sha256)> {
    let (version, bytes) = archive(number);
    let digest = Sha256::of(&bytes);
    let answer = client
        .post(format!("{hub}/api/v1/skills"))
        .bearer_auth(token)
        .header("content-type", "application/gzip")
        .header("idempotency-key", format!("crash-{number}"))
        .body(bytes)
        .send()
        .await
        .ok()?;
    let status = answer.status();
    let text = answer.text().await.ok()?;
    assert!(status.is_success(), "{version}: {status} {text}");
    Some((version, digest))
}

/// Every version that the registry lists, with its checksum; each one downloads to exactly that.
async fn check(client: &reqwest::Client, hub: &str, checked: &mut BTreeMap<String, Sha256>) {
    let answer = client
        .get(format!("{hub}/api/v1/skills/crash-test"))
        .send()
        .await
        .expect("an answer");
    if answer.status() == 404 {
        assert!(checked.is_empty());
        return;
    }
    let skill: serde_json::Value = answer.json().await.expect("JSON");
    for release in skill["releases"].as_array().expect("releases") {
        let version = release["version"].as_str().expect("a version").to_owned();
        let checksum: Sha256 = release["checksum"]
            .as_str()
            .expect("a checksum")
            .parse()
            .expect("a digest");
        if checked.contains_key(&version) {
            continue;
        }
        let path = format!("{hub}/packages/crash-test-{version}.spm");
        let bytes = client
            .get(path)
            .send()
            .await
            .expect("an answer")
            .bytes()
            .await
            .expect("the archive");
        assert_eq!(
            Sha256::of(&bytes),
            checksum,
            "{version} is listed, but its archive is not whole"
        );
        SkillTree::read_archive(&bytes, &Default::default()).expect("a readable archive");
        checked.insert(version, checksum);
    }
}

async fn registry_survives(engine: Engine) {
    let data = tempfile::tempdir().expect("a temporary folder");
    let database = engine.database(data.path()).await;
    std::fs::write(
        data.path().join("hub.toml"),
        "require_signatures = false\n[rate_limit]\nenabled = false\n",
    )
    .expect("a configuration");
    // The first one stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let mut dice = Dice(7);
    let (mut token, mut next) = (String::new(), 1);
    let mut acknowledged: BTreeMap<String, Sha256> = BTreeMap::new();
    let mut checked = BTreeMap::new();
    for round in 0..REGISTRY_KILLS {
        let mut hub = Hub::start(data.path(), &database.url);
        if let Some(first) = hub.token.take() {
            token = first;
        }
        check(&client, &hub.url, &mut checked).await;
        for (version, digest) in &acknowledged {
            assert_eq!(
                checked.get(version),
                Some(digest),
                "round {round}: {version} was acknowledged and is lost"
            );
        }
        let (url, own, bearer) = (hub.url.clone(), client.clone(), token.clone());
        let (acknowledge, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let publisher = tokio::spawn(async move {
            let mut done = Vec::new();
            let mut number = next;
            while let Some(published) = publish(&own, &url, &bearer, number).await {
                done.push(published);
                number += 1;
                // Nobody may listen any more: the kill is on its way.
                let _ = acknowledge.send(());
            }
            (done, number)
        });
        for _ in 0..dice.below(3) {
            heard.recv().await.expect("the registry acknowledges");
        }
        // The fault itself is a matter of time: the kill comes at a random moment of a publish.
        tokio::time::sleep(Duration::from_millis(dice.below(60))).await;
        hub.kill();
        let (done, stopped_at) = publisher.await.expect("the publisher ends");
        acknowledged.extend(done);
        // The one that got no answer is sent again next time, as a client would.
        next = stopped_at;
    }
    let hub = Hub::start(data.path(), &database.url);
    check(&client, &hub.url, &mut checked).await;
    for (version, digest) in &acknowledged {
        assert_eq!(
            checked.get(version),
            Some(digest),
            "{version} was acknowledged and is lost"
        );
    }
    assert!(
        acknowledged.len() > REGISTRY_KILLS as usize / 2,
        "too few publishes to show anything: {}",
        acknowledged.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_on_sqlite_survives_200_kills_while_publishing() {
    registry_survives(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registry_on_postgres_survives_200_kills_while_publishing() {
    registry_survives(Engine::Postgres).await;
}

#[tokio::test]
async fn registry_drains_on_sigterm_and_ends_with_0() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let database = Engine::Sqlite.database(data.path()).await;
    let mut hub = Hub::start(data.path(), &database.url);
    assert_eq!(hub.stop(), Some(0));
}

/// Every installed skill is whole, and nothing is there that the index does not know.
fn check_store(project: &Path, round: u32) {
    let store = project.join(".skills");
    let index =
        std::fs::read_to_string(store.join("index.json")).unwrap_or_else(|_| "{}".to_owned());
    let index: serde_json::Value =
        serde_json::from_str(&index).expect("the index is never half-written");
    for skill in index["installedSkills"].as_array().into_iter().flatten() {
        let (name, version) = (
            skill["name"].as_str().expect("a name"),
            skill["version"].as_str().expect("a version"),
        );
        let tree = SkillTree::read_dir(&store.join(name).join(version), &Default::default())
            .unwrap_or_else(|error| panic!("round {round}: {name} is in the index, but {error}"));
        assert_eq!(
            skill["digest"],
            tree.full_digest().to_string(),
            "round {round}: {name} is half-installed"
        );
    }
    let Ok(entries) = std::fs::read_dir(project.join(".claude/skills")) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            assert!(
                entry.path().join("SKILL.md").is_file(),
                "round {round}: the agent's {name} leads nowhere"
            );
        }
    }
}

#[test]
fn client_survives_100_kills_while_installing() {
    const SKILLS: usize = 8;
    let sandbox = Sandbox::new();
    // A project of its own: else the user's store is used.
    sandbox.write("skills.toml", "");
    let names: Vec<String> = (0..SKILLS)
        .map(|number| format!("many/skill-{number}"))
        .collect();
    for name in &names {
        let folder = sandbox.skill(name);
        let text = std::fs::read_to_string(folder.join("SKILL.md"))
            .expect("SKILL.md")
            .replace("many/", "");
        std::fs::write(folder.join("SKILL.md"), text).expect("SKILL.md");
        std::fs::write(folder.join("data.txt"), "x".repeat(50_000)).expect("a file");
    }
    let install = [
        "install",
        "./many",
        "--allow-unsigned",
        "--agent",
        "claude-code",
        "--yes",
    ];
    let started = Instant::now();
    sandbox.run(&install).ok();
    let whole = started.elapsed();
    let wipe = || {
        for folder in [
            sandbox.project().join(".skills"),
            sandbox.project().join(".claude"),
            sandbox.home(),
        ] {
            std::fs::remove_dir_all(folder).unwrap_or_default();
        }
        std::fs::create_dir(sandbox.home()).expect("an empty home");
    };
    let mut dice = Dice(11);
    for round in 0..CLIENT_KILLS {
        // Every third round starts from what the kill before it left behind.
        if round % 3 != 0 {
            wipe();
        }
        let mut child = sandbox
            .command(&install)
            .spawn()
            .expect("the program starts");
        let moment = whole.mul_f64(dice.below(1000) as f64 / 900.0);
        let (sender, killed) = std::sync::mpsc::channel::<()>();
        // The fault itself is a matter of time: nobody ever sends.
        let _ = killed.recv_timeout(moment);
        drop(sender);
        child.kill().expect("the program can be killed");
        child.wait().expect("the program ends");
        check_store(&sandbox.project(), round);
        sandbox.run(&install).ok();
        check_store(&sandbox.project(), round);
        let listed = sandbox.run(&["list", "--json"]).ok().json();
        assert_eq!(
            listed["skills"].as_array().map(Vec::len),
            Some(SKILLS),
            "round {round}: the next run repairs"
        );
        let leftovers: Vec<_> = std::fs::read_dir(sandbox.project().join(".skills"))
            .expect("a store")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with(".skills-tmp-"))
            .collect();
        assert!(
            leftovers.is_empty(),
            "round {round}: left behind {leftovers:?}"
        );
    }
}
