//! What is told of requests: how they ended and where their time went, as metrics of the `metrics` facade and as
//! spans of `skill-trace`.

use std::time::{Duration, Instant};

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use skill_mesh::agent;
use skill_mesh::protocol::{Code, Request};
use skill_mesh::worker::Outcome;
use skill_trace::{Kind, Reserved, Span, TraceContext};

use crate::advice::QUESTIONS;
use crate::executor::lap;
use crate::library::Loaded;

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
    span: Span,
    /// The span of the run, if it has come so far.
    run: Option<Reserved>,
}

impl Measured {
    pub fn begin(topic: &str, request: &Request) -> Self {
        gauge!(RUNNING, "topic" => topic.to_owned()).increment(1.0);
        let name = || format!("process {topic}");
        let mut span = skill_trace::span(Kind::Consumer, request.trace.as_ref(), name);
        if span.is_recorded() {
            agent::describe(&mut span, "process", topic, request);
        }
        let now = Instant::now();
        Self {
            topic: topic.to_owned(),
            skill: String::new(),
            ending: Ending::Dropped,
            began: now,
            since: now,
            span,
            run: None,
        }
    }

    /// Which skill it is about.
    pub fn chose(&mut self, skill: &Loaded, entry: &str) {
        let manifest = &skill.manifest;
        manifest.name.as_str().clone_into(&mut self.skill);
        if self.span.is_recorded() {
            self.span.set("skill.name", manifest.name.as_str());
            if let Some(version) = &manifest.version {
                self.span.set("skill.version", version.to_string().as_str());
            }
            self.span.set("skill.entry", entry);
        }
        self.end(Phase::Match);
    }

    pub fn end(&mut self, phase: Phase) {
        let from = self.since;
        record(phase, lap(&mut self.since));
        self.span.phase(phase.name(), from, self.since);
    }

    /// What the skill is to continue.
    pub fn what_to_continue(&mut self) -> Option<&TraceContext> {
        self.run.insert(self.span.reserve()).context()
    }

    /// It was run, for this long, and left so many processes.
    pub fn ran(&mut self, duration: Duration, leftovers: u32) {
        let from = self.since;
        let whole = lap(&mut self.since);
        let began = from + whole.saturating_sub(duration);
        record(Phase::Wait, began - from);
        record(Phase::Run, duration);
        self.span.phase(Phase::Wait.name(), from, began);
        if let Some(run) = &self.run {
            let name = Phase::Run.name();
            self.span.phase_as(run, name, began, self.since, Vec::new());
        }
        if leftovers > 0 {
            counter!(LEFTOVERS).increment(u64::from(leftovers));
        }
    }

    /// It ended otherwise than well.
    pub fn fail(&mut self, ending: Ending, code: Code, error: String) -> Outcome {
        self.ending = ending;
        self.span.fail(code.as_str(), &error);
        Outcome::Failure(code, error)
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
        if self.ending == Ending::Dropped {
            let why = "the worker gave it back before it ended";
            self.span.fail(self.ending.name(), why);
        }
        self.span.set("skill.outcome", self.ending.name());
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
