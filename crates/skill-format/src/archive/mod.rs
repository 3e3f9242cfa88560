//! The one reader for archives that come from strangers, and the one writer.
//!
//! Validator, registry, installer and scanner all call [`read`]. It works on bytes in memory and
//! gives a [`SkillTree`]; nothing is ever unpacked from the archive itself, so the bytes that
//! were validated are the bytes that reach the disk.
//!
//! The rule behind every refusal: two programs must not be able to read two different skills from
//! the same bytes, and a skill must unpack to the same files on every system. So there is exactly
//! one gzip member and nothing after it, one tar whose end is the end, a zip whose entries tile
//! the file without gap or overlap and whose two descriptions of each entry agree; only files and
//! folders; and only paths that keep the rules of `tree/path.rs`.
//!
//! Every bound is checked before the memory is taken or while the data is inflated, so a reader
//! needs the archive, the tree within its [`Limits`], and a few buffers. Time grows linearly with
//! the archive and what it unpacks to.
//!
//! How to read another format: parse it in a module of its own, hand each entry to
//! `collect.rs`, which does the counting, and tell it apart by its first bytes in [`read`].

mod collect;
mod error;
mod gzip;
mod header;
mod inflate;
mod pax;
mod tar;
pub(crate) mod write;
mod zip;

pub use error::{ArchiveError, EntryProblem, GzipProblem, TarProblem, ZipProblem};

use crate::limits::Limits;
use crate::tree::{SKILL_MD, SkillTree};

/// See [`SkillTree::read_archive`].
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<SkillTree, ArchiveError> {
    let size = bytes.len() as u64;
    if size > limits.archive_bytes_max {
        return Err(ArchiveError::TooLarge {
            bytes: size,
            max: limits.archive_bytes_max,
        });
    }
    let tree = if bytes.starts_with(&gzip::MAGIC) {
        tar::read(bytes, limits)?
    } else if zip::is_zip(bytes) {
        zip::read(bytes, limits)?
    } else {
        return Err(ArchiveError::UnknownFormat);
    };
    if tree.get(SKILL_MD).is_none() {
        return Err(ArchiveError::NoSkillMd {
            found: nested_skill_md(&tree),
        });
    }
    Ok(tree)
}

/// A `SKILL.md` further down, or one spelt otherwise: most likely the one that was meant.
fn nested_skill_md(tree: &SkillTree) -> Option<String> {
    let is_meant = |path: &&str| {
        path.rsplit('/')
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(SKILL_MD))
    };
    tree.iter()
        .map(|(path, _)| path)
        .filter(is_meant)
        .min_by_key(|path| path.len())
        .map(str::to_owned)
}
