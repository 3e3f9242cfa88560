//! What a registry's refusal looks like here: the problem document with nothing lost.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use skill_format::{Explain, Fault, Place, Sha256};

use crate::config::ConfigError;
use crate::fsx::FsError;
use crate::http::HttpError;

/// Codes that a registry sends, so that a program can tell them apart by the same names here.
/// One that is not listed is shown with its text and reported as `registry-refused`.
const KNOWN_CODES: &[&str] = &[
    "access-denied",
    "account-disabled",
    "account-unknown",
    "authentication-required",
    "authorization-pending",
    "current-password-required",
    "expired-token",
    "file-not-found",
    "has-dependents",
    "idempotency-key-in-use",
    "idempotency-key-reused",
    "internal-error",
    "invalid-body",
    "invalid-credentials",
    "invalid-email",
    "invalid-header",
    "invalid-json",
    "invalid-parameter",
    "invalid-query",
    "invalid-refresh-token",
    "invalid-skill",
    "invalid-token",
    "invalid-token-request",
    "invalid-upload",
    "invalid-username",
    "key-challenge-invalid",
    "key-not-found",
    "key-not-registered",
    "key-proof-invalid",
    "key-proof-required",
    "key-taken",
    "last-admin",
    "last-owner",
    "name-reserved",
    "name-taken",
    "not-an-owner",
    "oidc-not-configured",
    "owner-not-found",
    "package-not-found",
    "payload-too-large",
    "rate-limited",
    "registration-closed",
    "role-insufficient",
    "scope-insufficient",
    "session-ended",
    "session-required",
    "signature-invalid",
    "signature-required",
    "skill-not-allowed",
    "skill-not-found",
    "slow-down",
    "storage-full",
    "token-expired",
    "token-not-found",
    "token-too-broad",
    "too-late-to-delete",
    "too-many-attempts",
    "too-many-keys",
    "too-many-owners",
    "too-many-tokens",
    "unavailable",
    "unsupported-media-type",
    "user-not-found",
    "username-taken",
    "version-exists",
    "version-not-found",
    "version-retired",
    "weak-password",
];

/// One thing that is wrong with what was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FieldProblem {
    /// Field, parameter or file.
    pub field: String,
    /// From 1.
    pub line: Option<u32>,
    pub code: Option<String>,
    pub message: String,
    pub help: Option<String>,
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.field.as_str(), self.line) {
            ("", _) => {}
            (field, None) => write!(f, "{field}: ")?,
            (field, Some(line)) => write!(f, "{field}:{line}: ")?,
        }
        f.write_str(&self.message)
    }
}

/// A refusal (RFC 9457, with the extension members `code`, `errors` and `requestId`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Problem {
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// Stable and kebab-case; empty if the answer came from something else than a registry.
    pub code: String,
    pub errors: Vec<FieldProblem>,
    /// To ask the registry's operator with.
    pub request_id: Option<String>,
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// The registry's address, if it was asked itself.
    #[serde(skip)]
    pub registry: String,
}

impl Problem {
    /// Whether the answer is that of some other server: a registry names a code.
    fn is_of_no_registry(&self) -> bool {
        !self.registry.is_empty()
            && self.code.is_empty()
            && matches!(self.status, 300..=400 | 404..=406 | 410)
    }

