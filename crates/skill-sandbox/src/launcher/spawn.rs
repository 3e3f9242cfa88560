//! Starts a job's program. The launcher lends its memory to the child until `exec`, as
//! `posix_spawn` does: copying it, however little it is, would cost a third of a short job's time.
//! So the child does nothing but system calls on values that stand ready.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::Pid;
use seccompiler::BpfProgram;

use crate::sys;

/// The child's stack: it calls nothing that needs much.
const STACK_BYTES: usize = 64 * 1024;

/// What a child puts on itself because its launcher does not wear it.
pub struct OwnConfinement<'a> {
    /// User and group to become.
    pub identity: Option<(libc::uid_t, libc::gid_t)>,
    pub ruleset: Option<BorrowedFd<'a>>,
    pub filters: &'a [BpfProgram],
}

/// A program that is ready to be started.
pub struct Plan<'a> {
    pub program: &'a CStr,
    pub args: &'a [CString],
    pub environment: &'a [CString],
    pub stdio: &'a [OwnedFd; 3],
    pub directory: BorrowedFd<'a>,
    /// `RLIMIT_*` and its value, soft and hard.
    pub limits: &'a [(u32, libc::rlimit)],
    pub confinement: Option<OwnConfinement<'a>>,
}

/// The steps of a child, so that an error can say which failed.
#[derive(Clone, Copy)]
enum Step {
    Session,
    Streams,
    Directory,
    Limits,
    Identity,
    Privileges,
    Landlock,
    Seccomp,
    Descriptors,
    Exec,
}

impl Step {
    fn doing(self) -> &'static str {
        match self {
            Self::Session => "its session cannot be made",
            Self::Streams => "its standard streams cannot be connected",
            Self::Directory => "its folder cannot be entered",
            Self::Limits => "its limits cannot be set",
            Self::Identity => "its user cannot be changed",
            Self::Privileges => "its privileges cannot be dropped",
            Self::Landlock => "Landlock cannot be applied",
            Self::Seccomp => "seccomp filters cannot be applied",
            Self::Descriptors => "descriptors cannot be closed",
            Self::Exec => "it cannot be executed",
        }
    }
}

/// Everything as the system calls want it, and where the child says what failed.
struct Frame {
    program: *const libc::c_char,
    args: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    stdio: [RawFd; 3],
    directory: RawFd,
    limits: *const (u32, libc::rlimit),
    limits_length: usize,
    identity: Option<(libc::uid_t, libc::gid_t)>,
    confine: bool,
    ruleset: RawFd,
    filters: Vec<libc::sock_fprog>,
    empty_mask: libc::sigset_t,
    failed: Option<(Step, i32)>,
}

/// Memory for children's stacks, made once.
pub struct Stack(Vec<u128>);

impl Stack {
    pub fn new() -> Self {
        Self(vec![0; STACK_BYTES / size_of::<u128>()])
    }
}

/// Starts the program; the error says which step failed.
pub fn spawn(plan: &Plan<'_>, stack: &mut Stack) -> io::Result<Pid> {
    let pointers = |first: Option<&CStr>, texts: &[CString]| {
        let mut pointers: Vec<_> = first.into_iter().map(CStr::as_ptr).collect();
        pointers.extend(texts.iter().map(|text| text.as_ptr()));
        pointers.push(ptr::null());
        pointers
    };
    let confinement = plan.confinement.as_ref();
    let mut frame = Frame {
        program: plan.program.as_ptr(),
        args: pointers(Some(plan.program), plan.args),
        environment: pointers(None, plan.environment),
        stdio: [&plan.stdio[0], &plan.stdio[1], &plan.stdio[2]].map(AsRawFd::as_raw_fd),
        directory: plan.directory.as_raw_fd(),
        limits: plan.limits.as_ptr(),
        limits_length: plan.limits.len(),
        identity: confinement.and_then(|own| own.identity),
        confine: confinement.is_some(),
        ruleset: confinement
            .and_then(|own| own.ruleset)
            .map_or(-1, |ruleset| ruleset.as_raw_fd()),
        filters: confinement
            .map_or(&[][..], |own| own.filters)
            .iter()
            .map(program)
            .collect(),
        empty_mask: *SigSet::empty().as_ref(),
        failed: None,
    };
    // The child shares this process's memory: no signal may be handled in it.
    let mut before = SigSet::empty();
    sigprocmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::all()),
        Some(&mut before),
    )?;
    // SAFETY: the stack is alive, 16-byte aligned, used by one child at a time and grows down from
    // its end. `CLONE_VFORK` holds this thread, the only one, until the child has executed or
    // ended, so `frame` and what it points to outlive the child's use of it, and nobody else uses
    // them meanwhile.
    let child = unsafe {
        libc::clone(
            run,
            stack.0.as_mut_ptr_range().end.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            (&raw mut frame).cast(),
        )
    };
    let error = io::Error::last_os_error();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    if child < 0 {
        return Err(error);
    }
    let child = Pid::from_raw(child);
    // SAFETY: `frame` is a live local; the child wrote through a pointer to it, hence volatile.
    match unsafe { ptr::read_volatile(&raw const frame.failed) } {
        None => Ok(child),
        Some((step, errno)) => {
            nix::sys::wait::waitpid(child, None)?;
            let error = io::Error::from_raw_os_error(errno);
            Err(io::Error::new(
                error.kind(),
                format!("{}: {error}", step.doing()),
            ))
        }
    }
}

