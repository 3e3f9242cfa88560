//! Where an installed skill came from, as one text in the index and the lockfile.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where an installed skill came from. Displayed, serialised and stored as one text:
/// a registry's URL, `git+URL#COMMIT[:FOLDER]`, `file:PATH` or `dir:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// The registry's base URL, without a slash at its end.
    Registry(String),
    /// A commit of a repository.
    Git {
        /// Without a password.
        url: String,
        /// The full object id.
        commit: String,
        /// Folder inside the repository, `/`-separated.
        path: Option<String>,
    },
    /// An archive; absolute.
    File(PathBuf),
    /// A folder; absolute.
    Dir(PathBuf),
}

impl Origin {
    /// The registry's URL, if it was a registry.
    pub fn registry(&self) -> Option<&str> {
        match self {
            Self::Registry(url) => Some(url),
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(url) => f.write_str(url),
            Self::Git {
                url,
                commit,
                path: None,
            } => write!(f, "git+{url}#{commit}"),
            Self::Git {
                url,
                commit,
                path: Some(path),
            } => write!(f, "git+{url}#{commit}:{path}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Dir(path) => write!(f, "dir:{}", path.display()),
        }
    }
}

/// A text that names no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a registry's URL, git+URL#COMMIT, file:PATH or dir:PATH")]
pub struct OriginError {
    text: String,
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let refused = || OriginError {
            text: text.to_owned(),
        };
        if let Some(git) = text.strip_prefix("git+") {
            let (url, fragment) = git.rsplit_once('#').ok_or_else(refused)?;
            let (commit, path) = match fragment.split_once(':') {
                Some((commit, path)) => (commit, Some(path.to_owned())),
                None => (fragment, None),
            };
            return Ok(Self::Git {
                url: url.to_owned(),
                commit: commit.to_owned(),
                path,
            });
        }
        if let Some(path) = text.strip_prefix("file:") {
            return Ok(Self::File(path.into()));
        }
        if let Some(path) = text.strip_prefix("dir:") {
            return Ok(Self::Dir(path.into()));
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return Ok(Self::Registry(text.trim_end_matches('/').to_owned()));
        }
        Err(refused())
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_origin_reads_back_from_its_text() {
        for text in [
            "https://registry.example.org",
            "http://127.0.0.1:18801",
            "git+https://example.org/x.git#0123456789abcdef0123456789abcdef01234567",
            "git+git@example.org:x.git#0123456789abcdef0123456789abcdef01234567:tools/csv",
            "file:/tmp/a b.spm",
            "dir:/tmp/a b",
        ] {
            assert_eq!(text.parse::<Origin>().expect(text).to_string(), text);
        }
        assert!("somewhere".parse::<Origin>().is_err());
        assert!("git+https://example.org/x".parse::<Origin>().is_err());
    }
}