    /// Who answered what, for an answer that a registry does not give.
    fn stranger(&self) -> Option<String> {
        if self.registry.is_empty() || !self.code.is_empty() {
            return None;
        }
        Some(match self.is_of_no_registry() {
            true => format!(
                "{} is not a skill registry (it answered {})",
                self.registry, self.status
            ),
            false => {
                let status = reqwest::StatusCode::from_u16(self.status);
                let reason = status.ok().and_then(|status| status.canonical_reason());
                let text = [&self.detail, &self.title];
                let said = text.into_iter().find(|text| !text.is_empty());
                let said = said.map(|said| format!(": {}", said.trim_end_matches('.')));
                format!(
                    "{} answered {} {}{}",
                    self.registry,
                    self.status,
                    reason.unwrap_or_default(),
                    said.unwrap_or_default()
                )
            }
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.stranger() {
            return f.write_str(&text);
        }
        let text = [&self.detail, &self.title]
            .into_iter()
            .find(|text| !text.is_empty());
        match text {
            Some(text) => f.write_str(text.trim_end_matches('.'))?,
            None => write!(f, "the registry answered with status {}", self.status)?,
        }
        // What the sentence says already is not said twice; the field stands in the error's place.
        let said = text.map_or_else(String::new, |text| text.to_lowercase());
        for error in &self.errors {
            if self.errors.len() > 1 || !said.contains(&error.message.to_lowercase()) {
                write!(f, "\n  {error}")?;
            }
        }
        match &self.request_id {
            Some(id) if self.status >= 500 => write!(f, " (request {id})"),
            _ => Ok(()),
        }
    }
}

/// Why a registry gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The registry said no.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// Offline, and this was never asked before.
    #[error("nothing is known of {what} without asking {registry}")]
    Offline { what: String, registry: String },
    /// Offline, and this cannot be done without asking.
    #[error("{registry} is not asked in offline mode")]
    NeedsNetwork { registry: String },
    /// Signed in once, but that has ended.
    #[error("the session with {registry} has ended")]
    SessionEnded { registry: String },
    /// An answer that is not what the interface promises.
    #[error("{url} gave an answer that is not understood: {reason}")]
    Unexpected { url: String, reason: String },
    /// The bytes are not the ones that were announced.
    #[error("{what} has the digest {found}, expected was {expected}")]
    Checksum {
        what: String,
        expected: Sha256,
        found: Sha256,
    },
    /// The archive's length is not the one that was announced.
    #[error("{what} has {found} bytes, expected were {expected}")]
    Size {
        what: String,
        expected: u64,
        found: u64,
    },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    File(#[from] FsError),
}

impl ApiError {
    /// The registry's own code, if it was the registry that refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether the registry refused with this code.
    pub fn is(&self, code: &str) -> bool {
        self.problem().is_some_and(|problem| problem.code == code)
    }

    /// Whether what was asked for does not exist there.
    pub fn is_not_found(&self) -> bool {
        self.problem().is_some_and(|problem| problem.status == 404)
    }
}

impl Explain for ApiError {
    fn code(&self) -> &'static str {
        match self {
            Self::Http(error) => error.code(),
            Self::Refused(problem) if problem.is_of_no_registry() => "not-a-registry",
            Self::Refused(problem) => KNOWN_CODES
                .iter()
                .find(|code| **code == problem.code)
                .copied()
                .unwrap_or("registry-refused"),
            Self::Offline { .. } => "not-cached",
            Self::NeedsNetwork { .. } => "needs-network",
            Self::SessionEnded { .. } => "session-ended",
            Self::Unexpected { .. } => "registry-answer",
            Self::Checksum { .. } => "checksum-mismatch",
            Self::Size { .. } => "size-mismatch",
            Self::Config(error) => error.code(),
            Self::File(error) => error.code(),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Http(error) => error.fault(),
            Self::Refused(problem) => match problem.status {
                401 | 403 => Fault::Denied,
                404 | 410 => Fault::NotFound,
                409 | 412 => Fault::Conflict,
                408 | 429 | 500..=599 => Fault::Unavailable,
                _ => Fault::BadInput,
            },
            Self::Offline { .. } | Self::NeedsNetwork { .. } | Self::Unexpected { .. } => {
                Fault::Unavailable
            }
            Self::SessionEnded { .. } | Self::Checksum { .. } | Self::Size { .. } => Fault::Denied,
            Self::Config(error) => error.fault(),
            Self::File(error) => error.fault(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Http(error) => error.help(),
            Self::Refused(problem) => refused_help(problem),
            Self::Offline { .. } | Self::NeedsNetwork { .. } => Some("leave out --offline".into()),
            Self::SessionEnded { registry } => Some(format!("sign in again: skills login --registry {registry}")),
            Self::Unexpected { .. } => Some("check that the address is that of a skill registry".into()),
            Self::Checksum { .. } | Self::Size { .. } => {
                Some("nothing was installed; tell the registry's operator: its archive is damaged or was replaced".into())
            }
            Self::Config(error) => error.help(),
            Self::File(error) => error.help(),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Refused(problem) => problem.errors.first().map(|error| Place {
                file: None,
                line: error.line,
                field: Some(error.field.clone()).filter(|field| !field.is_empty()),
            }),
            Self::Config(error) => error.place(),
            Self::File(error) => error.place(),
            _ => None,
        }
    }
}

fn refused_help(problem: &Problem) -> Option<String> {
    if problem.is_of_no_registry() {
        let text = "check the address: `skills registry list` shows what is configured, --registry names another";
        return Some(text.to_owned());
    }
    let help = match (problem.status, problem.code.as_str()) {
        (_, "key-not-registered") => "register the key: skills key register FINGERPRINT",
        (_, "signature-required") => "make a key with `skills key generate`, then publish again",
        (_, "version-exists" | "version-retired") => {
            "a version is published once for ever: choose a higher one"
        }
        (_, "not-an-owner") => "ask an owner of the skill to add you: skills owner add SKILL USER",
        (_, "too-late-to-delete" | "has-dependents") => {
            "withdraw the version instead: leave out --hard"
        }
        (401, _) => "sign in: skills login",
        (403, _) => "check what your token or account may do: skills whoami",
        (507, _) => "tell the registry's operator; then publish again",
        (429, _) => "wait a while, then run the command again",
        (500..=599, _) => "try again later, or tell the registry's operator",
        _ => return problem.errors.iter().find_map(|error| error.help.clone()),
    };
    Some(help.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_what_the_registry_said() {
        let text = r#"{"type":"/docs#invalid-skill","title":"Invalid skill","status":422,"code":"invalid-skill",
            "detail":"The skill breaks the specification.","requestId":"r-1",
            "errors":[{"field":"SKILL.md","line":3,"message":"the description is empty","help":"write one"}]}"#;
        let error = ApiError::Refused(Box::new(serde_json::from_str(text).expect("JSON")));
        assert_eq!(
            (error.code(), error.fault()),
            ("invalid-skill", Fault::BadInput)
        );
        assert_eq!(
            error.to_string(),
            "The skill breaks the specification\n  SKILL.md:3: the description is empty"
        );
        assert_eq!(error.help().as_deref(), Some("write one"));
        assert_eq!(error.place().and_then(|place| place.line), Some(3));
        assert_eq!(
            error
                .problem()
                .and_then(|problem| problem.request_id.as_deref()),
            Some("r-1")
        );
    }

    #[test]
    fn a_code_that_is_not_known_is_not_mistaken_for_another() {
        let problem = Problem {
            status: 418,
            code: "teapot".into(),
            ..Problem::default()
        };
        let error = ApiError::Refused(Box::new(problem));
        assert_eq!(
            (error.code(), error.is("teapot")),
            ("registry-refused", true)
        );
        assert_eq!(error.to_string(), "the registry answered with status 418");
    }

    #[test]
    fn the_known_codes_are_sorted_and_named_once() {
        assert!(KNOWN_CODES.is_sorted_by(|a, b| a < b));
    }
}
