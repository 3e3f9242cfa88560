//! `skills.lock`: which release of every skill the project uses, down to the bytes and the signer.
//! Lossless: entries that do not change keep their text, and keys of newer programs survive.
//! Knows nothing of what is installed.
//!
//! ```toml
//! version = 1
//!
//! [[skill]]
//! name = "charts"
//! version = "1.4.0"
//! source = "https://skills.example.com"
//! sha256 = "sha256:…"          # of the archive; none for a folder or a commit
//! size = 20480
//! signer = "…"                 # fingerprint of the key
//! package = "real-name"        # its own name, if it is installed under another
//! rev = "main"                 # what was asked for, if it is a commit of a repository
//! dependencies = { colors = "^1" }
//! ```

mod check;
mod write;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use skill_format::{Explain, Fault, Place, Range, Sha256, SkillName, Version};
use toml_edit::DocumentMut;

use crate::fsx::{self, FsError};
use crate::index::InstalledSkill;
use crate::install::LockedRelease;
use crate::resolver::Planned;
use crate::source::Origin;
use crate::toml_text::{Fields, Source, TomlProblem};

pub(crate) use check::same_path;
pub use check::{Difference, LockChange};

/// Name of the file, beside `skills.toml`.
pub const LOCK_FILE: &str = "skills.lock";
/// The version that this program writes.
const VERSION: i64 = 1;

/// One release, as locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedSkill {
    /// The name it is installed under.
    pub name: SkillName,
    pub version: Version,
    /// Paths are relative to the project where they lie in it or beside it.
    pub source: Origin,
    /// Of the archive.
    pub sha256: Option<Sha256>,
    /// Bytes of the archive.
    pub size: Option<u64>,
    /// Fingerprint of the key that signed it.
    pub signer: Option<String>,
    /// Its own name, if it is installed under another.
    pub package: Option<SkillName>,
    /// The branch, tag or commit that was asked for, where it is a repository.
    pub rev: Option<String>,
    pub dependencies: BTreeMap<SkillName, Range>,
}

/// The content of `skills.lock`, with whatever else stands in it.
#[derive(Debug, Clone)]
pub struct Lockfile {
    document: DocumentMut,
    skills: BTreeMap<SkillName, LockedSkill>,
}

/// Why a lockfile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(transparent)]
    File(#[from] FsError),
    #[error("{0}")]
    Invalid(TomlProblem),
    #[error("{file} has merge conflict markers")]
    MergeConflict { file: String, line: u32 },
    #[error("{file} is of version {found}; this program knows version {VERSION}")]
    Newer { file: String, found: i64 },
    #[error("{file} is not UTF-8")]
    NotText { file: String },
}

impl Explain for LockError {
    fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Invalid(_) | Self::NotText { .. } => "lockfile-invalid",
            Self::MergeConflict { .. } => "lockfile-merge-conflict",
            Self::Newer { .. } => "lockfile-newer",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::File(error) => error.fault(),
            _ => Fault::BadInput,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.help(),
            Self::Invalid(problem) => problem.help.clone().unwrap_or_else(|| {
                "take the last good version from your version control, or remove the file and run: skills lock".into()
            }),
            Self::NotText { .. } => "take the last good version from your version control".into(),
            Self::MergeConflict { .. } => {
                "settle skills.toml first, take either side of skills.lock, then run: skills lock".into()
            }
            Self::Newer { .. } => {
                "update this program; writing the file would lose what the newer one put there".into()
            }
        })
    }

    fn place(&self) -> Option<Place> {
        let (file, line) = match self {
            Self::File(error) => return error.place(),
            Self::Invalid(problem) => return Some(problem.place()),
            Self::MergeConflict { file, line } => (file, Some(*line)),
            Self::Newer { file, .. } | Self::NotText { file } => (file, None),
        };
        Some(Place {
            file: Some(file.clone()),
            line,
            field: None,
        })
    }
}

impl LockedSkill {
    /// What the resolver chose. `package` is the skill's own name if it is an alias.
    pub fn from_planned(planned: &Planned, package: Option<SkillName>, project: &Path) -> Self {
        let release = &planned.release;
        let has_archive = has_archive(&release.source);
        Self {
            name: planned.name.clone(),
            version: release.version.clone(),
            source: portable(&release.source, project),
            sha256: release.sha256.filter(|_| has_archive),
            size: release.size.filter(|_| has_archive),
            signer: release.signer.clone(),
            package,
            rev: None,
            dependencies: release.dependencies.clone(),
        }
    }

    /// What is installed. `size` is the archive's, if it is known.
    pub fn from_installed(installed: &InstalledSkill, size: Option<u64>, project: &Path) -> Self {
        let has_archive = has_archive(&installed.source);
        Self {
            name: installed.name.clone(),
            version: installed.version.clone(),
            source: portable(&installed.source, project),
            sha256: has_archive.then_some(installed.checksum),
            size: size.filter(|_| has_archive),
            signer: installed.signer.clone(),
            package: installed.package.clone(),
            rev: None,
            dependencies: installed.dependencies.clone(),
        }
    }

    /// The skill's own name.
    pub fn package(&self) -> &SkillName {
        self.package.as_ref().unwrap_or(&self.name)
    }

