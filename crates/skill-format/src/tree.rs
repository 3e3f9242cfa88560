//! A skill's files in memory: what every reader yields and every writer takes.
//!
//! A [`SkillTree`] holds only paths that keep the rules of `path.rs` and do not collide with each
//! other, however it came to be. It knows nothing of what the files mean.
//!
//! To read a tree from somewhere new, collect the entries and hand each to
//! [`SkillTree::insert`]: the rules are applied there and nowhere else.

mod brief;
mod folder;
mod ignore;
mod names;
pub(crate) mod path;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::archive::{self, ArchiveError};
use crate::digest::{self, Sha256};
use crate::extract::{self, ExtractError};
use crate::limits::Limits;

pub use folder::TreeError;
pub use ignore::IgnoreError;
pub use path::{PathError, PathProblem};

/// The file that makes a folder a skill.
pub const SKILL_MD: &str = "SKILL.md";
/// The file that [`SkillTree::content_digest`] leaves out, since it is where that digest is written.
pub const SKILL_YAML: &str = "skill.yaml";

/// One file of a skill.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SkillFile {
    /// Whether its owner may execute it. No other permission is kept.
    pub executable: bool,
    /// The whole content.
    pub bytes: Vec<u8>,
}

impl SkillFile {
    /// A file that is not executable.
    pub fn plain(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            executable: false,
            bytes: bytes.into(),
        }
    }

    /// A file that is executable.
    pub fn executable(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            executable: true,
            bytes: bytes.into(),
        }
    }
}

impl fmt::Debug for SkillFile {
    /// Shows the size, not the content: a file may have megabytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.executable {
            "executable"
        } else {
            "plain"
        };
        write!(f, "{kind}, {} bytes", self.bytes.len())
    }
}

/// The files of a skill by path, in ascending order of the paths' bytes.
///
/// Paths are relative, `/`-separated and in Unicode NFC. Two trees are equal when their files are.
/// A clone shares the files until one of the two is changed.
#[derive(Clone, Debug, Default)]
pub struct SkillTree {
    files: Arc<BTreeMap<String, SkillFile>>,
    names: Arc<names::Names>,
}

impl PartialEq for SkillTree {
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files
    }
}

impl Eq for SkillTree {}

impl SkillTree {
    /// A tree without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, after checking that its path keeps the rules and collides with no other.
    ///
    /// A path in another Unicode normal form is stored in NFC. Length and depth are held against
    /// the default [`Limits`], sizes are not checked.
    pub fn insert(&mut self, path: &str, file: SkillFile) -> Result<(), PathError> {
        let checked = path::check(path, &Limits::default())?;
        self.insert_checked(checked, file)
    }

    pub(crate) fn insert_checked(
        &mut self,
        path: path::CheckedPath,
        file: SkillFile,
    ) -> Result<(), PathError> {
        Arc::make_mut(&mut self.names).claim(&path, names::Kind::File)?;
        Arc::make_mut(&mut self.files).insert(path.path, file);
        Ok(())
    }

    /// Reserves the name of a folder, so that a file of the same name is refused. An empty folder
    /// leaves no other trace: a tree consists of files.
    pub(crate) fn claim_folder(&mut self, path: &path::CheckedPath) -> Result<(), PathError> {
        Arc::make_mut(&mut self.names).claim(path, names::Kind::Folder)
    }

    /// Takes a file out, so that another can be put in its place.
    pub fn remove(&mut self, path: &str) -> Option<SkillFile> {
        let removed = Arc::make_mut(&mut self.files).remove(path)?;
        // Folders that this file alone held open must become free too.
        self.names = Arc::new(names::Names::of(self.files.keys()));
        Some(removed)
    }

    /// The tree below the folder `prefix` (with its slash), in which every file must lie.
    pub(crate) fn below(self, prefix: &str) -> Self {
        let inside =
            |(path, file): (String, SkillFile)| Some((path.strip_prefix(prefix)?.to_owned(), file));
        let files = Arc::unwrap_or_clone(self.files);
        let files: BTreeMap<_, _> = files.into_iter().filter_map(inside).collect();
        Self {
            names: Arc::new(names::Names::of(files.keys())),
            files: Arc::new(files),
        }
    }

    /// Reads a skill's folder as its author keeps it, to validate or pack it.
    ///
    /// Left out are version control and dependency folders (`.git`, `.hg`, `.svn`, `node_modules`,
    /// `__pycache__`), `.DS_Store`, packages at the root (`*.spm`, `*.spm.asc`), `.skillignore`
    /// itself and whatever it names (see `ignore.rs`).
    /// Symbolic links and devices are refused, and so is whatever exceeds `limits`.
    pub fn read_dir(dir: &Path, limits: &Limits) -> Result<Self, TreeError> {
        folder::read_authored(dir, limits)
    }

