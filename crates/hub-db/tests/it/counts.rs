//! Ratings and downloads.

use hub_db::Db;
use hub_model::{DayCount, Downloads, RatingSummary, SkillId, UserRecord, VersionId};

use crate::fixture::{TENANT, draft, fresh, later, skill, user};
use crate::harness::{Given, on_both};

on_both!(
    one_rating_per_user,
    ratings_are_listed_newest_first,
    downloads_add_up,
    downloads_of_what_does_not_exist_are_dropped,
    batches_at_once_lose_nothing,
    ratings_at_once_lose_nothing,
);

async fn put(db: &Db, id: SkillId, by: &UserRecord, stars: u8, second: i64) -> RatingSummary {
    db.transact::<_, hub_db::DbError>(|unit| {
        let by = by.id;
        Box::pin(async move {
            unit.skills().lock_by_id(id).await?;
            unit.ratings()
                .put(TENANT, id, by, stars, later(second))
                .await
        })
    })
    .await
    .expect("rates")
}

async fn one_rating_per_user(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let bob = user(&db, "bob").await;
    let id = draft("s", "1.0.0").publish(&db, &alice).await.skill_id;
    assert_eq!(
        put(&db, id, &alice, 5, 1).await,
        RatingSummary { sum: 5, count: 1 }
    );
    assert_eq!(
        put(&db, id, &bob, 2, 2).await,
        RatingSummary { sum: 7, count: 2 }
    );
    assert_eq!(
        put(&db, id, &alice, 3, 3).await,
        RatingSummary { sum: 5, count: 2 }
    );
    assert_eq!(
        skill(&db, "s").await.rating,
        RatingSummary { sum: 5, count: 2 }
    );
    assert_eq!(
        db.ratings().by_user(id, alice.id).await.expect("queries"),
        Some(3)
    );

    let mut unit = db.begin().await.expect("begins");
    let left = unit.ratings().remove(id, alice.id).await.expect("removes");
    assert_eq!(left, Some(RatingSummary { sum: 2, count: 1 }));
    assert_eq!(
        unit.ratings().remove(id, alice.id).await.expect("removes"),
        None
    );
    let left = unit.ratings().remove(id, bob.id).await.expect("removes");
    assert_eq!(left, Some(RatingSummary { sum: 0, count: 0 }));
    unit.commit().await.expect("commits");
    assert_eq!(skill(&db, "s").await.rating.mean(), 0.0);
}

async fn ratings_are_listed_newest_first(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let id = draft("s", "1.0.0").publish(&db, &alice).await.skill_id;
    for (n, name) in ["bob", "carol", "dave"].into_iter().enumerate() {
        let rater = user(&db, name).await;
        put(&db, id, &rater, 4, i64::try_from(n).expect("small")).await;
    }
    let names = |ratings: Vec<hub_model::RatingRecord>| {
        ratings.into_iter().map(|r| r.username).collect::<Vec<_>>()
    };
    assert_eq!(
        names(db.ratings().of(id, 2, 0).await.expect("lists")),
        ["dave", "carol"]
    );
    assert_eq!(
        names(db.ratings().of(id, 2, 2).await.expect("lists")),
        ["bob"]
    );
}

async fn downloads_add_up(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let old = draft("s", "1.0.0").publish(&db, &alice).await;
    let new = draft("s", "2.0.0").publish(&db, &alice).await;
    let other = draft("t", "1.0.0").publish(&db, &alice).await;
    let of = |version: &hub_model::VersionRecord, day, count| Downloads {
        skill_id: version.skill_id,
        version_id: version.id,
        day,
        count,
    };
    db.record_downloads(&[
        of(&old, 10, 1),
        of(&new, 10, 2),
        of(&old, 11, 4),
        of(&old, 10, 1),
    ])
    .await
    .expect("records");
    db.record_downloads(&[of(&other, 10, 100), of(&new, 12, 8)])
        .await
        .expect("records");
    db.record_downloads(&[]).await.expect("records nothing");

    let days = |pairs: &[(i64, u64)]| {
        pairs
            .iter()
            .map(|&(day, downloads)| DayCount { day, downloads })
            .collect::<Vec<_>>()
    };
    let id = old.skill_id;
    assert_eq!(
        db.downloads().days(id, 0).await.expect("lists"),
        days(&[(10, 4), (11, 4), (12, 8)])
    );
    assert_eq!(
        db.downloads().days(id, 12).await.expect("lists"),
        days(&[(12, 8)])
    );
    assert_eq!(skill(&db, "s").await.downloads, 16);
    assert_eq!(skill(&db, "t").await.downloads, 100);
    let count = async |id: VersionId| {
        db.versions()
            .by_id(id)
            .await
            .expect("queries")
            .expect("exists")
            .downloads
    };
    assert_eq!((count(old.id).await, count(new.id).await), (6, 10));
    assert_eq!(db.stats().of(TENANT).await.expect("queries").downloads, 116);
}

async fn downloads_of_what_does_not_exist_are_dropped(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let version = draft("s", "1.0.0").publish(&db, &alice).await;
    let other = draft("t", "1.0.0").publish(&db, &alice).await;
    let unknown = fresh!(VersionId);
    let nowhere = fresh!(SkillId);
    let batch = [
        Downloads {
            skill_id: version.skill_id,
            version_id: version.id,
            day: 1,
            count: 1,
        },
        Downloads {
            skill_id: version.skill_id,
            version_id: unknown,
            day: 1,
            count: 10,
        },
        Downloads {
            skill_id: version.skill_id,
            version_id: other.id,
            day: 1,
            count: 100,
        },
        Downloads {
            skill_id: nowhere,
            version_id: version.id,
            day: 1,
            count: 1000,
        },
    ];
    db.record_downloads(&batch).await.expect("records the rest");
    assert_eq!(skill(&db, "s").await.downloads, 1);
    assert_eq!(skill(&db, "t").await.downloads, 0);
    assert_eq!(db.stats().of(TENANT).await.expect("queries").downloads, 1);
}

async fn batches_at_once_lose_nothing(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let mut batch = Vec::new();
    for n in 0..8 {
        let version = draft(&format!("s-{n}"), "1.0.0").publish(&db, &alice).await;
        batch.push(Downloads {
            skill_id: version.skill_id,
            version_id: version.id,
            day: 1,
            count: 1,
        });
    }
    let mut tasks = tokio::task::JoinSet::new();
    for turn in 0..16 {
        let (db, mut batch) = (db.clone(), batch.clone());
        batch.rotate_left(turn % 8);
        tasks.spawn(async move { db.record_downloads(&batch).await });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.expect("ends").expect("records");
    }
    for n in 0..8 {
        assert_eq!(skill(&db, &format!("s-{n}")).await.downloads, 16);
    }
    assert_eq!(db.stats().of(TENANT).await.expect("queries").downloads, 128);
}

async fn ratings_at_once_lose_nothing(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let id = draft("s", "1.0.0").publish(&db, &alice).await.skill_id;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..10 {
        let rater = user(&db, &format!("rater-{n}")).await;
        let db = db.clone();
        tasks.spawn(async move { put(&db, id, &rater, 3, 1).await });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.expect("ends");
    }
    assert_eq!(
        skill(&db, "s").await.rating,
        RatingSummary { sum: 30, count: 10 }
    );
}
