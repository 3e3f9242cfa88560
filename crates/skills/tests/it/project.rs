//! A project with `skills.toml` and `skills.lock`, against a real registry.

use serde_json::json;
use testkit::{Fixture, Person, TestHub};

use crate::support::{Ran, Sandbox};

/// A registry, a publisher, and somebody who works in a project.
pub struct Team {
    pub hub: TestHub,
    pub alice: Person,
    pub sandbox: Sandbox,
}

impl Team {
    /// With these published, and this `skills.toml`.
    pub async fn new(published: &[Fixture], skills_toml: &str) -> Self {
        let hub = TestHub::start().await;
        let alice = hub.publisher("alice").await;
        let sandbox = Sandbox::new();
        let team = Self {
            hub,
            alice,
            sandbox,
        };
        for skill in published {
            team.publish(skill).await;
        }
        team.run(&["registry", "add", "team", &team.hub.url, "--default"])
            .ok();
        team.manifest(skills_toml);
        team
    }

    pub async fn publish(&self, skill: &Fixture) {
        self.alice.publish(skill).await.assert_status(201);
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.sandbox.run(arguments)
    }

    pub fn manifest(&self, text: &str) {
        self.sandbox.write("skills.toml", text);
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.sandbox.project().join(file)).unwrap_or_default()
    }

    /// `NAME VERSION` of what is locked.
    pub fn locked(&self) -> Vec<String> {
        let lock = self.read("skills.lock");
        let value = |line: &str, key: &str| {
            let value = line.strip_prefix(key)?.strip_prefix(" = \"")?;
            Some(value.trim_end_matches('"').to_owned())
        };
        let names = lock.lines().filter_map(|line| value(line, "name"));
        let versions = lock.lines().filter_map(|line| value(line, "version"));
        names
            .zip(versions)
            .map(|(name, version)| format!("{name} {version}"))
            .collect()
    }

    pub fn installed(&self) -> Vec<String> {
        let list = self.run(&["--json", "list"]).ok().json();
        let skills = list["skills"].as_array().expect("skills").iter();
        let shown = |skill: &serde_json::Value| {
            format!(
                "{} {}",
                skill["name"].as_str().expect("a name"),
                skill["version"].as_str().expect("a version")
            )
        };
        skills.map(shown).collect()
    }
}

pub fn skill(name: &str, version: &str) -> Fixture {
    Fixture::new(name)
        .version(version)
        .description(&format!("Only {name} does {name}."))
}

#[track_caller]
pub fn refused(ran: &Ran, exit_code: i32, code: &str) {
    assert_eq!(ran.code(), exit_code, "{}", ran.snapshot());
    assert!(
        ran.stderr().contains(&format!("[{code}]")),
        "{}",
        ran.snapshot()
    );
}

