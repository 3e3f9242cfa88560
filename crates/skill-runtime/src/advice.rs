//! Asking a model which skill is meant, where keywords find none: few questions at a time, each bounded in
//! time, answers remembered, and believed only where they name a skill that is there. How a model is asked is
//! the business of an [`Advisor`].

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::counter;
use skill_format::Sha256;
use skill_mesh::matcher::Candidate;
use tokio::sync::Semaphore;

/// Characters of a task that are shown to a model: plain text may carry its data behind the request.
const TASK_CHARS_MAX: usize = 4_000;
/// Skills that a model is shown, and characters of each one's description: 400 × 600 are 60,000 tokens.
const SKILLS_MAX: usize = 400;
const DESCRIPTION_CHARS_MAX: usize = 600;
/// Answers that are remembered, of 100 bytes each.
const REMEMBERED_MAX: usize = 4_096;
/// Questions at the same time.
const AT_ONCE: usize = 4;
/// Longest that a model's wish to be left alone is heeded.
const PAUSE_MAX: Duration = Duration::from_secs(10 * 60);

pub(crate) const QUESTIONS: &str = "skills_worker_model_questions_total";

/// A skill, as a model is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub name: String,
    pub description: String,
}

/// Why a model gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unadvised {
    /// A clause for the caller, such as `it refused the key`. Holds no secret.
    pub why: String,
    /// It asks to be left alone for so long.
    pub pause: Option<Duration>,
}

/// An answer on its way: the name of a skill, or none.
pub type Advised<'a> = Pin<Box<dyn Future<Output = Result<Option<String>, Unadvised>> + Send + 'a>>;

/// Something that can say which skill fits a task.
pub trait Advisor: Send + Sync {
    /// Asks once. Nobody waits for longer than the time that [`Advice`] was given.
    fn advise<'a>(&'a self, task: &'a str, skills: &'a [Described]) -> Advised<'a>;
}

/// Bounded, remembering access to an [`Advisor`]. Executors of one worker share it.
pub struct Advice {
    advisor: Box<dyn Advisor>,
    timeout: Duration,
    turns: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    remembered: HashMap<Sha256, Remembered>,
    /// Grows with every use.
    clock: u64,
    paused_until: Option<Instant>,
}

struct Remembered {
    name: Option<String>,
    used: u64,
}

impl Advice {
    /// `timeout` includes the wait for others' questions.
    pub fn new(advisor: Box<dyn Advisor>, timeout: Duration) -> Self {
        Self {
            advisor,
            timeout,
            turns: Semaphore::new(AT_ONCE),
            state: Mutex::default(),
        }
    }

    /// The skill among `candidates` that the model thinks is meant, or none. `set` is the digest of all of
    /// them: an answer holds for as long as they stay as they are.
    ///
    /// # Errors
    /// A clause that says why the model could not be asked.
    pub(crate) async fn choose(
        &self,
        task: &str,
        set: Sha256,
        candidates: &[Candidate],
    ) -> Result<Option<String>, String> {
        let task: String = task.chars().take(TASK_CHARS_MAX).collect();
        let key = Sha256::of(format!("{set}\n{task}").as_bytes());
        if let Some(known) = self.remembered(&key) {
            count("remembered");
            return Ok(known);
        }
        let asked = tokio::time::timeout(self.timeout, self.ask(&task, &key, candidates)).await;
        asked.unwrap_or_else(|_| {
            count("timed-out");
            Err(format!(
                "it did not answer within {} s",
                self.timeout.as_secs()
            ))
        })
    }

    async fn ask(
        &self,
        task: &str,
        key: &Sha256,
        candidates: &[Candidate],
    ) -> Result<Option<String>, String> {
        self.check_pause()?;
        // The semaphore is never closed.
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|error| error.to_string())?;
        // Somebody may have asked the same, or been sent away, meanwhile.
        if let Some(known) = self.remembered(key) {
            count("remembered");
            return Ok(known);
        }
        self.check_pause()?;
        let skills: Vec<Described> = candidates.iter().take(SKILLS_MAX).map(described).collect();
        let answer = self
            .advisor
            .advise(task, &skills)
            .await
            .map_err(|unadvised| {
                count("failed");
                self.pause(unadvised.pause);
                unadvised.why
            })?;
        let known = |name: &String| skills.iter().any(|skill| skill.name == *name);
        if answer.as_ref().is_some_and(|name| !known(name)) {
            count("failed");
            return Err("it named a skill that is not here".into());
        }
        count(if answer.is_some() { "chosen" } else { "none" });
        self.remember(*key, answer.clone());
        Ok(answer)
    }

    fn remembered(&self, key: &Sha256) -> Option<Option<String>> {
        let mut state = self.lock();
        state.clock += 1;
        let now = state.clock;
        let known = state.remembered.get_mut(key)?;
        known.used = now;
        Some(known.name.clone())
    }

    fn remember(&self, key: Sha256, name: Option<String>) {
        let mut state = self.lock();
        if state.remembered.len() >= REMEMBERED_MAX {
            let oldest = state.remembered.iter().min_by_key(|(_, known)| known.used);
            // Looked for among all of them, which takes a thousandth of a question's time.
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                state.remembered.remove(&oldest);
            }
        }
        state.clock += 1;
        let used = state.clock;
        state.remembered.insert(key, Remembered { name, used });
    }

    fn pause(&self, pause: Option<Duration>) {
        if let Some(pause) = pause {
            self.lock().paused_until = Some(Instant::now() + pause.min(PAUSE_MAX));
        }
    }

    fn check_pause(&self) -> Result<(), String> {
        let until = self.lock().paused_until;
        let left = until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        });
        if left.is_zero() {
            return Ok(());
        }
        count("paused");
        Err(format!(
            "it asked to be left alone for {} s more",
            left.as_secs() + 1
        ))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn described(candidate: &Candidate) -> Described {
    Described {
        name: candidate.name.clone(),
        description: candidate
            .description
            .chars()
            .take(DESCRIPTION_CHARS_MAX)
            .collect(),
    }
}

/// What all of them say of themselves, as one digest.
pub(crate) fn digest(candidates: &[Candidate]) -> Sha256 {
    let mut text = String::new();
    for Candidate {
        name, description, ..
    } in candidates
    {
        text.push_str(&format!(
            "{}:{name}{}:{description}",
            name.len(),
            description.len()
        ));
    }
    Sha256::of(text.as_bytes())
}

fn count(outcome: &'static str) {
    counter!(QUESTIONS, "outcome" => outcome).increment(1);
}
