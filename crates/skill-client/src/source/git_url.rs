//! Git URLs: `URL[#REF[:FOLDER]]`, limited to transports that protect what they carry.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::{SourceError, is_archive_name};

/// A repository, what to take of it, and where in it to look.
#[derive(Clone, PartialEq, Eq)]
pub struct GitSource {
    /// As git is given it. May hold a password: see [`GitSource::shown_url`].
    url: String,
    scheme: Scheme,
    /// Branch, tag or commit; the repository's default branch if absent.
    pub reference: Option<String>,
    /// Folder inside the repository, `/`-separated.
    pub path: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Https,
    /// Only to this machine.
    Http,
    Ssh,
    File,
}

impl GitSource {
    /// `None` if the text is no URL at all; an error if it is one that cannot be used.
    pub(super) fn recognise(text: &str) -> Result<Option<Self>, SourceError> {
        let (location, fragment) = match text.split_once('#') {
            Some((location, fragment)) => (location, Some(fragment)),
            None => (text, None),
        };
        let location = location.strip_prefix("git+").unwrap_or(location);
        let scheme = if location.contains("://") {
            Some(checked_scheme(location)?)
        } else if location.contains("::") {
            return Err(refuse(location, "remote helpers are not used"));
        } else {
            is_scp_like(location)?.then_some(Scheme::Ssh)
        };
        let Some(scheme) = scheme else {
            return Ok(None);
        };
        let (reference, path) = split_fragment(location, fragment)?;
        Ok(Some(Self {
            url: location.to_owned(),
            scheme,
            reference,
            path,
        }))
    }

    /// A commit that was installed from before. `url` is one that [`GitSource::shown_url`] gave.
    pub fn at_commit(url: &str, commit: &str, path: Option<&str>) -> Result<Self, SourceError> {
        let text = format!("{url}#{commit}:{}", path.unwrap_or_default());
        Self::recognise(&text)?.ok_or_else(|| refuse(url, "it is not a valid URL"))
    }

    /// The URL that git is given. It may hold a password: never print it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The URL without a password.
    pub fn shown_url(&self) -> String {
        without_password(&self.url)
    }

    /// The transport, as git's `GIT_ALLOW_PROTOCOL` names it.
    pub(crate) fn protocol(&self) -> &'static str {
        match self.scheme {
            Scheme::Https => "https",
            Scheme::Http => "http",
            Scheme::Ssh => "ssh",
            Scheme::File => "file",
        }
    }

    /// `file:///x.spm` names an archive on this machine, not a repository.
    pub(super) fn into_local_archive(self) -> Result<PathBuf, Self> {
        let path = match self.scheme {
            Scheme::File => Url::parse(&self.url)
                .ok()
                .and_then(|url| url.to_file_path().ok()),
            _ => None,
        };
        path.filter(|path| path.is_file() && is_archive_name(path))
            .ok_or(self)
    }
}

impl fmt::Display for GitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown_url())?;
        if self.reference.is_some() || self.path.is_some() {
            write!(f, "#{}", self.reference.as_deref().unwrap_or_default())?;
        }
        match &self.path {
            Some(path) => write!(f, ":{path}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for GitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitSource({self})")
    }
}

fn refuse(url: &str, reason: &'static str) -> SourceError {
    SourceError::Url {
        url: without_password(url),
        reason,
    }
}

fn checked_scheme(location: &str) -> Result<Scheme, SourceError> {
    let url = Url::parse(location).map_err(|_| refuse(location, "it is not a valid URL"))?;
    if url.host_str().is_some_and(|host| host.starts_with('-')) || url.username().starts_with('-') {
        return Err(refuse(location, "its host begins with a dash"));
    }
    match url.scheme() {
        "https" => Ok(Scheme::Https),
        "ssh" => Ok(Scheme::Ssh),
        "file" => Ok(Scheme::File),
        "http" if crate::http::is_loopback(&url) => Ok(Scheme::Http),
        "http" => Err(refuse(location, "http carries it unprotected; use https")),
        "git" => Err(refuse(
            location,
            "the git protocol carries it unprotected; use https or ssh",
        )),
        _ => Err(refuse(location, "only https, ssh and file are used")),
    }
}

