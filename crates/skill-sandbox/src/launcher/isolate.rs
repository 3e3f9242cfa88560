//! Leaves the host's namespaces. Whatever the host refuses here makes the caller start over with a
//! degraded launcher: a process that is half inside cannot go back.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid};

use super::cgroup::{Cgroup, OomCounter};
use super::{failed, tree};
use crate::sys;
use crate::wire::Setup;

/// The user that jobs run as where the caller is root.
pub const NOBODY: u32 = 65534;

/// As whom a job runs, and how many processes of the same user the launcher is.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    pub uid: Uid,
    pub gid: Gid,
    pub launchers: u64,
}

/// The inner process, with its tree built, and not yet confined.
pub struct Inside {
    pub identity: Identity,
    pub proc: bool,
    pub oom: Option<OomCounter>,
}

pub enum Place {
    /// Still in the host's process namespace, with nothing to do but wait.
    Outside {
        init: Pid,
        memory: Option<(Cgroup, OomCounter)>,
    },
    /// The first process of the new namespaces.
    Inside(Box<Inside>),
}

/// Makes the namespaces and the file tree, and a process that is first in them.
pub fn enter(setup: &Setup) -> io::Result<Place> {
    let memory = Cgroup::create(setup.memory_bytes)
        .and_then(|cgroup| Some((cgroup.oom_counter().ok()?, cgroup)))
        .map(|(counter, cgroup)| (cgroup, counter));
    let mut flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    if !setup.network {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    let identity = unshare_with_users(flags)?;
    // The inner process tells through this pipe why it could not build its tree: the outer one
    // answers for both.
    let (said, say) = nix::unistd::pipe()?;
    match sys::fork()? {
        ForkResult::Parent { child } => {
            drop(say);
            let mut reason = [0; 512];
            let length = nix::unistd::read(&said, &mut reason)?;
            if length > 0 {
                waitpid(child, None)?;
                return Err(io::Error::other(
                    String::from_utf8_lossy(&reason[..length]).into_owned(),
                ));
            }
            Ok(Place::Outside {
                init: child,
                memory,
            })
        }
        ForkResult::Child => {
            drop(said);
            let (cgroup, oom) = memory.unzip();
            let settled = settle(setup, identity, cgroup.as_ref(), oom);
            // The outer process removes it: it is there longer.
            std::mem::forget(cgroup);
            match settled {
                Ok(inside) => Ok(Place::Inside(Box::new(inside))),
                Err(error) => {
                    let _ = nix::unistd::write(&say, error.to_string().as_bytes());
                    sys::exit_now(1)
                }
            }
        }
    }
}

fn settle(
    setup: &Setup,
    identity: Identity,
    cgroup: Option<&Cgroup>,
    oom: Option<OomCounter>,
) -> io::Result<Inside> {
    if let Some(cgroup) = cgroup {
        cgroup.join().map_err(failed("joining the cgroup"))?;
    }
    // Hides the cgroup's name; that this process is in it has just been settled.
    unshare(CloneFlags::CLONE_NEWCGROUP).map_err(failed("making a cgroup namespace"))?;
    nix::unistd::sethostname("sandbox").map_err(failed("setting the host name"))?;
    let proc = tree::build(setup, identity.uid.as_raw(), identity.gid.as_raw())?;
    Ok(Inside {
        identity,
        proc,
        oom,
    })
}

/// Inside, the launcher is root over its own namespaces only. A job is another user where the
/// caller is root, else the caller.
fn unshare_with_users(flags: CloneFlags) -> io::Result<Identity> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    if uid.is_root() {
        let alone = is_ordinary_outside();
        let map = format!("0 0 1\n{NOBODY} {NOBODY} 1\n");
        if unshare_mapped_from_outside(flags, &map)? {
            let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
            return Ok(Identity {
                uid,
                gid,
                launchers: 1,
            });
        }
        if !alone {
            let why = "root may not map a second user into a namespace";
            return Err(io::Error::other(why));
        }
        return map_alone(NOBODY, uid, NOBODY, gid);
    }
    unshare(flags).map_err(failed("making namespaces"))?;
    map_alone(uid.as_raw(), uid, gid.as_raw(), gid)
}

/// Whether this root is an ordinary user of the host's, in a user namespace that has no other: then
/// its jobs may be that user as well, as they are an ordinary caller's.
pub fn is_ordinary_outside() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace();
        numbers.next() == Some("0") && numbers.next().is_some_and(|outside| outside != "0")
    })
}

/// Maps the caller's user and group, and nobody else.
fn map_alone(inside_uid: u32, uid: Uid, inside_gid: u32, gid: Gid) -> io::Result<Identity> {
    fs::write("/proc/self/setgroups", "deny").map_err(failed("refusing groups"))?;
    fs::write("/proc/self/uid_map", format!("{inside_uid} {uid} 1\n"))
        .map_err(failed("mapping the user"))?;
    fs::write("/proc/self/gid_map", format!("{inside_gid} {gid} 1\n"))
        .map_err(failed("mapping the group"))?;
    // The outer and the inner process are the same user as the job.
    Ok(Identity {
        uid: Uid::from_raw(inside_uid),
        gid: Gid::from_raw(inside_gid),
        launchers: 2,
    })
}

/// Two users can be mapped only by a process that has stayed outside: a short-lived child of this
/// one, which waits until the namespace exists. False where the host refuses the mapping alone.
fn unshare_mapped_from_outside(flags: CloneFlags, map: &str) -> io::Result<bool> {
    let (go_read, go_write) = nix::unistd::pipe()?;
    match sys::fork()? {
        ForkResult::Child => {
            drop(go_write);
            let written = nix::unistd::read(&go_read, &mut [0])
                .map_err(io::Error::from)
                .and_then(|_| {
                    let parent = parent_in_proc()?;
                    fs::write(format!("/proc/{parent}/uid_map"), map)?;
                    fs::write(format!("/proc/{parent}/gid_map"), map)
                });
            sys::exit_now(i32::from(written.is_err()))
        }
        ForkResult::Parent { child } => {
            drop(go_read);
            let unshared = unshare(flags);
            drop(go_write);
            let writer = waitpid(child, None)?;
            unshared.map_err(failed("making namespaces"))?;
            Ok(writer == WaitStatus::Exited(child, 0))
        }
    }
}

/// This process's parent in the numbers of /proc, which may be another process namespace's than
/// this one.
fn parent_in_proc() -> io::Result<i32> {
    let status = fs::read_to_string("/proc/self/status")?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    parent
        .and_then(|parent| parent.trim().parse().ok())
        .ok_or_else(|| io::Error::other("/proc does not name a parent"))
}

/// Waits for the inner process; its exit code.
pub fn wait_for(init: Pid) -> i32 {
    loop {
        match waitpid(init, None) {
            Ok(WaitStatus::Exited(_, code)) => return code,
            Ok(WaitStatus::Signaled(..)) => return 1,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return 1,
        }
    }
}
