//! Counts downloads in memory and hands them to the database in batches, so that
//! no download waits for its count. A crash loses the counts of the last
//! [`FLUSH_INTERVAL`]; a drain loses none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hub_db::{Db, DbError};
use hub_model::{Clock, Downloads, SkillId, VersionId, day_of};

pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// Distinct (version, day) pairs held while the database is away. Beyond it new
/// pairs are not counted: a hub without its database must not fill its memory.
const PENDING_MAX: usize = 100_000;

/// Cheap to clone.
#[derive(Clone)]
pub struct DownloadCounter {
    pending: Arc<Mutex<HashMap<(VersionId, i64), Pending>>>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
struct Pending {
    skill_id: SkillId,
    name: String,
    count: u64,
}

impl DownloadCounter {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            pending: Arc::default(),
            clock,
        }
    }

    /// Counts one download, today.
    pub fn count(&self, skill_id: SkillId, name: &str, version_id: VersionId) {
        let day = day_of(self.clock.now());
        let mut pending = self.lock();
        let is_full = pending.len() >= PENDING_MAX;
        match pending.entry((version_id, day)) {
            Entry::Occupied(mut found) => found.get_mut().count += 1,
            Entry::Vacant(place) if !is_full => {
                place.insert(Pending {
                    skill_id,
                    name: name.to_owned(),
                    count: 1,
                });
            }
            Entry::Vacant(_) => {}
        }
    }

    /// Writes what has been counted; the skills whose counts changed. On an
    /// error everything is kept for the next time.
    pub(crate) async fn flush(&self, db: &Db) -> Result<Vec<(SkillId, String)>, DbError> {
        let batch = std::mem::take(&mut *self.lock());
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let counts: Vec<Downloads> = batch
            .iter()
            .map(|((version_id, day), pending)| Downloads {
                skill_id: pending.skill_id,
                version_id: *version_id,
                day: *day,
                count: pending.count,
            })
            .collect();
        if let Err(error) = db.record_downloads(&counts).await {
            self.put_back(batch);
            return Err(error);
        }
        let mut skills: Vec<_> = batch
            .into_values()
            .map(|pending| (pending.skill_id, pending.name))
            .collect();
        skills.sort_unstable();
        skills.dedup();
        Ok(skills)
    }

    fn put_back(&self, batch: HashMap<(VersionId, i64), Pending>) {
        let mut pending = self.lock();
        for (key, lost) in batch {
            match pending.entry(key) {
                Entry::Occupied(mut found) => found.get_mut().count += lost.count,
                Entry::Vacant(place) => {
                    place.insert(lost);
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(VersionId, i64), Pending>> {
        // Nothing under the lock can panic half-way through a change.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
