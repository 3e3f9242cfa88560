//! The caller's side of one launcher.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::error::SandboxError;
use crate::job::{Job, Stream};
use crate::launcher::ARGUMENT;
use crate::outcome::{Ended, Missing, Outcome, Protections};
use crate::pump::{Collector, input};
use crate::settings::Settings;
use crate::wire::{self, Reply, Setup};

/// How long a launcher may take to become ready: 2 ms are usual, and a machine can be very busy.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A launcher that is ready for jobs. Dropping it closes its socket; it then ends everything that
/// it runs, and itself.
pub struct Launcher {
    replies: Replies,
    /// Reaped by the runtime when it ends.
    _process: Child,
    pub setup: Setup,
    pub protections: Protections,
    /// Whether it is still cleaning up after a job.
    busy: bool,
}

/// What came of starting one.
pub enum Started {
    Ready(Box<Launcher>),
    /// The host refuses namespaces.
    NoNamespaces(Missing),
}

impl Launcher {
    pub async fn start(settings: &Settings, setup: Setup) -> Result<Started, SandboxError> {
        let (socket, process) = spawn(settings).map_err(|source| SandboxError::Launch {
            launcher: settings.launcher.clone(),
            source,
        })?;
        let mut replies = Replies {
            socket,
            begun: Vec::new(),
        };
        let ready = async {
            send(&replies.socket, &wire::setup_message(&setup)?, &[]).await?;
            replies.next().await
        };
        let prepare = |reason: String| Err(SandboxError::Prepare { reason });
        match tokio::time::timeout(READY_WITHIN, ready).await {
            Ok(Ok(Reply::Ready(protections))) => Ok(Started::Ready(Box::new(Self {
                replies,
                _process: process,
                setup,
                protections,
                busy: false,
            }))),
            Ok(Ok(Reply::NoNamespaces(missing))) => Ok(Started::NoNamespaces(missing)),
            Ok(Ok(Reply::Unable(reason))) => prepare(reason),
            Ok(Ok(other)) => prepare(format!(
                "its launcher said {other:?} instead of being ready"
            )),
            Ok(Err(error)) => prepare(format!("its launcher cannot be spoken to: {error}")),
            Err(_) => prepare(format!(
                "its launcher was not ready within {READY_WITHIN:?}"
            )),
        }
    }

    /// Whether it takes another job: it has cleaned up and is still there.
    pub async fn is_idle(&mut self) -> bool {
        if self.busy {
            self.busy = !matches!(self.replies.next().await, Ok(Reply::Idle));
        }
        !self.busy
    }

    /// Runs one job to its complete end.
    pub async fn run(&mut self, job: &Job) -> Result<Outcome, SandboxError> {
        let began = Instant::now();
        let message = wire::run_message(job).map_err(|error| SandboxError::BadJob {
            why: error.to_string(),
        })?;
        let failed = |doing| move |source| SandboxError::Io { doing, source };
        let collector =
            |stream| Collector::new(stream, job.limits.output_bytes, job.progress.clone());
        let making = "making the program's streams";
        let stdin = input(&job.stdin).map_err(failed(making))?;
        let (mut stdout, stdout_end) = collector(Stream::Stdout).map_err(failed(making))?;
        let (mut stderr, stderr_end) = collector(Stream::Stderr).map_err(failed(making))?;
        let streams = [&stdin, &stdout_end, &stderr_end].map(AsRawFd::as_raw_fd);
        self.busy = true;
        send(&self.replies.socket, &message, &streams)
            .await
            .map_err(lost)?;
        drop((stdin, stdout_end, stderr_end));

        let mut stopped = false;
        let reading = "reading the program's output";
        let reply = loop {
            tokio::select! {
                reply = self.replies.next() => break reply.map_err(lost)?,
                ready = stdout.readable() => {
                    ready.and_then(|()| stdout.collect()).map_err(failed(reading))?;
                }
                ready = stderr.readable() => {
                    ready.and_then(|()| stderr.collect()).map_err(failed(reading))?;
                }
            }
            if !stopped && (stdout.is_over() || stderr.is_over()) {
                send(&self.replies.socket, &wire::stop_message(), &[])
                    .await
                    .map_err(lost)?;
                stopped = true;
            }
        };
        let (ended, cpu, leftover_processes, warm) = match reply {
            Reply::Ended {
                ended,
                cpu,
                leftover_processes,
                warm,
            } => (ended, cpu, leftover_processes, warm),
            Reply::NotStarted(reason) => {
                let program = job.program.clone();
                return Err(SandboxError::NotStarted { program, reason });
            }
            other => return Err(lost(format!("it said {other:?}"))),
        };
        let stdout = stdout.finish().map_err(failed(reading))?;
        let stderr = stderr.finish().map_err(failed(reading))?;
        let is_over = stdout.is_truncated() || stderr.is_truncated();
        Ok(Outcome {
            ended: if is_over { Ended::OutputLimit } else { ended },
            stdout,
            stderr,
            duration: began.elapsed(),
            cpu,
            leftover_processes,
            warm,
            protections: self.protections.clone(),
        })
    }
}

fn lost(reason: impl std::fmt::Display) -> SandboxError {
    SandboxError::LauncherLost {
        reason: reason.to_string(),
    }
}

/// Without environment: a job must find no secret in its ancestors (`/proc/PID/environ`).
fn spawn(settings: &Settings) -> io::Result<(UnixStream, Child)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let process = Command::new(&settings.launcher)
        .arg(ARGUMENT)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok((UnixStream::from_std(ours)?, process))
}

async fn send(socket: &UnixStream, bytes: &[u8], descriptors: &[i32]) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        let now = if sent == 0 { descriptors } else { &[] };
        socket.writable().await?;
        match socket.try_io(Interest::WRITABLE, || {
            wire::send_some(socket.as_fd(), &bytes[sent..], now)
        }) {
            Ok(more) => sent += more,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What has come from the launcher.
struct Replies {
    socket: UnixStream,
    /// The beginning of the next reply.
    begun: Vec<u8>,
}

impl Replies {
    /// The next one. May be dropped at any time without losing anything.
    async fn next(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(reply) = self.parse()? {
                return Ok(reply);
            }
            self.socket.readable().await?;
            match self.socket.try_read_buf(&mut self.begun) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn parse(&mut self) -> io::Result<Option<Reply>> {
        let Some((length, rest)) = self.begun.split_first_chunk() else {
            return Ok(None);
        };
        let length = wire::message_length(*length)?;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let reply = serde_json::from_slice(body)?;
        self.begun.drain(..size_of::<u32>() + length);
        Ok(Some(reply))
    }
}
