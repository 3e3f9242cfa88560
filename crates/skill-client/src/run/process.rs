//! One process from start to end: fed, drained, watched. Both outputs and the input move together,
//! so that no pipe can fill up and stop the others.

use std::future::Future;
use std::io;
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::time::Instant;

use super::descendants::{Ending, Reaper};
use super::{Ended, Outcome, RunError, RunRequest, Sink, Stream};

/// Between asking a skill to end and ending it.
const GRACE: Duration = Duration::from_secs(1);
/// How long output may still come from what a skill left behind (`> >(tee log)` in a shell) before
/// that is ended too.
const LINGER: Duration = Duration::from_millis(500);
/// How long to read what is left in the pipes once everybody who could write is gone.
const LAST_READ: Duration = Duration::from_secs(2);
const BUFFER_BYTES: usize = 64 * 1024;

/// Runs a program to its end and everything it started with it. `interrupted` is awaited as long as
/// it runs; when it completes, the program is asked to end (SIGINT), and then ended.
pub async fn run(
    request: &RunRequest,
    sink: &mut dyn Sink,
    interrupted: impl Future<Output = ()>,
) -> Result<Outcome, RunError> {
    let reaper = Reaper::new().await?;
    let started = Instant::now();
    let child = super::spawn::spawn(request).map_err(|source| RunError::Start {
        program: request.program.clone(),
        source,
    })?;
    let mut running = Running::new(child, &request.input)?;
    let deadline = started + request.timeout;
    let cause = tokio::select! {
        end = running.pump(sink, deadline, Until::Exit) => end?,
        () = interrupted => Pumped::Interrupted,
    };
    match cause {
        Pumped::Reached => {
            let linger = deadline.min(Instant::now() + LINGER);
            running.pump(sink, linger, Until::OutputEnds).await?;
        }
        Pumped::Deadline => running.ask_to_end(&reaper, Signal::TERM, sink).await?,
        Pumped::Interrupted => running.ask_to_end(&reaper, Signal::INT, sink).await?,
    }
    let ending = reaper.end_all(running.pid).await;
    let last = Instant::now() + LAST_READ;
    running.pump(sink, last, Until::OutputEnds).await?;
    let input_taken = running.input_taken();
    let ended = running.collect(cause)?;
    Ok(outcome(ended, started.elapsed(), input_taken, ending))
}

fn outcome(ended: Ended, duration: Duration, input_taken: bool, ending: Ending) -> Outcome {
    Outcome {
        ended,
        duration,
        input_taken,
        ended_descendants: ending.ended,
        survivors: ending.survivors,
    }
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Exit,
    OutputEnds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pumped {
    Reached,
    Deadline,
    Interrupted,
}

struct Running<'i> {
    child: Child,
    pid: Pid,
    exit: Exit,
    exited: bool,
    input: Input<'i>,
    output: Drain<ChildStdout>,
    error: Drain<ChildStderr>,
}

impl<'i> Running<'i> {
    fn new(mut child: Child, input: &'i [u8]) -> Result<Self, RunError> {
        let number = i32::try_from(child.id()).unwrap_or_default();
        let pid = Pid::from_raw(number)
            .ok_or(io::ErrorKind::InvalidData)
            .map_err(io::Error::from)?;
        let piped = || io::Error::from(io::ErrorKind::BrokenPipe);
        Ok(Self {
            exit: exit_of(pid)?,
            exited: false,
            input: Input::Open {
                pipe: ChildStdin::from_std(child.stdin.take().ok_or_else(piped)?)?,
                rest: input,
            },
            output: Drain::new(ChildStdout::from_std(
                child.stdout.take().ok_or_else(piped)?,
            )?),
            error: Drain::new(ChildStderr::from_std(
                child.stderr.take().ok_or_else(piped)?,
            )?),
            child,
            pid,
        })
    }

    /// Moves bytes until something happens.
    async fn pump(
        &mut self,
        sink: &mut dyn Sink,
        deadline: Instant,
        until: Until,
    ) -> Result<Pumped, RunError> {
        let timer = tokio::time::sleep_until(deadline);
        tokio::pin!(timer);
        loop {
            let reached = match until {
                Until::Exit => self.exited,
                Until::OutputEnds => !self.output.is_open() && !self.error.is_open(),
            };
            if reached {
                return Ok(Pumped::Reached);
            }
            tokio::select! {
                count = self.output.read(), if self.output.is_open() => {
                    sink.take(Stream::Output, self.output.bytes(count));
                }
                count = self.error.read(), if self.error.is_open() => {
                    sink.take(Stream::Error, self.error.bytes(count));
                }
                () = self.input.feed(), if self.input.is_open() => {}
                end = self.exit.wait(), if !self.exited => {
                    end?;
                    self.exited = true;
                    // Nobody is left to read the rest of it.
                    self.input.close();
                }
                () = &mut timer => return Ok(Pumped::Deadline),
            }
        }
    }

