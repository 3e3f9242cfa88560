//! What is to be run, with what, and under which limits.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

use crate::error::SandboxError;
use crate::grants;

/// One run of an untrusted program.
#[derive(Debug, Clone)]
pub struct Job {
    /// Absolute path; no search path is consulted.
    pub program: PathBuf,
    /// What follows the program's name.
    pub args: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// Variables that are set to the scratch folder's path, such as `TMPDIR`.
    pub scratch_variables: Vec<OsString>,
    /// The skill's folder, absolute: readable, never writable, and the working directory.
    pub skill_dir: PathBuf,
    /// Standard input, as a file that cannot be written; of any size, read or not.
    pub stdin: Vec<u8>,
    pub limits: Limits,
    pub grants: Grants,
    /// Says that `program` is CPython 3.9 or later and the first argument a script: then it may be
    /// run by an interpreter that is kept warm for this skill and forks for each job, which saves
    /// the start, the script's imports of the standard library, and its compilation. Not where a
    /// variable makes interpreters run other code when they start, such as `PYTHONPATH`. Needs the
    /// full level and `/proc`; elsewhere, and where the interpreter does not play along, the
    /// program is started as ever.
    pub warm_python: bool,
    /// Gets output as it comes. What it has got is at most the output limit.
    pub progress: Option<UnboundedSender<Chunk>>,
}

impl Job {
    /// A job without arguments, input or grants, under the usual limits, whose environment is
    /// `HOME` and `TMPDIR`, both the scratch folder.
    pub fn new(program: impl Into<PathBuf>, skill_dir: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            environment: Vec::new(),
            scratch_variables: vec!["HOME".into(), "TMPDIR".into()],
            skill_dir: skill_dir.into(),
            stdin: Vec::new(),
            limits: Limits::default(),
            grants: Grants::default(),
            warm_python: false,
            progress: None,
        }
    }
}

/// What a job may do beyond reading its skill and writing its scratch folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// The host's network. Without it there is none, not even loopback.
    pub network: bool,
    /// Files and folders that may be read, absolute. Links in these paths are followed: they are the
    /// caller's own. Where [`Self::write`] covers one it is read-only all the same.
    pub read: Vec<PathBuf>,
    /// Files and folders that may be read and written, absolute. What is written stays.
    pub write: Vec<PathBuf>,
    /// What a stranger asked for.
    pub below: Below,
    /// Files and folders, absolute, that no job may change whatever it may write, such as skills that are
    /// run later. The job's own skill is such a folder without being named.
    pub protected: Vec<PathBuf>,
}

/// Files and folders below a folder in which jobs, or others, may have made links: none is followed,
/// so that nothing outside the folder is ever shown. They are looked up for each job anew; what is
/// not there then is not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Below {
    /// Absolute; the caller's own, so that its own path may have links.
    pub folder: PathBuf,
    /// What of it may be read, relative to it; empty for all of it.
    pub read: Vec<PathBuf>,
    /// What of it may be read and written, likewise.
    pub write: Vec<PathBuf>,
}

impl Below {
    /// What is there now, held open (`O_PATH`), each with its path: for a caller that shows it by other
    /// means than a job of the sandbox.
    ///
    /// # Errors
    /// [`SandboxError::NotGranted`] for a path that leads through a link.
    pub fn hold(&self) -> Result<Vec<(PathBuf, OwnedFd)>, SandboxError> {
        let mut held = Vec::new();
        for relative in self.read.iter().chain(&self.write) {
            if let Some(opened) = grants::open_below(&self.folder, relative)? {
                held.push((self.folder.join(relative), opened));
            }
        }
        Ok(held)
    }
}

/// Bounds of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall time; then every process of the job gets SIGTERM.
    pub wall: Duration,
    /// How long after SIGTERM they get SIGKILL.
    pub grace: Duration,
    /// Processor time of any one process, in seconds (`RLIMIT_CPU`).
    pub cpu_seconds: u64,
    /// Memory in bytes. Of the whole job, scratch folder included, where a memory cgroup can be
    /// made; else of any one process (`RLIMIT_DATA`) and, watched every 25 ms, of all together. What
    /// the kernel holds for them in pipes and sockets counts in a cgroup only.
    pub memory_bytes: u64,
    /// Processes and threads at the same time.
    pub processes: u64,
    /// Open descriptors of any one process.
    pub open_files: u64,
    /// Size of any one file that is written, in bytes.
    pub file_bytes: u64,
    /// Size of the scratch folder, in bytes.
    pub scratch_bytes: u64,
    /// Files and folders in the scratch folder.
    pub scratch_files: u64,
    /// Standard output and standard error, in bytes each; more than that ends the run.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            wall: Duration::from_secs(30),
            grace: Duration::from_secs(2),
            cpu_seconds: 30,
            memory_bytes: 512 * MIB,
            processes: 64,
            open_files: 256,
            file_bytes: 64 * MIB,
            scratch_bytes: 128 * MIB,
            scratch_files: 4096,
            output_bytes: 8 * 1024 * 1024,
        }
    }
}

/// Which of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// A piece of output, cut where the program's writes happened to be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub stream: Stream,
    pub bytes: Vec<u8>,
}
