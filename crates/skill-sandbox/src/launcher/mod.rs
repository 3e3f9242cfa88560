//! The launcher: a small process of one thread between the caller and untrusted programs. It pays
//! for namespaces, file tree and filters once, then runs one job after the other.
//!
//! At the full level it is two processes. The outer one only waits; the inner one is the first
//! process of its own process namespace, wears the job's confinement itself, and is immune to
//! signals from inside, so a job's end is complete: everything else in the namespace is killed and
//! reaped. At the degraded level it is one process, unconfined, that hunts descendants. When the
//! caller goes, its socket closes, and the launcher ends with whatever it ran.

mod cgroup;
mod confine;
mod family;
mod isolate;
mod placing;
mod serve;
mod spawn;
mod tree;
mod zygote;

use std::fmt::Display;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

use crate::outcome::{Ended, Missing, Protection};
use crate::sys;
use crate::wire::{self, Reply, Request, Setup};
use isolate::Place;

/// The first argument of a launcher. No command of a program is called like this.
pub const ARGUMENT: &str = "__skill-sandbox-launcher";

/// Turns this process into a launcher if it was started as one, and then never returns.
///
/// To be called first thing in `main`, before threads and before the environment is read: a
/// launcher has neither.
pub fn serve_if_launcher() {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == ARGUMENT)
    {
        std::process::exit(main());
    }
}

/// Words for the front of an error.
fn failed<E: Into<io::Error>>(doing: impl Display) -> impl FnOnce(E) -> io::Error {
    move |error| {
        let error = error.into();
        io::Error::new(error.kind(), format!("{doing}: {error}"))
    }
}

/// The launcher's whole life; its socket is standard input. Returns its exit code.
fn main() -> i32 {
    // Started by hand, it finds no socket; there is nobody to tell but whoever sees the code.
    const NO_CALLER: i32 = 2;
    let Ok(socket) = prepare() else {
        return NO_CALLER;
    };
    let setup = match wire::receive_request(&socket) {
        Ok(Some((Request::Setup(setup), _))) => setup,
        _ => return NO_CALLER,
    };
    let result = if setup.namespaces {
        full(&socket, &setup)
    } else {
        degraded(&socket, &setup)
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // Nobody may be left to hear it; the code tells too.
            let _ = wire::send_reply(&socket, &Reply::Unable(error.to_string()));
            1
        }
    }
}

/// Nothing that the caller happened to leave open or set reaches a job.
fn prepare() -> io::Result<UnixStream> {
    sys::close_from(3)?;
    sys::reset_signals();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    let null = std::fs::File::open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    let socket = UnixStream::from(socket);
    socket.local_addr()?;
    Ok(socket)
}

fn full(socket: &UnixStream, setup: &Setup) -> io::Result<i32> {
    match isolate::enter(setup) {
        Ok(Place::Outside { init, mut memory }) => {
            let code = isolate::wait_for(init);
            if memory
                .as_mut()
                .is_some_and(|(_, counter)| counter.has_risen())
                && code != 0
            {
                // The job's memory ran out and took the inner process along.
                let ended = Reply::Ended {
                    ended: Ended::MemoryLimit,
                    cpu: Duration::ZERO,
                    leftover_processes: 0,
                    warm: false,
                };
                wire::send_reply(socket, &ended)?;
            }
            Ok(code)
        }
        Ok(Place::Inside(inside)) => {
            let identity = inside.identity;
            let (protections, state) = confine::inside(*inside, setup)?;
            wire::send_reply(socket, &Reply::Ready(protections))?;
            serve::serve(socket, setup, identity, state)?;
            // The kernel ends whatever is left in the namespace.
            Ok(0)
        }
        Err(error) => {
            let missing = Missing {
                protection: Protection::Namespaces,
                why: error.to_string(),
            };
            wire::send_reply(socket, &Reply::NoNamespaces(missing))?;
            Ok(1)
        }
    }
}

fn degraded(socket: &UnixStream, setup: &Setup) -> io::Result<i32> {
    let (protections, identity, state) = confine::outside(setup)?;
    let scratch = state.scratch.clone();
    wire::send_reply(socket, &Reply::Ready(protections))?;
    let result = serve::serve(socket, setup, identity, state);
    // What cannot be removed, such as folders nested beyond all measure, stays behind in /tmp.
    let _ = std::fs::remove_dir_all(&scratch);
    result.map(|()| 0)
}
