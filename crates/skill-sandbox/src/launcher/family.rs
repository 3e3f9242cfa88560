//! Which processes belong to a job, and how all of them are ended.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::poll::poll;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How a job's processes are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Everybody else in this process namespace, whose first process the launcher is.
    Namespace,
    /// The same, but for the warm interpreter.
    Beside(Pid),
    /// The launcher's descendants: orphans among them become its children, because it is a
    /// subreaper.
    Descendants,
}

impl Family {
    /// Sends a signal to every process of the job, whose first process is `leader`.
    pub fn signal(self, leader: Pid, signal: Signal) -> io::Result<()> {
        match self {
            Self::Namespace => ignore_gone(kill(Pid::from_raw(-1), signal)),
            Self::Beside(_) => self
                .members()
                .into_iter()
                .try_for_each(|process| ignore_gone(kill(process, signal))),
            Self::Descendants => {
                // The leader has made itself the leader of a group; it may have ended since, but
                // has not been waited for, so its number is not anybody else's.
                ignore_gone(kill(Pid::from_raw(-leader.as_raw()), signal))?;
                for process in self.members() {
                    ignore_gone(kill(process, signal))?;
                }
                Ok(())
            }
        }
    }

    /// [`Self::end`] for [`Self::Beside`]; none where that cannot be done without ending the warm
    /// interpreter too, because it has died or the others multiply too fast.
    pub fn end_beside(self) -> io::Result<Option<u32>> {
        const ROUNDS_MAX: u32 = 100;
        let Self::Beside(spared) = self else {
            return self.end().map(Some);
        };
        let mut killed = 0;
        for _ in 0..ROUNDS_MAX {
            // Whoever has lost a parent is this process's child, so nobody is overlooked.
            let members = self.members();
            for process in &members {
                ignore_gone(kill(*process, Signal::SIGKILL))?;
            }
            loop {
                let status = waitpid(
                    None::<Pid>,
                    Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG),
                );
                match status {
                    Ok(WaitStatus::StillAlive) => break,
                    Ok(status) if status.pid() == Some(spared) => return Ok(None),
                    Ok(WaitStatus::Signaled(_, Signal::SIGKILL, _)) => killed += 1,
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(Errno::ECHILD) => return Ok(None),
                    Err(error) => return Err(error.into()),
                }
            }
            if members.is_empty() {
                return Ok(Some(killed));
            }
            poll(&mut [], 1u8)?;
        }
        Ok(None)
    }

    /// Kills and reaps whatever is left. Returns how many processes had not ended by themselves.
    ///
    /// # Errors
    ///
    /// Where some are left that cannot be found: without namespaces and without a /proc.
    pub fn end(self) -> io::Result<u32> {
        const BLIND_ROUNDS_MAX: u32 = 1000;
        let mut killed = 0;
        let mut rounds = 0;
        // Looking through all processes takes as long as there are many, so after each look
        // everybody is reaped who can be: a fork bomb leaves thousands.
        let mut must_look = true;
        loop {
            let options = match self {
                Self::Namespace | Self::Beside(_) => {
                    ignore_gone(kill(Pid::from_raw(-1), Signal::SIGKILL))?;
                    WaitPidFlag::__WALL
                }
                Self::Descendants => {
                    if must_look {
                        for process in self.members() {
                            ignore_gone(kill(process, Signal::SIGKILL))?;
                        }
                        must_look = false;
                    }
                    // Not blocking: a descendant may have made another while this one looked.
                    WaitPidFlag::__WALL | WaitPidFlag::WNOHANG
                }
            };
            match waitpid(None::<Pid>, Some(options)) {
                Ok(WaitStatus::Signaled(_, Signal::SIGKILL, _)) => killed += 1,
                Ok(WaitStatus::StillAlive) => {
                    must_look = true;
                    rounds += 1;
                    if rounds > BLIND_ROUNDS_MAX && !has_proc() {
                        return Err(io::Error::other("processes are left that cannot be found"));
                    }
                    poll(&mut [], 1u8)?;
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => return Ok(killed),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The job's processes, as /proc shows them; none where there is no /proc.
    pub fn members(self) -> Vec<Pid> {
        if !has_proc() {
            return Vec::new();
        }
        let own = nix::unistd::getpid();
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let all = entries.filter_map(|entry| {
            let number: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some(Pid::from_raw(number))
        });
        match self {
            Self::Namespace => all.filter(|process| *process != own).collect(),
            Self::Beside(spared) => all
                .filter(|process| *process != own && *process != spared)
                .collect(),
            Self::Descendants => {
                let parents: Vec<(Pid, Pid)> = all
                    .filter_map(|process| Some((process, parent(process)?)))
                    .collect();
                descendants(own, &parents)
            }
        }
    }
}

/// Whether /proc is there and counts as this process does: the numbers of another process
/// namespace would be somebody else's here.
pub fn has_proc() -> bool {
    let own = nix::unistd::getpid().to_string();
    fs::read_link("/proc/self").is_ok_and(|shown| shown.as_os_str() == own.as_str())
}

/// Memory of a job's processes together, in bytes: first a quick sum in which shared pages count
/// for each process; only if that is over `limit`, the exact one.
pub fn memory_used(processes: &[Pid], limit: u64) -> u64 {
    let quick: u64 = processes
        .iter()
        .filter_map(|process| resident(*process))
        .sum();
    if quick <= limit {
        return quick;
    }
    let share = |process: &Pid| proportional(*process).or_else(|| resident(*process));
    processes.iter().filter_map(share).sum()
}

/// What a process has touched and that is not a file's.
fn resident(process: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    Some(kilobytes(&status, "RssAnon:")? + kilobytes(&status, "RssShmem:")?)
}

/// The same, with what is shared divided by those who share it.
fn proportional(process: Pid) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    Some(kilobytes(&rollup, "Pss_Anon:")? + kilobytes(&rollup, "Pss_Shmem:")?)
}

/// The value of a line such as `RssAnon:      112 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

fn ignore_gone(result: nix::Result<()>) -> io::Result<()> {
    match result {
        // `EPERM`: the process has become somebody else's by changing its number's owner, or it is
        // a set-user-ID program, which no new privileges rule out.
        Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The parent's number: the second field after the name, which is in parentheses and may contain
/// anything.
fn parent(process: Pid) -> Option<Pid> {
    let stat = fs::read(format!("/proc/{process}/stat")).ok()?;
    parent_in(&stat).map(Pid::from_raw)
}

fn parent_in(stat: &[u8]) -> Option<i32> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end_of_name + 1..)?).ok()?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

fn descendants(of: Pid, parents: &[(Pid, Pid)]) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut next = vec![of];
    while let Some(ancestor) = next.pop() {
        let children = parents.iter().filter(|(_, parent)| *parent == ancestor);
        for (child, _) in children {
            found.push(*child);
            next.push(*child);
        }
    }
    found
}

/// How many processes and threads of a user there are on the host.
pub fn tasks_of(uid: u32) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    let threads = |entry: io::Result<fs::DirEntry>| {
        let status = fs::read_to_string(entry.ok()?.path().join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let real: u32 = field("Uid:")?.split_whitespace().next()?.parse().ok()?;
        let threads: u64 = field("Threads:")?.trim().parse().ok()?;
        (real == uid).then_some(threads)
    };
    entries.filter_map(threads).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_hide_a_parent() {
        assert_eq!(parent_in(b"7 (a) R 1) S 42 7 7 0"), Some(42));
        assert_eq!(parent_in(b"7 (sh) S 1 7 7 0"), Some(1));
        assert_eq!(parent_in(b"7 sh"), None);
    }

    #[test]
    fn descendants_are_found_through_all_generations() {
        let pid = Pid::from_raw;
        let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 9)].map(|(a, b)| (pid(a), pid(b)));
        let mut found = descendants(pid(2), &parents);
        found.sort_by_key(|process| process.as_raw());
        assert_eq!(found, [pid(3), pid(4)]);
    }

    #[test]
    fn memory_is_read_in_the_kernels_units() {
        assert_eq!(
            kilobytes("RssAnon:\t     112 kB\nX: 1 kB\n", "RssAnon:"),
            Some(112 * 1024)
        );
        assert_eq!(kilobytes("RssAnon:\t     112 kB\n", "RssShmem:"), None);
    }
}
