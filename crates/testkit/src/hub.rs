//! A real hub on port 0.

use std::path::PathBuf;
use std::sync::Arc;

use hub::invoke::Invoker;
use hub::{App, BlobConfig, HubConfig};
use hub_model::{Clock, Role, UserRecord};
use reqwest::{Method, RequestBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::bucket;
use crate::clock::ManualClock;
use crate::people::{Person, send};
use crate::postgres::TestDatabase;

/// Which database a test hub stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Database {
    #[default]
    Sqlite,
    Postgres,
}

/// Where a test hub keeps archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Blobs {
    #[default]
    Folder,
    S3,
}

type Change = Box<dyn FnOnce(&mut HubConfig) + Send>;

/// A hub to be started. Signatures are not required unless the test says so;
/// there is no rate limit and passwords are hashed cheaply.
#[derive(Default)]
pub struct HubBuilder {
    database: Database,
    blobs: Blobs,
    changes: Vec<Change>,
    invoker: Option<Arc<dyn Invoker>>,
}

impl HubBuilder {
    pub fn on(database: Database) -> Self {
        Self {
            database,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn blobs(mut self, blobs: Blobs) -> Self {
        self.blobs = blobs;
        self
    }

    /// Changes the configuration before the start.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut HubConfig) + Send + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// What runs skills, also after a restart.
    #[must_use]
    pub fn invoker(mut self, invoker: Arc<dyn Invoker>) -> Self {
        self.invoker = Some(invoker);
        self
    }

    pub async fn start(self) -> TestHub {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = HubConfig {
            data_folder: folder.path().join("data"),
            require_signatures: false,
            ..HubConfig::default()
        };
        config.rate_limit.enabled = false;
        config.auth.password.memory_kib = 8_192;
        config.auth.password.passes = 1;
        config.limits.drain_seconds_max = 5;
        let database = match self.database {
            Database::Sqlite => None,
            Database::Postgres => Some(TestDatabase::create().await),
        };
        if let Some(database) = &database {
            config.database.url = Some(hub::auth::Secret::new(database.url()));
        }
        config.blobs = match self.blobs {
            Blobs::Folder => BlobConfig::default(),
            Blobs::S3 => bucket::create().await,
        };
        for change in self.changes {
            change(&mut config);
        }
        let ground = Ground {
            _database: database,
            folder,
            clock: Arc::new(ManualClock::at_present()),
            invoker: self.invoker,
        };
        TestHub::serve(config, ground).await
    }
}

/// What outlives a restart.
struct Ground {
    /// Held for its drop, which removes it; `None` is SQLite in the folder.
    _database: Option<TestDatabase>,
    folder: TempDir,
    clock: Arc<ManualClock>,
    invoker: Option<Arc<dyn Invoker>>,
}

/// A running hub; dropping it stops it and removes its data.
pub struct TestHub {
    /// Without a slash at the end.
    pub url: String,
    app: App,
    config: HubConfig,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
    ground: Option<Ground>,
}

impl TestHub {
    /// A hub on SQLite and a folder.
    pub async fn start() -> Self {
        HubBuilder::default().start().await
    }

    async fn serve(mut config: HubConfig, ground: Ground) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        config.bind = listener.local_addr().expect("an address");
        let clock = Arc::clone(&ground.clock) as Arc<dyn Clock>;
        let invoker = ground.invoker.clone();
        let app = App::with_invoker(config.clone(), clock, invoker)
            .await
            .expect("the hub starts");
        let (stop, stopped) = oneshot::channel::<()>();
        let served = app.clone();
        let server = tokio::spawn(async move {
            hub::serve(listener, served, async {
                let _ = stopped.await;
            })
            .await;
        });
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        Self {
            url: format!("http://{}", config.bind),
            app,
            config,
            client,
            stop: Some(stop),
            server: Some(server),
            ground: Some(ground),
        }
    }

    /// The same data, served by a new hub: what a restart of the process leaves.
    pub async fn restart(mut self) -> Self {
        self.drain().await;
        let ground = self.ground.take().expect("a running hub has its ground");
        Self::serve(self.config.clone(), ground).await
    }

    /// Another replica on the same database and blobs, with its own data folder.
    /// It must be dropped before this one.
    pub async fn replica(&self) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = self.config.clone();
        config.database.url = Some(hub::auth::Secret::new(self.config.database_url()));
        if let BlobConfig::Folder(blobs) = &mut config.blobs {
            let own = self.config.data_folder.join("blobs");
            blobs.path = Some(blobs.path.take().unwrap_or(own));
        }
        // The signing keys are shared, as replicas share them.
        config.auth.signing_key_file = Some(self.config.data_folder.join("signing-keys.json"));
        config.data_folder = folder.path().join("data");
        let clock = Arc::clone(&self.ground().clock);
        Self::serve(
            config,
            Ground {
                _database: None,
                folder,
                clock,
                invoker: self.ground().invoker.clone(),
            },
        )
        .await
    }

