//! Values at the edges: NULL, unicode, large texts, numbers, NUL characters, strangers' texts.

use hub_db::{DbError, SkillQuery};
use hub_model::{About, Downloads, VersionState};
use serde_json::json;

use crate::fixture::{TENANT, draft, fresh, later, skill, user, user_record};
use crate::harness::{Given, on_both};

on_both!(
    nulls_round_trip,
    unicode_round_trips,
    large_texts_round_trip,
    large_numbers_round_trip,
    a_nul_character_is_refused_alike,
    texts_are_data_and_never_sql,
    a_reference_to_nobody_is_not_found,
    errors_do_not_tell_what_the_driver_said,
    an_absurdly_long_key_is_refused_or_stored_but_never_breaks,
);

async fn nulls_round_trip(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let mut draft = draft("s", "1.0.0");
    draft.about = About {
        description: "d".into(),
        frameworks: json!(null),
        dependencies: json!({}),
        ..About::default()
    };
    let mut unit = db.begin().await.expect("begins");
    let stored = draft
        .publish_in(&mut unit, &alice)
        .await
        .expect("publishes");
    unit.commit().await.expect("commits");
    let skill = skill(&db, "s").await;
    assert_eq!(skill.about, draft.about);
    assert_eq!(skill.deprecated, None);

    // The same statement, first with values, then with none.
    for (version, signature) in [
        ("1.0.1", Some("sig")),
        ("1.0.2", None),
        ("1.0.3", Some("sig")),
    ] {
        let record = hub_model::VersionRecord {
            id: fresh!(hub_model::VersionId),
            version: version.into(),
            signature: signature.map(str::to_owned),
            signer: signature.map(|_| "AB".into()),
            state: VersionState::Active,
            ..stored.clone()
        };
        let mut unit = db.begin().await.expect("begins");
        let new = hub_db::NewVersion {
            record: &record,
            depends_on: &[],
            body: "",
        };
        unit.versions().insert(new).await.expect("inserts");
        unit.commit().await.expect("commits");
        assert_eq!(
            db.versions().by_id(record.id).await.expect("queries"),
            Some(record)
        );
    }
}

async fn unicode_round_trips(Given { db, .. }: Given) {
    let text = "naïve 漢字 🦀 \u{202e}rtl \u{1F468}\u{200D}\u{1F469} \\ ' \" ; -- %_ \r\n\t";
    let alice = user(&db, "alice").await;
    let mut draft = draft("s", "1.0.0").tags(&["日本", "ß", "ẞ"]);
    draft.about.description = text.into();
    draft.publish(&db, &alice).await;
    let found = skill(&db, "s").await;
    assert_eq!(found.about, draft.about);
    let query = SkillQuery {
        tags: vec!["日本".into(), "ß".into()],
        ..SkillQuery::default()
    };
    assert_eq!(
        db.skills().list(TENANT, &query).await.expect("lists").total,
        1
    );
    let mut unit = db.begin().await.expect("begins");
    unit.users()
        .insert(&user_record(text))
        .await
        .expect("inserts");
    unit.commit().await.expect("commits");
    let user = db.users().by_username(TENANT, text).await.expect("queries");
    assert_eq!(user.map(|user| user.username).as_deref(), Some(text));
}

async fn large_texts_round_trip(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let body = "长 text ".repeat(400_000);
    let draft = draft("s", "1.0.0");
    let record = {
        let mut unit = db.begin().await.expect("begins");
        let claimed = draft
            .publish_in(&mut unit, &alice)
            .await
            .expect("publishes");
        let record = hub_model::VersionRecord {
            id: fresh!(hub_model::VersionId),
            version: "2.0.0".into(),
            manifest: json!({"description": "x".repeat(2_000_000)}),
            ..claimed
        };
        let new = hub_db::NewVersion {
            record: &record,
            depends_on: &[],
            body: &body,
        };
        unit.versions().insert(new).await.expect("inserts");
        unit.commit().await.expect("commits");
        record
    };
    assert_eq!(
        db.versions().body(record.id).await.expect("queries"),
        Some(body)
    );
    assert_eq!(
        db.versions().by_id(record.id).await.expect("queries"),
        Some(record)
    );
}

