//! A PostgreSQL database of a test's own, gone when the test ends, also when it fails.

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

/// An empty database on the server that `TEST_POSTGRES_URL` names.
#[derive(Debug)]
pub struct TestDatabase {
    admin_url: String,
    name: String,
}

impl TestDatabase {
    /// Makes one. Fails the test if there is no server.
    pub async fn create() -> Self {
        let admin_url = std::env::var("TEST_POSTGRES_URL").unwrap_or_else(|_| {
            panic!("TEST_POSTGRES_URL is not set: `cargo xtask test` starts a server and sets it")
        });
        let name = format!("hub_test_{:016x}", rand::random::<u64>());
        run(
            &admin_url,
            format!("CREATE DATABASE {name} TEMPLATE template0"),
        )
        .await;
        Self { admin_url, name }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let (server, _) = self
            .admin_url
            .rsplit_once('/')
            .expect("the URL names a database");
        format!("{server}/{}", self.name)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let url = self.admin_url.clone();
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A thread of its own: a drop cannot wait within the test's runtime.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(run(&url, statement));
        });
        // A server that is gone already needs no clearing up.
        let _ = thread.join();
    }
}

async fn run(url: &str, statement: String) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url)
        .await
        .expect("PostgreSQL answers");
    let sql = sqlx::raw_sql(AssertSqlSafe(statement));
    connection.execute(sql).await.expect("the statement runs");
    connection.close().await.expect("closes");
}
