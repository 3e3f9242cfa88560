//! Tenants, settings, users, keys.

use hub_db::{Conflict, DbError};
use hub_model::{KeyRecord, Role, SecretHash, TenantId, TenantRecord, UserId, UserRecord};

use crate::fixture::{TENANT, fresh, later, start, user, user_record};
use crate::harness::{Given, on_both};

on_both!(
    the_default_tenant_is_there,
    settings_are_made_once,
    users_round_trip,
    usernames_are_unique_without_regard_to_case,
    users_are_listed_in_pages,
    changes_of_a_user,
    changing_nobody_is_not_found,
    keys_belong_to_one_user,
);

async fn the_default_tenant_is_there(Given { db, .. }: Given) {
    let found = db
        .tenants()
        .by_name("default")
        .await
        .expect("queries")
        .expect("exists");
    assert_eq!(found.id, TenantId::DEFAULT);
    assert_eq!(
        db.tenants().by_id(TENANT).await.expect("queries"),
        Some(found)
    );

    let realm = TenantRecord {
        id: fresh!(TenantId),
        name: "realm-1".into(),
        created_at: start(),
    };
    let mut unit = db.begin().await.expect("begins");
    unit.tenants().insert(&realm).await.expect("inserts");
    let again = unit.tenants().insert(&realm).await.expect_err("is there");
    assert_eq!(again.conflict(), Some(Conflict::TenantName));
    unit.commit().await.expect("commits");
    assert_eq!(
        db.tenants().by_name("realm-1").await.expect("queries"),
        Some(realm)
    );
}

async fn settings_are_made_once(Given { db, .. }: Given) {
    assert_eq!(
        db.settings().get(TENANT, "secret").await.expect("queries"),
        None
    );
    for (fresh, stands) in [("first", "first"), ("second", "first")] {
        let mut unit = db.begin().await.expect("begins");
        assert_eq!(
            unit.settings()
                .get_or_insert(TENANT, "secret", fresh)
                .await
                .expect("stores"),
            stands
        );
        unit.commit().await.expect("commits");
    }
    let mut unit = db.begin().await.expect("begins");
    unit.settings()
        .put(TENANT, "secret", "third")
        .await
        .expect("stores");
    unit.commit().await.expect("commits");
    assert_eq!(
        db.settings()
            .get(TENANT, "secret")
            .await
            .expect("queries")
            .as_deref(),
        Some("third")
    );
}

async fn users_round_trip(Given { db, .. }: Given) {
    assert!(!db.users().any(TENANT).await.expect("queries"));
    let plain = UserRecord {
        email: None,
        password: None,
        ..user_record("bob")
    };
    let full = UserRecord {
        email: Some("alice@example.com".into()),
        role: Role::Admin,
        disabled: true,
        updated_at: later(5),
        ..user_record("Alice")
    };
    let mut unit = db.begin().await.expect("begins");
    unit.users().insert(&plain).await.expect("inserts");
    unit.users().insert(&full).await.expect("inserts");
    unit.commit().await.expect("commits");
    assert_eq!(
        db.users().by_id(plain.id).await.expect("queries"),
        Some(plain)
    );
    assert_eq!(
        db.users()
            .by_username(TENANT, "ALICE")
            .await
            .expect("queries"),
        Some(full)
    );
    assert_eq!(
        db.users()
            .by_username(TENANT, "carol")
            .await
            .expect("queries"),
        None
    );
    assert!(db.users().any(TENANT).await.expect("queries"));
}

async fn usernames_are_unique_without_regard_to_case(Given { db, .. }: Given) {
    user(&db, "alice").await;
    let mut unit = db.begin().await.expect("begins");
    let error = unit
        .users()
        .insert(&user_record("Alice"))
        .await
        .expect_err("taken");
    assert_eq!(error.conflict(), Some(Conflict::Username));
}

async fn users_are_listed_in_pages(Given { db, .. }: Given) {
    for name in ["dave", "Bob", "alice", "carol"] {
        user(&db, name).await;
    }
    let names = |users: Vec<UserRecord>| {
        users
            .into_iter()
            .map(|user| user.username)
            .collect::<Vec<_>>()
    };
    let first = names(db.users().list(TENANT, None, 3).await.expect("lists"));
    assert_eq!(first, ["alice", "Bob", "carol"]);
    let second = names(
        db.users()
            .list(TENANT, Some("carol"), 3)
            .await
            .expect("lists"),
    );
    assert_eq!(second, ["dave"]);
}

