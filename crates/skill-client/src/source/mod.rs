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
        /// The part before `@`.
        name: String,
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
        /// `OWNER/REPOSITORY`, if that is what was typed.
        repository: Option<String>,
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
            Self::Range {
                name,
                range,
                source,
            } => match plain_range(range) {
                Some(plain) => format!("write {name}@{plain}"),
                None => return source.help(),
            },
            Self::NoSuchPath {
                repository: Some(repository),
                ..
            } => format!(
                "if that is a repository on GitHub: skills install https://github.com/{repository}"
            ),
            Self::NotAnArchive { .. } => {
                format!("an archive ends in {}", ARCHIVE_ENDINGS.join(", "))
            }
            Self::NoSuchPath { .. } => {
                "check the path; a skill of a registry is named without slashes".into()
            }
            Self::Url { url, .. } if registry_page(url).is_some() => {
                return registry_page_help(url);
            }
            Self::Name { text, .. } if pinned_otherwise(text).is_some() => {
                return pinned_otherwise(text).map(|spec| format!("write {spec}"));
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
            return Self::from_path(&cwd.join(text)).map_err(|error| match error {
                SourceError::NoSuchPath { path, .. } => SourceError::NoSuchPath {
                    path,
                    repository: is_repository(text).then(|| text.to_owned()),
                },
                error => error,
            });
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
                repository: None,
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

/// `OWNER/REPOSITORY`, as other installers take it for GitHub.
fn is_repository(text: &str) -> bool {
    let plain = |part: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(is_plain)
    };
    text.split_once('/')
        .is_some_and(|(owner, repository)| plain(owner) && plain(repository))
        && !is_archive_name(Path::new(text))
}

/// `v1.0.0` and `==1.0.0`, without what stands before the version.
fn plain_range(text: &str) -> Option<&str> {
    let plain = text.trim_start_matches(['v', 'V', '=', ' ']);
    (plain != text && plain.parse::<Range>().is_ok()).then_some(plain)
}

/// `NAME==1.0.0` and the like, as it is written here.
fn pinned_otherwise(text: &str) -> Option<String> {
    let at = text.find(['=', '<', '>', '~', '^'])?;
    let (name, range) = text.split_at(at);
    let name: SkillName = name.trim().trim_end_matches('@').parse().ok()?;
    let range = range.trim();
    let range = plain_range(range).unwrap_or(range);
    range.parse::<Range>().ok()?;
    Some(format!("{name}@{range}"))
}

/// The registry and the skill of a registry's own page or archive: `/skills/NAME`,
/// `/packages/NAME-VERSION.spm`.
fn registry_page(url: &str) -> Option<(String, SkillName)> {
    let parsed = url::Url::parse(url).ok()?;
    let path = parsed.path().trim_end_matches('/');
    let (base, last) = path.rsplit_once('/')?;
    let (base, name) = match base.rsplit_once('/')? {
        (base, "skills") => (base, last),
        (base, _) if last.ends_with(".spm") => {
            let stem = last.trim_end_matches(".spm");
            let version = stem
                .match_indices('-')
                .find(|(at, _)| stem[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
            (base, version.map_or(stem, |(at, _)| &stem[..at]))
        }
        _ => return None,
    };
    let origin = parsed.origin().ascii_serialization();
    let base = base.trim_end_matches("/api/v1");
    Some((format!("{origin}{base}"), name.parse().ok()?))
}

/// What to write instead of the address of a registry's page.
pub(crate) fn registry_page_help(url: &str) -> Option<String> {
    let (registry, name) = registry_page(url)?;
    Some(format!(
        "if that is a skill registry: skills install {name} --registry {registry}"
    ))
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
    let (before, range) = match text.split_once('@') {
        Some((name, range)) => (name, Some(range)),
        None => (text, None),
    };
    let name = before.parse().map_err(|source| SourceError::Name {
        text: text.to_owned(),
        source,
    })?;
    let range = match range {
        Some(range) => range.parse().map_err(|source| SourceError::Range {
            name: before.to_owned(),
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
    fn what_other_installers_take_is_led_to_the_right_form() {
        for (text, help) in [
            (
                "vercel-labs/agent-skills",
                "skills install https://github.com/vercel-labs/agent-skills",
            ),
            ("csv@v1.0.0", "write csv@1.0.0"),
            ("csv==1.0.0", "write csv@1.0.0"),
            (
                "http://hub.example.org/skills/csv",
                "skills install csv --registry http://hub.example.org",
            ),
            (
                "http://hub.example.org/packages/csv-tool-1.0.0.spm",
                "skills install csv-tool --registry http://hub.example.org",
            ),
        ] {
            let error = parse(text).expect_err(text);
            let said = error.help().expect("help");
            assert!(said.contains(help), "{text}: {said}");
        }
        let missing = parse("./a/b").expect_err("a path").help().expect("help");
        assert!(!missing.contains("github"), "{missing}");
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
