//! Ends every process that a run has started, also those that left its process group.
//!
//! On Linux this process adopts what its descendants orphan (`PR_SET_CHILD_SUBREAPER`): a process
//! that outlives its parent becomes our child, whatever session it made for itself, so ending our
//! foreign children again and again gets everything. A child of ours belongs to a run if it is in
//! another session than we are: what we start otherwise stays in ours. Elsewhere only the process
//! group is ended.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// How long ending everything may take. Ending a process takes microseconds, unless it is stuck in
/// the kernel.
const ENDING_MAX: Duration = Duration::from_secs(5);

/// Adopted processes cannot be told apart by run, so there is one run at a time in this process.
/// A worker that runs many at once gives each its own process.
static ONE_RUN: Mutex<()> = Mutex::const_new(());

/// Held while a skill runs.
pub(super) struct Reaper {
    _turn: MutexGuard<'static, ()>,
    /// Foreign children from before, which are not ours to end.
    before: BTreeSet<i32>,
}

/// What ending everything came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ending {
    pub ended: usize,
    pub survivors: usize,
}

impl Reaper {
    pub async fn new() -> io::Result<Self> {
        let turn = ONE_RUN.lock().await;
        #[cfg(target_os = "linux")]
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        Ok(Self {
            _turn: turn,
            before: foreign_children().into_iter().collect(),
        })
    }

    /// Signals the run's process group.
    pub fn signal(&self, root: Pid, signal: Signal) {
        // Nobody left in the group is as good.
        let _ = kill_process_group(root, signal);
    }

    /// Ends everything. `root` must not have been waited for: until then its number cannot become
    /// another process's or group's.
    pub async fn end_all(&self, root: Pid) -> Ending {
        let deadline = Instant::now() + ENDING_MAX;
        let _ = kill_process_group(root, Signal::KILL);
        // Only when a process has ended do its children become ours.
        wait_for(root, deadline).await;
        let mut ended: BTreeSet<i32> = BTreeSet::new();
        while Instant::now() < deadline {
            let _ = kill_process_group(root, Signal::KILL);
            let left = self.left(root);
            let mut progress = false;
            for pid in left {
                if reap(pid) {
                    // It had ended by itself.
                    progress = true;
                } else if kill_process(pid, Signal::KILL).is_ok() {
                    wait_for(pid, deadline).await;
                    if reap(pid) {
                        progress = true;
                        ended.insert(pid.as_raw_nonzero().get());
                    }
                }
            }
            if !progress {
                break;
            }
        }
        Ending {
            ended: ended.len(),
            survivors: self.left(root).len(),
        }
    }

    fn left(&self, root: Pid) -> Vec<Pid> {
        foreign_children()
            .into_iter()
            .filter(|pid| !self.before.contains(pid))
            .filter_map(Pid::from_raw)
            .filter(|pid| *pid != root)
            .collect()
    }
}

/// Waits until a child has exited, without taking it off the process table.
async fn wait_for(pid: Pid, deadline: Instant) {
    if let Ok(mut exit) = super::process::exit_of(pid) {
        // Past the deadline it counts as a survivor.
        let _ = tokio::time::timeout_at(deadline, exit.wait()).await;
    }
}

/// Takes a child off the process table if it has exited.
fn reap(pid: Pid) -> bool {
    use rustix::process::{WaitOptions, waitpid};
    matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_)))
}

/// Our children in other sessions than ours.
#[cfg(target_os = "linux")]
fn foreign_children() -> Vec<i32> {
    let Some(own) = Status::of("self") else {
        return Vec::new();
    };
    children()
        .into_iter()
        // A zombie still has its session; whoever is gone is no child any more.
        .filter(|pid| {
            Status::of(&pid.to_string()).is_some_and(|other| other.session != own.session)
        })
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn foreign_children() -> Vec<i32> {
    Vec::new()
}

/// Children of all our threads (`proc_pid_task_children`), or, where the kernel has no such file, by
/// looking through all processes.
#[cfg(target_os = "linux")]
fn children() -> Vec<i32> {
    let mut found = Vec::new();
    let mut known = false;
    for thread in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        if let Ok(text) = std::fs::read_to_string(thread.path().join("children")) {
            known = true;
            found.extend(
                text.split_whitespace()
                    .filter_map(|pid| pid.parse::<i32>().ok()),
            );
        }
    }
    if known { found } else { children_by_parent() }
}

#[cfg(target_os = "linux")]
fn children_by_parent() -> Vec<i32> {
    let own = std::process::id();
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| Status::of(&pid.to_string()).is_some_and(|found| found.parent == own))
        .collect()
}

/// What `/proc/PID/stat` says. The session is read there and not asked of `getsid`: in a process
/// namespace whose session leader lies outside, it is 0, which is no process number for rustix.
#[cfg(target_os = "linux")]
struct Status {
    parent: u32,
    session: u32,
}

#[cfg(target_os = "linux")]
impl Status {
    fn of(pid: &str) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The second field, in parentheses, may hold anything.
        let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
        let fields = std::str::from_utf8(&stat[after_name..]).ok()?;
        let mut fields = fields.split_whitespace().skip(1);
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        Some(Self { parent, session })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_finding_children_agree() {
        let mut child = std::process::Command::new("sleep")
            .arg("30")
            .spawn()
            .expect("sleep is everywhere");
        let pid = i32::try_from(child.id()).expect("a process number");
        assert!(children().contains(&pid));
        assert!(children_by_parent().contains(&pid));
        assert!(!foreign_children().contains(&pid), "it is in our session");
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        assert!(!children().contains(&pid));
    }
}
