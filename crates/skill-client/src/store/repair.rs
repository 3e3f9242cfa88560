//! Makes a store whole again after a crash or a stranger's hand: at the start of every command
//! that changes it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use skill_format::{Limits, Range, ReadOptions, Skill, SkillName, SkillTree, Version};

use super::journal::Run;
use super::transaction::backup_name;
use super::{BACKUP, Store, StoreError, StoreGuard};
use crate::cache::{Cache, CachedTree, Unpacked};
use crate::fsx::{self, At as _, FsError};
use crate::index::InstalledSkill;

/// One thing that was not as it should be, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Repair {
    /// A change that an earlier run had decided was carried out.
    Finished { skills: Vec<String> },
    /// What an interrupted run had written was removed; it had changed nothing yet.
    Swept,
    /// A folder that the index did not name was recognised and taken into it.
    Adopted { name: SkillName, version: Version },
    /// A folder that the index did not name was not recognised and was moved away.
    SetAside {
        name: SkillName,
        version: Version,
        backup: PathBuf,
    },
    /// A skill whose folder was gone was put back from the cache.
    Reinstalled { name: SkillName, version: Version },
    /// A skill's folder is gone, and the cache does not have it.
    Missing { name: SkillName, version: Version },
}

/// What a repair found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    pub repairs: Vec<Repair>,
}

impl RepairReport {
    /// Whether everything was as it should be.
    pub fn is_clean(&self) -> bool {
        self.repairs.is_empty()
    }
}

