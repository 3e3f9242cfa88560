//! What a person may ask to install, and where an installed skill came from: parsing and printing.
//! Looks at the file system only to tell a folder from an archive; fetches nothing.

mod git_url;
mod origin;

use std::fmt;
use std::path::{Path, PathBuf};

use skill_format::{Explain, Fault, NameError, Range, RangeError, SkillName};

pub use git_url::GitSource;
pub use origin::Origin;

/// Endings of files that hold one skill.
const ARCHIVE_ENDINGS: [&str; 4] = [".spm", ".zip", ".tar.gz", ".tgz"];

/// Something that can be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkillSource {
    /// `NAME[@RANGE]`.
    Registry {
        /// The skill.
        name: SkillName,
        /// The versions that will do.
        range: Range,
    },
    /// A folder that holds one skill, or several in folders of their own.
    Dir(PathBuf),
    /// A packed skill; a signature may lie beside it as `FILE.asc`.
    File(PathBuf),
    /// A git repository.
    Git(GitSource),
}

/// A text that names nothing installable.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing at all.
    #[error("the name of a skill is missing")]
    Empty,
    /// Would be taken for an option by another program.
    #[error("`{text}` begins with a dash")]
    LeadingDash {
        /// As given.
        text: String,
    },
    /// The part before `@`.
    #[error("`{text}` is neither the name of a skill, nor a path, nor a git URL: {source}")]
    Name {
        /// As given.
        text: String,
        #[source]
        source: NameError,
    },
    /// The part after `@`.
    #[error("`{range}` is not a version or a range: {source}")]
    Range {
        /// The part after `@`.
        range: String,
        #[source]
        source: RangeError,
    },
    /// Looks like a path, and nothing is there.
    #[error("there is no folder or archive `{}`", .path.display())]
    NoSuchPath {
        /// Absolute.
        path: PathBuf,
    },
    /// A file that does not end as an archive does.
    #[error("`{}` is neither a folder nor an archive", .path.display())]
    NotAnArchive {
        /// Absolute.
        path: PathBuf,
    },
    /// A URL that git cannot be given.
    #[error("`{url}` cannot be installed from: {reason}")]
    Url {
        /// Without user name and password.
        url: String,
        /// A clause.
        reason: &'static str,
    },
}

impl Explain for SourceError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "source-empty",
            Self::LeadingDash { .. } => "source-leading-dash",
            Self::Name { .. } => "source-name",
            Self::Range { .. } => "source-range",
            Self::NoSuchPath { .. } => "source-no-such-path",
            Self::NotAnArchive { .. } => "source-not-an-archive",
            Self::Url { .. } => "source-url",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Range { source, .. } => return source.help(),
            Self::NotAnArchive { .. } => {
                format!("an archive ends in {}", ARCHIVE_ENDINGS.join(", "))
            }
            Self::NoSuchPath { .. } => {
                "check the path; a skill of a registry is named without slashes".into()
            }
            Self::Url { .. } => {
                "write https://HOST/PATH, ssh://HOST/PATH, git@HOST:PATH or file:///PATH, \
                                 then #REF or #REF:FOLDER if you need them"
                    .into()
            }
            Self::Empty | Self::LeadingDash { .. } | Self::Name { .. } => {
                "write NAME, NAME@RANGE, ./FOLDER, FILE.spm or a git URL".into()
            }
        })
    }
}

impl SkillSource {
    /// Reads what a person typed. `cwd` is where relative paths start.
    pub fn parse(text: &str, cwd: &Path) -> Result<Self, SourceError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SourceError::Empty);
        }
        if text.starts_with('-') {
            return Err(SourceError::LeadingDash {
                text: text.to_owned(),
            });
        }
        if let Some(git) = GitSource::recognise(text)? {
            return Ok(git.into_local_archive().map_or_else(Self::Git, Self::File));
        }
        if looks_like_path(text) {
            return Self::from_path(&cwd.join(text));
        }
        match parse_name(text) {
            Ok(source) => Ok(source),
            // `My Folder` is no name, but it may be a folder.
            Err(error) => Self::from_path(&cwd.join(text)).map_err(|_| error),
        }
    }

    /// A folder or an archive on this machine.
    pub fn from_path(path: &Path) -> Result<Self, SourceError> {
        if path.is_dir() {
            Ok(Self::Dir(path.to_owned()))
        } else if !path.exists() {
            Err(SourceError::NoSuchPath {
                path: path.to_owned(),
            })
        } else if is_archive_name(path) {
            Ok(Self::File(path.to_owned()))
        } else {
            Err(SourceError::NotAnArchive {
                path: path.to_owned(),
            })
        }
    }

    /// The newest version of a skill of the registry that `range` admits.
    pub fn registry(name: SkillName, range: Range) -> Self {
        Self::Registry { name, range }
    }
}

