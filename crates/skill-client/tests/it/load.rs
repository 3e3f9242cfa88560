//! Loading installed skills, and how they stand against their registry.

use serde_json::json;
use skill_client::loader::{Place, PlaceKind, Precedence, load};
use skill_client::outdated::{Availability, OutdatedRow, Standing, outdated};
use skill_format::Framework;
use testkit::{Fixture, TestHub};

use crate::support::{Author, User, name};

fn store(user: &User, precedence: Precedence) -> Place {
    Place {
        precedence,
        kind: PlaceKind::Store(user.store.dir().to_owned()),
    }
}

fn folder(dir: &std::path::Path, precedence: Precedence) -> Place {
    Place {
        precedence,
        kind: PlaceKind::Folder(dir.to_owned()),
    }
}

#[tokio::test]
async fn the_bad_one_is_warned_about_and_the_others_load() {
    let user = User::alone();
    for skill in ["good", "bad", "fine"] {
        Author::of(skill, "1.0.0").write(user.folder());
    }
    user.install(&user.request(&["./good", "./bad", "./fine"]))
        .await
        .expect("installs");
    user.edit("bad", "SKILL.md", "no frontmatter at all");
    std::fs::remove_file(user.path_of("bad", "skill.yaml")).expect("remove");
    let loaded = load(&[store(&user, Precedence::Project)], &[]);
    let names: Vec<&str> = loaded
        .skills
        .iter()
        .map(|skill| skill.name.as_str())
        .collect();
    assert_eq!(names, ["fine", "good"]);
    assert_eq!(loaded.warnings.len(), 1);
    assert!(
        loaded.warnings[0].message.contains("bad/1.0.0 is left out"),
        "{}",
        loaded.warnings[0]
    );

    let claude = loaded.render(Framework::Claude, false).to_string();
    assert!(claude.contains("good") && !claude.contains("bad"));
    assert!(
        claude.contains(
            &user
                .path_of("good", "")
                .display()
                .to_string()
                .trim_end_matches('/')
                .to_owned()
        )
    );
    let one = load(&[store(&user, Precedence::Project)], &[name("good")]);
    assert_eq!(one.skills.len(), 1);
    assert!(one.warnings.is_empty(), "the bad one was not asked for");
}

#[tokio::test]
async fn the_projects_skill_wins_over_the_users() {
    let (project, user) = (User::alone(), User::alone());
    for (owner, version) in [(&project, "1.0.0"), (&user, "2.0.0")] {
        Author::of("shared", version).write(owner.folder());
        owner
            .install(&owner.request(&["./shared"]))
            .await
            .expect("installs");
    }
    let loaded = load(
        &[
            store(&user, Precedence::User),
            store(&project, Precedence::Project),
        ],
        &[],
    );
    assert_eq!(loaded.skills.len(), 1);
    let shared = loaded.get(&name("shared")).expect("loaded");
    assert_eq!(
        (
            shared.precedence,
            shared.skill.manifest.version.as_ref().expect("set").major
        ),
        (Precedence::Project, 1)
    );
    assert_eq!(loaded.warnings[0].code, "shadowed");
}

#[test]
fn plain_folders_are_looked_through() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    Author::of("one", "1.0.0").write(&dir.path().join("a/b"));
    Author::bare("two").write(dir.path());
    let loaded = load(
        &[
            folder(dir.path(), Precedence::Project),
            folder(&dir.path().join("absent"), Precedence::User),
        ],
        &[],
    );
    let names: Vec<&str> = loaded
        .skills
        .iter()
        .map(|skill| skill.name.as_str())
        .collect();
    assert_eq!(names, ["one", "two"]);
    assert!(loaded.warnings.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newer_versions_are_found_in_a_real_registry() {
    let hub = TestHub::start().await;
    let alice = hub.publisher("alice").await;
    for (skill, version) in [("charts", "1.0.0"), ("fonts", "1.0.0"), ("colors", "1.0.0")] {
        alice
            .publish(&Fixture::new(skill).version(version))
            .await
            .assert_status(201);
    }
    let user = User::of(&hub.url);
    Author::of("local", "0.1.0").write(user.folder());
    user.install(&user.request(&["charts@^1", "fonts@^1", "colors", "./local"]))
        .await
        .expect("installs");
    for (skill, version) in [
        ("charts", "1.2.0"),
        ("charts", "2.0.0"),
        ("charts", "3.0.0-rc.1"),
        ("fonts", "2.0.0"),
    ] {
        alice
            .publish(&Fixture::new(skill).version(version))
            .await
            .assert_status(201);
    }
    alice
        .patch(
            "/api/v1/skills/colors/1.0.0",
            json!({"yanked": true, "yankReason": "leaks"}),
        )
        .await
        .assert_status(200);
    alice
        .put(
            "/api/v1/skills/fonts/deprecation",
            json!({"message": "use type"}),
        )
        .await
        .assert_status(200);

    let index = user.store.index().expect("an index");
    let range =
        |skill: &skill_client::InstalledSkill| skill_client::outdated::ranges(&index, skill, None);
    let rows = outdated(
        index.skills(),
        &[&user.client],
        &range,
        Availability::default(),
    )
    .await;
    let row = |skill: &str| -> &OutdatedRow {
        rows.iter()
            .find(|row| row.name.as_str() == skill)
            .expect(skill)
    };
    let charts = row("charts");
    assert_eq!(charts.standing, Standing::Outdated);
    assert_eq!(
        (
            charts.wanted.as_ref().map(ToString::to_string),
            charts.latest.as_ref().map(ToString::to_string)
        ),
        (Some("1.2.0".into()), Some("2.0.0".into()))
    );
    assert_eq!(
        (row("fonts").standing, row("fonts").deprecated.as_deref()),
        (Standing::HeldBack, Some("use type"))
    );
    assert_eq!(
        (row("colors").standing, row("colors").yanked.as_deref()),
        (Standing::UpToDate, Some("leaks"))
    );
    assert_eq!(row("local").standing, Standing::Local);
    assert!(row("colors").needs_attention() && !row("local").needs_attention());

    let before_everything = Availability {
        published_until: Some(jiff::Timestamp::UNIX_EPOCH),
    };
    let young = outdated(index.skills(), &[&user.client], &range, before_everything).await;
    assert!(young.iter().all(|row| row.standing != Standing::Outdated));
    let url = hub.url.clone();
    hub.stop().await;
    let down = outdated(
        index.skills(),
        &[&user.client],
        &range,
        Availability::default(),
    )
    .await;
    let charts = down
        .iter()
        .find(|row| row.name.as_str() == "charts")
        .expect("charts");
    assert_eq!(charts.standing, Standing::Unreachable, "{url} is down");
    assert!(charts.problem.is_some());
}
