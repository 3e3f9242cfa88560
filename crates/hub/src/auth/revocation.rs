//! A small, short-lived view of which credentials are good, so that not every request asks the
//! database. Knows neither sessions nor tokens, only keys and verdicts.
//!
//! **Staleness.** In the process that revokes something, [`VerdictCache::forget_all`] or
//! [`VerdictCache::forget`] makes the revocation effective at once: the next request asks the
//! database. Another replica follows after at most `auth.revocation_delay_seconds`.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

/// An entry takes some 300 bytes, so this is 30 MB at most.
const ENTRIES_MAX: u64 = 100_000;

/// Verdicts by credential.
pub struct VerdictCache<K, V> {
    cache: Cache<K, V>,
    /// Counts revocations. A verdict that was being looked up while one happened may be from
    /// before it and is not kept.
    epoch: AtomicU64,
}

/// The state of revocations before a lookup began.
#[derive(Clone, Copy)]
pub struct Epoch(u64);

impl<K, V> VerdictCache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Keeps each verdict for at most this long; 0 keeps none.
    pub fn new(seconds: u32) -> Self {
        let cache = Cache::builder()
            .max_capacity(if seconds == 0 { 0 } else { ENTRIES_MAX })
            .time_to_live(Duration::from_secs(u64::from(seconds.max(1))))
            .build();
        Self {
            cache,
            epoch: AtomicU64::new(0),
        }
    }

    /// The verdict, or the state to pass to [`VerdictCache::keep`] after looking it up.
    pub fn get(&self, key: &K) -> Result<V, Epoch> {
        // Read before the lookup begins, so that a revocation after this line is noticed.
        let epoch = Epoch(self.epoch.load(Ordering::SeqCst));
        self.cache.get(key).ok_or(epoch)
    }

    /// Keeps a verdict that was looked up after `before`.
    pub fn keep(&self, key: K, verdict: V, before: Epoch)
    where
        K: Clone,
    {
        self.cache.insert(key.clone(), verdict);
        if self.epoch.load(Ordering::SeqCst) != before.0 {
            self.cache.invalidate(&key);
        }
    }

    /// To be called after a revocation of this credential is committed.
    pub fn forget(&self, key: &K) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.cache.invalidate(key);
    }

    /// To be called after a change to an account is committed: any of its credentials may be
    /// here. Accounts change rarely, so all are forgotten.
    pub fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.cache.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_up(cache: &VerdictCache<u8, bool>) -> Epoch {
        cache.get(&1).expect_err("nothing is known")
    }

    #[test]
    fn a_verdict_is_kept_until_it_is_forgotten() {
        let cache = VerdictCache::new(60);
        let epoch = looked_up(&cache);
        cache.keep(1, true, epoch);
        assert_eq!(cache.get(&1).ok(), Some(true));
        cache.forget(&1);
        let epoch = looked_up(&cache);
        cache.keep(1, true, epoch);
        cache.forget_all();
        looked_up(&cache);
    }

    #[test]
    fn a_verdict_from_before_a_revocation_is_not_kept() {
        let cache = VerdictCache::new(60);
        let epoch = looked_up(&cache);
        cache.forget(&1);
        cache.keep(1, true, epoch);
        looked_up(&cache);
    }

    #[test]
    fn no_seconds_keep_nothing() {
        let cache = VerdictCache::new(0);
        let epoch = looked_up(&cache);
        cache.keep(1, true, epoch);
        looked_up(&cache);
    }
}