async fn large_numbers_round_trip(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let version = draft("s", "1.0.0").publish(&db, &alice).await;
    let half = u64::from(u32::MAX) * 1_000_000;
    let count = |count| {
        [Downloads {
            skill_id: version.skill_id,
            version_id: version.id,
            day: -5,
            count,
        }]
    };
    db.record_downloads(&count(half)).await.expect("records");
    db.record_downloads(&count(half)).await.expect("records");
    assert_eq!(skill(&db, "s").await.downloads, 2 * half);
    let outcome = db.record_downloads(&count(u64::MAX)).await;
    assert!(
        matches!(outcome, Err(DbError::Unstorable(_))),
        "{outcome:?}"
    );
    assert_eq!(skill(&db, "s").await.downloads, 2 * half);
}

async fn a_nul_character_is_refused_alike(Given { db, .. }: Given) {
    for outcome in [
        db.skills().by_name(TENANT, "a\0b").await.map(|_| ()),
        db.users().by_username(TENANT, "\0").await.map(|_| ()),
        db.begin()
            .await
            .expect("begins")
            .users()
            .insert(&user_record("a\0"))
            .await,
    ] {
        assert!(
            matches!(outcome, Err(DbError::Unstorable(_))),
            "{outcome:?}"
        );
    }
    // JSON writes it as an escape, which is plain text.
    let alice = user(&db, "alice").await;
    let mut draft = draft("s", "1.0.0");
    draft.about.description = "a\0b".into();
    draft.publish(&db, &alice).await;
    assert_eq!(skill(&db, "s").await.about.description, "a\0b");
}

async fn texts_are_data_and_never_sql(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    draft("s", "1.0.0")
        .tags(&["data"])
        .publish(&db, &alice)
        .await;
    for text in [
        "'; DROP TABLE skills; --",
        "' OR '1'='1",
        "$1",
        "%",
        "\\'",
        "?1",
        ":a",
        "data' UNION SELECT 1",
    ] {
        assert_eq!(
            db.skills().by_name(TENANT, text).await.expect("queries"),
            None,
            "{text}"
        );
        assert_eq!(
            db.settings().get(TENANT, text).await.expect("queries"),
            None,
            "{text}"
        );
        let query = SkillQuery {
            tags: vec![text.into(), "data".into()],
            ..SkillQuery::default()
        };
        assert!(
            db.skills()
                .list(TENANT, &query)
                .await
                .expect("lists")
                .skills
                .is_empty(),
            "{text}"
        );
    }
    assert!(
        db.skills()
            .by_name(TENANT, "s")
            .await
            .expect("queries")
            .is_some()
    );
}

async fn a_reference_to_nobody_is_not_found(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    let nowhere = fresh!(hub_model::SkillId);
    let mut unit = db.begin().await.expect("begins");
    let outcome = unit
        .owners()
        .add(TENANT, nowhere, alice.id, alice.id, later(0))
        .await;
    assert!(matches!(outcome, Err(DbError::NotFound)), "{outcome:?}");
}

async fn errors_do_not_tell_what_the_driver_said(Given { db, place }: Given) {
    let mut raw = place.raw().await;
    sqlx::query("DROP TABLE settings")
        .execute(&mut raw)
        .await
        .expect("drops");
    let error = db
        .settings()
        .get(TENANT, "x")
        .await
        .expect_err("the table is gone");
    assert!(matches!(error, DbError::Internal(_)), "{error:?}");
    assert_eq!(error.to_string(), "the database operation failed");
    let source = std::error::Error::source(&error)
        .expect("kept for the log")
        .to_string();
    assert!(source.contains("settings"), "{source}");
}

/// PostgreSQL limits what an index entry holds, SQLite does not: neither may end in a defect.
async fn an_absurdly_long_key_is_refused_or_stored_but_never_breaks(Given { db, .. }: Given) {
    let mut unit = db.begin().await.expect("begins");
    let long: String = (0..60_000_u32)
        .map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 27) as u8 % 26))
        .collect();
    let outcome = unit.users().insert(&user_record(&long)).await;
    assert!(
        matches!(outcome, Ok(()) | Err(DbError::Unstorable(_))),
        "{outcome:?}"
    );
}
