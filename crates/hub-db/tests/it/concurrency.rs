//! Many at once: exactly one wins, nobody is lost, nobody waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hub_db::{Conflict, Db, DbError, NewSkill};
use hub_model::{SkillId, UserRecord};
use tokio::sync::Barrier;

use crate::fixture::{TENANT, draft, fresh, later, skill, start, user};
use crate::harness::{Given, on_both};

on_both!(
    publishing_the_same_version_at_once_has_one_winner,
    claiming_the_same_name_at_once_has_one_owner,
    publishing_and_counting_at_once,
    skills_that_share_tags_do_not_deadlock,
    the_losing_transaction_of_a_deadlock_is_run_again,
    a_lock_is_held_until_the_commit,
    readers_do_not_wait_for_a_writer,
    more_writers_than_connections_queue,
    requests_that_are_given_up_leave_nothing_half_done,
);

/// 100 rounds; new skills and existing ones take turns; from two handles, as two replicas.
async fn publishing_the_same_version_at_once_has_one_winner(Given { db, place }: Given) {
    const ROUNDS: usize = 100;
    let alice = user(&db, "alice").await;
    let other = place.connect().await;
    for round in 0..ROUNDS {
        let (name, version) = match round % 2 {
            0 => (format!("skill-{round}"), "1.0.0"),
            _ => (format!("skill-{}", round - 1), "1.0.1"),
        };
        let barrier = Arc::new(Barrier::new(2));
        let racer = |db: &Db| {
            let (db, alice, barrier) = (db.clone(), alice.clone(), barrier.clone());
            let draft = draft(&name, version);
            tokio::spawn(async move {
                barrier.wait().await;
                draft.try_publish(&db, &alice).await
            })
        };
        let (left, right) = (racer(&db), racer(&other));
        let outcomes = [left.await.expect("ends"), right.await.expect("ends")];
        let won: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().ok())
            .collect();
        let lost: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().err())
            .collect();
        assert_eq!(
            (won.len(), lost.len()),
            (1, 1),
            "round {round}: {outcomes:?}"
        );
        assert_eq!(
            lost[0].conflict(),
            Some(Conflict::Version),
            "round {round}: {lost:?}"
        );
        let stored = db
            .versions()
            .by_identity(won[0].skill_id, version)
            .await
            .expect("queries");
        assert_eq!(
            stored.map(|stored| stored.id),
            Some(won[0].id),
            "round {round}"
        );
    }
    assert_eq!(
        db.stats().of(TENANT).await.expect("queries").versions,
        ROUNDS as u64
    );
    assert_eq!(
        db.events().last_seq().await.expect("queries"),
        ROUNDS as i64
    );
}

async fn claiming_the_same_name_at_once_has_one_owner(Given { db, .. }: Given) {
    let mut users = Vec::new();
    for n in 0..8 {
        users.push(user(&db, &format!("user-{n}")).await);
    }
    let barrier = Arc::new(Barrier::new(users.len()));
    let mut tasks = tokio::task::JoinSet::new();
    for claimant in users {
        let (db, barrier) = (db.clone(), barrier.clone());
        tasks.spawn(async move {
            barrier.wait().await;
            let mut unit = db.begin().await.expect("begins");
            let claimed = unit
                .skills()
                .claim(&new_skill("wanted", &claimant))
                .await
                .expect("claims");
            unit.commit().await.expect("commits");
            (
                claimed.created,
                claimed.skill.id,
                claimed.skill.created_by,
                claimant.id,
            )
        });
    }
    let outcomes = tasks.join_all().await;
    let makers: Vec<_> = outcomes.iter().filter(|(created, ..)| *created).collect();
    assert_eq!(makers.len(), 1);
    let (_, id, maker, claimant) = makers[0];
    assert_eq!(maker, claimant);
    assert!(
        outcomes
            .iter()
            .all(|(_, other, by, _)| other == id && by == maker)
    );
    let owners = db.owners().of(&[*id]).await.expect("lists");
    assert_eq!(
        owners.iter().map(|owner| owner.user_id).collect::<Vec<_>>(),
        [*maker]
    );
}

