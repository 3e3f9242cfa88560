//! Invocations: a skill run for somebody through the gateway, how it ended, and what that counts as. Knows neither the
//! mesh that runs it nor HTTP.

use std::ops::AddAssign;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{InvocationId, SkillId, TenantId, UserId};

/// Where an invocation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InvocationStatus {
    /// Accepted; nothing has run yet.
    Queued,
    /// Handed to whoever runs skills.
    Running,
    Succeeded,
    /// It came to no result, and it is known why.
    Failed,
    /// Nobody can say whether the skill ran to its end.
    Unknown,
    /// Called back before anything ran.
    Cancelled,
}

impl InvocationStatus {
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Unknown,
        Self::Cancelled,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether nothing more will happen.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// Why an invocation came to no result. The words are the API's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InvocationFault {
    /// The skill ran and failed.
    SkillFailed,
    /// The skill ran and wrote more than is kept.
    OutputTooLarge,
    /// The input is not what the skill takes; it did not run.
    InvalidInput,
    /// No room; nothing ran.
    Busy,
    /// Nobody on the mesh has the skill; nothing ran.
    SkillNotServed,
    /// No answer in time.
    NoAnswer,
    /// The way to the mesh was lost.
    MeshClosed,
    /// Every attempt was cut off by an end of the hub.
    Interrupted,
}

impl InvocationFault {
    pub const ALL: [Self; 8] = [
        Self::SkillFailed,
        Self::OutputTooLarge,
        Self::InvalidInput,
        Self::Busy,
        Self::SkillNotServed,
        Self::NoAnswer,
        Self::MeshClosed,
        Self::Interrupted,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SkillFailed => "skill-failed",
            Self::OutputTooLarge => "output-too-large",
            Self::InvalidInput => "invalid-input",
            Self::Busy => "busy",
            Self::SkillNotServed => "skill-not-served",
            Self::NoAnswer => "no-answer",
            Self::MeshClosed => "mesh-closed",
            Self::Interrupted => "interrupted",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == word)
    }

    /// How an invocation with this fault ends.
    pub const fn status(self) -> InvocationStatus {
        match self {
            Self::SkillFailed
            | Self::OutputTooLarge
            | Self::InvalidInput
            | Self::Busy
            | Self::SkillNotServed => InvocationStatus::Failed,
            Self::NoAnswer | Self::MeshClosed | Self::Interrupted => InvocationStatus::Unknown,
        }
    }

    /// Whether nothing ran for certain, so that the same request may be made again.
    pub const fn nothing_ran(self) -> bool {
        matches!(self, Self::InvalidInput | Self::Busy | Self::SkillNotServed)
    }
}

/// A fault, and the sentence for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationError {
    pub fault: InvocationFault,
    pub message: String,
}

/// An invocation as it is stored, without its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationRecord {
    pub id: InvocationId,
    pub tenant: TenantId,
    pub user_id: UserId,
    /// Who asked.
    pub username: String,
    pub skill_id: SkillId,
    pub skill: String,
    /// The version that ran, if whoever ran it said so.
    pub version: Option<String>,
    /// The entry point; `None` is the skill's first.
    pub entry: Option<String>,
    pub status: InvocationStatus,
    /// How long an attempt may take.
    pub timeout_ms: u64,
    /// Hex.
    pub input_sha256: String,
    pub input_bytes: u64,
    /// `None` as long as there is none, and in lists.
    pub output: Option<Vec<u8>>,
    pub output_bytes: Option<u64>,
    pub error: Option<InvocationError>,
    /// How often it was handed to whoever runs skills.
    pub attempts: u32,
    pub created_at: Timestamp,
    /// Of the last attempt.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl InvocationRecord {
    /// From the last start to the end; `None` if it never started or goes on.
    pub fn duration_ms(&self) -> Option<u64> {
        let (from, to) = (self.started_at?, self.finished_at?);
        u64::try_from(to.as_millisecond() - from.as_millisecond()).ok()
    }

    /// The same after its end.
    #[must_use]
    pub fn ended(mut self, ending: &Ending) -> Self {
        self.status = ending.status();
        self.finished_at = Some(ending.at);
        match &ending.outcome {
            Outcome::Output { bytes, version } => {
                self.output_bytes = Some(bytes.len() as u64);
                self.output = Some(bytes.clone());
                self.version.clone_from(version);
            }
            Outcome::Fault(error) => self.error = Some(error.clone()),
            Outcome::Cancelled => {}
        }
        self
    }
}

/// How an invocation ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    at: Timestamp,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Output {
        bytes: Vec<u8>,
        version: Option<String>,
    },
    Fault(InvocationError),
    Cancelled,
}

impl Ending {
    /// With a result.
    pub fn succeeded(at: Timestamp, bytes: Vec<u8>, version: Option<String>) -> Self {
        let outcome = Outcome::Output { bytes, version };
        Self { at, outcome }
    }

    /// Without one.
    pub fn failed(at: Timestamp, fault: InvocationFault, message: impl Into<String>) -> Self {
        let message = message.into();
        let outcome = Outcome::Fault(InvocationError { fault, message });
        Self { at, outcome }
    }

    /// Called back in time.
    pub fn cancelled(at: Timestamp) -> Self {
        let outcome = Outcome::Cancelled;
        Self { at, outcome }
    }

