//! Reads a folder on disk into a tree, within limits and without ever following a link.
//!
//! Every name is resolved relative to an open folder (`cap-std`), so a folder that is swapped for
//! a link while it is read cannot lead outside.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirEntry, File};

use super::ignore::{self, Ignore, IgnoreError};
use super::path::{self, CheckedPath, PathError, PathProblem, printable};
use super::{SkillFile, SkillTree};
use crate::explain::{Explain, Fault, Place};
use crate::limits::{LimitError, Limits};

/// Folders that never belong to a skill.
const SKIPPED_FOLDERS: [&str; 5] = [".git", ".hg", ".svn", "node_modules", "__pycache__"];
/// Files that never belong to a skill. `.git` is a file in a work tree or submodule.
const SKIPPED_FILES: [&str; 3] = [".git", ".DS_Store", ignore::FILE_NAME];

/// Packages and their signatures, at the root: what `skills pack` wrote there before.
const SKIPPED_AT_ROOT: [&str; 2] = [".spm", ".spm.asc"];

/// For each entry that may be kept, this many may be looked at: ignored files cost time too.
const VISITED_PER_ENTRY: usize = 5;

/// Why a folder could not become a tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("`{path}` is a symbolic link")]
    Link { path: String },
    #[error("`{path}` is neither a file nor a folder")]
    Special { path: String },
    #[error("`.skillignore` {0}")]
    Ignore(#[source] IgnoreError),
    #[error("there is no folder `{path}`")]
    NotFound { path: String },
    #[error("`{path}` is not a folder")]
    NotAFolder { path: String },
    #[error("cannot read `{path}`: {source}")]
    Io { path: String, source: io::Error },
}

impl Explain for TreeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Path(error) => error.code(),
            Self::Limit(error) => error.code(),
            Self::Link { .. } => "folder-link",
            Self::Special { .. } => "folder-special-file",
            Self::Ignore(_) => "folder-bad-skillignore",
            Self::NotFound { .. } => "folder-not-found",
            Self::NotAFolder { .. } => "folder-not-a-folder",
            Self::Io { .. } => "folder-unreadable",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::NotFound { .. } => Fault::NotFound,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Fault::Denied
            }
            Self::Io { .. } => Fault::Unavailable,
            Self::Path(_) | Self::Limit(_) | Self::Link { .. } | Self::Special { .. } => {
                Fault::BadInput
            }
            Self::Ignore(_) | Self::NotAFolder { .. } => Fault::BadInput,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Path(error) => return error.help(),
            Self::Limit(error) => return error.help(),
            Self::Link { .. } => {
                "replace the link by the file that it points to, or name it in `.skillignore`"
            }
            Self::Special { .. } => "remove it, or name it in `.skillignore`",
            Self::Ignore(_) => "its lines are patterns like those of `.gitignore`",
            Self::NotFound { .. } => "check the path: it is relative to the current folder",
            Self::NotAFolder { .. } => "name the folder that holds `SKILL.md`",
            Self::Io { .. } => "check that you may read it",
        };
        Some(help.into())
    }

    fn place(&self) -> Option<Place> {
        let (file, line) = match self {
            Self::Path(error) => return error.place(),
            Self::Limit(error) => return error.place(),
            Self::Ignore(error) => (ignore::FILE_NAME, error.line()),
            Self::Link { path }
            | Self::Special { path }
            | Self::NotFound { path }
            | Self::NotAFolder { path }
            | Self::Io { path, .. } => (path.as_str(), None),
        };
        Some(Place {
            file: Some(file.to_owned()),
            line,
            field: None,
        })
    }
}

/// The folder as its author keeps it: see [`SkillTree::read_dir`].
pub(super) fn read_authored(dir: &Path, limits: &Limits) -> Result<SkillTree, TreeError> {
    let root = open_root(dir)?;
    let ignore = read_ignore(&root)?;
    Walk::new(limits, Some(ignore)).run(&root)
}

/// The folder as it is: see [`SkillTree::read_dir_exactly`].
pub(super) fn read_installed(dir: &Path, limits: &Limits) -> Result<SkillTree, TreeError> {
    Walk::new(limits, None).run(&open_root(dir)?)
}

pub(super) fn open_root(dir: &Path) -> Result<Dir, TreeError> {
    let path = || printable(&dir.to_string_lossy());
    Dir::open_ambient_dir(dir, ambient_authority()).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => TreeError::NotFound { path: path() },
        io::ErrorKind::NotADirectory => TreeError::NotAFolder { path: path() },
        _ => TreeError::Io {
            path: path(),
            source,
        },
    })
}

fn read_ignore(root: &Dir) -> Result<Ignore, TreeError> {
    let file = match root.open(ignore::FILE_NAME) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ignore::default()),
        Err(source) => {
            return Err(TreeError::Io {
                path: ignore::FILE_NAME.into(),
                source,
            });
        }
    };
    let max = ignore::FILE_BYTES_MAX;
    let bytes = file
        .metadata()
        .and_then(|metadata| read_at_most(&file, metadata.len(), max))
        .map_err(|source| TreeError::Io {
            path: ignore::FILE_NAME.into(),
            source,
        })?
        .ok_or(TreeError::Ignore(IgnoreError::TooLarge { max }))?;
    let text = String::from_utf8(bytes).map_err(|_| TreeError::Ignore(IgnoreError::NotUtf8))?;
    Ignore::parse(&text).map_err(TreeError::Ignore)
}

