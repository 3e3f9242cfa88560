//! Invocations: accepted once, worked on by one at a time, ended once, metered with their end.

use hub_db::{Db, NewInvocation};
use hub_model::{
    Ending, InvocationFault, InvocationId, InvocationRecord, InvocationStatus, SkillId, Usage,
    UserRecord, day_of,
};
use jiff::Timestamp;

use crate::fixture::{TENANT, draft, kept_since, later, start, user};
use crate::harness::{Given, on_both};

on_both!(
    an_invocation_runs_and_ends,
    an_account_uses_a_key_once,
    of_many_with_one_key_one_is_accepted,
    what_did_not_run_frees_its_key,
    a_lapsed_lease_is_taken_over_once,
    an_extended_lease_is_not_taken_over,
    an_end_is_metered_once,
    usage_is_kept_by_day_and_account,
    a_list_is_the_account_s_own_and_newest_first,
    old_ones_are_purged_and_running_ones_are_not,
);

/// Somebody, and a skill to run.
struct Scene {
    alice: UserRecord,
    skill: SkillId,
}

async fn scene(db: &Db) -> Scene {
    let alice = user(db, "alice").await;
    let skill = draft("csv-analyzer", "1.0.0").publish(db, &alice).await;
    Scene {
        alice,
        skill: skill.skill_id,
    }
}

impl Scene {
    fn queued(&self, at: Timestamp) -> InvocationRecord {
        fn id(at: Timestamp) -> InvocationId {
            InvocationId::generate(at, &mut rand::rng())
        }
        InvocationRecord {
            id: id(at),
            tenant: TENANT,
            user_id: self.alice.id,
            username: self.alice.username.clone(),
            skill_id: self.skill,
            skill: "csv-analyzer".into(),
            version: None,
            entry: Some("analyze".into()),
            status: InvocationStatus::Queued,
            timeout_ms: 30_000,
            input_sha256: "ab".repeat(32),
            input_bytes: 3,
            output: None,
            output_bytes: None,
            error: None,
            attempts: 0,
            created_at: at,
            started_at: None,
            finished_at: None,
        }
    }

    async fn accepted(&self, db: &Db, at: Timestamp) -> InvocationRecord {
        let record = self.queued(at);
        assert!(insert(db, &record, None).await);
        record
    }
}

/// The lease ends a minute after the beginning.
async fn insert(db: &Db, record: &InvocationRecord, key: Option<&str>) -> bool {
    let mut unit = db.begin().await.expect("begins");
    let new = NewInvocation {
        record,
        input: b"\xff\0x",
        idempotency_key: key,
        request_hash: "hash",
        lease_until: later(60),
    };
    let inserted = unit.invocations().insert(new).await.expect("inserts");
    unit.commit().await.expect("commits");
    inserted
}

async fn begin(db: &Db, id: InvocationId, at: Timestamp) -> Option<Vec<u8>> {
    let mut unit = db.begin().await.expect("begins");
    let input = unit.invocations().start(id, at, later(60)).await;
    unit.commit().await.expect("commits");
    input.expect("starts")
}

async fn end(db: &Db, id: InvocationId, ending: &Ending) -> InvocationRecord {
    let mut unit = db.begin().await.expect("begins");
    let found = unit.invocations().lock(TENANT, id).await.expect("locks");
    let ended = unit
        .invocations()
        .finish(found.expect("exists"), ending)
        .await;
    unit.commit().await.expect("commits");
    ended.expect("ends")
}

async fn take_over(db: &Db, id: InvocationId, now: Timestamp) -> bool {
    let mut unit = db.begin().await.expect("begins");
    let taken = unit.invocations().take_over(id, now, later(600)).await;
    unit.commit().await.expect("commits");
    taken.expect("asks")
}

async fn find(db: &Db, id: InvocationId) -> InvocationRecord {
    let found = db.invocations().by_id(TENANT, id).await.expect("queries");
    found.expect("exists")
}

