//! What holds a job besides namespaces: another user, no capabilities, Landlock, seccomp.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};
use nix::fcntl::{OFlag, open};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, fstat};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Uid, setgid, setgroups, setuid};
use seccompiler::BpfProgram;

use super::cgroup::OomCounter;
use super::family::{Family, has_proc};
use super::isolate::{Identity, Inside, NOBODY, is_ordinary_outside};
use super::{failed, placing, spawn, tree};
use crate::beneath;
use crate::outcome::{MemoryBound, Missing, Protection, Protections};
use crate::seccomp::{self, Sockets};
use crate::sys;
use crate::wire::{Setup, Shown};

/// The newest rules that this program knows; an older kernel gets what it has.
const LANDLOCK: ABI = ABI::V6;
/// Since this version a job cannot signal others or reach their abstract sockets.
const LANDLOCK_WITH_SCOPES: i32 = 6;

/// What a launcher keeps between jobs.
pub struct State {
    pub family: Family,
    pub scratch: PathBuf,
    /// The skill's folder; none in a launcher that was only asked what it enforces.
    pub directory: Option<OwnedFd>,
    /// What each job puts on itself, because the launcher does not wear it.
    pub own: Option<Own>,
    pub memory: Option<OomCounter>,
    /// Whether the job's memory is to be looked at.
    pub watched: bool,
}

pub struct Own {
    /// None where the launcher is not root, or cannot become anybody else.
    pub identity: Option<(u32, u32)>,
    pub ruleset: Option<OwnedFd>,
    pub filters: Vec<BpfProgram>,
}

/// The full level: this process confines itself, and with it every job to come.
pub fn inside(inside: Inside, setup: &Setup) -> io::Result<(Protections, State)> {
    let Inside {
        identity,
        proc,
        oom,
    } = inside;
    let abi = sys::landlock_abi();
    if Uid::effective().is_root() {
        setgroups(&[]).map_err(failed("dropping groups"))?;
        setgid(identity.gid).map_err(failed("changing the group"))?;
        setuid(identity.uid).map_err(failed("changing the user"))?;
    }
    sys::drop_capabilities().map_err(failed("dropping capabilities"))?;
    prctl::set_no_new_privs()?;
    // The job is the same user: it must not look into its launcher.
    prctl::set_dumpable(false)?;
    // After the change of user, which takes it away.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let directory = open_directory(setup.skill.as_ref(), identity.uid)?;
    let writable = [PathBuf::from(tree::SCRATCH)];
    let readable = ["/etc", "/proc"].map(PathBuf::from);
    if let Some(ruleset) = ruleset(setup, &readable, &writable)? {
        sys::landlock_restrict(ruleset.as_fd()).map_err(failed("applying Landlock"))?;
    }
    let sockets = match (setup.network, abi >= LANDLOCK_WITH_SCOPES) {
        (false, _) => Sockets::Local,
        (true, true) => Sockets::Network,
        // In the host's network namespace its abstract sockets would be reachable.
        (true, false) => Sockets::Internet,
    };
    let filters = seccomp::filters(sockets, true).map_err(io::Error::other)?;
    spawn::apply_filters(&filters).map_err(failed("applying seccomp filters"))?;
    let mut missing = Vec::new();
    if abi == 0 {
        missing.push(no_landlock());
    }
    let memory = memory_bound(oom.is_some(), proc);
    let protections = Protections {
        missing,
        landlock_abi: abi,
        memory,
        proc,
        uid: identity.uid.as_raw(),
    };
    let state = State {
        family: Family::Namespace,
        scratch: PathBuf::from(tree::SCRATCH),
        directory,
        own: None,
        memory: oom,
        watched: memory == MemoryBound::Watched,
    };
    Ok((protections, state))
}

/// The degraded level: this process stays as it is, and each job confines itself before `exec`.
pub fn outside(setup: &Setup) -> io::Result<(Protections, Identity, State)> {
    let abi = sys::landlock_abi();
    let lack = |protection, why: &str| Missing {
        protection,
        why: why.to_owned(),
    };
    let mut missing = vec![lack(Protection::ScratchQuota, "it needs a mount namespace")];
    let is_root = Uid::effective().is_root();
    let other = is_root && can_become(NOBODY)?;
    if is_root && !other && !is_ordinary_outside() {
        missing.push(lack(
            Protection::OwnUser,
            "root may not become another user here",
        ));
    }
    if abi == 0 {
        missing.push(no_landlock());
    }
    if abi < LANDLOCK_WITH_SCOPES && !other {
        missing.push(lack(Protection::SignalScope, "it needs Landlock's ABI 6"));
    }
    if !has_proc() {
        let why = "/proc is not mounted, or another process namespace's";
        missing.push(lack(Protection::Descendants, why));
    }
    prctl::set_child_subreaper(true)?;
    prctl::set_dumpable(false)?;
    let (uid, gid) = if other {
        (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY))
    } else {
        (Uid::effective(), Gid::effective())
    };
    let directory = open_directory(setup.skill.as_ref(), uid)?;
    let scratch = nix::unistd::mkdtemp("/tmp/skill-sandbox-XXXXXX")
        .map_err(failed("making a scratch folder"))?;
    nix::unistd::chown(&scratch, Some(uid), Some(gid))?;
    let etc = tree::ETC.iter().chain(
        setup
            .network
            .then_some(tree::ETC_NETWORK)
            .into_iter()
            .flatten(),
    );
    let readable: Vec<PathBuf> = etc.map(PathBuf::from).collect();
    let ruleset = ruleset(setup, &readable, std::slice::from_ref(&scratch))?;
    let sockets = if setup.network {
        Sockets::Internet
    } else {
        Sockets::None
    };
    let filters = seccomp::filters(sockets, other).map_err(io::Error::other)?;
    let memory = memory_bound(false, has_proc());
    let protections = Protections {
        missing,
        landlock_abi: abi,
        memory,
        proc: false,
        uid: uid.as_raw(),
    };
    let identity = Identity {
        uid,
        gid,
        launchers: 1,
    };
    let own = Own {
        identity: other.then_some((uid.as_raw(), gid.as_raw())),
        ruleset,
        filters,
    };
    let state = State {
        family: Family::Descendants,
        scratch,
        directory,
        own: Some(own),
        memory: None,
        watched: memory == MemoryBound::Watched,
    };
    Ok((protections, identity, state))
}

