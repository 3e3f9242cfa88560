//! A home and a project of its own for each test, and the program's output as a snapshot.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Where a program that is measured writes which of its lines were run (`cargo xtask coverage`). It is
/// all that a test's program gets of the test's own environment.
pub fn coverage() -> Option<(&'static str, OsString)> {
    const COUNTERS: &str = "LLVM_PROFILE_FILE";
    std::env::var_os(COUNTERS).map(|file| (COUNTERS, file))
}

/// An empty home and an empty project folder; nothing of the real user's is seen.
pub struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let sandbox = Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
        };
        for folder in [sandbox.home(), sandbox.project()] {
            std::fs::create_dir(folder).expect("a folder in the sandbox");
        }
        sandbox
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub fn project(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// The program with a clean environment, in the project folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skills"));
        command
            .args(arguments)
            .current_dir(self.project())
            .env_clear()
            .envs(coverage())
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.finish(&mut self.command(arguments))
    }

    /// Runs a prepared command to its end.
    pub fn finish(&self, command: &mut Command) -> Ran {
        let output = command.output().expect("the program starts");
        Ran {
            output,
            dir: self.dir.path().to_path_buf(),
        }
    }

    /// Writes a file below the project folder.
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.project().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// A valid skill of this name below the project folder.
    pub fn skill(&self, name: &str) -> PathBuf {
        self.write(
            &format!("{name}/SKILL.md"),
            &format!("---\nname: {name}\ndescription: Does {name}. Use it when asked to.\nlicense: MIT\n---\n\n# {name}\n\nDo it.\n"),
        );
        self.project().join(name)
    }
}

/// What a run printed and how it ended.
pub struct Ran {
    output: Output,
    dir: PathBuf,
}

impl Ran {
    pub fn code(&self) -> i32 {
        self.output
            .status
            .code()
            .expect("the program ended by itself")
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).expect("UTF-8 on standard output")
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).expect("UTF-8 on standard error")
    }

    /// The run succeeded; shows what it printed if not.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code(), 0, "{}", self.snapshot());
        self
    }

    /// The one JSON document of a `--json` run.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout())
            .unwrap_or_else(|error| panic!("no JSON ({error}):\n{}", self.snapshot()))
    }

    /// Everything a person sees, with what differs between runs replaced by placeholders.
    pub fn snapshot(&self) -> String {
        let text = format!(
            "exit code: {}\n--- stdout\n{}--- stderr\n{}",
            self.code(),
            self.stdout(),
            self.stderr()
        );
        filter(&text, &self.dir)
    }
}

/// Replaces temporary folders, digests, fingerprints, ports and times.
fn filter(text: &str, dir: &Path) -> String {
    let text = text.replace(&dir.display().to_string(), "[SANDBOX]");
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || "-:.+".contains(c))) {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let tail = &word[bare.len()..];
        let hex = bare.strip_prefix("sha256:").unwrap_or(bare);
        let is_hex =
            |length: usize| hex.len() == length && hex.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hex(64) {
            out.push_str("[SHA256]");
        } else if is_hex(40) {
            out.push_str("[FINGERPRINT]");
        } else if bare.len() >= 20
            && bare.as_bytes()[4] == b'-'
            && bare.contains('T')
            && bare.ends_with('Z')
        {
            out.push_str("[TIME]");
        } else if let Some(port) = bare
            .strip_prefix("127.0.0.1:")
            .filter(|port| port.bytes().all(|b| b.is_ascii_digit()))
        {
            assert!(!port.is_empty());
            out.push_str("127.0.0.1:[PORT]");
        } else {
            out.push_str(bare);
        }
        out.push_str(tail);
    }
    out
}
