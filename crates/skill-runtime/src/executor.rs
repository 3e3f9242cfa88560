//! Runs the requests of a topic: chooses the skill, checks the input, runs it in the sandbox, and says
//! what came of it in SkillScale's words.

use std::sync::Arc;
use std::time::{Duration, Instant};

use skill_format::Explain;
use skill_mesh::protocol::{Code, Request};
use skill_mesh::worker::{self, Outcome, Progress};
use skill_sandbox::{Chunk, Ended, Sandbox, SandboxError, Stream};
use tokio::sync::mpsc;

use crate::advice::Advice;
use crate::contain::{Contained, Neighbours};
use crate::library::{Library, Member, Snapshot};
use crate::measure::{Ending, Measured, Phase};
use crate::work::Work;

/// Bytes of standard error that are told, its end.
const STDERR_BYTES_TOLD: usize = 16 * 1024;

/// Runs the requests of one topic. Those of several topics may share library and sandbox.
pub struct SkillExecutor {
    topic: String,
    library: Arc<Library>,
    sandbox: Arc<Sandbox>,
    timeout: Duration,
    advice: Option<Arc<Advice>>,
}

impl SkillExecutor {
    /// An entry point may run as long as it says, but never longer than `timeout`, nor than its asker waits.
    pub fn new(
        topic: impl Into<String>,
        library: Arc<Library>,
        sandbox: Arc<Sandbox>,
        timeout: Duration,
    ) -> Self {
        Self {
            topic: topic.into(),
            library,
            sandbox,
            timeout,
            advice: None,
        }
    }

    /// Where words find no skill, a model is asked.
    pub fn with_advice(self, advice: Option<Arc<Advice>>) -> Self {
        Self { advice, ..self }
    }

    async fn run(
        &self,
        request: &Request,
        progress: &Progress,
        measured: &mut Measured,
    ) -> Outcome {
        let seen = self.library.snapshot();
        let first = self.attempt(request, &seen, progress, measured).await;
        let error = match first {
            Ok(outcome) => return outcome,
            Err(error) => error,
        };
        // Nothing was started. A folder that has gone has perhaps been replaced since the last look.
        let library = self.library.clone();
        // A panic there leaves the skills as they were.
        let _ = tokio::task::spawn_blocking(move || library.refresh()).await;
        let now = self.library.snapshot();
        let second = if Arc::ptr_eq(&seen, &now) {
            Err(error)
        } else {
            self.attempt(request, &now, progress, measured).await
        };
        second.unwrap_or_else(|error| {
            // What a shell would say of a program that cannot be started.
            let error = format!("Skill execution failed (exit=127): {}", told(&error));
            measured.fail(Ending::Sandbox, Code::SandboxFailed, error)
        })
    }

    /// Runs it with the skills of this snapshot. An error means that its files are not there.
    async fn attempt(
        &self,
        request: &Request,
        snapshot: &Snapshot,
        progress: &Progress,
        measured: &mut Measured,
    ) -> Result<Outcome, SandboxError> {
        let (member, entry, input) = match self.choose(snapshot, &request.intent).await {
            Ok(chosen) => chosen,
            Err(error) => {
                let code = Code::of_text(&error).unwrap_or(Code::NoMatchingSkill);
                return Ok(measured.fail(Ending::NoMatch, code, error));
            }
        };
        measured.chose(&member.skill, &entry.entry().name);
        let mut timeout = self.timeout.min(entry.timeout());
        if let Some(left) = progress.time_left() {
            timeout = timeout.min(left);
        }
        let around = Neighbours {
            beside: &member.beside,
            protected: &snapshot.protected,
        };
        let job = entry.job(input.into_bytes(), timeout, around);
        measured.end(Phase::Prepare);
        let mut job = match job {
            Ok(job) => job,
            Err(error) => {
                let code = Code::parse(error.code()).unwrap_or(Code::InputInvalid);
                let said = if code == Code::InputMissing {
                    // Whoever asks sits at no command line.
                    format!("{code}: {error}; send it with the request, as a JSON document")
                } else {
                    told(&error)
                };
                return Ok(measured.fail(Ending::BadInput, code, said));
            }
        };
        if let Some(trace) = measured.what_to_continue() {
            job.continue_trace(trace);
        }
        let outcome = if request.progress {
            let (sender, chunks) = mpsc::unbounded_channel();
            job.progress = Some(sender);
            self.run_aloud(job, chunks, progress).await
        } else {
            job.run(&self.sandbox).await
        };
        match outcome {
            Ok(outcome) => {
                measured.ran(outcome.duration, outcome.leftover_processes);
                Ok(concluded(outcome, timeout, measured))
            }
            Err(error @ (SandboxError::NotStarted { .. } | SandboxError::BadPath { .. })) => {
                Err(error)
            }
            Err(error) => {
                let error = format!("Skill execution failed (exit=-1): {}", told(&error));
                Ok(measured.fail(Ending::Sandbox, Code::SandboxFailed, error))
            }
        }
    }

