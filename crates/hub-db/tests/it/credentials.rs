//! API tokens, refresh tokens, device codes, upstream identities.

use hub_db::{Conflict, Db};
use hub_model::{
    ApiToken, DeviceCode, DeviceCodeId, DeviceState, FamilyId, OidcIdentity, OidcLogin,
    RefreshToken, RefreshTokenId, Scope, ScopeSet, SecretHash, TokenId, UserId,
};

use crate::fixture::{TENANT, fresh, later, start, user};
use crate::harness::{Given, on_both};

on_both!(
    api_tokens,
    last_use_is_noted_once_a_minute,
    refresh_tokens,
    device_codes,
    upstream_identities_and_logins,
);

fn api_token(owner: UserId, secret: &str) -> ApiToken {
    ApiToken {
        id: fresh!(TokenId),
        tenant: TENANT,
        user_id: owner,
        name: "ci".into(),
        hash: SecretHash::new(secret),
        scopes: ScopeSet::of(&[Scope::Read, Scope::Publish]),
        skills: Some(vec![
            "acme-*".parse().expect("a pattern"),
            "tools".parse().expect("a pattern"),
        ]),
        created_at: start(),
        expires_at: Some(later(60)),
        last_used_at: None,
        revoked_at: None,
    }
}

async fn insert_token(db: &Db, token: &ApiToken) {
    let mut unit = db.begin().await.expect("begins");
    unit.api_tokens().insert(token).await.expect("inserts");
    unit.commit().await.expect("commits");
}

async fn api_tokens(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let bob = user(&db, "bob").await;
    let scoped = api_token(alice.id, "hash-1");
    let plain = ApiToken {
        skills: None,
        expires_at: None,
        ..api_token(alice.id, "hash-2")
    };
    insert_token(&db, &scoped).await;
    insert_token(&db, &plain).await;

    let found = db
        .api_tokens()
        .by_hash(&scoped.hash)
        .await
        .expect("queries");
    assert_eq!(found, Some((scoped.clone(), alice.clone())));
    assert_eq!(
        db.api_tokens()
            .by_id(TENANT, plain.id)
            .await
            .expect("queries"),
        Some(plain.clone())
    );
    assert_eq!(
        db.api_tokens()
            .by_hash(&SecretHash::new("other"))
            .await
            .expect("queries"),
        None
    );
    assert_eq!(
        db.api_tokens()
            .of_user(alice.id)
            .await
            .expect("queries")
            .len(),
        2
    );

    let mut unit = db.begin().await.expect("begins");
    let copy = unit
        .api_tokens()
        .insert(&api_token(bob.id, "hash-1"))
        .await
        .expect_err("same secret");
    assert_eq!(copy.conflict(), Some(Conflict::Secret));
    unit.rollback().await.expect("rolls back");

    let mut unit = db.begin().await.expect("begins");
    assert!(
        !unit
            .api_tokens()
            .revoke(bob.id, plain.id, later(1))
            .await
            .expect("runs"),
        "not his"
    );
    assert!(
        unit.api_tokens()
            .revoke(alice.id, plain.id, later(1))
            .await
            .expect("runs")
    );
    assert!(
        !unit
            .api_tokens()
            .revoke(alice.id, plain.id, later(2))
            .await
            .expect("runs"),
        "done before"
    );
    unit.commit().await.expect("commits");
    let revoked = db
        .api_tokens()
        .by_id(TENANT, plain.id)
        .await
        .expect("queries")
        .expect("exists");
    assert_eq!(revoked.revoked_at, Some(later(1)));
    assert_eq!(
        db.api_tokens().of_user(alice.id).await.expect("queries"),
        vec![scoped]
    );

    let mut unit = db.begin().await.expect("begins");
    assert_eq!(
        unit.api_tokens()
            .revoke_user(alice.id, later(3))
            .await
            .expect("runs"),
        1
    );
    unit.commit().await.expect("commits");
    assert!(
        db.api_tokens()
            .of_user(alice.id)
            .await
            .expect("queries")
            .is_empty()
    );
}

async fn last_use_is_noted_once_a_minute(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let token = api_token(alice.id, "hash");
    insert_token(&db, &token).await;
    for (now, noted) in [(0, 0), (59, 0), (60, 0), (61, 61), (90, 61), (200, 200)] {
        let mut unit = db.begin().await.expect("begins");
        unit.api_tokens()
            .touch(token.id, later(now))
            .await
            .expect("notes");
        unit.commit().await.expect("commits");
        let found = db
            .api_tokens()
            .by_id(TENANT, token.id)
            .await
            .expect("queries")
            .expect("exists");
        assert_eq!(found.last_used_at, Some(later(noted)), "at {now}");
    }
}

