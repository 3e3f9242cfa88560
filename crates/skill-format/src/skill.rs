//! A whole skill: its files, its manifest and its instructions. Reading is lenient, so that what
//! the world has published can be loaded; [`crate::lint`] is strict.

use std::fmt;
use std::path::Path;

use semver::Version;

use crate::diagnostic::Diagnostic;
use crate::explain::{Explain, Fault, Place};
use crate::limits::Limits;
use crate::manifest::Manifest;
use crate::merge::{DEFAULT_SCRIPTS, merge};
use crate::skill_md::{self, SkillMd};
use crate::skill_yaml::{self, SkillYaml};
use crate::tree::{SKILL_MD, SKILL_YAML, SkillTree, TreeError};

/// A skill that can be used.
#[derive(Debug, Clone)]
pub struct Skill {
    pub manifest: Manifest,
    /// The instructions: `SKILL.md` after its frontmatter, with `\n` as its only line ending.
    pub body: String,
    pub tree: SkillTree,
    /// What was read differently from how it was written. None of them is an error.
    pub diagnostics: Vec<Diagnostic>,
}

/// What is known about a skill besides its files.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// The name of the folder it lies in, which should be its own. `None` for an archive.
    pub folder_name: Option<String>,
    /// The version it is to have, whatever its files say.
    pub version: Option<Version>,
}

/// Why a tree is no skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSkill {
    /// Everything that was noticed; at least one is an error.
    pub diagnostics: Vec<Diagnostic>,
}

impl InvalidSkill {
    /// The remarks that made the tree invalid.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|remark| remark.is_error())
    }
}

impl fmt::Display for InvalidSkill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut errors = self.errors();
        f.write_str("this is not a valid skill")?;
        if let Some(first) = errors.next() {
            write!(f, ": {}", first.message)?;
        }
        match errors.count() {
            0 => Ok(()),
            1 => f.write_str(" (and 1 more error)"),
            more => write!(f, " (and {more} more errors)"),
        }
    }
}

impl std::error::Error for InvalidSkill {}

impl Explain for InvalidSkill {
    fn code(&self) -> &'static str {
        "invalid-skill"
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        self.errors().find_map(|error| error.help.clone())
    }

    fn place(&self) -> Option<Place> {
        let first = self.errors().next()?;
        Some(Place {
            file: first.file.clone(),
            line: first.line,
            field: first.field.clone(),
        })
    }
}

/// Why a folder has no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Its files cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Its files can be read, but do not describe a skill.
    #[error(transparent)]
    Invalid(#[from] InvalidSkill),
}

impl Explain for ManifestError {
    fn code(&self) -> &'static str {
        match self {
            Self::Tree(error) => error.code(),
            Self::Invalid(error) => error.code(),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Tree(error) => error.fault(),
            Self::Invalid(error) => error.fault(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Tree(error) => error.help(),
            Self::Invalid(error) => error.help(),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Tree(error) => error.place(),
            Self::Invalid(error) => error.place(),
        }
    }
}

/// The manifest of the skill in a folder. Reads `SKILL.md` and `skill.yaml` and no other file, for
/// whoever runs a skill and needs nothing else of it; as lenient as [`Skill::from_tree`].
///
/// # Errors
/// Where the two files cannot be read or do not describe a skill.
pub fn read_manifest(dir: &Path, options: &ReadOptions) -> Result<Manifest, ManifestError> {
    let tree = SkillTree::read_brief(dir, &DEFAULT_SCRIPTS, &Limits::default())?;
    Ok(Skill::from_tree(tree, options)?.manifest)
}

/// What the files of a skill say, each for itself.
pub(crate) struct Parts {
    pub md: Option<SkillMd>,
    pub yaml: Option<SkillYaml>,
    pub remarks: Vec<Diagnostic>,
}

impl Parts {
    pub fn read(tree: &SkillTree) -> Self {
        let (md, mut remarks) = match tree.get(SKILL_MD) {
            Some(file) => skill_md::read(&file.bytes),
            None => (None, vec![no_skill_md(tree)]),
        };
        let mut yaml = None;
        if let Some(file) = tree.get(SKILL_YAML) {
            let (read, yaml_remarks) = skill_yaml::read(&file.bytes);
            yaml = read;
            remarks.extend(yaml_remarks);
        }
        Self { md, yaml, remarks }
    }
}

fn no_skill_md(tree: &SkillTree) -> Diagnostic {
    let error =
        Diagnostic::error("skill-md-missing", format!("there is no {SKILL_MD}")).file(SKILL_MD);
    let other_case = tree
        .iter()
        .map(|(path, _)| path)
        .find(|path| path.eq_ignore_ascii_case(SKILL_MD));
    match other_case {
        Some(path) => error.help(format!("rename `{path}` to `{SKILL_MD}`")),
        None => error.help("create one with `skills init`"),
    }
}

impl Skill {
    /// Reads a skill leniently: what can be understood is understood, and remarked on.
    ///
    /// Fails where `SKILL.md` or `skill.yaml` cannot be taken apart, where no name or description
    /// can be found, or where a dependency, permission or entry point cannot be understood.
    pub fn from_tree(tree: SkillTree, options: &ReadOptions) -> Result<Self, InvalidSkill> {
        let Parts {
            md,
            yaml,
            mut remarks,
        } = Parts::read(&tree);
        let mut manifest = None;
        if let Some(md) = &md {
            let (merged, more) = merge(md, yaml.as_ref(), &tree, options);
            manifest = merged;
            remarks.extend(more);
        }
        match (manifest, md) {
            (Some(manifest), Some(md)) if !remarks.iter().any(Diagnostic::is_error) => Ok(Self {
                manifest,
                body: md.body,
                tree,
                diagnostics: remarks,
            }),
            _ => Err(InvalidSkill {
                diagnostics: remarks,
            }),
        }
    }
}
