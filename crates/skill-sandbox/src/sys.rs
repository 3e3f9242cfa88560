//! System calls that no crate in use offers safely. Everything `unsafe` of this crate is here and
//! in `launcher/spawn.rs`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::signal::{SigHandler, Signal};
use nix::unistd::ForkResult;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Takes over a descriptor that has just come with a message.
pub fn adopt_received(raw: RawFd) -> OwnedFd {
    // SAFETY: the kernel has made this descriptor for this process in the `recvmsg` whose control
    // message it is read from, and each control message is read once.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// Forks. To be called by a launcher only, which has one thread.
pub fn fork() -> io::Result<ForkResult> {
    // SAFETY: a launcher has one thread, so the child may do whatever its parent may.
    Ok(unsafe { nix::unistd::fork() }?)
}

/// Ends this process without running anything else of it.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: does not return and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: the caller, a launcher at its start, owns none of them yet.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

pub fn pidfd(process: nix::unistd::Pid) -> io::Result<OwnedFd> {
    // SAFETY: passes no pointer; the descriptor that it returns is new and ours.
    unsafe {
        let raw = check(libc::syscall(libc::SYS_pidfd_open, process.as_raw(), 0))?;
        Ok(OwnedFd::from_raw_fd(raw as RawFd))
    }
}

/// Gives all signals their default action, but leaves SIGPIPE ignored.
pub fn reset_signals() {
    for signal in Signal::iterator() {
        let action = if signal == Signal::SIGPIPE {
            SigHandler::SigIgn
        } else {
            SigHandler::SigDfl
        };
        if !matches!(
            signal,
            Signal::SIGKILL | Signal::SIGSTOP | Signal::SIGSEGV | Signal::SIGBUS
        ) {
            // SAFETY: installs no handler. SIGSEGV and SIGBUS stay with Rust's own handlers, which
            // `exec` resets. The calls cannot fail for catchable signals.
            let _ = unsafe { nix::sys::signal::signal(signal, action) };
        }
    }
}

/// Gives up every capability.
pub fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    /// `_LINUX_CAPABILITY_VERSION_3`, whose data are two words of three fields each.
    const VERSION: u32 = 0x2008_0522;
    let header = Header {
        version: VERSION,
        pid: 0,
    };
    let none = [[0u32; 3]; 2];
    // SAFETY: both pointers are to live values of the layout that version 3 of capset(2) reads.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) }).map(drop)
}

/// Landlock's ABI version; 0 where the kernel has none or it is switched off.
pub fn landlock_abi() -> i32 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call takes no pointer and makes no descriptor.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, VERSION) };
    i32::try_from(version).unwrap_or(0).max(0)
}

/// Puts this process under a Landlock ruleset; it must have no new privileges.
pub fn landlock_restrict(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: passes no pointer.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) })
        .map(drop)
}

/// The mount whose root is held, and all below it, are read-only, without set-user-ID programs and devices.
pub fn make_mounts_read_only(root: BorrowedFd<'_>) -> io::Result<()> {
    set_mounts(
        root,
        libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
    )
}

/// As [`make_mounts_read_only`], but writable.
pub fn make_mounts_harmless(root: BorrowedFd<'_>) -> io::Result<()> {
    set_mounts(root, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV)
}

fn set_mounts(root: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path, which is empty, ends with NUL, the structure is alive and its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            root.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// A process's scheduling priority; 0 is the caller.
pub fn niceness(process: libc::pid_t) -> i32 {
    // SAFETY: passes no pointer.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, process as libc::id_t) }
}
