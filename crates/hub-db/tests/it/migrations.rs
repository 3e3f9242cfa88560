//! Migrations: once, whoever starts at the same time; and only ever forwards.

use hub_db::{Db, DbConfig, DbError, MigrateError, MigrationStatus};

use crate::fixture::{TENANT, draft, user};
use crate::harness::{Given, Place, Server, empty_sqlite, on_both};

on_both!(
    migrating_again_changes_nothing,
    a_newer_database_is_refused,
    a_migration_with_another_text_is_refused,
    the_answer_to_a_probe,
);

async fn migrating_again_changes_nothing(Given { db, .. }: Given) {
    let alice = user(&db, "alice").await;
    draft("s", "1.0.0").publish(&db, &alice).await;
    let again = db.migrate().await.expect("migrates");
    assert!(again.applied.is_empty());
    assert!(db.migration_status().await.expect("asks").is_current());
    assert!(
        db.skills()
            .by_name(TENANT, "s")
            .await
            .expect("queries")
            .is_some()
    );
}

async fn a_newer_database_is_refused(Given { db, place }: Given) {
    let mut raw = place.raw().await;
    sqlx::query("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'from-the-future', 'x')")
        .execute(&mut raw)
        .await
        .expect("inserts");
    for error in [
        db.migrate().await.expect_err("refuses"),
        db.migration_status().await.expect_err("refuses"),
    ] {
        assert!(
            matches!(error, MigrateError::TooNew { database: 9999, .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("use a newer program"), "{error}");
    }
}

async fn a_migration_with_another_text_is_refused(Given { db, place }: Given) {
    let mut raw = place.raw().await;
    sqlx::query("UPDATE schema_migrations SET checksum = 'other' WHERE version = 1")
        .execute(&mut raw)
        .await
        .expect("updates");
    let error = db.migrate().await.expect_err("refuses");
    assert!(
        matches!(&error, MigrateError::Changed { version: 1, name } if name == "catalogue"),
        "{error:?}"
    );
}

async fn the_answer_to_a_probe(Given { db, .. }: Given) {
    db.ping().await.expect("answers");
    db.close().await;
    assert!(matches!(db.ping().await, Err(DbError::Unavailable(_))));
}

/// Several replicas, each with its own handle, start on an empty database at the same moment.
async fn start_at_once(place: &Place) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let place = place.clone();
        tasks.spawn(async move {
            let db = place.connect().await;
            let migrated = db.migrate().await.expect("migrates");
            db.ping().await.expect("answers");
            migrated
        });
    }
    let outcomes = tasks.join_all().await;
    let (workers, waiters): (Vec<_>, Vec<_>) = outcomes
        .iter()
        .partition(|migrated| !migrated.applied.is_empty());
    assert_eq!((workers.len(), waiters.len()), (1, 5));
    assert_eq!(workers[0].applied, ["catalogue", "invocations"]);
    let db = place.connect().await;
    assert_eq!(
        db.migration_status().await.expect("asks"),
        MigrationStatus {
            database: 2,
            program: 2
        }
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_replicas_start_at_once() {
    for _ in 0..5 {
        let (place, _folder) = empty_sqlite();
        start_at_once(&place).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_replicas_start_at_once() {
    let server = Server::from_environment();
    for _ in 0..3 {
        let place = server.create(None).await;
        start_at_once(&place).await;
        server.drop_database(&place).await;
    }
}

#[tokio::test]
async fn before_the_first_migration_the_version_is_zero() {
    let (place, _folder) = empty_sqlite();
    let status = place
        .connect()
        .await
        .migration_status()
        .await
        .expect("asks");
    assert_eq!(
        status,
        MigrationStatus {
            database: 0,
            program: 2
        }
    );
    let server = Server::from_environment();
    let place = server.create(None).await;
    let db = place.connect().await;
    assert_eq!(db.migration_status().await.expect("asks").database, 0);
    db.close().await;
    server.drop_database(&place).await;
}

#[tokio::test]
async fn urls_that_lead_nowhere() {
    for url in [
        "",
        "hub.db",
        "mysql://localhost/x",
        "sqlite:",
        "sqlite::memory:",
        "sqlite://?mode=memory",
    ] {
        let outcome = Db::connect(&DbConfig::new(url)).await;
        assert!(
            matches!(outcome, Err(DbError::Unavailable(_))),
            "{url}: {outcome:?}"
        );
    }
    let outcome = Db::connect(&DbConfig::new("sqlite:/nonexistent/folder/hub.db")).await;
    assert!(
        matches!(outcome, Err(DbError::Unavailable(_))),
        "{outcome:?}"
    );
}

#[test]
fn a_config_does_not_print_its_password() {
    let config = DbConfig::new("postgres://hub:secret@db.example.com/hub");
    assert!(!format!("{config:?}").contains("secret"));
}