    /// Asks the hub to stop and waits until it has drained.
    pub async fn stop(mut self) {
        self.drain().await;
    }

    /// Asks the hub to stop; it drains while the test goes on.
    pub fn begin_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    async fn drain(&mut self) {
        self.begin_stop();
        if let Some(server) = self.server.take() {
            server.await.expect("the server ends without a panic");
        }
    }

    fn ground(&self) -> &Ground {
        self.ground.as_ref().expect("a running hub has its ground")
    }

    pub fn app(&self) -> &App {
        &self.app
    }

    pub fn clock(&self) -> &ManualClock {
        &self.ground().clock
    }

    /// What the hub's clock shows.
    pub fn now(&self) -> jiff::Timestamp {
        hub_model::Clock::now(self.clock())
    }

    /// Where the hub keeps its own files.
    pub fn data_folder(&self) -> PathBuf {
        self.ground().folder.path().join("data")
    }

    /// A client that follows no redirect.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// An anonymous request.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// An anonymous GET.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// Sends any request and reads the answer whole.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        send(request).await
    }

    /// Whoever has this token, such as a CI job or the first administrator.
    pub fn somebody_with(&self, token: &str) -> Person {
        let clock = Arc::clone(&self.ground().clock);
        Person::with_token_alone(&self.url, self.client.clone(), clock, token)
    }

    /// A person with an account, without a key.
    pub async fn person(&self, name: &str) -> Person {
        let clock = Arc::clone(&self.ground().clock);
        Person::register(&self.url, self.client.clone(), clock, name).await
    }

    /// A person with an account and a registered signing key.
    pub async fn publisher(&self, name: &str) -> Person {
        let mut person = self.person(name).await;
        person.make_key().await;
        person
    }

    /// A person with the role `admin`.
    pub async fn admin(&self, name: &str) -> Person {
        let person = self.person(name).await;
        let user = self.user(name).await;
        let db = self.app.db();
        let mut unit = db.begin().await.expect("begins");
        let now = self.clock().now();
        unit.users()
            .set_role(user.id, Role::Admin, now)
            .await
            .expect("sets the role");
        unit.commit().await.expect("commits");
        // The session that registered still has the old role.
        person.sign_in_again().await
    }

    /// What the database holds about an account.
    pub async fn user(&self, name: &str) -> UserRecord {
        let found = self
            .app
            .db()
            .users()
            .by_username(self.app.tenant(), name)
            .await;
        found.expect("reads").expect("the account exists")
    }

    /// Waits until `path` answers what `is_met` asks for: for what the hub does
    /// after the answer, such as indexing. Fails after ten seconds.
    pub async fn eventually(&self, path: &str, is_met: impl Fn(&Answer) -> bool) -> Answer {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let answer = self.get(path).await;
            if is_met(&answer) {
                return answer;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "{path} never answered as expected; last: {} {}",
                answer.status,
                answer.text()
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Waits until the search index is built.
    pub async fn ready(&self) {
        self.eventually("/readyz", |answer| answer.status.is_success())
            .await;
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        self.begin_stop();
        if let Some(server) = self.server.take() {
            server.abort();
        }
    }
}