    /// `SKILL.md`, `skill.yaml` and which of `scripts` there are, their content left out.
    pub(crate) fn read_brief(
        dir: &Path,
        scripts: &[&str],
        limits: &Limits,
    ) -> Result<Self, TreeError> {
        brief::read(dir, scripts, limits)
    }

    /// Reads a folder as it is, leaving nothing out: to see whether an installed skill is still
    /// what was installed, compare [`SkillTree::full_digest`]. A `__pycache__` that appeared there
    /// later counts as a change, since Python would run it.
    pub fn read_dir_exactly(dir: &Path, limits: &Limits) -> Result<Self, TreeError> {
        folder::read_installed(dir, limits)
    }

    /// Reads a package: a gzip-compressed tar (`.spm`) or a zip, told apart by their first bytes.
    ///
    /// `SKILL.md` must lie at the root; in a zip, a single top folder around everything is removed.
    /// See `archive/mod.rs` for what is refused.
    pub fn read_archive(bytes: &[u8], limits: &Limits) -> Result<Self, ArchiveError> {
        archive::read(bytes, limits)
    }

    /// Writes the tree as `.spm`. Equal trees give equal bytes, see `archive/write.rs`.
    pub fn pack(&self) -> Vec<u8> {
        archive::write::pack(self)
    }

    /// The same without compression, which takes a hundredth of the time: for a package that stays on this
    /// machine. [`SkillTree::read_archive`] reads it like any other.
    pub fn pack_stored(&self) -> Vec<u8> {
        archive::write::pack_stored(self)
    }

    /// Writes the tree into the new folder `dest`, which appears complete or not at all, even
    /// across a power failure. See `extract.rs` for the promises.
    pub fn extract_to(&self, dest: &Path) -> Result<(), ExtractError> {
        extract::extract(self, dest, extract::Durability::PowerSafe)
    }

    /// The file at exactly this path (in NFC).
    pub fn get(&self, path: &str) -> Option<&SkillFile> {
        self.files.get(path)
    }

    /// All files in ascending order of their paths' bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &SkillFile)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Sum of the sizes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files
            .values()
            .map(|file| file.bytes.len() as u64)
            .sum()
    }

    /// The digest of everything but `skill.yaml`: what its `checksum` field holds.
    pub fn content_digest(&self) -> Sha256 {
        let content: Vec<_> = self
            .encoded()
            .filter(|(path, ..)| *path != SKILL_YAML)
            .collect();
        digest::of_files(content.into_iter())
    }

    /// The digest of everything, by which an installed folder is compared with its package.
    pub fn full_digest(&self) -> Sha256 {
        digest::of_files(self.encoded())
    }

    fn encoded(&self) -> impl ExactSizeIterator<Item = (&str, bool, &[u8])> {
        self.iter()
            .map(|(path, file)| (path, file.executable, file.bytes.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> SkillTree {
        let mut tree = SkillTree::new();
        for (path, text) in files {
            tree.insert(path, SkillFile::plain(*text))
                .expect("a good path");
        }
        tree
    }

    #[test]
    fn the_content_digest_ignores_skill_yaml_at_the_root_only() {
        let bare = tree(&[("SKILL.md", "x")]);
        let with_yaml = tree(&[("SKILL.md", "x"), (SKILL_YAML, "name: x")]);
        let nested = tree(&[("SKILL.md", "x"), ("a/skill.yaml", "name: x")]);
        assert_eq!(bare.content_digest(), with_yaml.content_digest());
        assert_ne!(bare.full_digest(), with_yaml.full_digest());
        assert_ne!(bare.content_digest(), nested.content_digest());
    }

    #[test]
    fn the_executable_bit_is_part_of_the_digest() {
        let plain = tree(&[("SKILL.md", "x")]);
        let mut executable = SkillTree::new();
        executable
            .insert("SKILL.md", SkillFile::executable("x"))
            .expect("a good path");
        assert_ne!(plain.full_digest(), executable.full_digest());
    }

    #[test]
    fn removing_a_file_frees_its_name_and_its_folders() {
        let mut tree = tree(&[("a/b", "x"), ("c", "y")]);
        assert_eq!(tree.remove("a/b"), Some(SkillFile::plain("x")));
        assert_eq!(tree.remove("a/b"), None);
        tree.insert("a", SkillFile::plain("z"))
            .expect("the folder is gone");
        assert_eq!(tree.len(), 2);
    }

    #[test]
    fn a_path_is_stored_in_nfc() {
        let tree = tree(&[("cafe\u{301}.md", "x")]);
        assert!(tree.get("caf\u{e9}.md").is_some());
    }
}