async fn changes_of_a_user(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    assert_eq!(
        db.users()
            .enabled_admins_up_to_two(TENANT)
            .await
            .expect("counts"),
        0
    );
    let mut unit = db.begin().await.expect("begins");
    assert_eq!(
        unit.users().lock(alice.id).await.expect("locks"),
        Some(alice.clone())
    );
    unit.users()
        .set_role(alice.id, Role::Admin, later(1))
        .await
        .expect("changes");
    unit.users()
        .set_disabled(alice.id, true, later(2))
        .await
        .expect("changes");
    unit.users()
        .set_email(alice.id, Some("a@example.org"), later(3))
        .await
        .expect("changes");
    unit.users()
        .set_password(alice.id, &SecretHash::new("$new"), later(4))
        .await
        .expect("changes");
    unit.commit().await.expect("commits");
    let expected = UserRecord {
        role: Role::Admin,
        disabled: true,
        email: Some("a@example.org".into()),
        password: Some(SecretHash::new("$new")),
        updated_at: later(4),
        ..alice.clone()
    };
    assert_eq!(
        db.users().by_id(alice.id).await.expect("queries"),
        Some(expected)
    );
    assert_eq!(
        db.users()
            .enabled_admins_up_to_two(TENANT)
            .await
            .expect("counts"),
        0
    );

    let mut unit = db.begin().await.expect("begins");
    unit.users()
        .set_disabled(alice.id, false, later(5))
        .await
        .expect("changes");
    unit.commit().await.expect("commits");
    assert_eq!(
        db.users()
            .enabled_admins_up_to_two(TENANT)
            .await
            .expect("counts"),
        1
    );
}

async fn changing_nobody_is_not_found(Given { db, .. }: Given) {
    let nobody = fresh!(UserId);
    let mut unit = db.begin().await.expect("begins");
    let outcome = unit.users().set_role(nobody, Role::Admin, start()).await;
    assert!(matches!(outcome, Err(DbError::NotFound)), "{outcome:?}");
}

async fn keys_belong_to_one_user(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let bob = user(&db, "bob").await;
    let key = KeyRecord {
        tenant: TENANT,
        fingerprint: "AB".repeat(20),
        user_id: alice.id,
        armored: "-----BEGIN PGP PUBLIC KEY BLOCK-----".into(),
        registered_at: start(),
        expires_at: Some(later(1_000_000)),
        revoked_at: None,
        removed_at: None,
    };
    let mut unit = db.begin().await.expect("begins");
    unit.keys().insert(&key).await.expect("inserts");
    unit.commit().await.expect("commits");

    let mut unit = db.begin().await.expect("begins");
    let stolen = KeyRecord {
        user_id: bob.id,
        ..key.clone()
    };
    let error = unit.keys().insert(&stolen).await.expect_err("is another's");
    assert_eq!(error.conflict(), Some(Conflict::KeyFingerprint));
    unit.rollback().await.expect("rolls back");

    let revoked = KeyRecord {
        revoked_at: Some(later(5)),
        armored: "newer".into(),
        ..key.clone()
    };
    let mut unit = db.begin().await.expect("begins");
    unit.keys().update(&revoked).await.expect("updates");
    unit.commit().await.expect("commits");
    assert_eq!(
        db.keys().of_user(alice.id).await.expect("queries"),
        vec![revoked.clone()]
    );

    let mut unit = db.begin().await.expect("begins");
    assert!(
        !unit
            .keys()
            .remove(bob.id, &key.fingerprint, later(9))
            .await
            .expect("runs")
    );
    assert!(
        unit.keys()
            .remove(alice.id, &key.fingerprint, later(9))
            .await
            .expect("runs")
    );
    unit.commit().await.expect("commits");
    assert!(
        db.keys()
            .of_user(alice.id)
            .await
            .expect("queries")
            .is_empty()
    );
    let removed = db
        .keys()
        .by_fingerprint(TENANT, &key.fingerprint)
        .await
        .expect("queries");
    assert_eq!(
        removed,
        Some(KeyRecord {
            removed_at: Some(later(9)),
            ..revoked
        }),
        "what it signed stays verifiable"
    );
}