    /// For the installer, with absolute paths.
    pub fn to_release(&self, project: &Path) -> LockedRelease {
        let absolute = |path: &PathBuf| clean(&project.join(path));
        LockedRelease {
            version: self.version.clone(),
            sha256: self.sha256,
            signer: self.signer.clone(),
            source: match &self.source {
                Origin::File(path) => Origin::File(absolute(path)),
                Origin::Dir(path) => Origin::Dir(absolute(path)),
                other => other.clone(),
            },
            dependencies: self.dependencies.clone(),
        }
    }
}

impl Lockfile {
    /// A lockfile without skills.
    pub fn new() -> Self {
        Self {
            document: write::new_document(VERSION),
            skills: BTreeMap::new(),
        }
    }

    /// The lockfile of the project in `dir`; `None` if there is none.
    pub fn read(dir: &Path) -> Result<Option<Self>, LockError> {
        let Some(bytes) = fsx::read_optional(&dir.join(LOCK_FILE))? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes).map_err(|_| LockError::NotText {
            file: LOCK_FILE.into(),
        })?;
        Self::parse(LOCK_FILE, &text).map(Some)
    }

    /// Reads the text of a lockfile; `file` is what errors call it.
    pub fn parse(file: &str, text: &str) -> Result<Self, LockError> {
        refuse_conflict_markers(file, text)?;
        let source = Source { file, text };
        let document = source.parse().map_err(LockError::Invalid)?;
        let root = Fields::root(source, document.as_table());
        match root
            .get("version")
            .and_then(|field| field.item.as_integer())
        {
            Some(VERSION) => {}
            Some(found) if found > VERSION => {
                return Err(LockError::Newer {
                    file: file.to_owned(),
                    found,
                });
            }
            _ => {
                let problem = root.problem("there is no valid `version = 1`");
                return Err(LockError::Invalid(problem));
            }
        }
        let skills = read_skills(&root).map_err(LockError::Invalid)?;
        Ok(Self {
            document: document.into_mut(),
            skills,
        })
    }

    /// By name.
    pub fn skills(&self) -> &BTreeMap<SkillName, LockedSkill> {
        &self.skills
    }

    pub fn get(&self, name: &SkillName) -> Option<&LockedSkill> {
        self.skills.get(name)
    }

    /// For the installer.
    pub fn releases(&self, project: &Path) -> BTreeMap<SkillName, LockedRelease> {
        self.skills
            .iter()
            .map(|(name, skill)| (name.clone(), skill.to_release(project)))
            .collect()
    }

    /// Writes the file of the project in `dir`, if its text changes; readers see the old text or
    /// the new. Says whether it changed.
    pub fn write(&self, dir: &Path) -> Result<bool, LockError> {
        let path = dir.join(LOCK_FILE);
        let text = self.to_string();
        if fsx::read_optional(&path)?.as_deref() == Some(text.as_bytes()) {
            return Ok(false);
        }
        fsx::write_atomic(&path, text.as_bytes(), 0o644)?;
        Ok(true)
    }
}

impl Default for Lockfile {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Display for Lockfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.document.fmt(f)
    }
}

fn refuse_conflict_markers(file: &str, text: &str) -> Result<(), LockError> {
    let marker = |line: &str| {
        ["<<<<<<< ", ">>>>>>> ", "||||||| "]
            .iter()
            .any(|marker| line.starts_with(marker))
    };
    match (1u32..).zip(text.lines()).find(|(_, line)| marker(line)) {
        Some((line, _)) => Err(LockError::MergeConflict {
            file: file.to_owned(),
            line,
        }),
        None => Ok(()),
    }
}

fn read_skills(root: &Fields<'_>) -> Result<BTreeMap<SkillName, LockedSkill>, TomlProblem> {
    let mut skills = BTreeMap::new();
    for fields in root.tables("skill")? {
        let skill = read_skill(&fields)?;
        let name = skill.name.clone();
        if skills.insert(name.clone(), skill).is_some() {
            return Err(fields.problem(format!("`{name}` is locked twice")));
        }
    }
    Ok(skills)
}

fn read_skill(fields: &Fields<'_>) -> Result<LockedSkill, TomlProblem> {
    let size = fields.get("size").map(|field| {
        let size = field
            .item
            .as_integer()
            .and_then(|size| u64::try_from(size).ok());
        size.ok_or_else(|| field.problem("this must be a number of bytes"))
    });
    let mut dependencies = BTreeMap::new();
    if let Some(table) = fields.table("dependencies")? {
        for field in table.iter() {
            dependencies.insert(field.name()?, field.parsed()?);
        }
    }
    Ok(LockedSkill {
        name: fields.required("name")?,
        version: fields.required("version")?,
        source: fields.required("source")?,
        sha256: fields.parsed("sha256")?,
        size: size.transpose()?,
        signer: fields.text("signer")?.map(str::to_owned),
        package: fields.parsed("package")?,
        rev: fields.text("rev")?.map(str::to_owned),
        dependencies,
    })
}

/// A folder and a commit have no archive whose digest could be compared.
fn has_archive(source: &Origin) -> bool {
    matches!(source, Origin::Registry(_) | Origin::File(_))
}

/// With paths as seen from the project, so that the file means the same on another machine.
fn portable(source: &Origin, project: &Path) -> Origin {
    let relative = |path: &PathBuf| {
        crate::link::relative(&clean(project), &clean(path)).unwrap_or_else(|| path.clone())
    };
    match source {
        Origin::File(path) if path.is_absolute() => Origin::File(relative(path)),
        Origin::Dir(path) if path.is_absolute() => Origin::Dir(relative(path)),
        other => other.clone(),
    }
}

fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::CurDir => {}
            other => cleaned.push(other),
        }
    }
    cleaned
}
