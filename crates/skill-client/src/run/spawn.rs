//! Starts a program in a session of its own that dies with us. The one place of this crate with
//! unsafe code: the standard library can run code between fork and exec only so.

#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{getpid, setsid};

use super::RunRequest;

pub(super) fn spawn(request: &RunRequest) -> io::Result<Child> {
    let mut command = Command::new(&request.program);
    command
        .args(&request.arguments)
        .current_dir(&request.folder)
        .env_clear()
        .envs(
            request
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let parent = getpid();
    // SAFETY: the closure runs in the child between fork and exec, where only async-signal-safe
    // calls are allowed. It makes two or three plain system calls (setsid, prctl, getppid) through
    // rustix, which allocate nothing and take no lock; building an `io::Error` from an error
    // number allocates nothing either.
    unsafe {
        command.pre_exec(move || {
            setsid()?;
            die_with(parent)
        });
    }
    command.spawn()
}

#[cfg(target_os = "linux")]
fn die_with(parent: rustix::process::Pid) -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the call.
    if getppid() == Some(parent) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::ESRCH))
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with(_parent: rustix::process::Pid) -> io::Result<()> {
    Ok(())
}
