//! What is to be run, with what, under which limits, and what became of it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Tells the time since 1970.
pub type WallClock = Arc<dyn Fn() -> Duration + Send + Sync>;
/// Fills a buffer with random bytes.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// What a module may ask of the machine besides files.
#[derive(Clone)]
pub struct World {
    pub wall_clock: WallClock,
    pub random: Random,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// A folder that may be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Where the module sees it, such as `/`.
    pub shown_as: String,
    /// Where it is; opened when it is first used.
    pub path: PathBuf,
}

/// Gets output as it comes.
pub type Progress = Box<dyn FnMut(Stream, &[u8]) + Send + Sync>;

/// One run of a module.
pub struct Job {
    /// The program's name and what follows it.
    pub arguments: Vec<String>,
    /// The whole environment.
    pub environment: Vec<(String, Vec<u8>)>,
    pub stdin: Vec<u8>,
    /// What it may read.
    pub folders: Vec<Folder>,
    pub limits: Limits,
    pub world: World,
    /// What it has got is at most the output limit.
    pub progress: Option<Progress>,
}

impl Job {
    /// Without arguments, environment, input and folders, under the usual limits.
    pub fn new(world: World) -> Self {
        Self {
            arguments: Vec::new(),
            environment: Vec::new(),
            stdin: Vec::new(),
            folders: Vec::new(),
            limits: Limits::default(),
            world,
            progress: None,
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Input and environment may be secret.
        f.debug_struct("Job")
            .field("arguments", &self.arguments)
            .field("folders", &self.folders)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Bounds of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub wall: Duration,
    /// Linear memory in bytes. A module that asks for more is refused it, as the standard says.
    pub memory_bytes: usize,
    /// Standard output and standard error, in bytes each; more than that ends the run.
    pub output_bytes: usize,
    /// Open files and folders.
    pub open_files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            wall: Duration::from_secs(30),
            memory_bytes: 512 * MIB,
            output_bytes: 8 * MIB,
            open_files: 256,
        }
    }
}

/// Which of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// What a run left.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub ended: Ended,
    /// At most as many bytes as the limit.
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub duration: Duration,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Exited(i32),
    /// It did what WebAssembly forbids, or gave up in the way of compiled programs (`unreachable`).
    Trapped(String),
    TimedOut,
    /// It wrote more than its output limit.
    OutputLimit,
    /// It was refused memory and could not go on without.
    MemoryLimit,
    /// Somebody called [`crate::Stop::stop`].
    Stopped,
}
