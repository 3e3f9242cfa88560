//! Idempotency keys: done once, answered the same; and housekeeping of what expires.

use hub_db::{Claim, Db, DbError, IdempotencyKey, StoredResponse};
use hub_model::{
    DeviceCode, DeviceCodeId, DeviceState, FamilyId, RefreshToken, RefreshTokenId, SecretHash,
};
use jiff::Timestamp;

use crate::fixture::{TENANT, fresh, kept_since, later, start, user};
use crate::harness::{Given, on_both};

on_both!(
    a_request_is_done_once,
    another_request_cannot_use_the_key,
    principals_do_not_meet,
    a_claim_in_progress_is_told_and_lapses,
    a_released_claim_can_be_made_again,
    a_response_expires,
    completing_what_was_not_claimed_fails,
    a_rolled_back_claim_leaves_no_trace,
    of_many_at_once_one_does_the_work,
    expired_rows_are_purged,
);

const KEY: IdempotencyKey<'static> = IdempotencyKey {
    tenant: TENANT,
    principal: "alice",
    key: "k-1",
    request_hash: "hash-1",
};

fn response() -> StoredResponse {
    StoredResponse {
        status: 201,
        headers: vec![("location".into(), "/api/v1/skills/s/1.0.0".into())],
        body: r#"{"name":"s"}"#.into(),
    }
}

async fn claim(db: &Db, key: IdempotencyKey<'_>, now: Timestamp) -> Claim {
    let mut unit = db.begin().await.expect("begins");
    let claim = unit.idempotency().claim(key, now).await.expect("claims");
    unit.commit().await.expect("commits");
    claim
}

async fn complete(db: &Db, key: IdempotencyKey<'_>) {
    let mut unit = db.begin().await.expect("begins");
    unit.idempotency()
        .complete(key, &response())
        .await
        .expect("completes");
    unit.commit().await.expect("commits");
}

async fn a_request_is_done_once(Given { db, .. }: Given) {
    assert_eq!(claim(&db, KEY, start()).await, Claim::Fresh);
    complete(&db, KEY).await;
    assert_eq!(claim(&db, KEY, later(1)).await, Claim::Done(response()));
    assert_eq!(
        claim(&db, KEY, later(86_399)).await,
        Claim::Done(response())
    );
}

async fn another_request_cannot_use_the_key(Given { db, .. }: Given) {
    let other = IdempotencyKey {
        request_hash: "hash-2",
        ..KEY
    };
    assert_eq!(claim(&db, KEY, start()).await, Claim::Fresh);
    assert_eq!(claim(&db, other, later(1)).await, Claim::Reused);
    complete(&db, KEY).await;
    assert_eq!(claim(&db, other, later(2)).await, Claim::Reused);
}

async fn principals_do_not_meet(Given { db, .. }: Given) {
    let of_bob = IdempotencyKey {
        principal: "bob",
        request_hash: "hash-2",
        ..KEY
    };
    assert_eq!(claim(&db, KEY, start()).await, Claim::Fresh);
    assert_eq!(claim(&db, of_bob, start()).await, Claim::Fresh);
}

async fn a_claim_in_progress_is_told_and_lapses(Given { db, .. }: Given) {
    assert_eq!(claim(&db, KEY, start()).await, Claim::Fresh);
    assert_eq!(claim(&db, KEY, later(299)).await, Claim::InProgress);
    assert_eq!(
        claim(&db, KEY, later(300)).await,
        Claim::Fresh,
        "whoever claimed it is gone"
    );
    assert_eq!(claim(&db, KEY, later(301)).await, Claim::InProgress);
}

async fn a_released_claim_can_be_made_again(Given { db, .. }: Given) {
    assert_eq!(claim(&db, KEY, start()).await, Claim::Fresh);
    let mut unit = db.begin().await.expect("begins");
    unit.idempotency().release(KEY).await.expect("releases");
    unit.commit().await.expect("commits");
    assert_eq!(claim(&db, KEY, later(1)).await, Claim::Fresh);
    complete(&db, KEY).await;
    let mut unit = db.begin().await.expect("begins");
    unit.idempotency()
        .release(KEY)
        .await
        .expect("changes nothing");
    unit.commit().await.expect("commits");
    assert_eq!(
        claim(&db, KEY, later(2)).await,
        Claim::Done(response()),
        "what is done stays done"
    );
}

