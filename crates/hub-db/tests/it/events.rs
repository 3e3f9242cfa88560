//! The outbox: complete, in the order of commits, never ahead of what is visible.

use std::time::Duration;

use hub_model::{Event, StoredEvent};

use crate::fixture::{TENANT, draft, kept_since, later, start, user};
use crate::harness::{Given, on_both};

on_both!(
    an_event_round_trips,
    numbers_have_no_gaps_whatever_is_rolled_back,
    the_order_is_the_order_of_commits,
    a_commit_wakes_whoever_watches,
    old_events_are_purged,
);

async fn an_event_round_trips(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let version = draft("s", "1.0.0")
        .tags(&["ä", "🦀"])
        .publish(&db, &alice)
        .await;
    let events = db.events().after(0, 10).await.expect("reads");
    let [stored] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((stored.seq, stored.tenant, stored.at), (1, TENANT, start()));
    assert_eq!(stored.kind, "skill-published");
    assert_eq!(
        stored.event(),
        Some(crate::fixture::published(&version, "s", "alice"))
    );
}

async fn numbers_have_no_gaps_whatever_is_rolled_back(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    for n in 0..6 {
        let mut unit = db.begin().await.expect("begins");
        draft(&format!("s-{n}"), "1.0.0")
            .publish_in(&mut unit, &alice)
            .await
            .expect("publishes");
        draft(&format!("t-{n}"), "1.0.0")
            .publish_in(&mut unit, &alice)
            .await
            .expect("publishes");
        if n % 2 == 0 {
            unit.commit().await.expect("commits");
        } else {
            unit.rollback().await.expect("rolls back");
        }
    }
    let events = db.events().after(0, 100).await.expect("reads");
    let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    assert_eq!(db.events().last_seq().await.expect("queries"), 6);
    let page = db.events().after(2, 3).await.expect("reads");
    assert_eq!(
        page.iter().map(|event| event.seq).collect::<Vec<_>>(),
        [3, 4, 5]
    );
}

/// A reader that only ever asks for what comes after the last number it saw misses nothing, while writers commit in
/// whatever order they like.
async fn the_order_is_the_order_of_commits(Given { db, place }: Given) {
    const WRITERS: usize = 8;
    const EACH: usize = 15;
    let alice = user(&db, "alice").await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        // Half of them in "another replica".
        let db = if writer % 2 == 0 {
            db.clone()
        } else {
            place.connect().await
        };
        let alice = alice.clone();
        writers.spawn(async move {
            for n in 0..EACH {
                draft(&format!("s-{writer}-{n}"), "1.0.0")
                    .publish(&db, &alice)
                    .await;
            }
        });
    }
    let reader = db.clone();
    let follower = tokio::spawn(async move {
        let mut seen: Vec<StoredEvent> = Vec::new();
        while seen.len() < WRITERS * EACH {
            let last = seen.last().map_or(0, |event| event.seq);
            seen.extend(reader.events().after(last, 7).await.expect("reads"));
            tokio::task::yield_now().await;
        }
        seen
    });
    while let Some(outcome) = writers.join_next().await {
        outcome.expect("ends");
    }
    let seen = tokio::time::timeout(Duration::from_secs(60), follower)
        .await
        .expect("in time")
        .expect("ends");
    let numbers: Vec<i64> = seen.iter().map(|event| event.seq).collect();
    assert_eq!(
        numbers,
        (1..=i64::try_from(WRITERS * EACH).expect("small")).collect::<Vec<_>>()
    );
    // Each writer's own events come in the order in which it committed them.
    for writer in 0..WRITERS {
        let prefix = format!("s-{writer}-");
        let own: Vec<usize> = seen
            .iter()
            .filter_map(|event| match event.event() {
                Some(Event::SkillPublished { skill, .. }) => {
                    skill.name.strip_prefix(&prefix)?.parse().ok()
                }
                _ => None,
            })
            .collect();
        assert_eq!(own, (0..EACH).collect::<Vec<_>>(), "writer {writer}");
    }
}

async fn a_commit_wakes_whoever_watches(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let mut watch = db.watch_commits();
    assert!(
        !watch.has_changed().expect("open"),
        "a commit without events is no news"
    );
    draft("s", "1.0.0").publish(&db, &alice).await;
    tokio::time::timeout(Duration::from_secs(10), watch.changed())
        .await
        .expect("in time")
        .expect("open");
    assert_eq!(*watch.borrow(), 1);
}

async fn old_events_are_purged(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    for n in 0..5 {
        draft(&format!("s-{n}"), "1.0.0")
            .at(later(n))
            .publish(&db, &alice)
            .await;
    }
    let purged = db
        .purge_expired(start(), kept_since(later(3)))
        .await
        .expect("purges");
    assert_eq!(purged.events, 3);
    let left = db.events().after(0, 10).await.expect("reads");
    assert_eq!(
        left.iter().map(|event| event.seq).collect::<Vec<_>>(),
        [4, 5]
    );
    draft("t", "1.0.0").publish(&db, &alice).await;
    assert_eq!(
        db.events().last_seq().await.expect("queries"),
        6,
        "numbers go on"
    );
}
