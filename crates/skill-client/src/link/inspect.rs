//! What is at a place in an agent's folder, and whether it is ours.

use std::path::{Path, PathBuf};

use serde::Serialize;
use skill_format::{Limits, Sha256, SkillTree};

use super::ledger::{Placement, resolve};

/// What a place holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "detail")]
pub enum Found {
    Nothing,
    /// A link to the folder that is wanted.
    WantedLink,
    /// A link into the store, to another version or to a folder that is gone.
    StoreLink {
        to: PathBuf,
        dangling: bool,
    },
    /// A link to somewhere else.
    ForeignLink {
        to: PathBuf,
        dangling: bool,
    },
    /// A copy that we made and nobody changed.
    OwnCopy,
    /// A copy that we made and someone changed.
    ChangedCopy,
    /// A folder that we did not make.
    ForeignFolder,
    /// A file, or something stranger.
    File,
    /// It could not be looked at.
    Unreadable(String),
}

impl Found {
    /// Whether it may be taken away without anyone missing it.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::WantedLink | Self::StoreLink { .. } | Self::OwnCopy => true,
            Self::Nothing
            | Self::ForeignLink { .. }
            | Self::ChangedCopy
            | Self::ForeignFolder
            | Self::File
            | Self::Unreadable(_) => false,
        }
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::WantedLink => f.write_str("the link to the installed skill"),
            Self::StoreLink { to, dangling: true } => {
                write!(f, "a link to {}, which is gone", to.display())
            }
            Self::StoreLink { to, .. } => write!(f, "a link to {} in the store", to.display()),
            Self::ForeignLink { to, dangling: true } => write!(
                f,
                "a link that was made by someone else, to {}, which does not exist",
                to.display()
            ),
            Self::ForeignLink { to, .. } => {
                write!(
                    f,
                    "a link that was made by someone else, to {}",
                    to.display()
                )
            }
            Self::OwnCopy => f.write_str("our copy"),
            Self::ChangedCopy => f.write_str("our copy, changed since"),
            Self::ForeignFolder => f.write_str("a folder that was made by someone else"),
            Self::File => f.write_str("a file"),
            Self::Unreadable(reason) => write!(f, "something that cannot be read: {reason}"),
        }
    }
}

/// Digest of a folder as a copy of a skill; `None` if it cannot be one (links, unreadable files).
pub fn copy_digest(folder: &Path) -> Option<Sha256> {
    SkillTree::read_dir(folder, &Limits::default())
        .ok()
        .map(|tree| tree.full_digest())
}

/// Looks at `path`. `known` is what the ledger says of it, `wanted` the folder it should lead to.
pub(super) fn inspect(
    path: &Path,
    store: &Path,
    known: Option<&Placement>,
    wanted: Option<&Path>,
) -> Found {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Found::Nothing,
        Err(error) => return Found::Unreadable(error.to_string()),
    };
    if metadata.is_symlink() {
        return inspect_link(path, store, wanted);
    }
    if !metadata.is_dir() {
        return Found::File;
    }
    match known.map(|placement| placement.digest) {
        Some(Some(digest)) if copy_digest(path) == Some(digest) => Found::OwnCopy,
        Some(Some(_)) => Found::ChangedCopy,
        Some(None) | None => Found::ForeignFolder,
    }
}

fn inspect_link(path: &Path, store: &Path, wanted: Option<&Path>) -> Found {
    let to = match std::fs::read_link(path) {
        Ok(to) => to,
        Err(error) => return Found::Unreadable(error.to_string()),
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    let target = resolve(folder, &to);
    let dangling = !path.exists();
    if !dangling && wanted.is_some_and(|wanted| target == wanted) {
        return Found::WantedLink;
    }
    if target.starts_with(store)
        || path
            .canonicalize()
            .is_ok_and(|real| real.starts_with(store))
    {
        return Found::StoreLink { to, dangling };
    }
    Found::ForeignLink { to, dangling }
}