    async fn choose<'s>(
        &self,
        snapshot: &'s Snapshot,
        intent: &str,
    ) -> Result<(&'s Member, &'s Contained, String), String> {
        let found = snapshot.find_advised(intent, self.advice.as_deref()).await;
        let found = found.map_err(|(error, word)| {
            let detail = error.to_string();
            let detail = detail
                .strip_prefix("no matching skill: ")
                .unwrap_or(&detail);
            let mut text = format!(
                "No matching skill found for topic: {}: {detail}",
                self.topic
            );
            if let Some(why) = snapshot.why_left_out(&error) {
                text.push_str(&format!("; it is here, but cannot be run: {why}"));
            }
            if let Some(word) = word {
                text.push_str(&format!("; {word}"));
            }
            text
        })?;
        let entries = &found.member.skill.entries;
        let entry = match &found.entry {
            None => entries.first(),
            Some(wanted) => entries.iter().find(|entry| entry.entry().name == *wanted),
        };
        let entry = entry.ok_or_else(|| {
            let known: Vec<&str> = entries
                .iter()
                .map(|entry| entry.entry().name.as_str())
                .collect();
            format!(
                "unknown-entry-point: `{}` has no entry point `{}`; there is {}",
                found.member.skill.manifest.name,
                found.entry.as_deref().unwrap_or_default(),
                known.join(", ")
            )
        })?;
        Ok((found.member, entry, found.input))
    }

    /// Passes standard output on as it comes.
    async fn run_aloud(
        &self,
        job: Work,
        mut chunks: mpsc::UnboundedReceiver<Chunk>,
        progress: &Progress,
    ) -> Result<skill_sandbox::Outcome, SandboxError> {
        let mut text = Utf8Pieces::default();
        let mut say = |chunk: Chunk| {
            if chunk.stream == Stream::Stdout {
                let piece = text.take(&chunk.bytes);
                if !piece.is_empty() {
                    progress.say(piece);
                }
            }
        };
        let ending = job.run(&self.sandbox);
        tokio::pin!(ending);
        let outcome = loop {
            tokio::select! {
                biased;
                Some(chunk) = chunks.recv() => say(chunk),
                outcome = &mut ending => break outcome,
            }
        };
        while let Ok(chunk) = chunks.try_recv() {
            say(chunk);
        }
        outcome
    }
}

impl worker::Executor for SkillExecutor {
    async fn execute(&self, request: Arc<Request>, progress: Progress) -> Outcome {
        let mut measured = Measured::begin(&self.topic, &request);
        let outcome = self.run(&request, &progress, &mut measured).await;
        measured.finish();
        outcome
    }
}