impl fmt::Display for SkillSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry { name, range } if *range == Range::any() => write!(f, "{name}"),
            Self::Registry { name, range } => write!(f, "{name}@{range}"),
            Self::Dir(path) | Self::File(path) => write!(f, "{}", path.display()),
            Self::Git(git) => write!(f, "{git}"),
        }
    }
}

fn looks_like_path(text: &str) -> bool {
    text.contains('/') || text == "." || text == ".." || is_archive_name(Path::new(text))
}

fn is_archive_name(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    ARCHIVE_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

fn parse_name(text: &str) -> Result<SkillSource, SourceError> {
    let (name, range) = match text.split_once('@') {
        Some((name, range)) => (name, Some(range)),
        None => (text, None),
    };
    let name = name.parse().map_err(|source| SourceError::Name {
        text: text.to_owned(),
        source,
    })?;
    let range = match range {
        Some(range) => range.parse().map_err(|source| SourceError::Range {
            range: range.to_owned(),
            source,
        })?,
        None => Range::any(),
    };
    Ok(SkillSource::Registry { name, range })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SkillSource, SourceError> {
        SkillSource::parse(text, Path::new("/nowhere"))
    }

    #[test]
    fn names_ranges_and_git_urls_are_told_apart() {
        for (text, shown) in [
            ("csv-analyzer", "csv-analyzer"),
            ("csv-analyzer@1.2.3", "csv-analyzer@1.2.3"),
            (" csv-analyzer@latest ", "csv-analyzer"),
            (
                "https://example.org/team/skills.git",
                "https://example.org/team/skills.git",
            ),
            (
                "https://example.org/team/skills#v1:tools/csv",
                "https://example.org/team/skills#v1:tools/csv",
            ),
            (
                "git+https://example.org/x#:tools",
                "https://example.org/x#:tools",
            ),
            (
                "git@example.org:team/skills.git#main",
                "git@example.org:team/skills.git#main",
            ),
            (
                "ssh://git@example.org/team/skills",
                "ssh://git@example.org/team/skills",
            ),
        ] {
            assert_eq!(
                parse(text).map(|source| source.to_string()).expect(text),
                shown
            );
        }
    }

    #[test]
    fn what_another_program_would_take_for_an_option_is_refused() {
        for text in [
            "--upload-pack=touch",
            "-x",
            "ssh://-oProxyCommand=x/y",
            "git@-host:x",
            "https://example.org/x#-q",
        ] {
            let code = parse(text).expect_err(text).code();
            assert!(
                ["source-leading-dash", "source-url"].contains(&code),
                "{text}: {code}"
            );
        }
    }

    #[test]
    fn transports_without_protection_are_refused() {
        for text in [
            "http://example.org/x.git",
            "git://example.org/x",
            "ext::sh -c id",
            "ftp://example.org/x",
        ] {
            assert_eq!(parse(text).expect_err(text).code(), "source-url", "{text}");
        }
    }

    #[test]
    fn folders_archives_and_missing_paths_are_told_apart() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(dir.path().join("My Folder")).expect("mkdir");
        std::fs::write(dir.path().join("a-1.0.0.spm"), "").expect("write");
        std::fs::write(dir.path().join("notes.txt"), "").expect("write");
        let parse = |text: &str| SkillSource::parse(text, dir.path());
        assert!(matches!(parse("My Folder"), Ok(SkillSource::Dir(_))));
        assert!(matches!(parse("."), Ok(SkillSource::Dir(_))));
        assert!(matches!(parse("a-1.0.0.spm"), Ok(SkillSource::File(_))));
        assert_eq!(
            parse("./notes.txt").expect_err("text").code(),
            "source-not-an-archive"
        );
        assert_eq!(
            parse("./none").expect_err("none").code(),
            "source-no-such-path"
        );
        assert_eq!(
            parse("a@b@c").expect_err("two signs").code(),
            "source-range"
        );
        assert_eq!(parse("").expect_err("nothing").code(), "source-empty");
    }
}
