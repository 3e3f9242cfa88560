//! The JSON that describes an invocation, the same wherever it appears.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hub_model::InvocationRecord;
use serde::Serialize;
use utoipa::ToSchema;

use crate::catalogue::body::{checksum, time};

/// An invocation.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvocationBody {
    pub id: String,
    #[schema(example = "csv-analyzer")]
    pub skill: String,
    /// The version that ran, where whoever ran it said so.
    pub version: Option<String>,
    /// The entry point that was asked for; null is the skill's first.
    pub entry: Option<String>,
    #[schema(value_type = StatusWord)]
    pub status: &'static str,
    /// What the skill wrote, once it has succeeded. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// `base64` where the output is no text.
    #[schema(value_type = Option<EncodingWord>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_encoding: Option<&'static str>,
    pub output_bytes: Option<u64>,
    /// Why there is no output.
    pub error: Option<InvocationErrorBody>,
    /// `sha256:` and 64 hex digits, of the input.
    pub input_checksum: String,
    pub input_bytes: u64,
    /// How long it may take.
    pub timeout_seconds: u64,
    /// How often it was handed over; more than once only after the hub ended in the middle.
    pub attempts: u32,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// From the start to the end.
    pub duration_ms: Option<u64>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InvocationErrorBody {
    #[schema(example = "skill-failed")]
    pub code: &'static str,
    pub message: String,
}

/// For the OpenAPI document only.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a field")]
enum StatusWord {
    Queued,
    Running,
    Succeeded,
    Failed,
    Unknown,
    Cancelled,
}

/// For the OpenAPI document only.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a field")]
enum EncodingWord {
    Base64,
}

impl From<&InvocationRecord> for InvocationBody {
    fn from(record: &InvocationRecord) -> Self {
        let (output, output_encoding) = match record.output.as_deref().map(std::str::from_utf8) {
            None => (None, None),
            Some(Ok(text)) => (Some(text.to_owned()), None),
            Some(Err(_)) => {
                let bytes = record.output.as_deref().unwrap_or_default();
                (Some(BASE64.encode(bytes)), Some("base64"))
            }
        };
        Self {
            id: record.id.to_string(),
            skill: record.skill.clone(),
            version: record.version.clone(),
            entry: record.entry.clone(),
            status: record.status.as_str(),
            output,
            output_encoding,
            output_bytes: record.output_bytes,
            error: record.error.as_ref().map(|error| InvocationErrorBody {
                code: error.fault.as_str(),
                message: error.message.clone(),
            }),
            input_checksum: checksum(&record.input_sha256),
            input_bytes: record.input_bytes,
            timeout_seconds: record.timeout_ms / 1_000,
            attempts: record.attempts,
            created_at: time(record.created_at),
            started_at: record.started_at.map(time),
            finished_at: record.finished_at.map(time),
            duration_ms: record.duration_ms(),
        }
    }
}

/// Where an invocation is found, as a path.
pub(super) fn location(record: &InvocationRecord) -> String {
    format!("/api/v1/invocations/{}", record.id)
}
