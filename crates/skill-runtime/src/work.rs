//! One run that has got its input: a job of the sandbox, or a module. What becomes of it is told in the
//! same words.

#[cfg(feature = "mesh")]
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use skill_sandbox::{
    Below, Chunk, Ended, Job, MemoryBound, Outcome, Output, Protections, Sandbox, SandboxError,
    Settings, Stream,
};
use skill_wasm::{Module, Stop};
use tokio::sync::mpsc::UnboundedSender;

/// One run, ready to begin. Dropping the future that runs it ends it.
pub struct Work {
    kind: Kind,
    /// Gets output as it comes. What it has got is at most the output limit.
    pub progress: Option<UnboundedSender<Chunk>>,
}

enum Kind {
    Program(Box<Job>),
    /// With what it asked to see of the working folder.
    Module(Arc<Module>, Box<skill_wasm::Job>, Below),
}

impl Work {
    pub(crate) fn program(job: Job) -> Self {
        Self {
            kind: Kind::Program(Box::new(job)),
            progress: None,
        }
    }

    pub(crate) fn module(module: Arc<Module>, job: skill_wasm::Job, asked: Below) -> Self {
        Self {
            kind: Kind::Module(module, Box::new(job), asked),
            progress: None,
        }
    }

    /// Has the skill continue a trace, by the variables that OpenTelemetry's programs read: `TRACEPARENT` and
    /// `TRACESTATE`. They say nothing but numbers, so that they need no permission.
    #[cfg(feature = "mesh")]
    pub(crate) fn continue_trace(&mut self, trace: &skill_trace::TraceContext) {
        let parent = ("TRACEPARENT", trace.traceparent());
        let state = trace.tracestate();
        let state = state.map(|state| ("TRACESTATE", state.to_owned()));
        let variables = std::iter::once(parent).chain(state);
        match &mut self.kind {
            Kind::Program(job) => {
                let is_other = |name: &OsString| name != "TRACEPARENT" && name != "TRACESTATE";
                job.environment.retain(|(name, _)| is_other(name));
                let variables = variables.map(|(name, value)| (name.into(), value.into()));
                job.environment.extend(variables);
            }
            Kind::Module(_, job, _) => {
                let is_other = |name: &str| name != "TRACEPARENT" && name != "TRACESTATE";
                job.environment.retain(|(name, _)| is_other(name));
                let variables =
                    variables.map(|(name, value)| (name.to_owned(), value.into_bytes()));
                job.environment.extend(variables);
            }
        }
    }

    /// Runs it, as one of many.
    ///
    /// # Errors
    /// Where it could not be started.
    pub async fn run(self, sandbox: &Sandbox) -> Result<Outcome, SandboxError> {
        match self.kind {
            Kind::Program(mut job) => {
                job.progress = self.progress;
                sandbox.run(*job).await
            }
            Kind::Module(module, job, asked) => {
                run_module(module, *job, &asked, self.progress).await
            }
        }
    }

    /// Runs it alone: a sandbox is made for it if it needs one, and ends with it.
    ///
    /// # Errors
    /// Where it could not be started.
    pub async fn run_once(self, settings: &Settings) -> Result<Outcome, SandboxError> {
        match self.kind {
            Kind::Program(mut job) => {
                job.progress = self.progress;
                Sandbox::run_once(settings, *job).await
            }
            Kind::Module(module, job, asked) => {
                run_module(module, *job, &asked, self.progress).await
            }
        }
    }
}

/// Stops a run whose caller has gone.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// On a thread that may be blocked.
async fn run_module(
    module: Arc<Module>,
    mut job: skill_wasm::Job,
    asked: &Below,
    progress: Option<UnboundedSender<Chunk>>,
) -> Result<Outcome, SandboxError> {
    let held = asked.hold()?;
    job.folders.extend(held.iter().filter_map(folder));
    if let Some(progress) = progress.clone() {
        job.progress = Some(Box::new(move |stream, bytes| {
            // Nobody listens any more: the run is being dropped.
            let _ = progress.send(chunk(stream, bytes));
        }));
    }
    let stop = Stop::new();
    let _stop_on_drop = StopOnDrop(stop.clone());
    let running = tokio::task::spawn_blocking(move || {
        let outcome = module.run(job, &stop);
        drop(held);
        outcome
    });
    match running.await {
        Ok(mut outcome) => {
            if let skill_wasm::Ended::Trapped(why) = &outcome.ended {
                let said = format!("the module trapped: {why}\n").into_bytes();
                if let Some(progress) = progress {
                    let _ = progress.send(chunk(skill_wasm::Stream::Stderr, &said));
                }
                outcome.stderr.extend(said);
            }
            Ok(told(outcome))
        }
        Err(error) => Err(SandboxError::Io {
            doing: "running the module",
            source: io::Error::other(error.to_string()),
        }),
    }
}

/// A folder that is held is opened by its descriptor: what lies at its path may be another by then.
fn folder((path, held): &(PathBuf, OwnedFd)) -> Option<skill_wasm::Folder> {
    let by_descriptor = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    by_descriptor.is_dir().then(|| skill_wasm::Folder {
        shown_as: path.to_string_lossy().into_owned(),
        path: by_descriptor,
    })
}

fn chunk(stream: skill_wasm::Stream, bytes: &[u8]) -> Chunk {
    Chunk {
        stream: match stream {
            skill_wasm::Stream::Stdout => Stream::Stdout,
            skill_wasm::Stream::Stderr => Stream::Stderr,
        },
        bytes: bytes.to_vec(),
    }
}

/// As of a program: a trap is what SIGABRT is there.
fn told(outcome: skill_wasm::Outcome) -> Outcome {
    use skill_wasm::Ended as Of;
    let ended = match outcome.ended {
        Of::Exited(code) => Ended::Exited(code),
        Of::Trapped(_) => Ended::Signaled(SIGABRT),
        Of::TimedOut => Ended::TimedOut,
        Of::OutputLimit => Ended::OutputLimit,
        Of::MemoryLimit => Ended::MemoryLimit,
        Of::Stopped => Ended::Signaled(SIGKILL),
    };
    Outcome {
        ended,
        stdout: whole(outcome.stdout),
        stderr: whole(outcome.stderr),
        duration: outcome.duration,
        cpu: outcome.duration,
        leftover_processes: 0,
        warm: true,
        // There is nothing that these would keep it from.
        protections: Protections {
            missing: Vec::new(),
            landlock_abi: 0,
            memory: MemoryBound::PerProcess,
            proc: false,
            uid: 0,
        },
    }
}

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

fn whole(bytes: Vec<u8>) -> Output {
    Output {
        total: bytes.len() as u64,
        bytes,
    }
}