/// `user@host:path`, the short form of an SSH URL.
fn is_scp_like(location: &str) -> Result<bool, SourceError> {
    let Some((login, path)) = location.split_once(':') else {
        return Ok(false);
    };
    let Some((user, host)) = login.split_once('@') else {
        return Ok(false);
    };
    if login.contains('/') || path.is_empty() || user.is_empty() || host.is_empty() {
        return Ok(false);
    }
    if user.starts_with('-') || host.starts_with('-') || path.starts_with('-') {
        return Err(refuse(location, "a part of it begins with a dash"));
    }
    Ok(true)
}

type Fragment = (Option<String>, Option<String>);

/// `REF`, `REF:FOLDER` or `:FOLDER`. A reference cannot hold a colon (git-check-ref-format).
fn split_fragment(location: &str, fragment: Option<&str>) -> Result<Fragment, SourceError> {
    let (reference, path) = fragment
        .map(|text| text.split_once(':').unwrap_or((text, "")))
        .unwrap_or_default();
    if !is_plain_reference(reference) {
        return Err(refuse(
            location,
            "what follows the # is not a branch, tag or commit",
        ));
    }
    let path = path.trim_matches('/');
    if path.split('/').any(|part| part == ".." || part == ".git")
        || path.chars().any(char::is_control)
    {
        return Err(refuse(
            location,
            "the folder after the colon leaves the repository",
        ));
    }
    let given = |text: &str| (!text.is_empty() && text != ".").then(|| text.to_owned());
    Ok((given(reference), given(path)))
}

/// The parts of git-check-ref-format that keep a reference from being an option, a pattern or a
/// refspec.
fn is_plain_reference(reference: &str) -> bool {
    !reference.starts_with(['-', '+'])
        && !reference.contains("..")
        && !reference.contains("@{")
        && !reference
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c))
}

fn without_password(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url)
            if url.password().is_some()
                || (url.scheme() != "ssh" && !url.username().is_empty()) =>
        {
            // Setting fails only for URLs without a host, which have no password either.
            let _ = url.set_password(None);
            if url.scheme() != "ssh" {
                let _ = url.set_username("");
            }
            url.into()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_password_is_given_to_git_and_shown_to_nobody() {
        let source = GitSource::recognise("https://bob:hunter2@example.org/x#v1")
            .expect("a URL")
            .expect("git");
        assert_eq!(source.url(), "https://bob:hunter2@example.org/x");
        assert_eq!(source.to_string(), "https://example.org/x#v1");
        assert!(!format!("{source:?}").contains("hunter2"));
        let error = GitSource::recognise("ftp://bob:hunter2@example.org/x").expect_err("ftp");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        assert!(
            GitSource::recognise("http://127.0.0.1:8080/x.git")
                .expect("loopback")
                .is_some()
        );
        assert!(GitSource::recognise("http://10.0.0.1/x.git").is_err());
    }

    proptest! {
        #[test]
        fn a_recognised_source_reads_back_from_what_it_shows(
            reference in "[a-z0-9][a-z0-9./_-]{0,20}",
            path in "[a-z0-9][a-z0-9/_-]{0,20}",
        ) {
            prop_assume!(!reference.contains(".."));
            let text = format!("https://example.org/x#{reference}:{path}");
            let source = GitSource::recognise(&text).expect("valid").expect("git");
            let again = GitSource::recognise(&source.to_string()).expect("valid").expect("git");
            prop_assert_eq!(source, again);
        }

        #[test]
        fn no_text_becomes_an_option_of_git(text in "\\PC{0,60}") {
            if let Ok(Some(source)) = GitSource::recognise(&text) {
                prop_assert!(!source.url().starts_with('-'));
                prop_assert!(source.reference.is_none_or(|reference| !reference.starts_with('-')));
            }
        }
    }
}