async fn a_response_expires(Given { db, .. }: Given) {
    assert_eq!(claim(&db, KEY, start()).await, Claim::Fresh);
    complete(&db, KEY).await;
    let other = IdempotencyKey {
        request_hash: "hash-2",
        ..KEY
    };
    assert_eq!(claim(&db, other, later(86_400)).await, Claim::Fresh);
    assert_eq!(claim(&db, KEY, later(86_401)).await, Claim::Reused);
}

async fn completing_what_was_not_claimed_fails(Given { db, .. }: Given) {
    let mut unit = db.begin().await.expect("begins");
    let outcome = unit.idempotency().complete(KEY, &response()).await;
    assert!(matches!(outcome, Err(DbError::NotFound)), "{outcome:?}");
}

async fn a_rolled_back_claim_leaves_no_trace(Given { db, .. }: Given) {
    let mut unit = db.begin().await.expect("begins");
    assert_eq!(
        unit.idempotency()
            .claim(KEY, start())
            .await
            .expect("claims"),
        Claim::Fresh
    );
    drop(unit);
    assert_eq!(claim(&db, KEY, later(1)).await, Claim::Fresh);
}

/// Claimed and completed in the work's own transaction, as publishing does it.
async fn of_many_at_once_one_does_the_work(Given { db, .. }: Given) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let db = db.clone();
        tasks.spawn(async move {
            let mut unit = db.begin().await.expect("begins");
            let claim = unit
                .idempotency()
                .claim(KEY, start())
                .await
                .expect("claims");
            if claim == Claim::Fresh {
                unit.idempotency()
                    .complete(KEY, &response())
                    .await
                    .expect("completes");
            }
            unit.commit().await.expect("commits");
            claim
        });
    }
    let claims = tasks.join_all().await;
    assert_eq!(
        claims
            .iter()
            .filter(|claim| **claim == Claim::Fresh)
            .count(),
        1
    );
    assert_eq!(
        claims
            .iter()
            .filter(|claim| **claim == Claim::Done(response()))
            .count(),
        11
    );
}

async fn expired_rows_are_purged(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let mut unit = db.begin().await.expect("begins");
    for n in 0..1_100 {
        // 600 of them expire at 100, the others at 200.
        let expires_at = later(if n < 600 { 100 } else { 200 });
        unit.refresh_tokens()
            .insert(&RefreshToken {
                id: fresh!(RefreshTokenId),
                tenant: TENANT,
                family: fresh!(FamilyId),
                user_id: alice.id,
                hash: SecretHash::new(format!("hash-{n}")),
                issued_at: start(),
                expires_at,
                used_at: None,
                revoked_at: None,
            })
            .await
            .expect("inserts");
    }
    unit.device_codes()
        .insert(&DeviceCode {
            id: fresh!(DeviceCodeId),
            tenant: TENANT,
            hash: SecretHash::new("device"),
            user_code: "BCDF-GHJK".into(),
            client_name: "skills".into(),
            state: DeviceState::Pending,
            user_id: None,
            interval_seconds: 5,
            created_at: start(),
            expires_at: later(100),
            last_polled_at: None,
        })
        .await
        .expect("inserts");
    unit.commit().await.expect("commits");
    assert_eq!(claim(&db, KEY, start()).await, Claim::Fresh);

    let purged = db
        .purge_expired(later(101), kept_since(start()))
        .await
        .expect("purges");
    assert_eq!(
        (
            purged.refresh_tokens,
            purged.device_codes,
            purged.idempotency_keys
        ),
        (600, 1, 0)
    );
    let purged = db
        .purge_expired(later(86_401), kept_since(start()))
        .await
        .expect("purges");
    assert_eq!(
        (
            purged.refresh_tokens,
            purged.device_codes,
            purged.idempotency_keys
        ),
        (500, 0, 1)
    );
    assert_eq!(
        db.purge_expired(later(86_402), kept_since(start()))
            .await
            .expect("purges"),
        hub_db::Purged::default()
    );
}