async fn refresh_tokens(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let family = fresh!(FamilyId);
    let token = |secret: &str, family| RefreshToken {
        id: fresh!(RefreshTokenId),
        tenant: TENANT,
        family,
        user_id: alice.id,
        hash: SecretHash::new(secret),
        issued_at: start(),
        expires_at: later(3600),
        used_at: None,
        revoked_at: None,
    };
    let (first, second) = (token("one", family), token("two", family));
    let other = token("three", fresh!(FamilyId));
    let mut unit = db.begin().await.expect("begins");
    for token in [&first, &other] {
        unit.refresh_tokens().insert(token).await.expect("inserts");
    }
    unit.commit().await.expect("commits");

    let mut unit = db.begin().await.expect("begins");
    let locked = unit
        .refresh_tokens()
        .lock_by_hash(&first.hash)
        .await
        .expect("locks");
    assert_eq!(locked, Some(first.clone()));
    unit.refresh_tokens()
        .mark_used(first.id, later(10))
        .await
        .expect("marks");
    unit.refresh_tokens()
        .insert(&second)
        .await
        .expect("inserts");
    unit.commit().await.expect("commits");
    let used = db
        .refresh_tokens()
        .by_hash(&first.hash)
        .await
        .expect("queries")
        .expect("exists");
    assert_eq!(used.used_at, Some(later(10)));
    assert!(
        db.refresh_tokens()
            .family_is_alive(family)
            .await
            .expect("queries")
    );

    let mut unit = db.begin().await.expect("begins");
    assert_eq!(
        unit.refresh_tokens()
            .revoke_family(family, later(20))
            .await
            .expect("runs"),
        2
    );
    unit.commit().await.expect("commits");
    assert!(
        !db.refresh_tokens()
            .family_is_alive(family)
            .await
            .expect("queries")
    );
    assert!(
        db.refresh_tokens()
            .family_is_alive(other.family)
            .await
            .expect("queries")
    );

    let mut unit = db.begin().await.expect("begins");
    assert_eq!(
        unit.refresh_tokens()
            .revoke_user(alice.id, later(30))
            .await
            .expect("runs"),
        1
    );
    unit.commit().await.expect("commits");
    let all_gone = db
        .refresh_tokens()
        .by_hash(&other.hash)
        .await
        .expect("queries")
        .expect("exists");
    assert_eq!(all_gone.revoked_at, Some(later(30)));
}

async fn device_codes(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let code = DeviceCode {
        id: fresh!(DeviceCodeId),
        tenant: TENANT,
        hash: SecretHash::new("device"),
        user_code: "BCDF-GHJK".into(),
        client_name: "skills".into(),
        state: DeviceState::Pending,
        user_id: None,
        interval_seconds: 5,
        created_at: start(),
        expires_at: later(900),
        last_polled_at: None,
    };
    let mut unit = db.begin().await.expect("begins");
    unit.device_codes().insert(&code).await.expect("inserts");
    unit.commit().await.expect("commits");

    let mut unit = db.begin().await.expect("begins");
    let twin = DeviceCode {
        id: fresh!(DeviceCodeId),
        hash: SecretHash::new("other"),
        ..code.clone()
    };
    let error = unit
        .device_codes()
        .insert(&twin)
        .await
        .expect_err("same user code");
    assert_eq!(error.conflict(), Some(Conflict::UserCode));
    unit.rollback().await.expect("rolls back");

    assert_eq!(
        db.device_codes()
            .by_user_code(TENANT, "BCDF-GHJK")
            .await
            .expect("queries"),
        Some(code.clone())
    );
    let mut unit = db.begin().await.expect("begins");
    assert_eq!(
        unit.device_codes()
            .lock_by_hash(&code.hash)
            .await
            .expect("locks"),
        Some(code.clone())
    );
    let approved = DeviceCode {
        state: DeviceState::Approved,
        user_id: Some(alice.id),
        interval_seconds: 10,
        last_polled_at: Some(later(5)),
        ..code
    };
    unit.device_codes()
        .update(&approved)
        .await
        .expect("updates");
    unit.commit().await.expect("commits");
    let mut unit = db.begin().await.expect("begins");
    let found = unit
        .device_codes()
        .lock_by_user_code(TENANT, "BCDF-GHJK")
        .await
        .expect("locks");
    assert_eq!(found, Some(approved));
}

async fn upstream_identities_and_logins(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let identity = OidcIdentity {
        tenant: TENANT,
        issuer: "https://id.example.com".into(),
        subject: "42".into(),
        user_id: alice.id,
        created_at: start(),
    };
    let mut unit = db.begin().await.expect("begins");
    unit.oidc()
        .insert_identity(&identity)
        .await
        .expect("inserts");
    unit.commit().await.expect("commits");
    let found = db
        .oidc()
        .identity(TENANT, "https://id.example.com", "42")
        .await
        .expect("queries");
    assert_eq!(found, Some(identity.clone()));
    assert_eq!(
        db.oidc()
            .identity(TENANT, "https://id.example.com", "43")
            .await
            .expect("queries"),
        None
    );
    let mut unit = db.begin().await.expect("begins");
    let again = unit
        .oidc()
        .insert_identity(&identity)
        .await
        .expect_err("is there");
    assert_eq!(again.conflict(), Some(Conflict::OidcIdentity));
    unit.rollback().await.expect("rolls back");

    let login = OidcLogin {
        tenant: TENANT,
        state: SecretHash::new("state"),
        nonce: SecretHash::new("nonce"),
        verifier: SecretHash::new("verifier"),
        then: Some("BCDF-GHJK".into()),
        created_at: start(),
        expires_at: later(600),
    };
    let mut unit = db.begin().await.expect("begins");
    unit.oidc().insert_login(&login).await.expect("inserts");
    unit.commit().await.expect("commits");
    let mut unit = db.begin().await.expect("begins");
    assert_eq!(
        unit.oidc().take_login(&login.state).await.expect("takes"),
        Some(login.clone())
    );
    assert_eq!(
        unit.oidc().take_login(&login.state).await.expect("takes"),
        None,
        "only once"
    );
    unit.commit().await.expect("commits");
}
