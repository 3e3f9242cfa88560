//! A decided change: what the journal says is done, now or by the next process. Every step looks
//! at what is there first, so that doing it twice does no harm.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use skill_format::{Limits, Sha256, SkillName, SkillTree, Version};

use super::{BACKUP, Store, StoreError};
use crate::fsx::{self, At as _, FsError, SyncBatch};
use crate::index::{Index, InstalledSkill, folder};

/// What will have been done.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Journal {
    pub puts: Vec<Put>,
    pub removals: Vec<Removal>,
    /// When the registry was asked for this.
    pub synced_at: Option<jiff::Timestamp>,
}

/// A staged folder that takes its place.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Put {
    pub entry: InstalledSkill,
    /// `full_digest` of the staged folder: the entry's, or that of a merge with local changes.
    pub staged: Sha256,
    /// Where the folder goes that lay there before; removed if absent. Inside `.backup/`.
    pub backup: Option<String>,
}

/// An installed version that goes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Removal {
    pub name: SkillName,
    pub version: Version,
    pub backup: Option<String>,
}

impl Journal {
    /// Names in `.backup/` of what is kept.
    pub fn backups(&self) -> impl Iterator<Item = &str> {
        let puts = self.puts.iter().map(|put| &put.backup);
        let removals = self.removals.iter().map(|removal| &removal.backup);
        puts.chain(removals).filter_map(Option::as_deref)
    }
}

/// Whether a change is carried out for the first time, or after it was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    First,
    Again,
}

impl Store {
    pub(super) fn journal_path(&self) -> PathBuf {
        self.staging().join("journal.json")
    }

    /// The folder staged for the put of this number.
    pub(super) fn staged(&self, number: usize) -> PathBuf {
        self.staging().join(format!("new-{number}"))
    }

    /// The journal of a change that was decided and not finished.
    pub(super) fn read_journal(&self) -> Result<Option<Journal>, StoreError> {
        let path = self.journal_path();
        if !fsx::is_real_dir(&self.staging()) {
            return Ok(None);
        }
        let Some(bytes) = fsx::read_optional(&path)? else {
            return Ok(None);
        };
        let journal: Journal = match serde_json::from_slice(&bytes) {
            Ok(journal) => journal,
            Err(source) => return Err(StoreError::Journal { path, source }),
        };
        // A store may come with a stranger's repository, and so may its journal.
        if journal.backups().any(|name| !is_plain_name(name)) {
            return Err(StoreError::ForeignJournal { path });
        }
        Ok(Some(journal))
    }

    /// Decides a change.
    pub(super) fn write_journal(&self, journal: &Journal) -> Result<(), StoreError> {
        let path = self.journal_path();
        let text = serde_json::to_vec_pretty(journal).map_err(|source| StoreError::Journal {
            path: path.clone(),
            source,
        })?;
        fsx::write_atomic(&path, &text, 0o600)?;
        Ok(())
    }

    /// Carries a decided change out and returns the index that holds afterwards.
    pub(super) fn carry_out(
        &self,
        journal: &Journal,
        index: &Index,
        run: Run,
    ) -> Result<Index, StoreError> {
        let mut retired = Vec::new();
        let mut parents = BTreeSet::from([self.dir.clone()]);
        let mut next = index.clone();
        for (number, removal) in journal.removals.iter().enumerate() {
            let old = self.staging().join(format!("gone-{number}"));
            self.retire(
                &self.dir.join(folder(&removal.name, &removal.version)),
                &old,
            )?;
            self.faults.reach("store-folder-removed");
            parents.insert(self.dir.join(removal.name.as_str()));
            next.remove(&removal.name, &removal.version);
            retired.push((old, &removal.backup));
        }
        for (number, put) in journal.puts.iter().enumerate() {
            let old = self.staging().join(format!("old-{number}"));
            self.swap_in(put, &self.staged(number), &old, run)?;
            parents.insert(self.dir.join(put.entry.name.as_str()));
            next.insert(put.entry.clone());
            retired.push((old, &put.backup));
        }
        if let Some(now) = journal.synced_at {
            next.set_last_sync_time(now);
        }
        let mut sync = SyncBatch::default();
        parents
            .into_iter()
            .filter(|dir| dir.is_dir())
            .for_each(|dir| sync.push(dir));
        sync.flush(&self.dir)?;
        self.faults.reach("store-folders-in-place");
        self.write_index(&next)?;
        self.faults.reach("store-index-written");
        for (old, backup) in retired {
            self.put_aside(&old, backup.as_deref())?;
        }
        for removal in &journal.removals {
            remove_if_empty(&self.dir.join(removal.name.as_str()))?;
        }
        let path = self.journal_path();
        std::fs::remove_file(&path).at("remove", &path)?;
        self.faults.reach("store-journal-removed");
        fsx::remove_tree(&self.staging())?;
        Ok(next)
    }

