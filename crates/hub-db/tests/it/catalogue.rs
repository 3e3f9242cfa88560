//! Publishing, yanking, deleting: what stands in the catalogue afterwards.

use hub_db::{Conflict, NewSkill, NewVersion};
use hub_model::{SkillId, VersionState};

use crate::fixture::{TENANT, draft, fresh, later, skill, start, user};
use crate::harness::{Given, on_both};

on_both!(
    a_first_version_makes_the_skill,
    latest_is_the_highest_release_that_is_not_yanked,
    a_prerelease_is_latest_only_without_releases,
    yanking_everything_unlists_and_restoring_lists_again,
    a_deleted_version_keeps_its_number,
    a_version_is_the_same_whatever_its_build_metadata,
    another_spelling_finds_the_same_skill,
    a_rollback_leaves_nothing,
    an_uncommitted_unit_dropped_leaves_nothing,
);

async fn a_first_version_makes_the_skill(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let draft = draft("csv-analyzer", "1.0.0").tags(&["data", "csv"]);
    let version = draft.publish(&db, &alice).await;
    let skill = skill(&db, "csv-analyzer").await;
    assert_eq!(skill.id, version.skill_id);
    assert_eq!(skill.about, draft.about);
    assert_eq!(skill.created_by, alice.id);
    let latest = skill.latest.clone().expect("has a version");
    assert_eq!(
        (latest.id, latest.version.as_str(), latest.size),
        (version.id, "1.0.0", 1234)
    );
    assert_eq!(
        (latest.sha256, latest.media_type),
        (version.sha256.clone(), version.media_type.clone())
    );
    assert!(
        db.owners()
            .is_owner(skill.id, alice.id)
            .await
            .expect("queries")
    );
    assert_eq!(
        db.versions().by_id(version.id).await.expect("queries"),
        Some(version.clone())
    );
    assert_eq!(
        db.versions()
            .by_identity(skill.id, "1.0.0")
            .await
            .expect("queries"),
        Some(version.clone())
    );
    assert_eq!(
        db.versions()
            .body(version.id)
            .await
            .expect("queries")
            .as_deref(),
        Some("# Instructions")
    );
    assert_eq!(
        db.skills().by_id(skill.id).await.expect("queries"),
        Some(skill.clone())
    );
    assert_eq!(
        db.skills()
            .by_key(TENANT, &skill.name_key)
            .await
            .expect("queries"),
        Some(skill)
    );
}

async fn latest_is_the_highest_release_that_is_not_yanked(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    draft("s", "1.9.0").publish(&db, &alice).await;
    let ten = draft("s", "1.10.0").publish(&db, &alice).await;
    draft("s", "1.2.0").publish(&db, &alice).await;
    draft("s", "2.0.0-beta.1").publish(&db, &alice).await;
    let latest = |skill: hub_model::SkillRecord| skill.latest.expect("has one").version;
    assert_eq!(latest(skill(&db, "s").await), "1.10.0");

    let mut unit = db.begin().await.expect("begins");
    unit.versions()
        .yank(&ten, Some("broken"), later(9))
        .await
        .expect("yanks");
    unit.commit().await.expect("commits");
    let after = skill(&db, "s").await;
    assert_eq!(after.updated_at, later(9));
    assert_eq!(latest(after), "1.9.0");
    let yanked = db
        .versions()
        .by_id(ten.id)
        .await
        .expect("queries")
        .expect("exists");
    assert_eq!(yanked.state, VersionState::Yanked);
    assert_eq!(
        (yanked.yank_reason.as_deref(), yanked.state_changed_at),
        (Some("broken"), Some(later(9)))
    );

    let mut unit = db.begin().await.expect("begins");
    unit.versions()
        .restore(&ten, later(10))
        .await
        .expect("restores");
    unit.commit().await.expect("commits");
    assert_eq!(latest(skill(&db, "s").await), "1.10.0");
    let restored = db
        .versions()
        .by_id(ten.id)
        .await
        .expect("queries")
        .expect("exists");
    assert_eq!(
        (restored.state, restored.yank_reason),
        (VersionState::Active, None)
    );
}

async fn a_prerelease_is_latest_only_without_releases(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    draft("s", "2.0.0-beta.2").publish(&db, &alice).await;
    draft("s", "2.0.0-beta.10").publish(&db, &alice).await;
    assert_eq!(
        skill(&db, "s").await.latest.expect("has one").version,
        "2.0.0-beta.10"
    );
    draft("s", "0.1.0").publish(&db, &alice).await;
    assert_eq!(
        skill(&db, "s").await.latest.expect("has one").version,
        "0.1.0"
    );
}

async fn yanking_everything_unlists_and_restoring_lists_again(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let version = draft("s", "1.0.0")
        .tags(&["data"])
        .publish(&db, &alice)
        .await;
    let counts = |stats: hub_model::Stats| (stats.skills, stats.versions, stats.publishers);
    assert_eq!(
        counts(db.stats().of(TENANT).await.expect("queries")),
        (1, 1, 1)
    );

    let mut unit = db.begin().await.expect("begins");
    unit.versions()
        .yank(&version, None, later(1))
        .await
        .expect("yanks");
    unit.commit().await.expect("commits");
    let unlisted = skill(&db, "s").await;
    assert_eq!(unlisted.latest, None);
    assert_eq!(unlisted.about, version.about, "what it said stays readable");
    assert_eq!(
        counts(db.stats().of(TENANT).await.expect("queries")),
        (0, 1, 1)
    );
    assert!(db.tags().list(TENANT, 10).await.expect("lists").is_empty());

    let mut unit = db.begin().await.expect("begins");
    unit.versions()
        .restore(&version, later(2))
        .await
        .expect("restores");
    unit.commit().await.expect("commits");
    assert!(skill(&db, "s").await.latest.is_some());
    assert_eq!(
        counts(db.stats().of(TENANT).await.expect("queries")),
        (1, 1, 1)
    );
    assert_eq!(db.tags().list(TENANT, 10).await.expect("lists")[0].count, 1);
}

