//! What became of a run, and what held it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a run left.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub ended: Ended,
    pub stdout: Output,
    pub stderr: Output,
    /// Wall time, from asking for the run to its complete end.
    pub duration: Duration,
    /// Processor time of everything that the job ran.
    pub cpu: Duration,
    /// Processes that were still there when the program had ended, and were killed.
    pub leftover_processes: u32,
    /// Whether a warm interpreter ran it.
    pub warm: bool,
    /// What held this run.
    pub protections: Protections,
}

/// One of the two outputs: bytes, not text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// At most as many as the limit.
    pub bytes: Vec<u8>,
    /// How many were written. Above the limit reading stops soon, and the run is ended.
    pub total: u64,
}

impl Output {
    pub fn is_truncated(&self) -> bool {
        self.total > self.bytes.len() as u64
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that is not one of the sandbox's own reasons.
    Signaled(i32),
    /// It ran longer than its wall time.
    TimedOut,
    /// It wrote more than its output limit.
    OutputLimit,
    /// A process used up its processor time.
    CpuLimit,
    /// Together its processes used more memory than they may.
    MemoryLimit,
}

impl Ended {
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// The code that a shell would show: 128 + the signal's number, 124 for a time-out.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => 128 + signal,
            Self::TimedOut => 124,
            Self::OutputLimit => 128 + libc::SIGPIPE,
            Self::CpuLimit => 128 + libc::SIGXCPU,
            Self::MemoryLimit => 128 + libc::SIGKILL,
        }
    }
}

/// A part of the full level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// Own user, mount, process, IPC, UTS and network namespaces and a file tree of its own.
    Namespaces,
    /// Bounds on the size and number of files in the scratch folder.
    ScratchQuota,
    /// Files are opened by a list of permissions, whatever their owner allows.
    Landlock,
    /// No signal to a process outside of the job.
    SignalScope,
    /// System calls that only escapes need are refused.
    SystemCalls,
    /// Jobs do not run as the host's root, to whom limits do not apply. Never waived.
    OwnUser,
    /// Every descendant is found when the job ends.
    Descendants,
}

impl Protection {
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::ScratchQuota => "scratch-quota",
            Self::Landlock => "landlock",
            Self::SignalScope => "signal-scope",
            Self::SystemCalls => "system-calls",
            Self::OwnUser => "own-user",
            Self::Descendants => "descendants",
        }
    }
}

/// A protection that this host refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub protection: Protection,
    /// What the host said.
    pub why: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.protection.name(), self.why)
    }
}

/// Whose memory is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryBound {
    /// The job's, by a cgroup.
    Cgroup,
    /// Each process's by `RLIMIT_DATA`, and the job's by watching it.
    Watched,
    /// Each process's by `RLIMIT_DATA` alone: there is no `/proc` to watch it by.
    PerProcess,
}

/// How much stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Full,
    Degraded,
}

/// What a launcher enforces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protections {
    /// What of the full level does not stand; empty at the full level.
    pub missing: Vec<Missing>,
    /// Landlock's ABI version; 0 where the kernel has none.
    pub landlock_abi: i32,
    pub memory: MemoryBound,
    /// Whether `/proc` shows the job its own processes; a container may forbid it, which takes
    /// nothing from the protection.
    pub proc: bool,
    /// The user that jobs run as, as they see it.
    pub uid: u32,
}

impl Protections {
    pub fn level(&self) -> Level {
        if self.missing.is_empty() {
            Level::Full
        } else {
            Level::Degraded
        }
    }

    pub fn has(&self, protection: Protection) -> bool {
        self.missing
            .iter()
            .all(|missing| missing.protection != protection)
    }
}
