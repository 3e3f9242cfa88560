//! Running the `git` program so that neither the repository nor the environment decides what it
//! does: no prompts, no hooks, one transport, no options out of data, bounded in time and size.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use walkdir::WalkDir;

use super::objects::{Entry, parse_listing};
use super::{GitError, GitLimits};
use crate::fsx::{self, At as _};
use crate::source::GitSource;

/// How often the size of what was fetched is looked at.
const SIZE_CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// Most bytes of what git says that are shown.
const MESSAGE_BYTES_MAX: usize = 600;

/// Variables that point git to another repository or configuration than the one meant here. They
/// are set, for example, while a hook runs that calls this program.
const REMOVED_VARIABLES: [&str; 13] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_EXTERNAL_DIFF",
    "GIT_TRACE",
    "GIT_SHALLOW_FILE",
];

/// Settings that hold whatever the user's configuration says. That configuration is read all the
/// same: it holds the proxy and the credential helper for private repositories.
const SETTINGS: [&str; 11] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.sshCommand=ssh -o BatchMode=yes",
    "credential.interactive=false",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "transfer.bundleURI=false",
    "transfer.credentialsInUrl=allow",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
];

/// An empty repository into which one commit is fetched.
pub(super) struct Git<'a> {
    source: &'a GitSource,
    repository: PathBuf,
    limits: &'a GitLimits,
}

impl<'a> Git<'a> {
    pub async fn init(
        source: &'a GitSource,
        repository: &Path,
        limits: &'a GitLimits,
    ) -> Result<Self, GitError> {
        let git = Self {
            source,
            repository: repository.to_owned(),
            limits,
        };
        fsx::create_dir_all(repository, true)?;
        // An empty template: none of the machine's hooks or attributes are copied in.
        git.run(
            "prepare for",
            &["init", "--quiet", "--bare", "--template=", "."],
        )
        .await?;
        Ok(git)
    }

    /// Fetches what was asked for, without history, and returns the commit's object id.
    pub async fn fetch(&self) -> Result<String, GitError> {
        let reference = self.source.reference.as_deref().unwrap_or("HEAD");
        let arguments = [
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
            "--",
            self.source.url(),
            reference,
        ];
        self.run("fetch", &arguments).await?;
        let commit = self
            .run(
                "read",
                &["rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}"],
            )
            .await?;
        let commit = String::from_utf8_lossy(&commit).trim().to_owned();
        let is_object_id =
            commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_object_id {
            Ok(commit)
        } else {
            Err(self.protocol())
        }
    }

    /// Every file of the commit.
    pub async fn list(&self, commit: &str) -> Result<Vec<Entry>, GitError> {
        let output = self
            .run(
                "read",
                &["ls-tree", "-r", "-l", "-z", "--full-tree", commit],
            )
            .await?;
        let entries = parse_listing(&output).ok_or_else(|| self.protocol())?;
        let entries_max = self.limits.entries_max;
        if entries.len() > entries_max {
            return Err(GitError::TooManyEntries {
                url: self.source.shown_url(),
                entries_max,
            });
        }
        Ok(entries)
    }

    /// The content of these files, by object id.
    pub async fn read(&self, entries: &[&Entry]) -> Result<BTreeMap<String, Vec<u8>>, GitError> {
        let bytes: u64 = entries.iter().map(|entry| entry.size).sum();
        if bytes > self.limits.read_bytes_max {
            return Err(GitError::TooLarge {
                url: self.source.shown_url(),
                bytes_max: self.limits.read_bytes_max,
            });
        }
        let mut asked = String::new();
        for entry in entries {
            asked.push_str(&entry.object);
            asked.push('\n');
        }
        let output = self
            .run_with_input(
                "read",
                &["cat-file", "--batch", "--buffer"],
                asked.into_bytes(),
            )
            .await?;
        parse_batch(&output).ok_or_else(|| self.protocol())
    }

    async fn run(&self, action: &'static str, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
        self.run_with_input(action, arguments, Vec::new()).await
    }

