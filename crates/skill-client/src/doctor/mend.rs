//! Mends what can be mended without losing anything.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use skill_format::{Explain, Fault, Place};

use super::{Doctor, places};
use crate::fsx::{At as _, FsError, entry_names, remove_tree};
use crate::link::{Installed, LinkError, LinkReport, Linker, TEMPORARY_SUFFIX, UnlinkReport};
use crate::store::{Repair, StoreError, StoreGuard};

/// What was done.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mended {
    pub repairs: Vec<Repair>,
    pub links: LinkReport,
    pub unlinked: UnlinkReport,
    /// Leftovers and damaged parts of the cache that were removed.
    pub removed: Vec<PathBuf>,
    /// Files that only their owner can read now.
    pub made_private: Vec<PathBuf>,
}

/// Why something could not be mended.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    File(#[from] FsError),
}

impl MendError {
    fn inner(&self) -> &dyn Explain {
        match self {
            Self::Store(error) => error,
            Self::Link(error) => error,
            Self::File(error) => error,
        }
    }
}

impl Explain for MendError {
    fn code(&self) -> &'static str {
        self.inner().code()
    }

    fn fault(&self) -> Fault {
        self.inner().fault()
    }

    fn help(&self) -> Option<String> {
        self.inner().help()
    }

    fn place(&self) -> Option<Place> {
        self.inner().place()
    }
}

impl Doctor<'_> {
    /// Mends what [`Doctor::examine`] calls mendable. Waits while another process changes the
    /// store, and then calls `on_wait` with who that is.
    pub async fn mend(
        &self,
        now: Timestamp,
        on_wait: impl FnOnce(Option<&str>),
    ) -> Result<Mended, MendError> {
        let mut mended = Mended::default();
        if places::others_can_read(self.config_file) {
            make_private(self.config_file)?;
            mended.made_private.push(self.config_file.to_owned());
        }
        for path in places::exposed_secrets(self.keyring) {
            make_private(&path)?;
            mended.made_private.push(path);
        }
        // Where nothing was ever installed nothing is made.
        if !self.store.dir().is_dir() {
            return Ok(mended);
        }
        let mut guard = self.store.lock("skills doctor --fix", on_wait).await?;
        mended.repairs = guard.repair(self.cache, now)?.repairs;
        self.mend_links(&guard, &mut mended)?;
        drop(guard);
        if self.cache.dir().is_dir() {
            let checked = self.cache.verify(|_| {}).await?;
            let dropped = checked.dropped.iter();
            mended
                .removed
                .extend(dropped.map(|path| self.cache.dir().join(path)));
        }
        Ok(mended)
    }

    fn mend_links(&self, guard: &StoreGuard<'_>, mended: &mut Mended) -> Result<(), MendError> {
        let mut linker = Linker::open(self.store.dir(), self.roots, self.scope)?;
        // Links are compared with real paths.
        let store = self
            .store
            .dir()
            .canonicalize()
            .at("read", self.store.dir())?;
        let folders: Vec<PathBuf> = linker
            .ledger()
            .iter()
            .flat_map(|(_, placements)| placements)
            .map(|placement| placement.folder_from(&store))
            .collect();
        let (mut linked, mut orphaned) = (Vec::new(), Vec::new());
        for (name, _) in linker.ledger().iter() {
            let mut versions = guard.index().skills().iter();
            match versions.find(|skill| skill.name.as_str() == name) {
                Some(skill) => {
                    let folder = store.join(skill.folder());
                    if folder.join("SKILL.md").is_file() {
                        let name = name.to_owned();
                        linked.push(Installed { name, folder });
                    }
                }
                None => orphaned.push(name.to_owned()),
            }
        }
        mended.links = linker.refresh(&linked, false)?;
        mended.unlinked = linker.uninstall(&orphaned, false)?;
        for folder in folders {
            for name in entry_names(&folder).unwrap_or_default() {
                if name.ends_with(TEMPORARY_SUFFIX) {
                    let path = folder.join(name);
                    remove_tree(&path)?;
                    mended.removed.push(path);
                }
            }
        }
        Ok(())
    }
}

fn make_private(file: &Path) -> Result<(), FsError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = if file.is_dir() { 0o700 } else { 0o600 };
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).at("change", file)
}