async fn an_invocation_runs_and_ends(Given { db, place }: Given) {
    let scene = scene(&db).await;
    let record = scene.accepted(&db, start()).await;
    assert_eq!(find(&db, record.id).await, record);
    assert_eq!(
        begin(&db, record.id, later(1)).await.as_deref(),
        Some(b"\xff\0x".as_slice())
    );
    assert_eq!(begin(&db, record.id, later(1)).await, None, "it runs once");
    let ending = Ending::succeeded(later(3), b"result\xff".to_vec(), Some("1.0.0".into()));
    end(&db, record.id, &ending).await;
    let expected = InvocationRecord {
        started_at: Some(later(1)),
        attempts: 1,
        ..record.clone()
    }
    .ended(&ending);
    assert_eq!(find(&db, record.id).await, expected);
    let mut raw = place.raw().await;
    let kept = sqlx::query("SELECT 1 FROM invocations WHERE input IS NOT NULL")
        .fetch_all(&mut raw)
        .await
        .expect("queries");
    assert!(kept.is_empty(), "the input goes with the end");
}

async fn an_account_uses_a_key_once(Given { db, .. }: Given) {
    let scene = scene(&db).await;
    let (first, second) = (scene.queued(start()), scene.queued(start()));
    assert!(insert(&db, &first, Some("key")).await);
    assert!(!insert(&db, &second, Some("key")).await);
    let found = db.invocations().by_key(TENANT, scene.alice.id, "key").await;
    assert_eq!(found.expect("queries"), Some((first.id, "hash".to_owned())));
    let bob = user(&db, "bob").await;
    let of_bob = InvocationRecord {
        user_id: bob.id,
        ..second
    };
    assert!(
        insert(&db, &of_bob, Some("key")).await,
        "keys of two accounts never meet"
    );
}

async fn of_many_with_one_key_one_is_accepted(Given { db, .. }: Given) {
    let scene = scene(&db).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (db, record) = (db.clone(), scene.queued(start()));
        tasks.spawn(async move { insert(&db, &record, Some("key")).await });
    }
    let accepted = tasks.join_all().await.into_iter().filter(|one| *one);
    assert_eq!(accepted.count(), 1);
}

async fn what_did_not_run_frees_its_key(Given { db, .. }: Given) {
    let scene = scene(&db).await;
    let refused = scene.queued(start());
    assert!(insert(&db, &refused, Some("key")).await);
    let busy = Ending::failed(later(1), InvocationFault::Busy, "no room");
    end(&db, refused.id, &busy).await;
    let again = scene.queued(start());
    assert!(insert(&db, &again, Some("key")).await);
    let unknown = Ending::failed(later(1), InvocationFault::NoAnswer, "silence");
    end(&db, again.id, &unknown).await;
    let third = scene.queued(start());
    assert!(!insert(&db, &third, Some("key")).await, "it may have run");
}

async fn a_lapsed_lease_is_taken_over_once(Given { db, .. }: Given) {
    let scene = scene(&db).await;
    let record = scene.accepted(&db, start()).await;
    begin(&db, record.id, later(1)).await.expect("starts");
    let none = db.invocations().abandoned(later(59), 10).await;
    assert_eq!(none.expect("queries"), []);
    assert!(!take_over(&db, record.id, later(59)).await);
    let one = db.invocations().abandoned(later(60), 10).await;
    assert_eq!(one.expect("queries"), [record.id]);
    assert!(take_over(&db, record.id, later(60)).await);
    assert!(!take_over(&db, record.id, later(60)).await, "one takes it");
    assert_eq!(find(&db, record.id).await.status, InvocationStatus::Queued);
    begin(&db, record.id, later(61))
        .await
        .expect("starts again");
    assert_eq!(find(&db, record.id).await.attempts, 2);
    end(&db, record.id, &Ending::cancelled(later(62))).await;
    assert!(!take_over(&db, record.id, later(9_999)).await, "it is over");
}

async fn an_extended_lease_is_not_taken_over(Given { db, .. }: Given) {
    let scene = scene(&db).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(scene.accepted(&db, start()).await.id);
    }
    db.extend_leases(&ids[..4], later(100))
        .await
        .expect("extends");
    let lapsed = db.invocations().abandoned(later(60), 10).await;
    assert_eq!(lapsed.expect("queries"), [ids[4]]);
    db.release_leases(&ids[..1]).await.expect("releases");
    let free = db.invocations().abandoned(start(), 10).await;
    assert_eq!(free.expect("queries"), [ids[0]]);
    end(&db, ids[0], &Ending::cancelled(later(1))).await;
    db.extend_leases(&ids, later(100)).await.expect("extends");
    assert!(
        !take_over(&db, ids[0], later(9_999)).await,
        "no lease after the end"
    );
}

