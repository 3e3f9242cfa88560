//! `skills.toml`: what a project wants. Read with the line and field of every mistake, edited so
//! that comments and layout stay. Knows nothing of what is installed.
//!
//! ```toml
//! [skills]
//! charts = "^1.2"
//! report = { version = "2", as = "team-report", agents = ["claude-code"] }
//! notes = { path = "../notes" }
//! csv = { git = "https://example.org/skills.git", rev = "main", path = "csv" }
//!
//! [agents]
//! install = ["claude-code", "codex"]   # into which agents everything goes
//! copy = false                         # copies instead of links
//! [agents.custom.our-agent]            # an agent that the table does not know
//! project = ".our-agent/skills"
//! global = "~/.our-agent/skills"
//!
//! [registries]
//! internal = "https://skills.example.com"
//!
//! [overrides]
//! charts = "1.4.0"                     # whatever anyone asks for
//!
//! [policy]
//! registry = "internal"                # the default of this project
//! minimum-release-age = "3d"
//! allow-unsigned = false
//!
//! [[audit.ignore]]
//! id = "OSV-2026-1"
//! skill = "charts"                     # all, if it is left out
//! reason = "we never open untrusted files with it"
//! expires = "2027-01-31"
//! ```

mod edit;
mod read;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, civil::Date};
use skill_format::{Explain, Fault, Place, Range, SkillName};
use toml_edit::DocumentMut;

use crate::fsx::{self, FsError};
use crate::paths::PROJECT_FILE;
use crate::resolver::Requirement;
use crate::source::SkillSource;
use crate::toml_text::{Source, TomlProblem};

/// A skill that the project wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectSkill {
    /// The skill's own name.
    pub name: SkillName,
    pub source: ProjectSource,
    /// Name to install it under, if not its own.
    pub alias: Option<SkillName>,
    /// Agents that shall see it, if not those of `[agents]`.
    pub agents: Option<Vec<String>>,
}

impl ProjectSkill {
    /// The name it is installed under.
    pub fn installed_name(&self) -> &SkillName {
        self.alias.as_ref().unwrap_or(&self.name)
    }
}

/// Where the project takes a skill from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectSource {
    Registry {
        range: Range,
        /// Name or address, if not the default.
        registry: Option<String>,
    },
    /// A folder or an archive, relative to the project.
    Path(PathBuf),
    Git {
        url: String,
        /// Branch, tag or commit.
        rev: Option<String>,
        /// Folder inside the repository.
        path: Option<String>,
    },
}

/// What the project allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Name or address of the registry to use.
    pub registry: Option<String>,
    pub minimum_release_age: Option<SignedDuration>,
    pub allow_unsigned: bool,
}

/// Agents that see what is installed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentSettings {
    pub install: Vec<String>,
    /// Copies instead of links.
    pub copy: bool,
    /// Agents of the project's own: project folder, global folder.
    pub custom: BTreeMap<String, (Option<String>, Option<String>)>,
}

/// A finding of an audit that the project has decided about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// Id of an advisory (or one of its aliases), or code of a finding.
    pub id: String,
    pub skill: Option<SkillName>,
    pub reason: String,
    /// The first day on which it counts again.
    pub expires: Option<Date>,
}

/// What a project wants, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wishes {
    pub skills: BTreeMap<SkillName, ProjectSkill>,
    pub agents: AgentSettings,
    /// Name to address.
    pub registries: BTreeMap<String, String>,
    pub overrides: BTreeMap<SkillName, Range>,
    pub policy: Policy,
    pub suppressions: Vec<Suppression>,
}

/// `skills.toml` with its comments.
#[derive(Debug, Clone)]
pub struct Project {
    path: PathBuf,
    document: DocumentMut,
    wishes: Wishes,
}

/// Why `skills.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error(transparent)]
    File(#[from] FsError),
    #[error("{0}")]
    Invalid(TomlProblem),
    #[error("{} is not UTF-8", .path.display())]
    NotText { path: PathBuf },
}

impl Explain for ProjectError {
    fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Invalid(_) | Self::NotText { .. } => "project-invalid",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::File(error) => error.fault(),
            Self::Invalid(_) | Self::NotText { .. } => Fault::BadInput,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::File(error) => error.help(),
            Self::Invalid(problem) => problem.help.clone(),
            Self::NotText { .. } => Some("save it as UTF-8".into()),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::File(error) => error.place(),
            Self::Invalid(problem) => Some(problem.place()),
            Self::NotText { path } => Some(Place {
                file: Some(path.display().to_string()),
                ..Place::default()
            }),
        }
    }
}

