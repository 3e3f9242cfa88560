//! How large a skill may be. One place, so that validator, registry, installer and scanner agree.
//!
//! Knows the numbers and what is said when one is exceeded; enforcing them is the readers' business.

use crate::explain::{Explain, Fault, Place};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Bounds for everything that is read from a stranger. All of them are inclusive maxima.
///
/// With the defaults a reader holds at most the archive (25 MiB) and the tree (100 MiB) in memory,
/// plus a few hundred KiB of buffers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Size of the packed archive. GitHub sends no webhook payload above 25 MiB either.
    pub archive_bytes_max: u64,
    /// Sum of the sizes of all files in the tree.
    pub unpacked_bytes_max: u64,
    /// Size of one file.
    pub file_bytes_max: u64,
    /// Number of files in the tree. Folders are counted apart, see [`Limits::entries_max`].
    pub files_max: usize,
    /// Components of a path: `a/b/c.md` has three.
    pub depth_max: usize,
    /// UTF-8 bytes of a whole path. 255 is also what most file systems allow for one component.
    pub path_bytes_max: usize,
    /// Unpacked bytes per packed byte. Text reaches 3 to 10, logs 20 to 50, deflate at most 1,032.
    /// Counted only above [`Limits::RATIO_FREE_BYTES`].
    pub ratio_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            archive_bytes_max: 25 * MIB,
            unpacked_bytes_max: 100 * MIB,
            file_bytes_max: 10 * MIB,
            files_max: 1000,
            depth_max: 16,
            path_bytes_max: 255,
            ratio_max: 200,
        }
    }
}

impl Limits {
    /// An archive that unpacks to no more than this is never called a bomb, whatever its ratio:
    /// a small file of zeros, or the padding of an almost empty tar, compresses a thousandfold.
    pub const RATIO_FREE_BYTES: u64 = 10 * MIB;

    /// Files and folders together: as many folders again as there may be files.
    pub fn entries_max(&self) -> usize {
        self.files_max.saturating_mul(2).saturating_add(16)
    }

    /// What an archive of `archive_bytes` may unpack to before the ratio calls it a bomb.
    pub(crate) fn ratio_bytes_max(&self, archive_bytes: u64) -> u64 {
        archive_bytes
            .saturating_mul(self.ratio_max)
            .max(Self::RATIO_FREE_BYTES)
    }
}

/// A bound that was exceeded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    #[error("`{path}` is larger than the {max} bytes a file may have")]
    FileSize { path: String, max: u64 },
    #[error("the files add up to more than the {max} bytes a skill may have")]
    TotalSize { max: u64 },
    #[error("there are more than the {max} files a skill may have")]
    FileCount { max: usize },
    #[error("there are more than {max} files and folders")]
    EntryCount { max: usize },
}

impl Explain for LimitError {
    fn code(&self) -> &'static str {
        match self {
            Self::FileSize { .. } => "limit-file-size",
            Self::TotalSize { .. } => "limit-total-size",
            Self::FileCount { .. } => "limit-file-count",
            Self::EntryCount { .. } => "limit-entry-count",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::FileSize { .. } | Self::TotalSize { .. } => {
                "leave large data out of the skill, for example through `.skillignore`, and let a script fetch it"
            }
            Self::FileCount { .. } | Self::EntryCount { .. } => {
                "leave generated and downloaded files out of the skill, for example through `.skillignore`"
            }
        };
        Some(help.into())
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::FileSize { path, .. } => Some(Place {
                file: Some(path.clone()),
                line: None,
                field: None,
            }),
            Self::TotalSize { .. } | Self::FileCount { .. } | Self::EntryCount { .. } => None,
        }
    }
}
