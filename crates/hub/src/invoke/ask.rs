//! What the body of a request to run a skill asks for: JSON around the input, or the input as it is.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::config::InvokeConfig;
use crate::catalogue::deprecate::invalid_text;
use crate::catalogue::list_skills::invalid_parameter;
use crate::extract::{body_cut_off, body_problem, media_type, parse_json};
use crate::problem::Problem;

/// Characters of an entry point's name.
const ENTRY_CHARS_MAX: usize = 100;

/// A request to run a skill.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InvokeBody {
    /// What the skill reads: a text as it is, anything else as JSON. Nothing if left out.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({"data": "a,b\n1,2\n"}))]
    input: Option<Value>,
    /// Which entry point; the skill's first if left out.
    entry: Option<String>,
    /// How long it may take, in seconds.
    #[schema(minimum = 1)]
    timeout_seconds: Option<u64>,
}

/// The same beside an input that is the whole body.
// Unlike elsewhere: what is misspelt here would run something else than was meant.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InvokeParams {
    /// Which entry point, for a body that is not JSON.
    entry: Option<String>,
    /// How long it may take, in seconds, for a body that is not JSON.
    #[param(minimum = 1)]
    timeout_seconds: Option<u64>,
}

/// What is asked for.
pub(super) struct Ask {
    pub input: Bytes,
    pub entry: Option<String>,
    pub timeout: Duration,
}

/// Reads the body, within `time`.
pub(super) async fn read(
    request: Request,
    params: InvokeParams,
    config: &InvokeConfig,
    time: Duration,
) -> Result<Ask, Problem> {
    let form = Form::of(request.headers())?;
    let bytes = tokio::time::timeout(time, Bytes::from_request(request, &()));
    let bytes = match bytes.await {
        Ok(bytes) => bytes.map_err(body_problem)?,
        Err(_) => return Err(body_cut_off()),
    };
    match form {
        Form::Json => {
            let body: InvokeBody = parse_json(&bytes)?;
            let InvokeBody {
                input,
                entry,
                timeout_seconds,
            } = body;
            ask(
                as_bytes(input),
                entry,
                timeout_seconds,
                config,
                invalid_text,
            )
        }
        Form::None if !bytes.is_empty() => Err(unsupported()),
        Form::Raw | Form::None => {
            let InvokeParams {
                entry,
                timeout_seconds,
            } = params;
            ask(bytes, entry, timeout_seconds, config, invalid_parameter)
        }
    }
}

fn ask(
    input: Bytes,
    entry: Option<String>,
    timeout_seconds: Option<u64>,
    config: &InvokeConfig,
    invalid: impl Fn(&str, &str) -> Problem,
) -> Result<Ask, Problem> {
    if let Some(entry) = &entry {
        let is_fit = (1..=ENTRY_CHARS_MAX).contains(&entry.chars().count())
            && !entry.chars().any(char::is_control);
        if !is_fit {
            let message = format!("entry has 1 to {ENTRY_CHARS_MAX} visible characters");
            return Err(invalid("entry", &message));
        }
    }
    let seconds_max = config.timeout_seconds_max;
    let timeout = match timeout_seconds {
        None => config.timeout_default(),
        Some(seconds) if (1..=seconds_max).contains(&seconds) => Duration::from_secs(seconds),
        Some(_) => {
            let message = format!("timeoutSeconds is 1 to {seconds_max}");
            return Err(invalid("timeoutSeconds", &message));
        }
    };
    Ok(Ask {
        input,
        entry,
        timeout,
    })
}

fn as_bytes(input: Option<Value>) -> Bytes {
    match input {
        None => Bytes::new(),
        Some(Value::String(text)) => text.into(),
        Some(value) => value.to_string().into(),
    }
}

enum Form {
    Json,
    Raw,
    /// No type is stated, which is right for no input.
    None,
}

impl Form {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match media_type(headers).as_deref() {
            Some("application/json") => Ok(Self::Json),
            Some("text/plain" | "application/octet-stream") => Ok(Self::Raw),
            Some(_) => Err(unsupported()),
            None => Ok(Self::None),
        }
    }
}

fn unsupported() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "This endpoint reads `application/json` around the input, or the input itself as \
         `text/plain` or `application/octet-stream`.",
    )
}
