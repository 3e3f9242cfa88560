//! What all endpoints share. Knows no endpoint and no URL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Instant;

use axum::extract::FromRef;
use hub_db::{Db, DbConfig};
use hub_model::{Clock, TenantId};
use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::{AuthParts, AuthService};
use crate::background::Background;
use crate::blobs::BlobStore;
use crate::catalogue::cache::MetadataCache;
use crate::catalogue::links::Links;
use crate::config::HubConfig;
use crate::downloads::DownloadCounter;
use crate::error::StartError;
use crate::invoke::{Gateway, Invoker};
use crate::metrics::HubMetrics;
use crate::ops::discovery::DiscoveryCache;
use crate::packages::trees::TreeCache;
use crate::rate_limit::RateLimiter;
use crate::search::SearchIndex;

/// The hub: configuration, stores and caches. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    config: HubConfig,
    clock: Arc<dyn Clock>,
    started: Instant,
    db: Db,
    blobs: BlobStore,
    auth: Arc<AuthService>,
    rate_limiter: Arc<RateLimiter>,
    links: Links,
    metrics: HubMetrics,
    cache: MetadataCache,
    trees: TreeCache,
    search: SearchIndex,
    downloads: DownloadCounter,
    publish_places: Arc<Semaphore>,
    gateway: Gateway,
    discovery: DiscoveryCache,
    /// The last event that the caches heard of.
    seen_seq: AtomicI64,
    is_draining: AtomicBool,
    is_search_ready: AtomicBool,
    background: Background,
}

impl App {
    /// Opens the database (and brings its schema up to date) and the blob store,
    /// and starts the background work. Must be called within a Tokio runtime.
    ///
    /// This hub runs no skills; see [`App::with_invoker`].
    pub async fn new(config: HubConfig, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::with_invoker(config, clock, None).await
    }

    /// The same, with whatever runs skills for callers. It must live until [`serve`](crate::serve) has returned: what
    /// runs then is waited for within the drain.
    pub async fn with_invoker(
        config: HubConfig,
        clock: Arc<dyn Clock>,
        invoker: Option<Arc<dyn Invoker>>,
    ) -> Result<Self, StartError> {
        config.check()?;
        make_data_folder(&config)?;
        // The first one stands; an embedding program may have chosen its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let db = open_database(&config).await?;
        let blobs = BlobStore::open(&config).await?;
        let auth = Arc::new(AuthService::new(
            config.auth.clone(),
            AuthParts {
                db: db.clone(),
                clock: Arc::clone(&clock),
                public_base: config.public_base(),
                data_folder: config.data_folder.clone(),
                addresses: config.rate_limit.address.clone(),
            },
        )?);
        let metrics = HubMetrics::of_process()?;
        let limits = &config.limits;
        let app = Self(Arc::new(Inner {
            rate_limiter: Arc::new(RateLimiter::new(
                config.rate_limit.clone(),
                Arc::clone(&clock),
            )?),
            links: Links::new(&config.public_base()),
            cache: MetadataCache::new(limits.metadata_cache_bytes_max, metrics.clone()),
            trees: TreeCache::new(
                blobs.clone(),
                limits.package(),
                limits.publishes_at_once_max,
            ),
            search: SearchIndex::new()?,
            downloads: DownloadCounter::new(Arc::clone(&clock)),
            publish_places: Arc::new(Semaphore::new(limits.publishes_at_once_max)),
            gateway: Gateway::new(&config.invoke, invoker),
            started: Instant::now(),
            discovery: DiscoveryCache::default(),
            seen_seq: AtomicI64::new(0),
            is_draining: AtomicBool::new(false),
            is_search_ready: AtomicBool::new(false),
            background: Background::default(),
            config,
            clock,
            db,
            blobs,
            auth,
            metrics,
        }));
        app.0
            .background
            .start(&app)
            .await
            .map_err(StartError::Database)?;
        Ok(app)
    }

    /// All URLs with all layers.
    pub fn router(&self) -> axum::Router {
        crate::routes::router(self.clone())
    }

