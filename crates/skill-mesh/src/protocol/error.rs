//! What can be wrong with a message, said so that its sender can mend it.

use skill_format::{Explain, Fault, Place};

/// A message that cannot be understood, with whom to tell where that could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad request: {problem}")]
pub struct BadMessage {
    /// What is wrong.
    pub problem: Problem,
    /// Where an error reply may go.
    pub reply_to: Option<String>,
    /// What the reply should repeat; empty where it could not be read.
    pub request_id: String,
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not JSON, or no object.
    #[error("the payload is no JSON object (line {line}, column {column}): {why}")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1; 0 at a line's end.
        column: usize,
        /// What the parser says.
        why: String,
    },
    /// More than [`super::PAYLOAD_BYTES_MAX`].
    #[error("the payload has {bytes} bytes, at most {max} are allowed")]
    TooLarge {
        /// What came.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// A field that must be there.
    #[error("the field `{field}` is missing")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field of another type.
    #[error("the field `{field}` must be text, but is {found}")]
    Type {
        /// Its name.
        field: &'static str,
        /// Its JSON type.
        found: &'static str,
    },
    /// A field beyond its bound.
    #[error("the field `{field}` has {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// Its name.
        field: &'static str,
        /// What came.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// A topic that no subscription could name.
    #[error("the field `{field}` is no topic: it must be UTF-8 without a zero byte, and not empty")]
    Topic {
        /// Its name.
        field: &'static str,
    },
    /// Neither the two frames of a request nor those of a reply.
    #[error("the message has {frames} frames instead of two, topic and JSON payload")]
    Frames {
        /// What came.
        frames: usize,
    },
}

impl Explain for BadMessage {
    fn code(&self) -> &'static str {
        match self.problem {
            Problem::Json { .. } => "mesh-not-json",
            Problem::TooLarge { .. } => "mesh-message-too-large",
            Problem::Missing { .. } => "mesh-field-missing",
            Problem::Type { .. } => "mesh-field-type",
            Problem::TooLong { .. } => "mesh-field-too-long",
            Problem::Topic { .. } => "mesh-bad-topic",
            Problem::Frames { .. } => "mesh-frames",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        Some(match self.problem {
            Problem::TooLarge { .. } => {
                "pass large data by reference, such as a path or a URL, or split it".into()
            }
            Problem::Frames { .. } => "send exactly two frames: the topic, then the JSON".into(),
            _ => r#"send {"request_id": "…", "reply_to": "AGENT_REPLY_…", "intent": "…", "timestamp": 0}"#
                .into(),
        })
    }

    fn place(&self) -> Option<Place> {
        let (line, field) = match &self.problem {
            Problem::Json { line, .. } => (u32::try_from(*line).ok(), None),
            Problem::Missing { field }
            | Problem::Type { field, .. }
            | Problem::TooLong { field, .. }
            | Problem::Topic { field } => (None, Some((*field).to_owned())),
            Problem::TooLarge { .. } | Problem::Frames { .. } => return None,
        };
        Some(Place {
            file: None,
            line,
            field,
        })
    }
}
