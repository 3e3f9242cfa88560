//! Runs a skill contained with its output passed on as it comes, and tells what became of it in the
//! words of an uncontained run.

use std::time::Instant;

use skill_client::run::{Ended, OUTPUT_BYTES_MAX, Outcome, Sink, Stream};
use skill_runtime::Work;
use skill_sandbox::{Chunk, Settings};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::printer::Printer;

/// Runs it, and ends it when `interrupted` resolves. With the outcome comes the limit that ended it.
pub async fn run(
    mut work: Work,
    allow_degraded: bool,
    sink: &mut dyn Sink,
    interrupted: impl Future<Output = ()>,
    printer: &Printer,
) -> Result<(Outcome, Option<String>), Failure> {
    let settings = Settings {
        slots: 1,
        allow_degraded,
        ..Settings::default()
    };
    let (sender, mut chunks) = mpsc::unbounded_channel();
    work.progress = Some(sender);
    let started = Instant::now();
    let ending = work.run_once(&settings);
    tokio::pin!(ending, interrupted);
    let outcome = loop {
        tokio::select! {
            biased;
            Some(chunk) = chunks.recv() => pass_on(&chunk, sink),
            outcome = &mut ending => break outcome?,
            () = &mut interrupted => {
                return Ok((interrupted_outcome(started), None));
            }
        }
    };
    while let Ok(chunk) = chunks.try_recv() {
        pass_on(&chunk, sink);
    }
    for missing in &outcome.protections.missing {
        printer.warn(format!("this host does not enforce {missing}"));
    }
    Ok((
        Outcome {
            ended: ended(outcome.ended),
            duration: outcome.duration,
            input_taken: true,
            ended_descendants: outcome.leftover_processes as usize,
            survivors: 0,
        },
        limit(outcome.ended),
    ))
}

fn pass_on(chunk: &Chunk, sink: &mut dyn Sink) {
    let stream = match chunk.stream {
        skill_sandbox::Stream::Stdout => Stream::Output,
        skill_sandbox::Stream::Stderr => Stream::Error,
    };
    sink.take(stream, &chunk.bytes);
}

fn interrupted_outcome(started: Instant) -> Outcome {
    Outcome {
        ended: Ended::Interrupted,
        duration: started.elapsed(),
        input_taken: true,
        ended_descendants: 0,
        survivors: 0,
    }
}

fn ended(ended: skill_sandbox::Ended) -> Ended {
    use skill_sandbox::Ended as Of;
    match ended {
        Of::Exited(code) => Ended::Exited(code),
        Of::TimedOut => Ended::TimedOut,
        Of::Signaled(_) | Of::OutputLimit | Of::CpuLimit | Of::MemoryLimit => {
            Ended::Signaled(ended.exit_code() - 128)
        }
    }
}

/// The limit that ended a run, for people.
fn limit(ended: skill_sandbox::Ended) -> Option<String> {
    use skill_sandbox::Ended as Of;
    let limits = skill_sandbox::Limits::default();
    match ended {
        Of::OutputLimit => Some(format!("wrote more than {OUTPUT_BYTES_MAX} bytes")),
        Of::CpuLimit => Some("used up its processor time".to_owned()),
        Of::MemoryLimit => Some(format!(
            "used more than {} MiB of memory",
            limits.memory_bytes / 1024 / 1024
        )),
        _ => None,
    }
}