async fn an_end_is_metered_once(Given { db, .. }: Given) {
    let scene = scene(&db).await;
    let record = scene.accepted(&db, start()).await;
    begin(&db, record.id, later(1)).await.expect("starts");
    let ending = Ending::succeeded(later(3), b"ab".to_vec(), None);
    end(&db, record.id, &ending).await;
    // A second end, by a replica that took it over meanwhile.
    let mut unit = db.begin().await.expect("begins");
    let found = unit.invocations().lock(TENANT, record.id).await;
    let again = unit
        .invocations()
        .finish(found.expect("locks").expect("exists"), &ending)
        .await;
    assert!(matches!(again, Err(hub_db::DbError::NotFound)), "{again:?}");
    unit.rollback().await.expect("rolls back");
    let day = day_of(start());
    let days = db.usage().days(scene.alice.id, day, day).await;
    let expected = Usage {
        succeeded: 1,
        duration_ms: 2_000,
        bytes_in: 3,
        bytes_out: 2,
        ..Usage::default()
    };
    assert_eq!(days.expect("queries")[0].usage, expected);
}

async fn usage_is_kept_by_day_and_account(Given { db, .. }: Given) {
    let scene = scene(&db).await;
    let bob = user(&db, "bob").await;
    let day = day_of(start());
    let one = Usage {
        succeeded: 1,
        failed: 2,
        unknown: 3,
        refused: 4,
        duration_ms: 5,
        bytes_in: 6,
        bytes_out: 7,
    };
    let mut unit = db.begin().await.expect("begins");
    for (who, day) in [
        (scene.alice.id, day),
        (scene.alice.id, day),
        (scene.alice.id, day + 1),
        (bob.id, day),
    ] {
        let added = unit.usage().add(TENANT, who, day, &one).await;
        added.expect("adds");
    }
    unit.commit().await.expect("commits");
    let mut twice = one;
    twice += one;
    let days = db
        .usage()
        .days(scene.alice.id, day, day + 1)
        .await
        .expect("queries");
    assert_eq!(
        days.iter()
            .map(|one| (one.day, one.usage))
            .collect::<Vec<_>>(),
        [(day, twice), (day + 1, one)]
    );
    let users = db
        .usage()
        .users(TENANT, (day, day), None, 10)
        .await
        .expect("queries");
    assert_eq!(
        users
            .iter()
            .map(|one| (one.username.as_str(), one.usage))
            .collect::<Vec<_>>(),
        [("alice", twice), ("bob", one)]
    );
    let after = db
        .usage()
        .users(TENANT, (day, day), Some("alice"), 10)
        .await;
    assert_eq!(after.expect("queries").len(), 1);
    let total = db.usage().total(TENANT, day, day).await.expect("queries");
    assert_eq!(total.invocations(), 30);
    let nothing = db.usage().total(TENANT, day + 5, day + 9).await;
    assert_eq!(nothing.expect("queries"), Usage::default());
}

async fn a_list_is_the_account_s_own_and_newest_first(Given { db, .. }: Given) {
    let scene = scene(&db).await;
    let first = scene.accepted(&db, start()).await;
    let second = scene.accepted(&db, later(1)).await;
    let bob = user(&db, "bob").await;
    let of_bob = InvocationRecord {
        user_id: bob.id,
        ..scene.queued(later(2))
    };
    assert!(insert(&db, &of_bob, None).await);
    let ids = |list: Vec<InvocationRecord>| list.iter().map(|one| one.id).collect::<Vec<_>>();
    let page = db.invocations().of_user(scene.alice.id, None, 10).await;
    assert_eq!(ids(page.expect("queries")), [second.id, first.id]);
    let rest = db
        .invocations()
        .of_user(scene.alice.id, Some(second.id), 10)
        .await;
    assert_eq!(ids(rest.expect("queries")), [first.id]);
}

async fn old_ones_are_purged_and_running_ones_are_not(Given { db, .. }: Given) {
    let scene = scene(&db).await;
    let over = scene.accepted(&db, start()).await;
    let running = scene.accepted(&db, start()).await;
    begin(&db, running.id, start()).await.expect("starts");
    end(&db, over.id, &Ending::cancelled(later(10))).await;
    let purge = |before| db.purge_expired(start(), kept_since(before));
    assert_eq!(purge(later(10)).await.expect("purges").invocations, 0);
    assert_eq!(purge(later(11)).await.expect("purges").invocations, 1);
    let gone = db.invocations().by_id(TENANT, over.id).await;
    assert_eq!(gone.expect("queries"), None);
    assert_eq!(
        find(&db, running.id).await.status,
        InvocationStatus::Running
    );
}