    async fn ask_to_end(
        &mut self,
        reaper: &Reaper,
        signal: Signal,
        sink: &mut dyn Sink,
    ) -> Result<(), RunError> {
        reaper.signal(self.pid, signal);
        self.pump(sink, Instant::now() + GRACE, Until::Exit).await?;
        Ok(())
    }

    fn input_taken(&self) -> bool {
        matches!(self.input, Input::Taken)
    }

    /// Waits for the process, which has been ended by now.
    fn collect(mut self, cause: Pumped) -> Result<Ended, RunError> {
        use std::os::unix::process::ExitStatusExt as _;
        let status = self.child.wait()?;
        Ok(match cause {
            Pumped::Deadline => Ended::TimedOut,
            Pumped::Interrupted => Ended::Interrupted,
            Pumped::Reached => match (status.code(), status.signal()) {
                (Some(code), _) => Ended::Exited(code),
                (None, signal) => Ended::Signaled(signal.unwrap_or_default()),
            },
        })
    }
}

/// Dropped in the middle of a run (a caller that gives up), the process group must not live on.
impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

enum Input<'i> {
    Open {
        pipe: ChildStdin,
        rest: &'i [u8],
    },
    /// All of it went into the pipe.
    Taken,
    /// The reader went away before the end.
    Refused,
}

impl Input<'_> {
    fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Writes some of the input; the pipe is closed after the last of it.
    async fn feed(&mut self) {
        let Self::Open { pipe, rest } = self else {
            return;
        };
        if rest.is_empty() {
            *self = Self::Taken;
            return;
        }
        match pipe.write(rest).await {
            Ok(count) => *rest = &rest[count..],
            // A skill need not read its input.
            Err(_) => *self = Self::Refused,
        }
    }

    fn close(&mut self) {
        if let Self::Open { rest, .. } = self {
            *self = if rest.is_empty() {
                Self::Taken
            } else {
                Self::Refused
            };
        }
    }
}

struct Drain<R> {
    /// `None` after the end.
    pipe: Option<R>,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Drain<R> {
    fn new(pipe: R) -> Self {
        Self {
            pipe: Some(pipe),
            buffer: vec![0; BUFFER_BYTES],
        }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Reads some bytes and says how many. An error of a pipe is its end.
    async fn read(&mut self) -> usize {
        let Some(pipe) = &mut self.pipe else {
            return 0;
        };
        let count = pipe.read(&mut self.buffer).await.unwrap_or(0);
        if count == 0 {
            self.pipe = None;
        }
        count
    }

    fn bytes(&self, count: usize) -> &[u8] {
        &self.buffer[..count]
    }
}

/// Tells when a child has exited, without waiting for it: its number stays its own.
pub(super) struct Exit {
    #[cfg(target_os = "linux")]
    handle: tokio::io::unix::AsyncFd<rustix::fd::OwnedFd>,
    #[cfg(not(target_os = "linux"))]
    waiting: tokio::task::JoinHandle<io::Result<()>>,
}

// What makes it unsound is a handle that does not own its descriptor; an `OwnedFd` does, and the
// successor is an unsafe function.
#[allow(deprecated)]
#[cfg(target_os = "linux")]
pub(super) fn exit_of(pid: Pid) -> io::Result<Exit> {
    use rustix::process::{PidfdFlags, pidfd_open};
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let interest = tokio::io::Interest::READABLE;
    Ok(Exit {
        handle: tokio::io::unix::AsyncFd::with_interest(handle, interest)?,
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn exit_of(pid: Pid) -> io::Result<Exit> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let waiting = tokio::task::spawn_blocking(move || {
        waitid(
            WaitId::Pid(pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        )?;
        Ok(())
    });
    Ok(Exit { waiting })
}

impl Exit {
    #[cfg(target_os = "linux")]
    pub async fn wait(&mut self) -> io::Result<()> {
        let _ready = self.handle.readable().await?;
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    pub async fn wait(&mut self) -> io::Result<()> {
        let ended = std::pin::Pin::new(&mut self.waiting).await;
        ended.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
    }
}