struct Walk<'a> {
    limits: &'a Limits,
    /// `None` when nothing may be left out.
    ignore: Option<Ignore>,
    tree: SkillTree,
    visited: usize,
    kept: usize,
    bytes: u64,
}

impl<'a> Walk<'a> {
    fn new(limits: &'a Limits, ignore: Option<Ignore>) -> Self {
        Self {
            limits,
            ignore,
            tree: SkillTree::new(),
            visited: 0,
            kept: 0,
            bytes: 0,
        }
    }

    fn run(mut self, root: &Dir) -> Result<SkillTree, TreeError> {
        self.folder(root, "")?;
        Ok(self.tree)
    }

    /// Recurses at most `depth_max` deep: a deeper path is refused before its folder is opened.
    fn folder(&mut self, dir: &Dir, prefix: &str) -> Result<(), TreeError> {
        for (name, entry) in self.sorted_entries(dir, prefix)? {
            let Some(name) = name.to_str() else {
                let path = format!("{prefix}{}", name.to_string_lossy());
                return Err(PathError::new(&path, PathProblem::NotUtf8).into());
            };
            self.entry(&entry, name, format!("{prefix}{name}"))?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &DirEntry, name: &str, path: String) -> Result<(), TreeError> {
        let io_error = |source| TreeError::Io {
            path: printable(&path),
            source,
        };
        let kind = entry.file_type().map_err(io_error)?;
        if self.leaves_out(name, &path, kind.is_dir()) {
            return Ok(());
        }
        if kind.is_symlink() {
            return Err(TreeError::Link {
                path: printable(&path),
            });
        }
        let checked = path::check(&path, self.limits)?;
        self.kept += 1;
        if self.kept > self.limits.entries_max() {
            return Err(LimitError::EntryCount {
                max: self.limits.entries_max(),
            }
            .into());
        }
        if kind.is_dir() {
            self.tree.claim_folder(&checked)?;
            let dir = entry.open_dir().map_err(io_error)?;
            self.folder(&dir, &format!("{path}/"))
        } else if kind.is_file() {
            let file = entry.open().map_err(io_error)?;
            self.file(&file, checked)
        } else {
            Err(TreeError::Special {
                path: printable(&path),
            })
        }
    }

    fn file(&mut self, file: &File, path: CheckedPath) -> Result<(), TreeError> {
        if self.tree.len() == self.limits.files_max {
            return Err(LimitError::FileCount {
                max: self.limits.files_max,
            }
            .into());
        }
        let io_error = |source| TreeError::Io {
            path: printable(&path.raw),
            source,
        };
        let metadata = file.metadata().map_err(io_error)?;
        if !metadata.is_file() {
            return Err(TreeError::Special {
                path: printable(&path.raw),
            });
        }
        let max = self.limits.file_bytes_max;
        let bytes = read_at_most(file, metadata.len(), max).map_err(io_error)?;
        let bytes = bytes.ok_or_else(|| LimitError::FileSize {
            path: printable(&path.raw),
            max,
        })?;
        self.bytes += bytes.len() as u64;
        if self.bytes > self.limits.unpacked_bytes_max {
            return Err(LimitError::TotalSize {
                max: self.limits.unpacked_bytes_max,
            }
            .into());
        }
        let executable = is_executable(&metadata);
        self.tree
            .insert_checked(path, SkillFile { executable, bytes })?;
        Ok(())
    }

    /// By name, so that the same folder gives the same error on every file system.
    fn sorted_entries(
        &mut self,
        dir: &Dir,
        prefix: &str,
    ) -> Result<Vec<(OsString, DirEntry)>, TreeError> {
        let shown = if prefix.is_empty() { "." } else { prefix };
        let io_error = |source| TreeError::Io {
            path: printable(shown),
            source,
        };
        let visited_max = self.limits.entries_max().saturating_mul(VISITED_PER_ENTRY);
        let mut entries = Vec::new();
        for entry in dir.entries().map_err(io_error)? {
            let entry = entry.map_err(io_error)?;
            self.visited += 1;
            if self.visited > visited_max {
                return Err(LimitError::EntryCount { max: visited_max }.into());
            }
            entries.push((entry.file_name(), entry));
        }
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(entries)
    }

    fn leaves_out(&self, name: &str, path: &str, is_folder: bool) -> bool {
        let Some(ignore) = &self.ignore else {
            return false;
        };
        let skipped: &[&str] = if is_folder {
            &SKIPPED_FOLDERS
        } else {
            &SKIPPED_FILES
        };
        let is_package =
            path == name && !is_folder && SKIPPED_AT_ROOT.iter().any(|end| name.ends_with(end));
        is_package || skipped.contains(&name) || ignore.ignores(path, is_folder)
    }
}

/// The whole content, or `None` if there is more than `max` bytes of it. The size that the file
/// system reports is only a `hint`: the file may grow meanwhile.
pub(super) fn read_at_most(file: &File, hint: u64, max: u64) -> io::Result<Option<Vec<u8>>> {
    if hint > max {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(hint).unwrap_or(0) + 1);
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max).then_some(bytes))
}

#[cfg(unix)]
fn is_executable(metadata: &cap_std::fs::Metadata) -> bool {
    use cap_std::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o100 != 0
}

/// Where files have no such bit, nothing is executable.
#[cfg(not(unix))]
fn is_executable(_: &cap_std::fs::Metadata) -> bool {
    false
}