fn concluded(
    outcome: skill_sandbox::Outcome,
    timeout: Duration,
    measured: &mut Measured,
) -> Outcome {
    let own_word = match outcome.ended {
        Ended::Exited(0) => return Outcome::Success(outcome.stdout.bytes),
        Ended::Exited(_) | Ended::Signaled(_) => None,
        Ended::TimedOut => Some(format!(
            "Execution timed out after {} ms",
            timeout.as_millis()
        )),
        Ended::OutputLimit => Some(format!(
            "it wrote more than {} bytes; have it write less, or a file",
            skill_client::run::OUTPUT_BYTES_MAX
        )),
        Ended::CpuLimit => Some("it used up its processor time".to_owned()),
        Ended::MemoryLimit => Some(format!(
            "it used more than {} MiB of memory",
            skill_sandbox::Limits::default().memory_bytes / 1024 / 1024
        )),
    };
    let mut said = end_of(&outcome.stderr.bytes);
    if let Some(own_word) = own_word {
        said = if said.is_empty() {
            own_word
        } else {
            format!("{own_word}; it had said: {said}")
        };
    }
    let (ending, code) = match outcome.ended {
        Ended::TimedOut => (Ending::TimedOut, Code::SkillTimedOut),
        Ended::OutputLimit => (Ending::Failed, Code::ResultTooLarge),
        _ => (Ending::Failed, Code::SkillCrashed),
    };
    let exit = outcome.ended.exit_code();
    measured.fail(
        ending,
        code,
        format!("Skill execution failed (exit={exit}): {said}"),
    )
}

/// The end of what a skill complained, where the reason usually stands.
fn end_of(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(STDERR_BYTES_TOLD);
    let text = String::from_utf8_lossy(&bytes[start..]);
    let text = text.trim();
    if start == 0 {
        text.to_owned()
    } else {
        format!("…{text}")
    }
}

/// An error as one line for whoever cannot see its parts: code, sentence, what to do.
pub(crate) fn told(error: &dyn Explain) -> String {
    match error.help() {
        Some(help) => format!("{}: {error}; {help}", error.code()),
        None => format!("{}: {error}", error.code()),
    }
}

/// Text out of bytes that are cut anywhere: the beginning of a character waits for its rest.
#[derive(Debug, Default)]
struct Utf8Pieces {
    begun: Vec<u8>,
}

impl Utf8Pieces {
    fn take(&mut self, bytes: &[u8]) -> String {
        self.begun.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.begun) {
            Err(error) if error.error_len().is_none() && self.is_last_character(&error) => {
                error.valid_up_to()
            }
            _ => self.begun.len(),
        };
        let rest = self.begun.split_off(whole);
        let piece = std::mem::replace(&mut self.begun, rest);
        String::from_utf8(piece)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    fn is_last_character(&self, error: &std::str::Utf8Error) -> bool {
        // Four bytes are the longest character.
        self.begun.len() - error.valid_up_to() < 4
    }
}

/// Time since a moment, and the next moment.
pub(crate) fn lap(since: &mut Instant) -> Duration {
    let now = Instant::now();
    now - std::mem::replace(since, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_is_cut_in_two_is_said_once_and_whole() {
        let mut pieces = Utf8Pieces::default();
        let bytes = "a€b".as_bytes();
        assert_eq!(pieces.take(&bytes[..2]), "a");
        assert_eq!(pieces.take(&bytes[2..3]), "");
        assert_eq!(pieces.take(&bytes[3..]), "€b");
        assert_eq!(pieces.take(b"\xffx"), "\u{fffd}x");
        assert_eq!(pieces.take(b"\xe2\x82"), "");
        assert_eq!(pieces.take(b"x"), "\u{fffd}x");
    }

    #[test]
    fn the_end_of_a_long_complaint_is_told() {
        assert_eq!(end_of(b" no such file\n"), "no such file");
        let mut long = vec![b'x'; 2 * STDERR_BYTES_TOLD];
        long.extend_from_slice(b"the reason\n");
        let told = end_of(&long);
        assert!(told.starts_with('…') && told.ends_with("the reason"));
        assert!(told.len() <= STDERR_BYTES_TOLD + 3);
    }
}