    async fn run_with_input(
        &self,
        action: &'static str,
        arguments: &[&str],
        input: Vec<u8>,
    ) -> Result<Vec<u8>, GitError> {
        let child = self
            .command(arguments)
            .spawn()
            .map_err(|source| GitError::NoGit { source })?;
        let group = ProcessGroup::of(&child);
        let output = tokio::select! {
            output = collect(child, input) => output.at("read the output of", "git")?,
            error = self.overrun() => {
                group.end();
                return Err(error);
            }
        };
        if !output.status.success() {
            let message = self.message(&output.stderr);
            return Err(GitError::Failed {
                action,
                url: self.source.shown_url(),
                message,
            });
        }
        Ok(output.stdout)
    }

    /// Returns when the time is up or the repository has grown too large.
    async fn overrun(&self) -> GitError {
        let deadline = tokio::time::sleep(self.limits.time_max);
        tokio::pin!(deadline);
        let bytes_max = self.limits.fetched_bytes_max;
        loop {
            tokio::select! {
                () = &mut deadline => {
                    let seconds = self.limits.time_max.as_secs();
                    return GitError::TimedOut { url: self.source.shown_url(), seconds };
                }
                () = tokio::time::sleep(SIZE_CHECK_INTERVAL) => {
                    if bytes_in(&self.repository) > bytes_max {
                        return GitError::TooLarge { url: self.source.shown_url(), bytes_max };
                    }
                }
            }
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.current_dir(&self.repository);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.args(arguments);
        for variable in REMOVED_VARIABLES {
            command.env_remove(variable);
        }
        command
            .env("GIT_ALLOW_PROTOCOL", self.source.protocol())
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "")
            .env("SSH_ASKPASS", "")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env(
                "GIT_CEILING_DIRECTORIES",
                self.repository.parent().unwrap_or(&self.repository),
            )
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        command
    }

    /// The last lines of what git said. A URL in it may hold a password.
    fn message(&self, stderr: &[u8]) -> String {
        let text = String::from_utf8_lossy(stderr);
        let text = text.replace(self.source.url(), &self.source.shown_url());
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let text: String = lines
            .join("; ")
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        let start = text.len().saturating_sub(MESSAGE_BYTES_MAX);
        let start = (start..=text.len())
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(text.len());
        text[start..].to_owned()
    }

    fn protocol(&self) -> GitError {
        GitError::Protocol {
            url: self.source.shown_url(),
        }
    }
}

/// Feeds and drains a child at the same time, so that neither waits for the other.
async fn collect(mut child: Child, input: Vec<u8>) -> std::io::Result<Output> {
    let (mut stdin, mut stdout, mut stderr) =
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => (stdin, stdout, stderr),
            _ => return Err(std::io::ErrorKind::BrokenPipe.into()),
        };
    let feed = async move {
        match stdin.write_all(&input).await {
            // It ended without reading everything; its status says why.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (_, _, _) = tokio::try_join!(
        feed,
        stdout.read_to_end(&mut out),
        stderr.read_to_end(&mut err)
    )?;
    Ok(Output {
        status: child.wait().await?,
        stdout: out,
        stderr: err,
    })
}

/// git starts further programs (`ssh`, `git-remote-https`), which end with it.
struct ProcessGroup(Option<u32>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        Self(child.id())
    }

    fn end(&self) {
        #[cfg(unix)]
        if let Some(group) = self
            .0
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
        {
            // It may have ended meanwhile.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Reads the output of `git cat-file --batch`: `<id> <type> <size>\n<content>\n` for each object.
fn parse_batch(mut output: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut objects = BTreeMap::new();
    while !output.is_empty() {
        let end = output.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(&output[..end]).ok()?;
        let mut words = head.split(' ');
        let (object, "blob", size) = (
            words.next()?,
            words.next()?,
            words.next()?.parse::<usize>().ok()?,
        ) else {
            return None;
        };
        let content = output.get(end + 1..(end + 1).checked_add(size)?)?;
        objects.insert(object.to_owned(), content.to_vec());
        output = output.get(end + 1 + size..)?.strip_prefix(b"\n")?;
    }
    Some(objects)
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = WalkDir::new(dir).into_iter().filter_map(Result::ok);
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_byte_for_byte() {
        let objects = parse_batch(b"aa blob 3\na\nb\nbb blob 0\n\n").expect("a batch");
        assert_eq!(objects["aa"], b"a\nb");
        assert_eq!(objects["bb"], b"");
        assert!(parse_batch(b"aa missing\n").is_none());
        assert!(parse_batch(b"aa blob 10\nshort\n").is_none());
        assert!(parse_batch(b"aa blob 18446744073709551615\nx\n").is_none());
    }
}
