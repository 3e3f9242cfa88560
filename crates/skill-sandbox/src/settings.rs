//! How a sandbox is set up.

use std::path::PathBuf;

/// How a [`crate::Sandbox`] is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Jobs at the same time; more wait for their turn. At least 1.
    pub slots: usize,
    /// Folders outside the system's that every job may read, such as an interpreter's prefix.
    pub read: Vec<PathBuf>,
    /// Runs jobs even where not everything of the full level can be enforced; but never as the host's
    /// root.
    pub allow_degraded: bool,
    /// The program to start as a launcher; it calls [`crate::serve_if_launcher`] first.
    pub launcher: PathBuf,
}

impl Default for Settings {
    /// As many slots as processors, nothing else readable, nothing waived, this very program.
    fn default() -> Self {
        Self {
            slots: std::thread::available_parallelism().map_or(1, usize::from),
            read: Vec::new(),
            allow_degraded: false,
            // The running program even where its file has been replaced or cannot be reached.
            launcher: PathBuf::from("/proc/self/exe"),
        }
    }
}