impl StoreGuard<'_> {
    /// Finishes or undoes what was interrupted and brings folders and index together.
    pub fn repair(&mut self, cache: &Cache, now: Timestamp) -> Result<RepairReport, StoreError> {
        let mut report = RepairReport::default();
        self.finish_interrupted(&mut report)?;
        self.settle_strangers(cache, now, &mut report)?;
        self.bring_back_missing(cache, now, &mut report)?;
        cache.sweep()?;
        Ok(report)
    }

    fn finish_interrupted(&mut self, report: &mut RepairReport) -> Result<(), StoreError> {
        let store = self.store;
        if let Some(journal) = store.read_journal()? {
            self.index = store.carry_out(&journal, &self.index, Run::Again)?;
            let put = journal
                .puts
                .iter()
                .map(|put| (&put.entry.name, &put.entry.version));
            let removed = journal
                .removals
                .iter()
                .map(|removal| (&removal.name, &removal.version));
            let skills = put
                .chain(removed)
                .map(|(name, version)| format!("{name}@{version}"))
                .collect();
            report.repairs.push(Repair::Finished { skills });
        } else if store.staging().symlink_metadata().is_ok() {
            if !fsx::entry_names(&store.staging())?.is_empty() {
                report.repairs.push(Repair::Swept);
            }
            fsx::remove_tree(&store.staging())?;
        }
        Ok(())
    }

    /// Folders that look like installed skills and that the index does not name.
    fn settle_strangers(
        &mut self,
        cache: &Cache,
        now: Timestamp,
        report: &mut RepairReport,
    ) -> Result<(), StoreError> {
        let store = self.store;
        let mut adopted = Vec::new();
        for (name, version) in folders(store.dir())? {
            if self.index.get_version(&name, &version).is_some() {
                continue;
            }
            let dir = store.dir().join(name.as_str()).join(version.to_string());
            match recognise(&dir, &name, &version, cache, now)? {
                Some(entry) => {
                    report.repairs.push(Repair::Adopted { name, version });
                    adopted.push(entry);
                }
                None => {
                    let backup = set_aside(store, &dir, &name, &version, now)?;
                    report.repairs.push(Repair::SetAside {
                        name,
                        version,
                        backup,
                    });
                }
            }
        }
        self.edit_index(|index| adopted.into_iter().for_each(|entry| index.insert(entry)))
    }

    /// Entries of the index that have no folder.
    fn bring_back_missing(
        &mut self,
        cache: &Cache,
        now: Timestamp,
        report: &mut RepairReport,
    ) -> Result<(), StoreError> {
        let is_missing = |skill: &&InstalledSkill| !self.store.skill_dir(skill).is_dir();
        let missing: Vec<_> = self
            .index
            .skills()
            .iter()
            .filter(is_missing)
            .cloned()
            .collect();
        let mut found = Vec::new();
        for entry in missing {
            let (name, version) = (entry.name.clone(), entry.version.clone());
            match from_cache(&entry, cache)? {
                Some(tree) => {
                    report.repairs.push(Repair::Reinstalled { name, version });
                    found.push((entry, tree));
                }
                None => report.repairs.push(Repair::Missing { name, version }),
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin(now)?;
        for (entry, tree) in found {
            transaction.put(entry, &tree, false)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

/// `<name>/<version>` folders, whatever the index says.
fn folders(store: &Path) -> Result<Vec<(SkillName, Version)>, FsError> {
    let mut found = Vec::new();
    for name in fsx::entry_names(store)? {
        let Ok(name) = SkillName::parse(&name) else {
            continue;
        };
        let dir = store.join(name.as_str());
        if !fsx::is_real_dir(&dir) {
            continue;
        }
        for version in fsx::entry_names(&dir)? {
            if let Ok(version) = version.parse::<Version>()
                && fsx::is_real_dir(&dir.join(version.to_string()))
            {
                found.push((name.clone(), version));
            }
        }
    }
    Ok(found)
}

/// The entry of a folder whose content came through this client before, so that it was verified
/// then; `None` for any other.
fn recognise(
    dir: &Path,
    name: &SkillName,
    version: &Version,
    cache: &Cache,
    now: Timestamp,
) -> Result<Option<InstalledSkill>, FsError> {
    let Ok(tree) = SkillTree::read_dir_exactly(dir, &Limits::default()) else {
        return Ok(None);
    };
    let digest = tree.full_digest();
    let Some(Unpacked {
        checksum,
        name: own_name,
        version: own_version,
        source,
        signer,
        ..
    }) = cache.provenance(&digest)?
    else {
        return Ok(None);
    };
    let options = ReadOptions {
        folder_name: None,
        version: Some(own_version.clone()),
    };
    let Ok(skill) = Skill::from_tree(tree, &options) else {
        return Ok(None);
    };
    Ok((own_version == *version).then(|| InstalledSkill {
        package: (own_name != *name).then_some(own_name),
        name: name.clone(),
        version: version.clone(),
        installed_at: now,
        source,
        spec: None,
        checksum,
        digest: Some(digest),
        signer,
        requested: Some(Range::any()),
        dependencies: skill.manifest.dependencies.skills,
        extra: Default::default(),
    }))
}

fn set_aside(
    store: &Store,
    dir: &Path,
    name: &SkillName,
    version: &Version,
    now: Timestamp,
) -> Result<PathBuf, FsError> {
    fsx::ensure_real_dir(&store.dir().join(BACKUP))?;
    let backup = store
        .dir()
        .join(BACKUP)
        .join(backup_name(store.dir(), name, version, now));
    std::fs::rename(dir, &backup).at("rename", dir)?;
    // Fails if other versions are in there.
    let _ = std::fs::remove_dir(store.dir().join(name.as_str()));
    Ok(backup)
}

/// The tree of an entry: unpacked already, or still packed.
fn from_cache(entry: &InstalledSkill, cache: &Cache) -> Result<Option<CachedTree>, StoreError> {
    let digest = match entry.digest {
        Some(digest) => Some(digest),
        None => cache.unpacked(&entry.checksum)?.map(|record| record.tree),
    };
    if let Some(digest) = digest
        && let Some(tree) = cache.tree(&digest)?
    {
        return Ok(Some(tree));
    }
    let Some(bytes) = cache.blob(&entry.checksum)? else {
        return Ok(None);
    };
    let Ok(files) = SkillTree::read_archive(&bytes, &Limits::default()) else {
        return Ok(None);
    };
    let tree = files.full_digest();
    if digest.is_some_and(|digest| digest != tree) {
        return Ok(None);
    }
    let record = Unpacked {
        tree,
        checksum: entry.checksum,
        name: entry.package().clone(),
        version: entry.version.clone(),
        source: entry.source.clone(),
        signer: entry.signer.clone(),
    };
    Ok(cache.put_trees(vec![(record, files)])?.pop())
}
