//! Gathers the entries of an archive into a tree and counts what they cost, the same for tar and
//! zip. A bound is checked before the bytes that would exceed it are read.

use super::error::ArchiveError;
use crate::limits::{LimitError, Limits};
use crate::tree::path::{self, CheckedPath};
use crate::tree::{SkillFile, SkillTree};

pub(super) struct Collector<'a> {
    limits: &'a Limits,
    tree: SkillTree,
    entries: usize,
    bytes: u64,
}

impl<'a> Collector<'a> {
    pub fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            tree: SkillTree::new(),
            entries: 0,
            bytes: 0,
        }
    }

    /// Counts one more file or folder.
    pub fn count_entry(&mut self) -> Result<(), ArchiveError> {
        self.entries += 1;
        let max = self.limits.entries_max();
        if self.entries > max {
            return Err(LimitError::EntryCount { max }.into());
        }
        Ok(())
    }

    pub fn check_path(&self, raw: &[u8]) -> Result<CheckedPath, ArchiveError> {
        Ok(path::check_bytes(raw, self.limits)?)
    }

    pub fn folder(&mut self, path: &CheckedPath) -> Result<(), ArchiveError> {
        Ok(self.tree.claim_folder(path)?)
    }

    /// Asks for room for a file of `size` bytes, before they are read.
    pub fn reserve(&mut self, path: &CheckedPath, size: u64) -> Result<(), ArchiveError> {
        let limits = self.limits;
        if self.tree.len() >= limits.files_max {
            return Err(LimitError::FileCount {
                max: limits.files_max,
            }
            .into());
        }
        if size > limits.file_bytes_max {
            let path = path::printable(&path.raw);
            return Err(LimitError::FileSize {
                path,
                max: limits.file_bytes_max,
            }
            .into());
        }
        // Both are at most the limits, which fit an address space.
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > limits.unpacked_bytes_max {
            return Err(LimitError::TotalSize {
                max: limits.unpacked_bytes_max,
            }
            .into());
        }
        Ok(())
    }

    /// Adds a file for which room was asked.
    pub fn file(&mut self, path: CheckedPath, file: SkillFile) -> Result<(), ArchiveError> {
        Ok(self.tree.insert_checked(path, file)?)
    }

    pub fn finish(self) -> SkillTree {
        self.tree
    }
}

/// Which permission bits a file may have, and whether they make it executable.
pub(super) fn executable(mode: u64) -> Result<bool, super::error::EntryProblem> {
    use super::error::EntryProblem as P;
    match mode {
        _ if mode & 0o4000 != 0 => Err(P::SetUserId),
        _ if mode & 0o2000 != 0 => Err(P::SetGroupId),
        _ if mode & 0o1000 != 0 => Err(P::Sticky),
        _ => Ok(mode & 0o100 != 0),
    }
}
