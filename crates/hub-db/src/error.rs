//! What can go wrong between a repository and its database. Clients see the kind; the driver's words are kept as the
//! source, for the log only.

use std::fmt;

use hub_model::{Explain, Fault};

/// A failed database operation.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A row like this exists already.
    #[error("{0}")]
    Conflict(Conflict),
    /// What the operation refers to does not exist (a foreign key, or a row to change).
    #[error("what this refers to does not exist")]
    NotFound,
    /// A value that no database here stores: text with a NUL character, or longer than an index entry may be.
    #[error("a value cannot be stored: {0}")]
    Unstorable(&'static str),
    /// The transaction lost against another one and may simply be tried again.
    #[error("the database asks to try again")]
    Retry(#[source] Source),
    /// The database cannot be reached, is full, or did not answer in time.
    #[error("the database is not available")]
    Unavailable(#[source] Source),
    /// A defect: of this program, or of what is stored.
    #[error("the database operation failed")]
    Internal(#[source] Source),
}

pub type Result<T> = std::result::Result<T, DbError>;

/// What must be unique and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Conflict {
    TenantName,
    Username,
    OidcIdentity,
    /// The secret of a token or device code; with 128 random bits this means the same one was stored twice.
    Secret,
    /// The device flow's user code: draw another one.
    UserCode,
    KeyFingerprint,
    SkillName,
    /// The version, build metadata aside.
    Version,
    Owner,
    /// Any other row.
    Row,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TenantName => "this tenant exists already",
            Self::Username => "this username is taken",
            Self::OidcIdentity => "this identity belongs to another account",
            Self::Secret => "this secret is in use",
            Self::UserCode => "this user code is in use",
            Self::KeyFingerprint => "this key is registered already",
            Self::SkillName => "this skill name is taken",
            Self::Version => "this version exists already",
            Self::Owner => "this user is an owner already",
            Self::Row => "this exists already",
        })
    }
}

/// The cause, for the log: the driver's error, or a description of what was found.
#[derive(Debug)]
pub struct Source(Box<dyn std::error::Error + Send + Sync>);

impl Source {
    pub(crate) fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Source {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl DbError {
    /// Whether the same transaction, begun again, may well succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retry(_))
    }

    /// The conflict, if this is one.
    pub fn conflict(&self) -> Option<Conflict> {
        match self {
            Self::Conflict(conflict) => Some(*conflict),
            _ => None,
        }
    }

    /// What is stored does not have the shape that this program writes.
    pub(crate) fn corrupt(what: impl fmt::Display) -> Self {
        Self::Internal(Source::new(format!("stored data: {what}")))
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Database(database) => match crate::dialect::classify(database.as_ref()) {
                Kind::Conflict(conflict) => Self::Conflict(conflict),
                Kind::Missing => Self::NotFound,
                Kind::Unstorable(why) => Self::Unstorable(why),
                Kind::Retry => Self::Retry(Source::new(error)),
                Kind::Unavailable => Self::Unavailable(Source::new(error)),
                Kind::Other => Self::Internal(Source::new(error)),
            },
            E::Io(_)
            | E::Tls(_)
            | E::PoolTimedOut
            | E::PoolClosed
            | E::WorkerCrashed
            | E::BeginFailed => Self::Unavailable(Source::new(error)),
            E::RowNotFound => Self::NotFound,
            _ => Self::Internal(Source::new(error)),
        }
    }
}

/// How a dialect reads a driver's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Conflict(Conflict),
    Missing,
    Unstorable(&'static str),
    Retry,
    Unavailable,
    Other,
}

impl Conflict {
    /// The conflict behind a constraint, by its name in the migrations or by the columns that it spans.
    pub(crate) fn of_constraint(constraint: &str) -> Self {
        match constraint {
            "tenants_name" | "tenants.name" => Self::TenantName,
            "users_username" | "users.tenant_id, users.username_key" => Self::Username,
            "oidc_identities_subject"
            | "oidc_identities.tenant_id, oidc_identities.issuer, oidc_identities.subject" => {
                Self::OidcIdentity
            }
            "refresh_tokens_hash" | "refresh_tokens.token_hash" => Self::Secret,
            "api_tokens_hash" | "api_tokens.token_hash" => Self::Secret,
            "device_codes_hash" | "device_codes.code_hash" => Self::Secret,
            "device_codes_user_code" | "device_codes.tenant_id, device_codes.user_code" => {
                Self::UserCode
            }
            "keys_fingerprint" | "keys.tenant_id, keys.fingerprint" => Self::KeyFingerprint,
            "skills_name" | "skills.tenant_id, skills.name_key" => Self::SkillName,
            "skills_by_exact_name" | "skills.name, skills.tenant_id" => Self::SkillName,
            "versions_identity" | "versions.skill_id, versions.identity" => Self::Version,
            "skill_owners_user" | "skill_owners.skill_id, skill_owners.user_id" => Self::Owner,
            _ => Self::Row,
        }
    }
}

impl Explain for DbError {
    fn code(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::NotFound => "not-found",
            Self::Unstorable(_) => "unstorable-value",
            Self::Retry(_) | Self::Unavailable(_) => "database-unavailable",
            Self::Internal(_) => "internal-error",
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Retry(_) => Some("try again".to_owned()),
            Self::Unavailable(_) => Some(
                "check that the database's address names one, that it runs, and that its disk has space"
                    .to_owned(),
            ),
            Self::Conflict(_) | Self::NotFound | Self::Unstorable(_) | Self::Internal(_) => None,
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Conflict(_) => Fault::Conflict,
            Self::NotFound => Fault::NotFound,
            Self::Unstorable(_) => Fault::BadInput,
            Self::Retry(_) | Self::Unavailable(_) => Fault::Unavailable,
            Self::Internal(_) => Fault::Internal,
        }
    }
}