impl Project {
    /// The project in `dir`; `None` if it has no `skills.toml`.
    pub fn read(dir: &Path) -> Result<Option<Self>, ProjectError> {
        let path = dir.join(PROJECT_FILE);
        let Some(bytes) = fsx::read_optional(&path)? else {
            return Ok(None);
        };
        let text =
            String::from_utf8(bytes).map_err(|_| ProjectError::NotText { path: path.clone() })?;
        Self::parse(&path, &text).map(Some)
    }

    /// The project in `dir`, empty if it has no `skills.toml` yet.
    pub fn read_or_new(dir: &Path) -> Result<Self, ProjectError> {
        match Self::read(dir)? {
            Some(project) => Ok(project),
            None => Self::parse(&dir.join(PROJECT_FILE), ""),
        }
    }

    /// Reads the text of a `skills.toml` that lies, or will lie, at `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ProjectError> {
        let file = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy();
        let (document, wishes) = read::read(&file, text).map_err(ProjectError::Invalid)?;
        Ok(Self {
            path: path.to_owned(),
            document,
            wishes,
        })
    }

    pub fn wishes(&self) -> &Wishes {
        &self.wishes
    }

    /// The folder that the project's paths start from.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    pub fn file(&self) -> &Path {
        &self.path
    }

    /// The line on which the value under these keys stands, from 1.
    pub(crate) fn line_of(&self, keys: &[&str]) -> Option<u32> {
        // Only a text that was just read knows where things stand.
        let text = self.document.to_string();
        let source = Source {
            file: PROJECT_FILE,
            text: &text,
        };
        let document = source.parse().ok()?;
        let mut item = document.as_item();
        for key in keys {
            item = item.get(key)?;
        }
        item.span().map(|span| source.line(span))
    }

    /// What is asked of the default registry under the skill's own name: the resolver's direct
    /// requirements.
    pub fn requirements(&self) -> Vec<Requirement> {
        self.wishes
            .skills
            .values()
            .filter(|skill| skill.alias.is_none())
            .filter_map(|skill| match &skill.source {
                ProjectSource::Registry {
                    range,
                    registry: None,
                } => Some(Requirement {
                    name: skill.name.clone(),
                    range: range.clone(),
                    origin: PROJECT_FILE.into(),
                }),
                _ => None,
            })
            .collect()
    }

    /// Everything else: aliases, folders, archives, repositories and other registries.
    pub fn special(&self) -> impl Iterator<Item = &ProjectSkill> {
        self.wishes.skills.values().filter(|skill| {
            skill.alias.is_some()
                || !matches!(skill.source, ProjectSource::Registry { registry: None, .. })
        })
    }

    /// The source to install a skill from, as if a person had typed it in the project's folder.
    pub fn source_of(
        &self,
        skill: &ProjectSkill,
    ) -> Result<SkillSource, crate::source::SourceError> {
        Ok(match &skill.source {
            ProjectSource::Registry { range, .. } => {
                SkillSource::registry(skill.name.clone(), range.clone())
            }
            ProjectSource::Path(path) => SkillSource::from_path(&self.dir().join(path))?,
            ProjectSource::Git { url, rev, path } => {
                let fragment = match (rev, path) {
                    (None, None) => String::new(),
                    (rev, None) => format!("#{}", rev.as_deref().unwrap_or_default()),
                    (rev, Some(path)) => {
                        format!("#{}:{path}", rev.as_deref().unwrap_or_default())
                    }
                };
                SkillSource::parse(&format!("{url}{fragment}"), self.dir())?
            }
        })
    }

    /// The agents that shall see a skill, by the name it is installed under; none of its own and
    /// none in general is an empty list.
    pub fn agents_for(&self, installed_name: &SkillName) -> &[String] {
        self.wishes
            .skills
            .values()
            .find(|skill| skill.installed_name() == installed_name)
            .and_then(|skill| skill.agents.as_deref())
            .unwrap_or(&self.wishes.agents.install)
    }

    /// Writes the file; readers see the old text or the new.
    pub fn save(&self) -> Result<(), ProjectError> {
        Ok(fsx::write_atomic(
            &self.path,
            self.to_string().as_bytes(),
            0o644,
        )?)
    }
}

impl std::fmt::Display for Project {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.document.fmt(f)
    }
}
