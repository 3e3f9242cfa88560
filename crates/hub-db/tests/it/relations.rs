//! What hangs together: a skill's releases, owners, dependents, archives; look-ups of several at once.

use hub_model::{Deprecation, SkillId, VersionId};

use crate::fixture::{TENANT, draft, fresh, later, skill, user};
use crate::harness::{Given, on_both};

on_both!(
    releases_come_highest_first,
    numbers_of_several_skills,
    lookup_by_ids_keeps_the_order,
    deprecation_round_trips,
    owners_come_and_go,
    dependents_of_the_latest_and_of_any_version,
    archives_in_use,
    the_index_sees_every_skill,
);

async fn releases_come_highest_first(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    for version in ["1.0.0", "1.0.0-rc.1", "0.9.0", "10.0.0", "2.0.0"] {
        draft("s", version)
            .depends_on("base", "^1")
            .publish(&db, &alice)
            .await;
    }
    let id = skill(&db, "s").await.id;
    let releases = db.versions().releases(id).await.expect("lists");
    let numbers: Vec<&str> = releases
        .iter()
        .map(|release| release.version.as_str())
        .collect();
    assert_eq!(numbers, ["10.0.0", "2.0.0", "1.0.0", "1.0.0-rc.1", "0.9.0"]);
    assert_eq!(releases[0].media_type, "application/gzip");
    let signed = db
        .versions()
        .signed_by(TENANT, &"AB".repeat(20), 3)
        .await
        .expect("lists");
    assert_eq!(signed.len(), 3);
}

async fn numbers_of_several_skills(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    for (name, version) in [
        ("a", "1.0.0"),
        ("a", "1.1.0"),
        ("a", "1.2.0"),
        ("b", "0.1.0"),
        ("c", "9.0.0"),
    ] {
        draft(name, version).publish(&db, &alice).await;
    }
    let (a, b) = (skill(&db, "a").await.id, skill(&db, "b").await.id);
    let unknown = fresh!(SkillId);
    let found = db
        .versions()
        .numbers_of(&[b, unknown, a], 2)
        .await
        .expect("lists");
    let of = |id| {
        found
            .iter()
            .filter(|(skill, _)| *skill == id)
            .map(|(_, n)| n.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of(a), of(b), found.len()),
        (vec!["1.2.0", "1.1.0"], vec!["0.1.0"], 3)
    );
    assert!(
        db.versions()
            .numbers_of(&[], 2)
            .await
            .expect("lists")
            .is_empty()
    );
}

async fn lookup_by_ids_keeps_the_order(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        ids.push(draft(name, "1.0.0").publish(&db, &alice).await.skill_id);
    }
    ids.swap(0, 4);
    ids.insert(2, fresh!(SkillId));
    let names: Vec<String> = db
        .skills()
        .by_ids(&ids)
        .await
        .expect("queries")
        .into_iter()
        .map(|skill| skill.name)
        .collect();
    assert_eq!(names, ["e", "b", "c", "d", "a", "f"]);
    assert!(db.skills().by_ids(&[]).await.expect("queries").is_empty());
}

async fn deprecation_round_trips(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let id = draft("s", "1.0.0").publish(&db, &alice).await.skill_id;
    let deprecation = Deprecation {
        message: "use `t`".into(),
        at: later(5),
    };
    for (given, expected) in [
        (Some(&deprecation), Some(deprecation.clone())),
        (None, None),
    ] {
        let mut unit = db.begin().await.expect("begins");
        unit.skills()
            .set_deprecation(id, given, later(6))
            .await
            .expect("sets");
        unit.commit().await.expect("commits");
        assert_eq!(skill(&db, "s").await.deprecated, expected);
    }
}

