//! What is counted of requests, by the `metrics` facade: how they ended, and where their time went.

use std::time::{Duration, Instant};

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use skill_mesh::worker::Outcome;

use crate::advice::QUESTIONS;
use crate::executor::lap;

const REQUESTS: &str = "skills_worker_requests_total";
const RUNNING: &str = "skills_worker_running";
const REQUEST_SECONDS: &str = "skills_worker_request_seconds";
const PHASE_SECONDS: &str = "skills_worker_phase_seconds";
const LEFTOVERS: &str = "skills_worker_leftover_processes_total";

/// Says what the metrics mean, to whoever exports them.
pub fn describe() {
    describe_counter!(
        REQUESTS,
        "Requests by topic, skill and outcome (success, failed, timed-out, no-match, bad-input, sandbox, dropped)"
    );
    describe_gauge!(RUNNING, "Requests that run at this moment, by topic");
    describe_histogram!(
        REQUEST_SECONDS,
        "From taking a request to its answer, by skill"
    );
    describe_histogram!(
        PHASE_SECONDS,
        "Parts of that: match (which skill), prepare (check the input), wait (for a slot and a sandbox), run"
    );
    describe_counter!(
        QUESTIONS,
        "Questions to a model by outcome (chosen, none, remembered, failed, timed-out, paused)"
    );
    describe_counter!(
        LEFTOVERS,
        "Processes that skills had left running and that were ended"
    );
}

/// A part of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Phase {
    Match,
    Prepare,
    Wait,
    Run,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Prepare => "prepare",
            Self::Wait => "wait",
            Self::Run => "run",
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Success,
    Failed,
    TimedOut,
    NoMatch,
    BadInput,
    Sandbox,
    /// Nobody waits any more: the worker stops, or gave it back.
    Dropped,
}

impl Ending {
    fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::NoMatch => "no-match",
            Self::BadInput => "bad-input",
            Self::Sandbox => "sandbox",
            Self::Dropped => "dropped",
        }
    }
}

/// One request's account; given when it is dropped, so that those that are broken off count too.
pub(crate) struct Measured {
    topic: String,
    skill: String,
    ending: Ending,
    began: Instant,
    since: Instant,
}

impl Measured {
    pub fn begin(topic: &str) -> Self {
        gauge!(RUNNING, "topic" => topic.to_owned()).increment(1.0);
        let now = Instant::now();
        Self {
            topic: topic.to_owned(),
            skill: String::new(),
            ending: Ending::Dropped,
            began: now,
            since: now,
        }
    }

    /// Which skill it is about.
    pub fn chose(&mut self, skill: &str) {
        skill.clone_into(&mut self.skill);
        self.end(Phase::Match);
    }

    pub fn end(&mut self, phase: Phase) {
        record(phase, lap(&mut self.since));
    }

    /// It was run, for this long, and left so many processes.
    pub fn ran(&mut self, duration: Duration, leftovers: u32) {
        let whole = lap(&mut self.since);
        record(Phase::Wait, whole.saturating_sub(duration));
        record(Phase::Run, duration);
        if leftovers > 0 {
            counter!(LEFTOVERS).increment(u64::from(leftovers));
        }
    }

    /// It ended otherwise than well.
    pub fn fail(&mut self, ending: Ending, error: String) -> Outcome {
        self.ending = ending;
        Outcome::Failure(error)
    }

    /// It is answered.
    pub fn finish(mut self) {
        if self.ending == Ending::Dropped {
            self.ending = Ending::Success;
        }
        let skill = self.skill.clone();
        histogram!(REQUEST_SECONDS, "skill" => skill).record(self.began.elapsed());
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let topic = std::mem::take(&mut self.topic);
        gauge!(RUNNING, "topic" => topic.clone()).decrement(1.0);
        let skill = std::mem::take(&mut self.skill);
        counter!(REQUESTS, "topic" => topic, "skill" => skill, "outcome" => self.ending.name())
            .increment(1);
    }
}

fn record(phase: Phase, took: Duration) {
    histogram!(PHASE_SECONDS, "phase" => phase.name()).record(took);
}