    pub fn at(&self) -> Timestamp {
        self.at
    }

    pub fn status(&self) -> InvocationStatus {
        match &self.outcome {
            Outcome::Output { .. } => InvocationStatus::Succeeded,
            Outcome::Fault(error) => error.fault.status(),
            Outcome::Cancelled => InvocationStatus::Cancelled,
        }
    }

    pub fn fault(&self) -> Option<InvocationFault> {
        match &self.outcome {
            Outcome::Fault(error) => Some(error.fault),
            Outcome::Output { .. } | Outcome::Cancelled => None,
        }
    }

    /// Whether nothing ran for certain: the idempotency key is then free again.
    pub fn nothing_ran(&self) -> bool {
        match &self.outcome {
            Outcome::Output { .. } => false,
            Outcome::Fault(error) => error.fault.nothing_ran(),
            Outcome::Cancelled => true,
        }
    }
}

/// What invocations came to, as it is metered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub succeeded: u64,
    pub failed: u64,
    pub unknown: u64,
    /// Nothing ran: refused, or called back in time. Neither time nor bytes are counted.
    pub refused: u64,
    /// From the start of the last attempt to the end, all together.
    pub duration_ms: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Usage {
    /// What one invocation that is over counts as.
    pub fn of(record: &InvocationRecord) -> Self {
        let nothing_ran = match &record.error {
            Some(error) => error.fault.nothing_ran(),
            None => record.status == InvocationStatus::Cancelled,
        };
        if nothing_ran {
            return Self {
                refused: 1,
                ..Self::default()
            };
        }
        let is = |status| u64::from(record.status == status);
        Self {
            succeeded: is(InvocationStatus::Succeeded),
            failed: is(InvocationStatus::Failed),
            unknown: is(InvocationStatus::Unknown),
            refused: 0,
            duration_ms: record.duration_ms().unwrap_or(0),
            bytes_in: record.input_bytes,
            bytes_out: record.output_bytes.unwrap_or(0),
        }
    }

    /// All of them, however they ended.
    pub fn invocations(&self) -> u64 {
        self.succeeded + self.failed + self.unknown + self.refused
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        self.succeeded += more.succeeded;
        self.failed += more.failed;
        self.unknown += more.unknown;
        self.refused += more.refused;
        self.duration_ms += more.duration_ms;
        self.bytes_in += more.bytes_in;
        self.bytes_out += more.bytes_out;
    }
}

/// One UTC day of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayUsage {
    /// Days since 1970-01-01.
    pub day: i64,
    pub usage: Usage,
}

/// Some days of one account, together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserUsage {
    pub username: String,
    pub usage: Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).expect("in range")
    }

    fn running() -> InvocationRecord {
        InvocationRecord {
            id: "00000000-0000-7000-8000-000000000004"
                .parse()
                .expect("an id"),
            tenant: TenantId::DEFAULT,
            user_id: "00000000-0000-7000-8000-000000000001"
                .parse()
                .expect("an id"),
            username: "alice".into(),
            skill_id: "00000000-0000-7000-8000-000000000002"
                .parse()
                .expect("an id"),
            skill: "csv-analyzer".into(),
            version: None,
            entry: None,
            status: InvocationStatus::Running,
            timeout_ms: 1_000,
            input_sha256: "00".into(),
            input_bytes: 10,
            output: None,
            output_bytes: None,
            error: None,
            attempts: 1,
            created_at: at(0),
            started_at: Some(at(100)),
            finished_at: None,
        }
    }

    #[test]
    fn words_round_trip() {
        for status in InvocationStatus::ALL {
            assert_eq!(InvocationStatus::parse(status.as_str()), Some(status));
            assert_eq!(
                serde_json::to_value(status).expect("serialises"),
                status.as_str()
            );
        }
        for fault in InvocationFault::ALL {
            assert_eq!(InvocationFault::parse(fault.as_str()), Some(fault));
            assert_eq!(
                serde_json::to_value(fault).expect("serialises"),
                fault.as_str()
            );
            assert!(fault.status().is_over(), "{fault:?}");
        }
    }

    #[test]
    fn what_may_have_run_is_never_called_refused() {
        for fault in InvocationFault::ALL {
            let ended = running().ended(&Ending::failed(at(350), fault, "why"));
            let usage = Usage::of(&ended);
            assert_eq!(usage.invocations(), 1, "{fault:?}");
            assert_eq!(usage.refused == 1, fault.nothing_ran(), "{fault:?}");
            let is_unknown = fault.status() == InvocationStatus::Unknown;
            assert!(!(is_unknown && fault.nothing_ran()), "{fault:?}");
        }
    }

    #[test]
    fn a_result_counts_with_its_time_and_bytes() {
        let ending = Ending::succeeded(at(350), b"abc".to_vec(), Some("1.0.0".into()));
        let ended = running().ended(&ending);
        assert_eq!(ended.duration_ms(), Some(250));
        let mut usage = Usage::of(&ended);
        let expected = Usage {
            succeeded: 1,
            duration_ms: 250,
            bytes_in: 10,
            bytes_out: 3,
            ..Usage::default()
        };
        assert_eq!(usage, expected);
        usage += Usage::of(&running().ended(&Ending::cancelled(at(400))));
        assert_eq!((usage.refused, usage.bytes_in), (1, 10));
    }
}
