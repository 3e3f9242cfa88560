//! Skills out of git repositories, by the `git` program. Nothing is checked out: the files are read
//! from the object store, so that no filter, hook, attribute, link or submodule of the repository
//! has any effect here. Knows nothing of the store.

mod objects;
mod run;

use std::path::Path;
use std::time::Duration;

use skill_format::{Explain, Fault, PathError, SkillFile, SkillTree};

use crate::fsx::FsError;
use crate::source::GitSource;
use run::Git;

/// How much a repository may cost.
#[derive(Debug, Clone)]
pub struct GitLimits {
    /// Everything that one fetch may leave on the disk.
    pub fetched_bytes_max: u64,
    pub time_max: Duration,
    /// Entries of the commit's tree.
    pub entries_max: usize,
    /// Bytes of all files that are read out of the commit.
    pub read_bytes_max: u64,
    /// Folders above a `SKILL.md`; the specification's client guide asks for 4 to 6.
    pub depth_max: usize,
}

impl Default for GitLimits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            fetched_bytes_max: 512 * MIB,
            time_max: Duration::from_secs(180),
            entries_max: 200_000,
            read_bytes_max: 256 * MIB,
            depth_max: 6,
        }
    }
}

/// The skills of one commit.
#[derive(Debug)]
pub struct Checkout {
    /// Object id of the commit.
    pub commit: String,
    pub skills: Vec<FoundSkill>,
}

/// A folder of a commit that holds a `SKILL.md`.
#[derive(Debug)]
pub struct FoundSkill {
    /// Inside the repository, `/`-separated; empty for its root.
    pub path: String,
    /// Its files, or why they make no skill.
    pub tree: Result<SkillTree, GitError>,
}

/// Why a repository gave no skills.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no `git` program.
    #[error("the git program cannot be started: {source}")]
    NoGit {
        #[source]
        source: std::io::Error,
    },
    #[error("git cannot {action} {url}: {message}")]
    Failed {
        action: &'static str,
        /// Without a password.
        url: String,
        /// What git said, shortened and without passwords.
        message: String,
    },
    #[error("{url} did not deliver within {seconds} s")]
    TimedOut { url: String, seconds: u64 },
    #[error("{url} is larger than {bytes_max} bytes")]
    TooLarge { url: String, bytes_max: u64 },
    #[error("{url} has more than {entries_max} entries")]
    TooManyEntries { url: String, entries_max: usize },
    #[error("there is no `{path}` in {url}")]
    NoSuchPath { url: String, path: String },
    #[error("there is no SKILL.md in {url}")]
    NoSkill { url: String },
    /// A link or a submodule where a file is expected.
    #[error("`{path}` in {url} is a {kind}")]
    NotAFile {
        url: String,
        path: String,
        kind: &'static str,
    },
    #[error("`{path}` in {url} cannot be part of a skill: {source}")]
    Path {
        url: String,
        path: String,
        #[source]
        source: PathError,
    },
    /// git printed something else than it documents.
    #[error("git gave an answer that is not understood while reading {url}")]
    Protocol { url: String },
    #[error(transparent)]
    File(#[from] FsError),
}

impl Explain for GitError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoGit { .. } => "git-missing",
            Self::Failed { .. } => "git-failed",
            Self::TimedOut { .. } => "git-timed-out",
            Self::TooLarge { .. } | Self::TooManyEntries { .. } => "git-too-large",
            Self::NoSuchPath { .. } => "git-no-such-path",
            Self::NoSkill { .. } => "git-no-skill",
            Self::NotAFile { .. } => "git-not-a-file",
            Self::Path { source, .. } => source.code(),
            Self::Protocol { .. } => "git-protocol",
            Self::File(error) => error.code(),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::NoGit { .. } | Self::Failed { .. } | Self::TimedOut { .. } => Fault::Unavailable,
            Self::NoSuchPath { .. } | Self::NoSkill { .. } => Fault::NotFound,
            Self::TooLarge { .. }
            | Self::TooManyEntries { .. }
            | Self::NotAFile { .. }
            | Self::Path { .. } => Fault::BadInput,
            Self::Protocol { .. } => Fault::Internal,
            Self::File(error) => error.fault(),
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoGit { .. } => "install git".into(),
            Self::Failed { url, .. } if crate::source::registry_page_help(url).is_some() => {
                return crate::source::registry_page_help(url);
            }
            Self::Failed { .. } => {
                "check the URL and the branch, tag or commit; nothing is asked for a password here, so set up \
                 git's credential helper or an SSH agent for a private repository"
                    .into()
            }
            Self::TimedOut { .. } => "check the network; a large repository is better packed and installed as .spm".into(),
            Self::TooLarge { .. } | Self::TooManyEntries { .. } => "pack the skill and install it as .spm".into(),
            Self::NoSuchPath { .. } => "the folder is written after the reference: URL#REF:FOLDER".into(),
            Self::NoSkill { .. } => "name the folder that holds it: URL#REF:FOLDER".into(),
            Self::NotAFile { .. } => "a skill consists of plain files; ask its author to replace it".into(),
            Self::Path { source, .. } => return source.help(),
            Self::Protocol { .. } => "update git".into(),
            Self::File(error) => return error.help(),
        })
    }
}

/// Fetches one commit of a repository into the new folder `scratch` and reads the skills in it.
pub async fn fetch(
    source: &GitSource,
    scratch: &Path,
    limits: &GitLimits,
) -> Result<Checkout, GitError> {
    let git = Git::init(source, scratch, limits).await?;
    let commit = git.fetch().await?;
    let entries = git.list(&commit).await?;
    let url = source.shown_url();
    let roots = objects::skill_folders(&entries, source.path.as_deref(), limits.depth_max, &url)?;
    let mut wanted = Vec::new();
    let mut files = Vec::with_capacity(roots.len());
    for root in roots {
        let own = objects::wanted(&entries, &root, &url);
        wanted.extend(own.iter().flatten().copied());
        files.push((root, own));
    }
    let blobs = git.read(&wanted).await?;
    let read = |root: &str, own: Vec<&objects::Entry>| {
        let mut tree = SkillTree::new();
        for entry in own {
            let path = objects::relative(&entry.path, root);
            let bytes = blobs.get(&entry.object).cloned().unwrap_or_default();
            let file = SkillFile {
                executable: entry.is_executable(),
                bytes,
            };
            tree.insert(path, file).map_err(|source| GitError::Path {
                url: url.clone(),
                path: entry.path.clone(),
                source,
            })?;
        }
        Ok(tree)
    };
    let skills = files
        .into_iter()
        .map(|(path, own)| FoundSkill {
            tree: own.and_then(|own| read(&path, own)),
            path,
        })
        .collect();
    Ok(Checkout { commit, skills })
}