fn new_skill(name: &str, by: &UserRecord) -> NewSkill {
    NewSkill {
        id: fresh!(SkillId),
        tenant: TENANT,
        name: name.into(),
        name_key: name.into(),
        created_by: by.id,
        created_at: start(),
    }
}

/// The locks' order: publishing, rating and counting the same skills in different orders.
async fn publishing_and_counting_at_once(Given { db, place }: Given) {
    let alice = user(&db, "alice").await;
    let mut batch = Vec::new();
    for n in 0..6 {
        let version = draft(&format!("s-{n}"), "1.0.0")
            .tags(&["a", "b"])
            .publish(&db, &alice)
            .await;
        batch.push(hub_model::Downloads {
            skill_id: version.skill_id,
            version_id: version.id,
            day: 1,
            count: 1,
        });
    }
    let mut tasks = tokio::task::JoinSet::new();
    for turn in 0..6_usize {
        let (db, other, alice) = (db.clone(), place.connect().await, alice.clone());
        let mut batch = batch.clone();
        batch.rotate_left(turn);
        tasks.spawn(async move {
            for _ in 0..5 {
                other.record_downloads(&batch).await.expect("records");
            }
        });
        tasks.spawn(async move {
            for patch in 1..6 {
                let tags: &[&str] = if patch % 2 == 0 {
                    &["a", "b"]
                } else {
                    &["b", "c"]
                };
                draft(&format!("s-{turn}"), &format!("1.0.{patch}"))
                    .tags(tags)
                    .publish(&db, &alice)
                    .await;
            }
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.expect("ends");
    }
    for n in 0..6 {
        let skill = skill(&db, &format!("s-{n}")).await;
        assert_eq!(
            (
                skill.downloads,
                skill.latest.expect("has one").version.as_str()
            ),
            (30, "1.0.5")
        );
    }
    let tags = db.tags().list(TENANT, 10).await.expect("lists");
    let shown: Vec<(&str, u64)> = tags
        .iter()
        .map(|tag| (tag.name.as_str(), tag.count))
        .collect();
    assert_eq!(shown, [("b", 6), ("c", 6)]);
}

async fn skills_that_share_tags_do_not_deadlock(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..20 {
        let (db, alice) = (db.clone(), alice.clone());
        tasks.spawn(async move {
            let mut tags = ["a", "b", "c", "d"];
            tags.rotate_left(n % 4);
            draft(&format!("s-{n}"), "1.0.0")
                .tags(&tags)
                .publish(&db, &alice)
                .await;
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.expect("publishes without a deadlock");
    }
    assert!(
        db.tags()
            .list(TENANT, 10)
            .await
            .expect("lists")
            .iter()
            .all(|tag| tag.count == 20)
    );
}

/// Two transactions lock two skills in opposite orders, as no transaction of ours does. PostgreSQL ends one of them;
/// SQLite never lets it come to that.
async fn the_losing_transaction_of_a_deadlock_is_run_again(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    for name in ["a", "b"] {
        draft(name, "1.0.0").publish(&db, &alice).await;
    }
    let runs = Arc::new(AtomicU32::new(0));
    let met = Arc::new(tokio::sync::Semaphore::new(0));
    let locker = |first: &'static str, second: &'static str| {
        let (db, runs, met) = (db.clone(), runs.clone(), met.clone());
        tokio::spawn(async move {
            db.transact::<_, DbError>(|unit| {
                let (runs, met) = (runs.clone(), met.clone());
                Box::pin(async move {
                    unit.skills().lock(TENANT, first).await?;
                    // The first run of each waits a moment for the other's first lock; on SQLite that never comes.
                    if runs.fetch_add(1, Ordering::SeqCst) < 2 {
                        met.add_permits(1);
                        let both = met.acquire_many(2);
                        if let Ok(permits) =
                            tokio::time::timeout(std::time::Duration::from_millis(300), both).await
                        {
                            drop(permits.expect("open"));
                        }
                    }
                    unit.skills().lock(TENANT, second).await?;
                    Ok(())
                })
            })
            .await
        })
    };
    let (left, right) = (locker("a", "b"), locker("b", "a"));
    left.await.expect("ends").expect("commits in the end");
    right.await.expect("ends").expect("commits in the end");
    let expected = match db.dialect() {
        hub_db::Dialect::Sqlite => 2,
        hub_db::Dialect::Postgres => 3,
    };
    assert_eq!(runs.load(Ordering::SeqCst), expected);
}

async fn a_lock_is_held_until_the_commit(Given { db, place }: Given) {
    let alice = user(&db, "alice").await;
    draft("s", "1.0.0").publish(&db, &alice).await;
    let mut first = db.begin().await.expect("begins");
    first.skills().lock(TENANT, "s").await.expect("locks");
    let other = place.connect().await;
    let second = tokio::spawn(async move {
        let mut unit = other.begin().await.expect("begins");
        let skill = unit
            .skills()
            .lock(TENANT, "s")
            .await
            .expect("locks")
            .expect("exists");
        unit.rollback().await.expect("rolls back");
        skill.updated_at
    });
    let skill_id = first
        .skills()
        .by_name(TENANT, "s")
        .await
        .expect("queries")
        .expect("exists")
        .id;
    first
        .skills()
        .set_deprecation(skill_id, None, later(77))
        .await
        .expect("sets");
    first.commit().await.expect("commits");
    assert_eq!(
        second.await.expect("ends"),
        later(77),
        "it saw what the first one wrote"
    );
}

async fn readers_do_not_wait_for_a_writer(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    draft("s", "1.0.0").publish(&db, &alice).await;
    let mut unit = db.begin().await.expect("begins");
    draft("s", "2.0.0")
        .publish_in(&mut unit, &alice)
        .await
        .expect("publishes");
    assert_eq!(
        skill(&db, "s").await.latest.expect("has one").version,
        "1.0.0",
        "and see what is committed"
    );
    unit.commit().await.expect("commits");
    assert_eq!(
        skill(&db, "s").await.latest.expect("has one").version,
        "2.0.0"
    );
}

async fn more_writers_than_connections_queue(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..60 {
        let (db, alice) = (db.clone(), alice.clone());
        tasks.spawn(async move {
            draft(&format!("s-{n}"), "1.0.0")
                .try_publish(&db, &alice)
                .await
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.expect("ends").expect("nobody is turned away");
    }
    assert_eq!(db.stats().of(TENANT).await.expect("queries").skills, 60);
}

/// A client that goes away drops its request's future wherever it happens to stand.
async fn requests_that_are_given_up_leave_nothing_half_done(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    for round in 0..60_u64 {
        let (task_db, task_alice) = (db.clone(), alice.clone());
        let task = tokio::spawn(async move {
            draft(&format!("s-{round}"), "1.0.0")
                .tags(&["data"])
                .try_publish(&task_db, &task_alice)
                .await
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(std::time::Duration::from_micros(round * 150)).await;
        task.abort();
        // An aborted one may have been done all the same; what matters is that it is whole.
        let _ = task.await;
    }
    draft("last", "1.0.0")
        .tags(&["data"])
        .publish(&db, &alice)
        .await;
    let stats = db.stats().of(TENANT).await.expect("queries");
    let events = db.events().after(0, 100).await.expect("reads");
    assert_eq!(events.len() as u64, stats.skills);
    assert_eq!(stats.versions, stats.skills);
    assert_eq!(
        db.tags().list(TENANT, 10).await.expect("lists")[0].count,
        stats.skills
    );
    for event in events {
        let Some(hub_model::Event::SkillPublished {
            skill: published, ..
        }) = event.event()
        else {
            panic!("{event:?}")
        };
        let stored = skill(&db, &published.name).await;
        assert_eq!(
            stored.latest.map(|latest| latest.id),
            Some(published.version_id)
        );
    }
}
