//! Who has a place: the invocations of this process, within its bounds, and how they end with it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hub_db::Db;
use hub_model::InvocationId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::InvokeConfig;
use super::live::{End, Live};
use super::port::Invoker;

pub(crate) struct Gateway {
    invoker: Option<Arc<dyn Invoker>>,
    slots: Arc<Semaphore>,
    line: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    progress_bytes_max: usize,
    live: Mutex<HashMap<InvocationId, Arc<Live>>>,
    /// Invocations that are not over and were left, with a lease of ours.
    left: Mutex<Vec<InvocationId>>,
    tasks: TaskTracker,
    draining: CancellationToken,
    /// When whoever still waits is sent away, once draining.
    waiting_ends: OnceLock<Instant>,
    cut: CancellationToken,
}

/// Where an invocation stands in this process.
pub(crate) enum Place {
    /// It may run.
    Slot(OwnedSemaphorePermit),
    /// It waits for a slot.
    Line(OwnedSemaphorePermit),
}

impl Gateway {
    pub(crate) fn new(config: &InvokeConfig, invoker: Option<Arc<dyn Invoker>>) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self {
            invoker,
            slots: places(config.concurrent_max),
            line: places(config.queued_max),
            streams: places(config.streams_max),
            progress_bytes_max: config.progress_bytes_max,
            live: Mutex::default(),
            left: Mutex::default(),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            waiting_ends: OnceLock::new(),
            cut: CancellationToken::new(),
        }
    }

    pub(crate) fn invoker(&self) -> Option<&Arc<dyn Invoker>> {
        self.invoker.as_ref()
    }

    /// A place for one more invocation, if there is one.
    pub(crate) fn place(&self) -> Option<Place> {
        // Who waits already is not overtaken: a slot that becomes free goes to the first in line.
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        slot.map(Place::Slot)
            .or_else(|_| Arc::clone(&self.line).try_acquire_owned().map(Place::Line))
            .ok()
    }

    /// The next slot, in the order of asking.
    pub(crate) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    /// A place among those who listen to events.
    pub(crate) fn stream(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }

    /// Begins to work on an invocation; `None` if this process does so already.
    pub(crate) fn register(&self, id: InvocationId) -> Option<Arc<Live>> {
        let fresh = Arc::new(Live::new(self.progress_bytes_max));
        match self.lock().entry(id) {
            std::collections::hash_map::Entry::Occupied(_) => None,
            std::collections::hash_map::Entry::Vacant(place) => {
                Some(Arc::clone(place.insert(fresh)))
            }
        }
    }

    pub(crate) fn live(&self, id: InvocationId) -> Option<Arc<Live>> {
        self.lock().get(&id).cloned()
    }

    /// The invocations that this process works on.
    pub(crate) fn ids(&self) -> Vec<InvocationId> {
        self.lock().keys().copied().collect()
    }

    /// This process's work on it has ended, and those who wait are told.
    pub(crate) fn release(&self, id: InvocationId, end: End) {
        let live = self.lock().remove(&id);
        if matches!(end, End::Left) {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            left.push(id);
        }
        if let Some(live) = live {
            live.end(end);
        }
    }

    /// This process does not work on it after all, and holds no lease.
    pub(crate) fn forget(&self, id: InvocationId) {
        if let Some(live) = self.lock().remove(&id) {
            live.end(End::Elsewhere);
        }
    }

    /// Runs to its end whatever becomes of the request.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    pub(crate) async fn drains(&self) {
        self.draining.cancelled().await;
    }

    /// Completes when whoever waits for a result should be sent away: the hub stops, and half of its time is over.
    pub(crate) async fn waiting_ends(&self) {
        self.draining.cancelled().await;
        if let Some(end) = self.waiting_ends.get() {
            tokio::time::sleep_until(*end).await;
        }
    }

    pub(crate) async fn is_cut(&self) {
        self.cut.cancelled().await;
    }

    /// From now on nothing begins to run.
    pub(crate) fn begin_drain(&self, time: Duration) {
        self.waiting_ends.get_or_init(|| Instant::now() + time / 2);
        self.draining.cancel();
        self.tasks.close();
    }

    /// Once draining: completes when nothing runs any more.
    pub(crate) async fn idle(&self) {
        self.tasks.wait().await;
    }

    /// Leaves what still runs, and gives up its leases: whoever comes next goes on with it at once.
    pub(crate) async fn stop(&self, db: &Db) {
        self.cut.cancel();
        self.tasks.wait().await;
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        if left.is_empty() {
            return;
        }
        tracing::info!(invocations = left.len(), "left for the next start");
        if let Err(error) = db.release_leases(&left).await {
            tracing::warn!(%error, "cannot give up leases; they lapse");
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InvocationId, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