    /// Moves an installed folder out of the way, if it is there.
    fn retire(&self, dir: &Path, old: &Path) -> Result<(), FsError> {
        if !dir.parent().is_some_and(fsx::is_real_dir) {
            return Ok(());
        }
        if dir.symlink_metadata().is_ok() && old.symlink_metadata().is_err() {
            std::fs::rename(dir, old).at("rename", dir)?;
        }
        Ok(())
    }

    /// Puts a staged folder in its place and what lay there into `old`.
    fn swap_in(&self, put: &Put, new: &Path, old: &Path, run: Run) -> Result<(), FsError> {
        let dest = self.dir.join(put.entry.folder());
        if new.symlink_metadata().is_err() {
            return Ok(());
        }
        fsx::ensure_real_dir(&self.dir.join(put.entry.name.as_str()))?;
        if dest.symlink_metadata().is_err() {
            self.faults.reach("store-folder-new");
            return std::fs::rename(new, &dest).at("rename", new);
        }
        let exchanged_before = run == Run::Again && holds(&dest, &put.staged);
        if !exchanged_before {
            self.faults.reach("store-folder-exchange");
            if !exchange(new, &dest)? {
                std::fs::rename(&dest, old).at("rename", &dest)?;
                self.faults.reach("store-folder-between");
                return std::fs::rename(new, &dest).at("rename", new);
            }
        }
        self.faults.reach("store-folder-exchanged");
        std::fs::rename(new, old).at("rename", new)
    }

    /// Removes a retired folder, or keeps it for its owner.
    fn put_aside(&self, old: &Path, backup: Option<&str>) -> Result<(), FsError> {
        let Some(name) = backup.filter(|_| old.symlink_metadata().is_ok()) else {
            return fsx::remove_tree(old);
        };
        let dir = self.dir.join(BACKUP);
        fsx::ensure_real_dir(&dir)?;
        std::fs::rename(old, dir.join(name)).at("rename", old)?;
        self.faults.reach("store-backup-made");
        Ok(())
    }
}

fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    )
}

fn holds(dir: &Path, digest: &Sha256) -> bool {
    let tree = SkillTree::read_dir_exactly(dir, &Limits::default());
    tree.is_ok_and(|tree| tree.full_digest() == *digest)
}

fn remove_if_empty(dir: &Path) -> Result<(), FsError> {
    match std::fs::remove_dir(dir) {
        Err(error)
            if !matches!(
                error.kind(),
                std::io::ErrorKind::DirectoryNotEmpty
                    | std::io::ErrorKind::NotFound
                    | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Err(error).at("remove", dir)
        }
        _ => Ok(()),
    }
}

/// Swaps two folders in one step; `false` where the system or the file system cannot.
fn exchange(one: &Path, other: &Path) -> Result<bool, FsError> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
            Err(error) => Err(std::io::Error::from(error)).at("exchange", other),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (one, other);
        Ok(false)
    }
}