fn memory_bound(cgroup: bool, proc: bool) -> MemoryBound {
    match (cgroup, proc) {
        (true, _) => MemoryBound::Cgroup,
        (false, true) => MemoryBound::Watched,
        (false, false) => MemoryBound::PerProcess,
    }
}

fn no_landlock() -> Missing {
    Missing {
        protection: Protection::Landlock,
        why: "the kernel has none, or it is switched off".to_owned(),
    }
}

/// Whether root may become this user, which a container can forbid; tried in a child.
fn can_become(user: u32) -> io::Result<bool> {
    match sys::fork()? {
        ForkResult::Child => {
            let became = setgroups(&[])
                .and_then(|()| setgid(Gid::from_raw(user)))
                .and_then(|()| setuid(Uid::from_raw(user)));
            sys::exit_now(i32::from(became.is_err()))
        }
        ForkResult::Parent { child } => Ok(waitpid(child, None)? == WaitStatus::Exited(child, 0)),
    }
}

/// Holds the skill's folder, whatever becomes of its path.
fn open_directory(skill: Option<&Shown>, uid: Uid) -> io::Result<Option<OwnedFd>> {
    let Some(Shown { path, .. }) = skill else {
        return Ok(None);
    };
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let open = open(path, flags, Mode::empty());
    let readable = open.and_then(|directory| {
        // The launcher is that user by now, except as a degraded root.
        fs::read_dir(path)
            .map_err(|error| nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
        Ok(directory)
    });
    let doing = format!("{} as the user that jobs run as ({uid})", path.display());
    readable.map(Some).map_err(failed(doing))
}

/// Whether the skill's path still leads to the folder that is held.
pub fn still_there(skill: Option<&Shown>) -> bool {
    skill.is_none_or(|skill| {
        fs::metadata(&skill.path)
            .is_ok_and(|now| (now.dev(), now.ino()) == (skill.device, skill.inode))
    })
}

/// None where the kernel has no Landlock.
fn ruleset(
    setup: &Setup,
    readable: &[PathBuf],
    writable: &[PathBuf],
) -> io::Result<Option<OwnedFd>> {
    let other = |error: &dyn std::fmt::Display| io::Error::other(format!("Landlock: {error}"));
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))
        .and_then(|ruleset| ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal))
        .map_err(|error| other(&error))?;
    if !setup.network {
        ruleset = ruleset
            .handle_access(AccessNet::from_all(LANDLOCK))
            .map_err(|error| other(&error))?;
    }
    let mut created = ruleset.create().map_err(|error| other(&error))?;
    let read = AccessFs::from_read(LANDLOCK);
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    let own = [
        (
            tree::SYSTEM.iter().map(PathBuf::from).collect::<Vec<_>>(),
            read,
        ),
        (readable.to_vec(), read),
        (writable.to_vec(), AccessFs::from_all(LANDLOCK)),
        (tree::DEVICES.iter().map(PathBuf::from).collect(), device),
    ];
    let mut rules = Vec::new();
    for (paths, access) in own {
        for path in paths {
            // What the host does not have needs no permission.
            if let Ok(held) = beneath::hold(&path) {
                rules.push((held, access));
            }
        }
    }
    let all = AccessFs::from_all(LANDLOCK);
    let readable = setup.skill.iter().chain(&setup.read);
    let given = readable.map(|shown| (shown, read));
    for (shown, access) in given.chain(setup.write.iter().map(|shown| (shown, all))) {
        rules.push((held(shown)?, access));
    }
    for (held, access) in rules {
        let access = if is_folder(&held) {
            access
        } else {
            access & AccessFs::from_file(LANDLOCK)
        };
        created = created
            .add_rule(PathBeneath::new(held, access))
            .map_err(|error| other(&error))?;
    }
    Ok(created.into())
}

/// What is shown, and nothing that somebody has put in its place meanwhile.
fn held(shown: &Shown) -> io::Result<OwnedFd> {
    let path = shown.path.display();
    let held = beneath::hold(&shown.path).map_err(failed(&path))?;
    if !shown.is(&held)? {
        return Err(placing::replaced(&shown.path));
    }
    Ok(held)
}

fn is_folder(held: &OwnedFd) -> bool {
    let status = fstat(held);
    status.is_ok_and(|status| status.st_mode & libc::S_IFMT == libc::S_IFDIR)
}