#[track_caller]
pub fn says(ran: &Ran, text: &str) {
    assert!(ran.stderr().contains(text), "{}", ran.snapshot());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_installed_is_saved_and_what_is_uninstalled_is_dropped() {
    let published = [
        skill("charts", "1.4.0").depends_on("colors", "^1"),
        skill("colors", "1.0.0"),
        skill("notes", "2.0.0"),
        skill("notes", "2.1.0"),
    ];
    let team = Team::new(&published, "# ours\n[skills]\nnotes = \"2.0.0\" # pinned\n").await;
    says(&team.run(&["install", "charts"]).ok(), "Saved charts");
    assert_eq!(
        team.read("skills.toml"),
        "# ours\n[skills]\nnotes = \"2.0.0\" # pinned\ncharts = \"^1.4.0\"\n"
    );
    let everything = ["charts 1.4.0", "colors 1.0.0", "notes 2.0.0"];
    assert_eq!(team.locked(), everything);
    assert_eq!(team.installed(), everything);
    let lock = team.read("skills.lock");
    let fingerprint = team.alice.key().expect("a key").fingerprint().to_string();
    assert_eq!(lock.matches(&fingerprint).count(), 3, "{lock}");
    assert_eq!(lock.matches("sha256 = \"sha256:").count(), 3, "{lock}");
    assert_eq!(lock.matches("size = ").count(), 3, "{lock}");
    assert_eq!(lock.matches(&team.hub.url).count(), 3, "{lock}");

    // Force reaches what is named, and not what others have changed in the project.
    let changed = team.sandbox.project().join(".skills/charts/1.4.0/SKILL.md");
    let text = std::fs::read_to_string(&changed).expect("readable") + "Ours.\n";
    std::fs::remove_file(&changed).expect("removed");
    std::fs::write(&changed, &text).expect("written");
    team.run(&["install", "notes", "--force"]).ok();
    assert_eq!(std::fs::read_to_string(&changed).expect("readable"), text);

    // The range of the project counts for whoever names no version.
    team.run(&["install", "notes"]).ok();
    assert!(
        team.read("skills.toml")
            .contains("notes = \"2.0.0\" # pinned")
    );
    team.run(&["install", "notes@^2.1"]).ok();
    assert!(
        team.read("skills.toml")
            .contains("notes = \"^2.1\" # pinned")
    );
    assert!(team.locked().contains(&"notes 2.1.0".to_owned()));

    says(&team.run(&["uninstall", "charts"]).ok(), "Dropped charts");
    assert!(!team.read("skills.toml").contains("charts"));
    assert_eq!(team.locked(), ["notes 2.1.0"]);
    assert_eq!(team.installed(), ["notes 2.1.0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_saved_with_no_save_or_without_a_manifest() {
    let team = Team::new(&[skill("charts", "1.0.0")], "[skills]\n").await;
    team.run(&["install", "charts", "--no-save"]).ok();
    assert_eq!(team.read("skills.toml"), "[skills]\n");
    assert_eq!(team.read("skills.lock"), "");
    team.run(&["install", "charts", "--dry-run"]).ok();
    assert_eq!(team.read("skills.lock"), "");

    std::fs::remove_file(team.sandbox.project().join("skills.toml")).expect("removed");
    let ran = team.run(&["-v", "install", "charts"]).ok();
    says(&ran, "has no skills.toml: nothing is saved");
    assert!(!team.sandbox.project().join("skills.toml").exists());
    let ran = team.run(&["install"]);
    refused(&ran, 2, "no-project");
    says(&ran, "skills install NAME");
    refused(&team.run(&["install", "--frozen"]), 2, "no-project");
    refused(&team.run(&["lock"]), 2, "no-project");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_names_the_project_is_installed_at_its_locked_versions() {
    let team = Team::new(&[skill("charts", "1.0.0")], "[skills]\ncharts = \"^1\"\n").await;
    team.run(&["install"]).ok();
    team.publish(&skill("charts", "1.1.0")).await;
    team.publish(&skill("notes", "1.0.0")).await;
    team.sandbox.skill("style");

    // A colleague's clone gets what is locked, and whatever is new in the manifest.
    std::fs::remove_dir_all(team.sandbox.project().join(".skills")).expect("removed");
    team.manifest("[skills]\ncharts = \"^1\"\nnotes = \"*\"\nstyle = { path = \"style\" }\n");
    team.run(&["install"]).ok();
    assert_eq!(
        team.locked(),
        ["charts 1.0.0", "notes 1.0.0", "style 0.0.0"]
    );
    assert!(team.read("skills.lock").contains("source = \"dir:style\""));
    assert_eq!(team.locked(), team.installed());
    team.run(&["install", "--frozen"]).ok();
    team.run(&["lock", "--check"]).ok();

    // What is not asked for any more leaves the lock; it stays installed, and is told about.
    team.manifest("[skills]\nnotes = \"*\"\nstyle = { path = \"style\" }\n");
    says(
        &team.run(&["install"]).ok(),
        "not asked for by skills.toml: charts",
    );
    assert_eq!(team.locked(), ["notes 1.0.0", "style 0.0.0"]);
    assert!(team.installed().contains(&"charts 1.0.0".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_installs_exactly_the_lock_and_writes_nothing() {
    let published = [
        skill("charts", "1.0.0").depends_on("colors", "*"),
        skill("colors", "1.0.0"),
    ];
    let team = Team::new(&published, "[skills]\ncharts = \"^1\"\n").await;
    let ran = team.run(&["install", "--frozen"]);
    refused(&ran, 1, "lockfile-missing");
    says(&ran, "skills lock");
    team.run(&["lock"]).ok();
    let lock = team.read("skills.lock");
    team.publish(&skill("charts", "1.5.0")).await;
    team.run(&["install", "--frozen"]).ok();
    assert_eq!(team.installed(), ["charts 1.0.0", "colors 1.0.0"]);
    assert_eq!(team.read("skills.lock"), lock, "lock and install agree");

    // From the cache alone.
    std::fs::remove_dir_all(team.sandbox.project().join(".skills")).expect("removed");
    team.run(&["install", "--frozen", "--offline"]).ok();
    assert_eq!(team.installed(), ["charts 1.0.0", "colors 1.0.0"]);

    team.manifest("[skills]\ncharts = \"^1.2\"\nnotes = \"1\"\n");
    let ran = team.run(&["install", "--frozen"]);
    refused(&ran, 1, "lockfile-outdated");
    says(&ran, "charts is locked at 1.0.0; skills.toml asks for ^1.2");
    says(&ran, "notes is not locked");
    says(&ran, "skills lock");
    assert_eq!(team.read("skills.lock"), lock);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_refuses_other_bytes_and_another_signer() {
    let team = Team::new(&[skill("charts", "1.0.0")], "[skills]\ncharts = \"^1\"\n").await;
    team.run(&["lock"]).ok();
    let lock = team.read("skills.lock");
    let value = |key: &str| {
        let line = lock.lines().find(|line| line.starts_with(key)).expect(key);
        line.split('"').nth(1).expect("a text").to_owned()
    };
    let (sha256, signer) = (value("sha256"), value("signer"));
    let other_bytes = lock.replace(&sha256, &format!("sha256:{}", "0".repeat(64)));
    let other_signer = lock.replace(&signer, &"A".repeat(signer.len()));
    let no_digest = lock.replace(&format!("sha256 = \"{sha256}\"\n"), "");
    for is_installed in [false, true] {
        for (text, code) in [
            (&other_bytes, "lock-checksum-mismatch"),
            (&other_signer, "lock-signer-mismatch"),
            (&no_digest, "lockfile-incomplete"),
        ] {
            assert_ne!(*text, lock);
            team.sandbox.write("skills.lock", text);
            let ran = team.run(&["install", "--frozen"]);
            refused(&ran, 1, code);
            assert_eq!(team.installed().len(), usize::from(is_installed));
        }
        team.sandbox.write("skills.lock", &lock);
        team.run(&["install", "--frozen"]).ok();
    }
    // The remedy that is named.
    team.sandbox.write("skills.lock", &other_bytes);
    team.run(&["lock", "--update", "charts"]).ok();
    assert_eq!(team.read("skills.lock"), lock);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lock_resolves_checks_and_renews_without_installing() {
    let published = [skill("charts", "1.0.0"), skill("notes", "1.0.0")];
    let team = Team::new(&published, "[skills]\ncharts = \"^1\"\nnotes = \"^1\"\n").await;
    let ran = team.run(&["lock", "--check"]);
    refused(&ran, 1, "lockfile-outdated");
    says(&ran, "+ charts 1.0.0");
    assert_eq!(team.read("skills.lock"), "");
    let ran = team.run(&["lock"]).ok();
    assert_eq!(ran.stdout(), "+ charts 1.0.0\n+ notes 1.0.0\n");
    assert!(!team.sandbox.project().join(".skills").exists());
    team.run(&["lock", "--check"]).ok();

    team.publish(&skill("charts", "1.1.0")).await;
    team.publish(&skill("notes", "1.1.0")).await;
    team.run(&["lock", "--check"]).ok();
    team.run(&["lock", "--update", "charts"]).ok();
    assert_eq!(team.locked(), ["charts 1.1.0", "notes 1.0.0"]);
    let renewed = team.run(&["--json", "lock", "--update"]).ok().json();
    assert_eq!(renewed["changes"][0]["skill"], "notes");
    assert_eq!(team.locked(), ["charts 1.1.0", "notes 1.1.0"]);
    let ran = team.run(&["lock", "--update", "nots"]);
    refused(&ran, 1, "not-in-project");
    says(&ran, "notes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outdated_shows_wanted_and_latest_and_what_was_withdrawn() {
    let published = [
        skill("charts", "1.0.0"),
        skill("colors", "1.0.0"),
        skill("fonts", "1.0.0"),
        skill("notes", "1.0.0"),
    ];
    let manifest = "[skills]\ncharts = \"^1\"\ncolors = \"^1\"\nfonts = \"^1\"\nnotes = \"^1\"\n";
    let team = Team::new(&published, manifest).await;
    team.run(&["install"]).ok();
    assert_eq!(
        team.run(&["outdated", "--exit-code"]).ok().stdout(),
        "4 skills are up to date.\n"
    );
    for (name, version) in [("charts", "1.2.0"), ("charts", "2.0.0"), ("fonts", "3.0.0")] {
        team.publish(&skill(name, version)).await;
    }
    let yanked = json!({"yanked": true, "yankReason": "leaks"});
    team.alice
        .patch("/api/v1/skills/colors/1.0.0", yanked)
        .await
        .assert_status(200);
    team.alice
        .put(
            "/api/v1/skills/fonts/deprecation",
            json!({"message": "use type"}),
        )
        .await
        .assert_status(200);

    let ran = team.run(&["outdated"]).ok();
    let rows: Vec<Vec<String>> = ran
        .stdout()
        .lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect();
    let url = team.hub.url.as_str();
    assert_eq!(
        rows[0][..5],
        ["NAME", "INSTALLED", "WANTED", "LATEST", "SOURCE"]
    );
    assert_eq!(rows[1], ["charts", "1.0.0", "1.2.0", "2.0.0", url]);
    assert_eq!(
        rows[2],
        ["colors", "1.0.0", "-", "-", url, "withdrawn:", "leaks"]
    );
    assert_eq!(rows[3][..4], ["fonts", "1.0.0", "1.0.0", "3.0.0"]);
    assert!(
        ran.stdout().contains("deprecated: use type"),
        "{}",
        ran.snapshot()
    );
    assert_eq!(rows.len(), 4, "what is up to date is not listed");
    assert_eq!(team.run(&["outdated", "--exit-code"]).code(), 1);
    let document = team.run(&["--json", "outdated"]).ok().json();
    assert_eq!(document["skills"][0]["standing"], "outdated");
    assert_eq!(document["skills"][2]["standing"], "held-back");
    assert_eq!(document["skills"].as_array().map(Vec::len), Some(4));

    // `update` stays within the project's ranges, and keeps the lock with it.
    says(
        &team.run(&["update"]).ok(),
        "this version of colors was withdrawn: leaks",
    );
    assert!(team.locked().contains(&"charts 1.2.0".to_owned()));
    team.run(&["update", "charts", "--latest"]).ok();
    assert!(team.locked().contains(&"charts 2.0.0".to_owned()));
    assert!(team.read("skills.toml").contains("charts = \"^2.0.0\""));
    team.run(&["install", "--frozen"]).ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_in_the_manifest_are_shown_with_their_line() {
    let published = [
        skill("charts", "1.0.0").depends_on("colors", "^1"),
        skill("report", "1.0.0").depends_on("colors", "^2"),
        skill("colors", "1.0.0"),
        skill("colors", "2.0.0"),
    ];
    let team = Team::new(&published, "[skills]\ncharts = \n").await;
    for verb in [
        ["install"].as_slice(),
        &["lock"],
        &["install", "charts"],
        &["outdated"],
    ] {
        let ran = team.run(verb);
        refused(&ran, 2, "project-invalid");
        says(&ran, "skills.toml:2");
    }
    team.manifest("[skills]\ncharts = { version = \"1\", registri = \"x\" }\n");
    let ran = team.run(&["install"]);
    refused(&ran, 2, "project-invalid");
    says(&ran, "registry");
    let manifest = "[skills]\ncharts = \"^1\"\nreport = \"^1\"\n";
    team.manifest(manifest);
    let ran = team.run(&["install"]);
    refused(&ran, 1, "version-conflict");
    for part in ["charts", "report", "colors", "^1", "^2"] {
        says(&ran, part);
    }
    team.manifest("[skills]\ncharts = \"^1\"\n\n[overrides]\ncolors = \"^9\"\n");
    let ran = team.run(&["install"]);
    refused(&ran, 1, "version-conflict");
    says(&ran, "charts 1.0.0 needs colors (overridden: ^9)");
    says(&ran, "take colors out of [overrides]");
    assert_eq!(team.read("skills.lock"), "");
    assert!(team.installed().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installs_at_once_lose_no_skill_of_the_project() {
    let names = ["one", "two", "three", "four", "five"];
    let published: Vec<Fixture> = names.iter().map(|name| skill(name, "1.0.0")).collect();
    let team = Team::new(&published, "").await;
    let children: Vec<_> = names
        .iter()
        .map(|name| team.sandbox.command(&["install", name]).spawn())
        .collect();
    for child in children {
        let status = child.expect("it starts").wait().expect("it ends");
        assert!(status.success());
    }
    let mut expected: Vec<String> = names.iter().map(|name| format!("{name} 1.0.0")).collect();
    expected.sort();
    assert_eq!(team.locked(), expected);
    for name in names {
        assert!(team.read("skills.toml").contains(name));
    }
    team.run(&["install", "--frozen"]).ok();
}

/// The states that a kill leaves: the store is written first, then `skills.toml`, then the lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_half_done_state_leads_on_in_the_direction_of_the_command() {
    let team = Team::new(&[skill("charts", "1.0.0"), skill("notes", "1.0.0")], "").await;
    team.run(&["install", "notes"]).ok();
    let (manifest, lock) = (team.read("skills.toml"), team.read("skills.lock"));
    team.run(&["install", "charts"]).ok();
    let (new_manifest, new_lock) = (team.read("skills.toml"), team.read("skills.lock"));

    // Killed before skills.toml: the same command does the rest.
    team.manifest(&manifest);
    team.sandbox.write("skills.lock", &lock);
    team.run(&["install", "charts"]).ok();
    assert_eq!(
        (team.read("skills.toml"), team.read("skills.lock")),
        (new_manifest.clone(), new_lock.clone())
    );

    // Killed before skills.lock: refused by name, and mended by the next install.
    team.sandbox.write("skills.lock", &lock);
    let ran = team.run(&["install", "--frozen"]);
    refused(&ran, 1, "lockfile-outdated");
    says(&ran, "charts is not locked");
    team.run(&["install"]).ok();
    assert_eq!(team.read("skills.lock"), new_lock);

    // An uninstall that was killed after the store.
    team.run(&["uninstall", "charts", "--no-save"]).ok();
    assert_eq!(team.read("skills.toml"), new_manifest);
    team.run(&["uninstall", "charts"]).ok();
    assert_eq!(
        (team.read("skills.toml"), team.read("skills.lock")),
        (manifest, lock)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skill_that_is_described_like_another_is_warned_about() {
    let described = |name: &str, text: &str| Fixture::new(name).version("1.0.0").description(text);
    let published = [
        described(
            "csv-analyzer",
            "Analyze CSV files: columns, types, missing values and statistics.",
        ),
        described(
            "table-stats",
            "Use when the user asks for statistics of CSV columns, types or missing values; analyzes tables.",
        ),
        described("poems", "Write verse about spring, rain and old friends."),
    ];
    let team = Team::new(&published, "").await;
    let first = team.run(&["install", "csv-analyzer"]).ok();
    assert!(!first.stderr().contains("alike"), "{}", first.snapshot());
    says(
        &team.run(&["install", "table-stats"]).ok(),
        "table-stats and csv-analyzer are described alike",
    );
    let other = team.run(&["install", "poems"]).ok();
    assert!(!other.stderr().contains("alike"), "{}", other.snapshot());
}

#[test]
fn a_broken_skill_is_warned_about_and_the_others_load() {
    let sandbox = Sandbox::new();
    for name in ["good", "bad", "fine"] {
        sandbox.skill(name);
    }
    std::fs::create_dir(sandbox.project().join(".skills")).expect("a folder");
    sandbox.run(&["install", "./good", "./bad", "./fine"]).ok();
    let installed = sandbox.project().join(".skills/bad/0.0.0/SKILL.md");
    std::fs::remove_file(&installed).expect("removed");
    std::fs::write(&installed, "no frontmatter").expect("written");
    sandbox.write(
        ".agents/skills/extra/SKILL.md",
        "---\nname: extra\ndescription: Does extra. Use it when asked to.\n---\n\nDo it.\n",
    );
    let ran = sandbox.run(&["load", "--format", "openai"]).ok();
    for name in ["good", "fine", "extra"] {
        assert!(ran.stdout().contains(name), "{}", ran.snapshot());
    }
    assert!(!ran.stdout().contains("\"bad\""), "{}", ran.snapshot());
    says(&ran, "bad/0.0.0 is left out");
    let one = sandbox.run(&["load", "good"]).ok();
    assert!(one.stderr().is_empty(), "{}", one.snapshot());
    refused(&sandbox.run(&["load", "bad"]), 1, "skill-unreadable");
    refused(&sandbox.run(&["load", "nobody"]), 1, "not-installed");
}