    pub fn config(&self) -> &HubConfig {
        &self.0.config
    }

    pub fn db(&self) -> &Db {
        &self.0.db
    }

    pub fn blobs(&self) -> &BlobStore {
        &self.0.blobs
    }

    pub fn auth(&self) -> &Arc<AuthService> {
        &self.0.auth
    }

    pub fn rate_limiter(&self) -> &Arc<RateLimiter> {
        &self.0.rate_limiter
    }

    pub fn links(&self) -> &Links {
        &self.0.links
    }

    pub fn metrics(&self) -> &HubMetrics {
        &self.0.metrics
    }

    pub fn cache(&self) -> &MetadataCache {
        &self.0.cache
    }

    pub fn trees(&self) -> &TreeCache {
        &self.0.trees
    }

    pub fn search(&self) -> &SearchIndex {
        &self.0.search
    }

    pub fn downloads(&self) -> &DownloadCounter {
        &self.0.downloads
    }

    pub fn discovery(&self) -> &DiscoveryCache {
        &self.0.discovery
    }

    pub(crate) fn seen_seq(&self) -> i64 {
        self.0.seen_seq.load(Ordering::Relaxed)
    }

    pub(crate) fn set_seen_seq(&self, seq: i64) {
        self.0.seen_seq.store(seq, Ordering::Relaxed);
    }

    /// Places for publishes that hold an archive in memory.
    pub(crate) fn publish_places(&self) -> &Arc<Semaphore> {
        &self.0.publish_places
    }

    /// The skills that run for callers.
    pub(crate) fn gateway(&self) -> &Gateway {
        &self.0.gateway
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// A source of randomness for ids, seeded by the operating system.
    pub fn rng(&self) -> impl rand::RngCore + use<> {
        StdRng::from_os_rng()
    }

    /// The tenant whose catalogue is served. There is one until tenancy is switched on.
    pub fn tenant(&self) -> TenantId {
        TenantId::DEFAULT
    }

    /// When reading needs a token too, shared caches must not keep answers.
    pub fn is_private(&self) -> bool {
        self.0.config.auth.private
    }

    pub fn uptime_seconds(&self) -> u64 {
        self.0.started.elapsed().as_secs()
    }

    /// From now on `/readyz` answers 503, so that load balancers look elsewhere.
    /// No further invocation begins to run.
    pub fn begin_drain(&self) {
        self.0.is_draining.store(true, Ordering::Release);
        self.0.gateway.begin_drain(self.0.config.limits.drain());
    }

    pub fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::Acquire)
    }

    pub fn is_search_ready(&self) -> bool {
        self.0.is_search_ready.load(Ordering::Acquire)
    }

    pub(crate) fn set_search_ready(&self) {
        self.0.is_search_ready.store(true, Ordering::Release);
    }

    /// Stops the background work, writes what is held in memory and closes the
    /// database. For the end of the process; requests fail from here on.
    pub async fn finish(&self) {
        self.begin_drain();
        self.0.gateway.stop(&self.0.db).await;
        self.0.background.stop().await;
        if let Err(error) = self.0.downloads.flush(&self.0.db).await {
            tracing::error!(%error, "download counts of the last seconds are lost");
        }
        self.0.db.close().await;
    }

    /// A token that is cancelled when the hub stops.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.0.background.stopping()
    }
}

impl FromRef<App> for Arc<AuthService> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(app.auth())
    }
}

fn make_data_folder(config: &HubConfig) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let path = &config.data_folder;
    // Keys and hashes of passwords: nobody else's business. A folder that is there stays as it is.
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(path)
        .map_err(|source| StartError::DataFolder {
            path: path.clone(),
            source,
        })
}

async fn open_database(config: &HubConfig) -> Result<Db, StartError> {
    let mut database = DbConfig::new(config.database_url());
    if let Some(connections) = config.database.max_connections {
        database.max_connections = connections;
    }
    let db = Db::connect(&database).await.map_err(StartError::Database)?;
    db.migrate().await.map_err(StartError::Migration)?;
    Ok(db)
}