async fn a_deleted_version_keeps_its_number(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let version = draft("s", "1.0.0")
        .depends_on("other", "^1")
        .publish(&db, &alice)
        .await;
    let mut unit = db.begin().await.expect("begins");
    unit.versions()
        .delete(&version, later(1))
        .await
        .expect("deletes");
    unit.commit().await.expect("commits");

    let deleted = db
        .versions()
        .by_identity(version.skill_id, "1.0.0")
        .await
        .expect("queries")
        .expect("remembered");
    assert_eq!(deleted.state, VersionState::Deleted);
    assert_eq!(
        (deleted.signature, deleted.manifest),
        (None, serde_json::Value::Null)
    );
    assert_eq!(
        deleted.about,
        hub_model::About::default(),
        "nothing that it said is kept"
    );
    assert_eq!(
        db.versions()
            .body(version.id)
            .await
            .expect("queries")
            .as_deref(),
        Some("")
    );
    assert!(
        db.versions()
            .releases(version.skill_id)
            .await
            .expect("lists")
            .is_empty()
    );
    assert!(
        db.dependents()
            .current(TENANT, "other", None, 10)
            .await
            .expect("lists")
            .is_empty()
    );
    assert_eq!(db.stats().of(TENANT).await.expect("queries").versions, 0);

    let again = draft("s", "1.0.0")
        .try_publish(&db, &alice)
        .await
        .expect_err("used");
    assert_eq!(again.conflict(), Some(Conflict::Version));
    let mut unit = db.begin().await.expect("begins");
    assert!(
        unit.versions().restore(&version, later(2)).await.is_err(),
        "deleted is for ever"
    );
}

async fn a_version_is_the_same_whatever_its_build_metadata(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    draft("s", "1.0.0+linux").publish(&db, &alice).await;
    for same in ["1.0.0", "1.0.0+linux", "1.0.0+mac"] {
        let error = draft("s", same)
            .try_publish(&db, &alice)
            .await
            .expect_err("used");
        assert_eq!(error.conflict(), Some(Conflict::Version), "{same}");
    }
    assert_eq!(
        skill(&db, "s").await.latest.expect("has one").version,
        "1.0.0+linux"
    );
}

async fn another_spelling_finds_the_same_skill(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let bob = user(&db, "bob").await;
    draft("csv-tool", "1.0.0").publish(&db, &alice).await;
    let mut unit = db.begin().await.expect("begins");
    let claimed = unit
        .skills()
        .claim(&NewSkill {
            id: fresh!(SkillId),
            tenant: TENANT,
            name: "csv_tool".into(),
            name_key: "csv-tool".into(),
            created_by: bob.id,
            created_at: start(),
        })
        .await
        .expect("claims");
    assert!(!claimed.created);
    assert_eq!(claimed.skill.name, "csv-tool");
    assert!(
        !unit
            .owners()
            .is_owner(claimed.skill.id, bob.id)
            .await
            .expect("queries")
    );
    assert!(
        unit.skills()
            .by_name(TENANT, "csv_tool")
            .await
            .expect("queries")
            .is_none()
    );
    assert!(
        unit.skills()
            .lock(TENANT, "csv-tool")
            .await
            .expect("locks")
            .is_some()
    );
}

async fn a_rollback_leaves_nothing(Given { db, place }: Given) {
    let alice = user(&db, "alice").await;
    let mut unit = db.begin().await.expect("begins");
    draft("s", "1.0.0")
        .tags(&["data"])
        .depends_on("t", "*")
        .publish_in(&mut unit, &alice)
        .await
        .expect("publishes");
    unit.rollback().await.expect("rolls back");
    nothing_is_there(&db, &place).await;
}

async fn an_uncommitted_unit_dropped_leaves_nothing(Given { db, place }: Given) {
    let alice = user(&db, "alice").await;
    let mut unit = db.begin().await.expect("begins");
    draft("s", "1.0.0")
        .tags(&["data"])
        .depends_on("t", "*")
        .publish_in(&mut unit, &alice)
        .await
        .expect("publishes");
    drop(unit);
    nothing_is_there(&db, &place).await;
    // And the connection is good for the next one.
    draft("s", "1.0.0").publish(&db, &alice).await;
}

async fn nothing_is_there(db: &hub_db::Db, place: &crate::harness::Place) {
    let mut raw = place.raw().await;
    for table in [
        "skills",
        "versions",
        "dependencies",
        "skill_owners",
        "skill_tags",
        "tags",
        "events",
        "tenant_stats",
    ] {
        let text = format!("SELECT COUNT(*) FROM {table}");
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(text))
            .fetch_one(&mut raw)
            .await
            .expect("counts");
        assert_eq!(count, 0, "{table}");
    }
    assert_eq!(db.events().last_seq().await.expect("queries"), 0);
}

#[tokio::test]
async fn a_version_that_is_no_semantic_version_is_never_stored() {
    let (place, _folder) = crate::harness::empty_sqlite();
    let db = place.connect().await;
    db.migrate().await.expect("migrates");
    let alice = user(&db, "alice").await;
    let draft = draft("s", "one");
    let mut unit = db.begin().await.expect("begins");
    let record = draft.record(fresh!(SkillId), alice.id);
    let outcome = unit
        .versions()
        .insert(NewVersion {
            record: &record,
            depends_on: &[],
            body: "",
        })
        .await;
    assert!(
        matches!(outcome, Err(hub_db::DbError::Internal(_))),
        "{outcome:?}"
    );
}