async fn owners_come_and_go(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let bob = user(&db, "bob").await;
    let id = draft("s", "1.0.0").publish(&db, &alice).await.skill_id;
    let other = draft("t", "1.0.0").publish(&db, &bob).await.skill_id;
    let mut unit = db.begin().await.expect("begins");
    assert!(
        unit.owners()
            .add(TENANT, id, bob.id, alice.id, later(1))
            .await
            .expect("adds")
    );
    assert!(
        !unit
            .owners()
            .add(TENANT, id, bob.id, alice.id, later(2))
            .await
            .expect("adds"),
        "twice is fine"
    );
    unit.commit().await.expect("commits");
    let owners = db.owners().of(&[id, other]).await.expect("lists");
    let of = |id| {
        owners
            .iter()
            .filter(|o| o.skill_id == id)
            .map(|o| o.username.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!((of(id), of(other)), (vec!["alice", "bob"], vec!["bob"]));
    let mut owned = db
        .owners()
        .skills_of(bob.id, None, 10)
        .await
        .expect("lists");
    owned.sort();
    let mut expected = vec![id, other];
    expected.sort();
    assert_eq!(owned, expected);

    let mut unit = db.begin().await.expect("begins");
    assert!(unit.owners().remove(id, alice.id).await.expect("removes"));
    assert!(!unit.owners().remove(id, alice.id).await.expect("removes"));
    unit.commit().await.expect("commits");
    assert!(!db.owners().is_owner(id, alice.id).await.expect("queries"));
}

async fn dependents_of_the_latest_and_of_any_version(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let base = draft("base", "1.0.0")
        .depends_on("base", "*")
        .publish(&db, &alice)
        .await
        .skill_id;
    draft("old-user", "1.0.0")
        .depends_on("base", "^1")
        .publish(&db, &alice)
        .await;
    draft("old-user", "2.0.0").publish(&db, &alice).await;
    draft("user", "1.0.0")
        .depends_on("base", "=1.0.0")
        .publish(&db, &alice)
        .await;
    draft("user", "1.1.0")
        .depends_on("base", "^1.0")
        .publish(&db, &alice)
        .await;
    let gone = draft("gone", "1.0.0")
        .depends_on("base", "*")
        .publish(&db, &alice)
        .await;
    let mut unit = db.begin().await.expect("begins");
    unit.versions()
        .delete(&gone, later(1))
        .await
        .expect("deletes");
    unit.commit().await.expect("commits");

    let current = db
        .dependents()
        .current(TENANT, "base", None, 10)
        .await
        .expect("lists");
    let mut shown: Vec<_> = current
        .iter()
        .map(|d| (d.name.as_str(), d.version.as_str(), d.range.as_str()))
        .collect();
    shown.sort_unstable();
    assert_eq!(shown, [("base", "1.0.0", "*"), ("user", "1.1.0", "^1.0")]);

    let mut seen = Vec::new();
    let mut after: Option<VersionId> = None;
    loop {
        let page = db
            .dependents()
            .of_any_version(TENANT, "base", base, after, 1)
            .await
            .expect("lists");
        let Some(last) = page.last() else { break };
        after = Some(last.version_id);
        seen.extend(
            page.into_iter()
                .map(|d| format!("{}@{}", d.name, d.version)),
        );
    }
    seen.sort();
    assert_eq!(seen, ["old-user@1.0.0", "user@1.0.0", "user@1.1.0"]);
}

async fn archives_in_use(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let mut digests = Vec::new();
    let mut versions = Vec::new();
    for name in ["a", "b", "c"] {
        let version = draft(name, "1.0.0").publish(&db, &alice).await;
        digests.push(version.sha256.clone());
        versions.push(version);
    }
    digests.sort();
    assert_eq!(
        db.versions().archives(None, 10).await.expect("lists"),
        digests
    );
    assert_eq!(
        db.versions()
            .archives(Some(&digests[0]), 1)
            .await
            .expect("lists"),
        digests[1..2]
    );
    assert!(
        db.versions()
            .archive_is_used(&versions[0].sha256)
            .await
            .expect("queries")
    );
    let mut unit = db.begin().await.expect("begins");
    unit.versions()
        .delete(&versions[0], later(1))
        .await
        .expect("deletes");
    assert!(
        !unit
            .versions()
            .archive_is_used(&versions[0].sha256)
            .await
            .expect("queries")
    );
    unit.commit().await.expect("commits");
    assert_eq!(
        db.versions().archives(None, 10).await.expect("lists").len(),
        2
    );
}

async fn the_index_sees_every_skill(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let mut names: Vec<String> = (0..25).map(|n| format!("skill-{n:02}")).collect();
    for name in &names {
        draft(name, "1.0.0").publish(&db, &alice).await;
    }
    let hidden = skill(&db, "skill-03").await;
    let version = db
        .versions()
        .by_identity(hidden.id, "1.0.0")
        .await
        .expect("queries")
        .expect("exists");
    let mut unit = db.begin().await.expect("begins");
    unit.versions()
        .yank(&version, None, later(1))
        .await
        .expect("yanks");
    unit.commit().await.expect("commits");

    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = db.skills().all_for_index(after, 7).await.expect("lists");
        let Some(last) = page.last() else { break };
        after = Some(last.skill.id);
        seen.extend(page);
    }
    for entry in &seen {
        let expected = if entry.skill.id == hidden.id {
            ""
        } else {
            "# Instructions"
        };
        assert_eq!(entry.body, expected, "{}", entry.skill.name);
    }
    let mut found: Vec<String> = seen.into_iter().map(|entry| entry.skill.name).collect();
    found.sort();
    names.sort();
    assert_eq!(found, names);
    let one = db
        .skills()
        .for_index(hidden.id)
        .await
        .expect("queries")
        .expect("exists");
    assert_eq!(one.skill.latest, None);
}