/// A filter as the kernel wants it.
pub fn program(filter: &BpfProgram) -> libc::sock_fprog {
    libc::sock_fprog {
        len: filter.len() as u16,
        // The same structure under another name; the kernel only reads it.
        filter: filter.as_ptr().cast_mut().cast(),
    }
}

/// Applies filters to this process, which must have no new privileges.
pub fn apply_filters(filters: &[BpfProgram]) -> io::Result<()> {
    for filter in filters {
        // SAFETY: `filter` is alive; its pointer and length belong together.
        if unsafe { load(&program(filter)) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// # Safety
///
/// `program` points to as many instructions as it says.
unsafe fn load(program: &libc::sock_fprog) -> libc::c_long {
    // SAFETY: as the caller promises; the kernel copies the program.
    unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            ptr::from_ref(program),
        )
    }
}

/// The child, from its first instruction to `exec`.
extern "C" fn run(frame: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the pointer is to `spawn`'s frame, which nobody else uses until this child is gone
    // or has executed; `become_job` only makes system calls on what it holds.
    unsafe {
        let frame = frame.cast::<Frame>();
        let step = become_job(&*frame);
        let errno = *libc::__errno_location();
        ptr::write_volatile(&raw mut (*frame).failed, Some((step, errno)));
        libc::_exit(126)
    }
}

/// Returns the step that failed; does not return otherwise.
///
/// # Safety
///
/// Every pointer in `frame` is alive.
unsafe fn become_job(frame: &Frame) -> Step {
    // SAFETY: system calls with values and live pointers of `frame` only.
    unsafe {
        if libc::setsid() < 0 {
            return Step::Session;
        }
        for (number, stream) in frame.stdio.iter().enumerate() {
            if libc::dup2(*stream, number as RawFd) < 0 {
                return Step::Streams;
            }
        }
        if libc::fchdir(frame.directory) < 0 {
            return Step::Directory;
        }
        if frame.confine && become_other(frame).is_some() {
            return Step::Identity;
        }
        for index in 0..frame.limits_length {
            let (resource, limit) = &*frame.limits.add(index);
            // Only this libc's own call takes the type that its signature names.
            if libc::prlimit(0, *resource as _, limit, ptr::null_mut()) < 0 {
                return Step::Limits;
            }
        }
        // Programs expect the default; Rust ignores it, and that would outlive `exec`.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::sigprocmask(
            libc::SIG_SETMASK,
            &raw const frame.empty_mask,
            ptr::null_mut(),
        );
        if frame.confine {
            // Root that cannot become anybody else keeps its number, but nothing of its power: with
            // no new privileges `exec` does not give it back.
            if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
                || sys::drop_capabilities().is_err()
                || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) < 0
            {
                return Step::Privileges;
            }
            let restrict = libc::SYS_landlock_restrict_self;
            if frame.ruleset >= 0 && libc::syscall(restrict, frame.ruleset, 0) < 0 {
                return Step::Landlock;
            }
            for filter in &frame.filters {
                if load(filter) < 0 {
                    return Step::Seccomp;
                }
            }
        }
        if libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) < 0 {
            return Step::Descriptors;
        }
        libc::execve(
            frame.program,
            frame.args.as_ptr(),
            frame.environment.as_ptr(),
        );
        Step::Exec
    }
}

/// # Safety
///
/// Makes system calls without pointers only.
unsafe fn become_other(frame: &Frame) -> Option<()> {
    let (uid, gid) = frame.identity?;
    // The system calls themselves: the library's functions would tell every thread of the process
    // whose memory this is.
    // SAFETY: passes no pointer.
    let changed = unsafe {
        libc::syscall(libc::SYS_setgroups, 0, ptr::null::<libc::gid_t>()) == 0
            && libc::syscall(libc::SYS_setgid, gid) == 0
            && libc::syscall(libc::SYS_setuid, uid) == 0
    };
    (!changed).then_some(())
}
