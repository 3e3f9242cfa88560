//! The kinds of errors that a reply can say, as stable words. SkillScale's servers say none: there, and in
//! what their agents read, the text alone tells.

use std::fmt;

use serde::{Serialize, Serializer};
use skill_format::Fault;

/// Why there is an error instead of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request cannot be understood, or is too large. Nothing ran.
    BadRequest,
    /// Too much is waiting. Nothing ran.
    Busy,
    /// No worker of the topic was free in time. Nothing ran.
    Deadline,
    /// No worker of the topic was there in time. Nothing ran.
    NoWorkers,
    /// The proxy or the worker stops; a worker may have begun.
    Stopping,
    /// Every worker that got it was lost; each may have begun.
    WorkersLost,
    /// No skill fits, or not one alone. Nothing ran.
    NoMatchingSkill,
    /// The skill has no such entry point. Nothing ran.
    UnknownEntryPoint,
    /// The input is not what the entry point's schema asks for. Nothing ran.
    InputInvalid,
    /// The entry point asks for an input, and there is none. Nothing ran.
    InputMissing,
    /// The entry point asks for JSON, and the input is none. Nothing ran.
    InputNotJson,
    /// The skill's program ended with an error, or was ended at a limit.
    SkillCrashed,
    /// The skill ran longer than it may.
    SkillTimedOut,
    /// The skill ran, and what it wrote is more than can be carried.
    ResultTooLarge,
    /// The skill could not be started, or its sandbox failed.
    SandboxFailed,
    /// The worker itself failed; its log says why.
    WorkerFailed,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::BadRequest,
        Self::Busy,
        Self::Deadline,
        Self::NoWorkers,
        Self::Stopping,
        Self::WorkersLost,
        Self::NoMatchingSkill,
        Self::UnknownEntryPoint,
        Self::InputInvalid,
        Self::InputMissing,
        Self::InputNotJson,
        Self::SkillCrashed,
        Self::SkillTimedOut,
        Self::ResultTooLarge,
        Self::SandboxFailed,
        Self::WorkerFailed,
    ];

    /// As it stands in a reply.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Busy => "busy",
            Self::Deadline => "deadline",
            Self::NoWorkers => "no-workers",
            Self::Stopping => "stopping",
            Self::WorkersLost => "workers-lost",
            Self::NoMatchingSkill => "no-matching-skill",
            Self::UnknownEntryPoint => "unknown-entry-point",
            Self::InputInvalid => "input-invalid",
            Self::InputMissing => "input-missing",
            Self::InputNotJson => "input-not-json",
            Self::SkillCrashed => "skill-crashed",
            Self::SkillTimedOut => "skill-timed-out",
            Self::ResultTooLarge => "result-too-large",
            Self::SandboxFailed => "sandbox-failed",
            Self::WorkerFailed => "worker-failed",
        }
    }

    /// One of ours; nothing for whatever else stands there.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// What the text of an error tells where no code stands beside it: SkillScale's sentences, and what our
    /// own texts begin with.
    pub fn of_text(error: &str) -> Option<Self> {
        const TIMED_OUT: &str = "Execution timed out after ";
        if error.starts_with("No matching skill") {
            return Some(Self::NoMatchingSkill);
        }
        if let Some(rest) = error.strip_prefix("Skill execution failed (exit=") {
            // What follows may be a skill's own words, which prove nothing in the middle.
            let said = rest.split_once("): ").map_or("", |(_, said)| said);
            let is_late = said.starts_with(TIMED_OUT);
            return Some(if is_late {
                Self::SkillTimedOut
            } else {
                Self::SkillCrashed
            });
        }
        if error.starts_with(TIMED_OUT) {
            return Some(Self::SkillTimedOut);
        }
        match error.split_once(':')?.0 {
            "bad request" | "too-large" => Some(Self::BadRequest),
            word => Self::parse(word),
        }
    }

    /// Whose turn it is.
    pub fn fault(self) -> Fault {
        match self {
            Self::BadRequest
            | Self::UnknownEntryPoint
            | Self::InputInvalid
            | Self::InputMissing
            | Self::InputNotJson => Fault::BadInput,
            Self::NoMatchingSkill => Fault::NotFound,
            Self::Busy
            | Self::Deadline
            | Self::NoWorkers
            | Self::Stopping
            | Self::WorkersLost
            | Self::SkillCrashed
            | Self::SkillTimedOut
            | Self::ResultTooLarge
            | Self::SandboxFailed
            | Self::WorkerFailed => Fault::Unavailable,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_read_as_it_is_written() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(code));
        }
        assert_eq!(Code::parse("new-in-a-later-version"), None);
    }

    #[test]
    fn the_sentences_of_skillscale_tell_their_code() {
        for (text, code) in [
            (
                "No matching skill found for topic: T",
                Some(Code::NoMatchingSkill),
            ),
            (
                "Skill execution failed (exit=1): oh no",
                Some(Code::SkillCrashed),
            ),
            (
                "Skill execution failed (exit=-1): Execution timed out after 30 ms",
                Some(Code::SkillTimedOut),
            ),
            ("Execution timed out after 30 ms", Some(Code::SkillTimedOut)),
            ("busy: topic T has 3 requests waiting", Some(Code::Busy)),
            (
                "bad request: the field `intent` is missing",
                Some(Code::BadRequest),
            ),
            ("too-large: the request has 2 bytes", Some(Code::BadRequest)),
            ("no-workers: topic T has no worker", Some(Code::NoWorkers)),
            ("input-invalid: count", Some(Code::InputInvalid)),
            // A skill's own words.
            (
                "Skill execution failed (exit=1): x): Execution timed out after 1 ms",
                Some(Code::SkillCrashed),
            ),
            (
                "Skill execution failed (exit=1): busy: I am",
                Some(Code::SkillCrashed),
            ),
            ("something: else", None),
            ("", None),
        ] {
            assert_eq!(Code::of_text(text), code, "{text}");
        }
    }
}
