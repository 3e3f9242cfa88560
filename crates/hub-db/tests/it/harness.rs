//! A fresh, migrated database for each test, on either engine; gone afterwards, also when the test fails.

use std::future::Future;
use std::panic::resume_unwind;

use hub_db::{Db, DbConfig};
use rand::Rng as _;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};
use tempfile::TempDir;

/// Declares, for each test body named, one test on SQLite and one on PostgreSQL.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    $crate::harness::on_sqlite(super::$name).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    $crate::harness::on_postgres(super::$name).await;
                }
            )+
        }
    };
}
pub(crate) use on_both;

/// Somewhere to connect to: a test may open several handles, as several replicas do.
#[derive(Clone)]
pub struct Place {
    pub url: String,
}

impl Place {
    pub async fn connect(&self) -> Db {
        Db::connect(&DbConfig::new(&self.url))
            .await
            .expect("connects")
    }

    /// A connection past the crate, to look at what is really stored.
    pub async fn raw(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        AnyConnection::connect(&self.url).await.expect("connects")
    }
}

/// What a body is given: a handle on a migrated database, and where it is.
pub struct Given {
    pub db: Db,
    pub place: Place,
}

pub async fn on_sqlite<F: Future<Output = ()> + Send + 'static>(body: fn(Given) -> F) {
    let (place, _folder) = empty_sqlite();
    let db = place.connect().await;
    db.migrate().await.expect("migrates");
    body(Given { db, place }).await;
}

pub async fn on_postgres<F: Future<Output = ()> + Send + 'static>(body: fn(Given) -> F) {
    let server = Server::from_environment();
    let template = server.template().await;
    let place = server.create(Some(&template)).await;
    let db = place.connect().await;
    let outcome = tokio::spawn(body(Given {
        db: db.clone(),
        place: place.clone(),
    }))
    .await;
    db.close().await;
    server.drop_database(&place).await;
    if let Err(failure) = outcome {
        resume_unwind(failure.into_panic());
    }
}

/// A place for an SQLite database that does not exist yet. The folder goes when it is dropped.
pub fn empty_sqlite() -> (Place, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("hub.db");
    (
        Place {
            url: format!("sqlite:{}", path.display()),
        },
        folder,
    )
}

/// The PostgreSQL server of the tests.
pub struct Server {
    admin_url: String,
}

impl Server {
    pub fn from_environment() -> Self {
        let admin_url = std::env::var("TEST_POSTGRES_URL").unwrap_or_else(|_| {
            panic!("TEST_POSTGRES_URL is not set: `cargo xtask test` starts a PostgreSQL server and sets it")
        });
        Self { admin_url }
    }

    async fn admin(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        AnyConnection::connect(&self.admin_url)
            .await
            .expect("TEST_POSTGRES_URL answers")
    }

    fn place(&self, database: &str) -> Place {
        let (server, _) = self
            .admin_url
            .rsplit_once('/')
            .expect("the URL names a database");
        Place {
            url: format!("{server}/{database}"),
        }
    }

    /// A new database: a copy of `template`, or an empty one.
    pub async fn create(&self, template: Option<&str>) -> Place {
        let name = format!("hub_test_{:016x}", rand::rng().random::<u64>());
        let mut admin = self.admin().await;
        // Copying needs the template for itself; the lock makes those who copy queue.
        lock_templates(&mut admin).await;
        run(
            &mut admin,
            format!(
                "CREATE DATABASE {name} TEMPLATE {}",
                template.unwrap_or("template0")
            ),
        )
        .await;
        admin.close().await.expect("closes");
        self.place(&name)
    }

    pub async fn drop_database(&self, place: &Place) {
        let name = place.url.rsplit_once('/').map_or("", |(_, name)| name);
        let mut admin = self.admin().await;
        run(
            &mut admin,
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        )
        .await;
    }

    /// The name of a migrated database to copy; made by the first test that needs it. The name holds a digest of the
    /// migrations, so a changed one makes a new template.
    async fn template(&self) -> String {
        const MIGRATIONS: [&str; 2] = [
            include_str!("../../migrations/0001_catalogue.sql"),
            include_str!("../../migrations/0002_invocations.sql"),
        ];
        let digest = MIGRATIONS
            .into_iter()
            .flat_map(str::bytes)
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let name = format!("hub_template_{digest:016x}");
        let mut admin = self.admin().await;
        lock_templates(&mut admin).await;
        let found = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(&name)
            .fetch_optional(&mut admin)
            .await
            .expect("queries");
        if found.is_none() {
            self.make_template(&mut admin, &name).await;
        }
        admin.close().await.expect("closes");
        name
    }

    /// Made under another name first: a template that exists is complete.
    async fn make_template(&self, admin: &mut AnyConnection, name: &str) {
        run(
            admin,
            format!("DROP DATABASE IF EXISTS {name}_unfinished WITH (FORCE)"),
        )
        .await;
        run(
            admin,
            format!("CREATE DATABASE {name}_unfinished TEMPLATE template0"),
        )
        .await;
        let db = self.place(&format!("{name}_unfinished")).connect().await;
        db.migrate().await.expect("migrates");
        db.close().await;
        run(
            admin,
            format!("ALTER DATABASE {name}_unfinished RENAME TO {name}"),
        )
        .await;
    }
}

/// Held until the connection closes.
async fn lock_templates(admin: &mut AnyConnection) {
    run(admin, "SELECT pg_advisory_lock(553100)".to_owned()).await;
}

async fn run(connection: &mut AnyConnection, text: String) {
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(text)))
        .await
        .expect("runs");
}
