//! A set of changes to a store that happens as a whole or not at all.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use skill_format::{Sha256, SkillName, SkillTree, Version};

use super::journal::{Journal, Put, Removal, Run};
use super::{BACKUP, StoreError, StoreGuard};
use crate::cache::{CachedTree, Writable, write_tree};
use crate::fsx::{self, SyncBatch};
use crate::index::{InstalledSkill, folder};

/// Changes that are being prepared. Dropping it changes nothing.
pub struct Transaction<'g, 's> {
    guard: &'g mut StoreGuard<'s>,
    journal: Journal,
    sync: SyncBatch,
    now: Timestamp,
}

/// What a transaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// Folders with somebody's changes that made way; absolute.
    pub backups: Vec<PathBuf>,
}

impl<'s> StoreGuard<'s> {
    /// Begins a change. The store has been repaired before: see [`StoreGuard::repair`].
    pub fn begin<'g>(&'g mut self, now: Timestamp) -> Result<Transaction<'g, 's>, StoreError> {
        let staging = self.store.staging();
        fsx::remove_tree(&staging)?;
        fsx::ensure_real_dir(&staging)?;
        Ok(Transaction {
            guard: self,
            journal: Journal::default(),
            sync: SyncBatch::default(),
            now,
        })
    }
}

impl Transaction<'_, '_> {
    /// Installs a tree of the cache. What lies in its place is kept aside if `keep_old`, else removed.
    pub fn put(
        &mut self,
        entry: InstalledSkill,
        tree: &CachedTree,
        keep_old: bool,
    ) -> Result<(), StoreError> {
        tree.place(&self.next_staged(), &mut self.sync)?;
        self.note(entry, tree.digest(), keep_old);
        Ok(())
    }

    /// Installs files that are not in the cache, such as the result of a merge. They stay writable.
    pub fn put_files(
        &mut self,
        entry: InstalledSkill,
        files: &SkillTree,
        keep_old: bool,
    ) -> Result<(), StoreError> {
        write_tree(files, &self.next_staged(), Writable::Yes, &mut self.sync)?;
        self.note(entry, files.full_digest(), keep_old);
        Ok(())
    }

    /// Takes an installed version out. Its folder is kept aside if `keep_old`.
    pub fn remove(&mut self, name: &SkillName, version: &Version, keep_old: bool) {
        let backup = keep_old.then(|| self.backup_name(name, version));
        self.journal.removals.push(Removal {
            name: name.clone(),
            version: version.clone(),
            backup,
        });
    }

    /// Notes in the index that a registry was asked.
    pub fn set_synced(&mut self) {
        self.journal.synced_at = Some(self.now);
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.journal.puts.is_empty()
            && self.journal.removals.is_empty()
            && self.journal.synced_at.is_none()
    }

    /// Makes all of it happen. If this returns an error after the change was decided, the next
    /// [`StoreGuard::repair`] finishes it.
    pub fn commit(mut self) -> Result<Committed, StoreError> {
        let store = self.guard.store;
        if self.is_empty() {
            fsx::remove_tree(&store.staging())?;
            return Ok(Committed::default());
        }
        for put in &self.journal.puts {
            // Found out now, and not after the change is decided.
            fsx::check_real_dir(&store.dir.join(put.entry.name.as_str()))?;
        }
        self.sync.push(store.staging());
        self.sync.flush(&store.dir)?;
        store.faults.reach("store-staged");
        store.write_journal(&self.journal)?;
        store.faults.reach("store-decided");
        self.guard.index = store.carry_out(&self.journal, &self.guard.index, Run::First)?;
        let kept = self
            .journal
            .backups()
            .map(|name| store.dir.join(BACKUP).join(name));
        let backups: Vec<PathBuf> = kept.filter(|path| path.exists()).collect();
        Ok(Committed { backups })
    }

    fn next_staged(&self) -> PathBuf {
        self.guard.store.staged(self.journal.puts.len())
    }

    fn note(&mut self, entry: InstalledSkill, staged: Sha256, keep_old: bool) {
        let backup = keep_old.then(|| self.backup_name(&entry.name, &entry.version));
        self.journal.puts.push(Put {
            entry,
            staged,
            backup,
        });
        self.guard.store.faults.reach("store-tree-staged");
    }

    fn backup_name(&self, name: &SkillName, version: &Version) -> String {
        backup_name(&self.guard.store.dir, name, version, self.now)
    }
}

/// A name in `.backup/` that is not taken: `csv-analyzer-1.0.0-20260131T120000Z`.
pub(super) fn backup_name(
    store: &Path,
    name: &SkillName,
    version: &Version,
    now: Timestamp,
) -> String {
    let base = format!(
        "{}-{}",
        folder(name, version).display(),
        now.strftime("%Y%m%dT%H%M%SZ")
    )
    .replace('/', "-");
    let is_free = |name: &String| store.join(BACKUP).join(name).symlink_metadata().is_err();
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    std::iter::once(base.clone())
        .chain(numbered)
        .find(is_free)
        .unwrap_or(base)
}
