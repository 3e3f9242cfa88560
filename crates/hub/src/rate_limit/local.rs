//! Limits counted in this process, in bounded memory. Knows no kind of client: the key is the
//! caller's.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::gcra::{Decision, Rate};

/// Maps are split so that requests of different clients rarely wait for each other.
const SHARDS: usize = 16;

/// Clients remembered per shard. An entry takes about 64 bytes, so all shards together stay
/// under 16 × 65,536 × 64 B = 64 MiB whatever addresses an attacker owns.
const CLIENTS_PER_SHARD_MAX: usize = 65_536;

/// A shard is searched for entries that no longer matter once it has this many.
const SWEEP_FLOOR: usize = 1_024;

/// A full shard is searched no more often than this: a search takes a millisecond.
const SWEEP_PAUSE_US: u64 = 1_000_000;

/// Keyed limiter in memory.
pub struct LocalLimiter<K> {
    shards: Vec<Mutex<Shard<K>>>,
    hasher: RandomState,
    /// Counts for whoever finds no place of their own.
    overflow: K,
    clients_per_shard_max: usize,
}

struct Shard<K> {
    /// Theoretical arrival time by client, in microseconds.
    tats_us: HashMap<K, u64>,
    /// Size at which the next sweep is due: twice what the last one left, so that a sweep costs
    /// each insertion a constant.
    sweep_at: usize,
    swept_at_us: u64,
}

impl<K: Hash + Eq + Copy> LocalLimiter<K> {
    /// An empty limiter. Once it is full of clients that still owe time, new ones are all
    /// counted under `overflow`.
    pub fn new(overflow: K) -> Self {
        Self::with_capacity(overflow, CLIENTS_PER_SHARD_MAX)
    }

    fn with_capacity(overflow: K, clients_per_shard_max: usize) -> Self {
        let shard = || {
            let tats_us = HashMap::new();
            Mutex::new(Shard {
                tats_us,
                sweep_at: SWEEP_FLOOR,
                swept_at_us: 0,
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: RandomState::new(),
            overflow,
            clients_per_shard_max,
        }
    }

    /// Decides on one request and remembers it.
    pub fn check(&self, key: K, rate: Rate, now_us: u64) -> Decision {
        let mut shard = self.shard(key);
        let has_place = shard.has_place(key, now_us, self.clients_per_shard_max);
        let key = if has_place { key } else { self.overflow };
        let (decision, tat) = rate.decide(shard.tats_us.get(&key).copied(), now_us);
        if let Some(tat) = tat {
            shard.tats_us.insert(key, tat);
        }
        decision
    }

    /// Takes one request back, as if it had not been made.
    pub fn refund(&self, key: K, rate: Rate) {
        if let Some(tat) = self.shard(key).tats_us.get_mut(&key) {
            *tat = tat.saturating_sub(rate.interval_us);
        }
    }

    fn shard(&self, key: K) -> MutexGuard<'_, Shard<K>> {
        let place = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[place]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Copy> Shard<K> {
    fn has_place(&mut self, key: K, now_us: u64, clients_max: usize) -> bool {
        if self.tats_us.len() < self.sweep_at || self.tats_us.contains_key(&key) {
            return true;
        }
        let is_full = self.tats_us.len() >= clients_max;
        if is_full && now_us < self.swept_at_us + SWEEP_PAUSE_US {
            return false;
        }
        self.tats_us.retain(|_, tat| *tat > now_us);
        self.swept_at_us = now_us;
        self.sweep_at = (self.tats_us.len() * 2).clamp(SWEEP_FLOOR, clients_max);
        self.tats_us.len() < clients_max
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Quota;
    use super::*;

    fn held(limiter: &LocalLimiter<u64>) -> usize {
        limiter
            .shards
            .iter()
            .map(|shard| shard.lock().expect("sound").tats_us.len())
            .sum()
    }

    #[test]
    fn clients_are_counted_apart() {
        let limiter = LocalLimiter::new(0);
        let rate = Rate::from(Quota::per_minute(1));
        let allowed = |key| limiter.check(key, rate, 1_000).allowed;
        assert!(allowed(1));
        assert!(!allowed(1));
        assert!(allowed(2));
    }

    #[test]
    fn a_refund_makes_room_for_one_more() {
        let limiter = LocalLimiter::new(0);
        let rate = Rate::from(Quota::per_minute(2));
        let allowed = || limiter.check(1, rate, 1_000).allowed;
        assert!(allowed() && allowed() && !allowed());
        limiter.refund(1, rate);
        assert!(allowed() && !allowed());
    }

    #[test]
    fn memory_stays_bounded_under_ever_new_clients() {
        let limiter = LocalLimiter::with_capacity(0, 2_000);
        let rate = Rate::from(Quota::per_minute(10));
        for key in 1..=50_000 {
            limiter.check(key, rate, 1_000 + key);
        }
        assert!(held(&limiter) <= SHARDS * 2_001, "{}", held(&limiter));
        let newcomer = limiter.check(50_001, rate, 100_000);
        assert!(
            !newcomer.allowed,
            "who finds no place shares what the others have used up"
        );
        let later = limiter.check(50_002, rate, 120_000_000);
        assert!(
            later.allowed,
            "and when the others owe nothing any more there is room again"
        );
    }

    #[test]
    fn clients_that_owe_nothing_are_forgotten() {
        let limiter = LocalLimiter::new(0);
        let rate = Rate::from(Quota::per_minute(10));
        for key in 0..200_000 {
            limiter.check(key, rate, 1_000 + key * 1_000_000);
        }
        assert!(held(&limiter) <= SHARDS * SWEEP_FLOOR, "{}", held(&limiter));
    }
}
