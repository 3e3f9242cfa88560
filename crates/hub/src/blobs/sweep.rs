//! Removes archives that no version refers to: what a publish left behind that
//! was killed between storing its blob and committing, and what was deleted.
//!
//! A blob is removed only when it is older than [`ORPHAN_AGE_MIN`] and, under a
//! lock that keeps this process's publishes out, still old and still unused. A
//! publish of another replica that puts the same bytes in that very moment looks
//! again after its commit and puts them back (`packages::publish`).

use std::collections::HashSet;

use futures::StreamExt;
use hub_db::Db;
use jiff::{SignedDuration, Timestamp};
use skill_format::Sha256;

use super::{BlobError, BlobStore};

/// Longer than any publish may take.
pub(crate) const ORPHAN_AGE_MIN: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, thiserror::Error)]
pub(crate) enum SweepError {
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error(transparent)]
    Database(#[from] hub_db::DbError),
}

/// Looks at every blob once; the number removed.
pub(crate) async fn sweep(blobs: &BlobStore, db: &Db, now: Timestamp) -> Result<u64, SweepError> {
    let young = now.checked_sub(ORPHAN_AGE_MIN).unwrap_or(Timestamp::MIN);
    let used = used_digests(db).await?;
    let mut entries = blobs.list();
    let mut removed = 0;
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        if entry.modified >= young || used.contains(&entry.digest) {
            continue;
        }
        let _no_publishes = blobs.hold_publishes().await;
        let is_still_old = blobs
            .modified(entry.digest)
            .await?
            .is_some_and(|at| at < young);
        if is_still_old && !db.versions().archive_is_used(&entry.digest.hex()).await? {
            blobs.delete(entry.digest).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// 32 bytes each: a million versions take some 50 MB for the time of a sweep.
async fn used_digests(db: &Db) -> Result<HashSet<Sha256>, SweepError> {
    let mut used = HashSet::new();
    let mut after: Option<String> = None;
    loop {
        let page = db
            .versions()
            .archives(after.as_deref(), ARCHIVES_PER_READ)
            .await?;
        let Some(last) = page.last() else {
            return Ok(used);
        };
        after = Some(last.clone());
        used.extend(page.iter().filter_map(|hex| hex.parse::<Sha256>().ok()));
    }
}

const ARCHIVES_PER_READ: u32 = 1_000;
