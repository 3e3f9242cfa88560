//! Records of who may sign in, and with what: users, tokens, device codes, keys. Secrets are here only as hashes.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::{Grant, Role, ScopeSet};
use crate::ids::{DeviceCodeId, FamilyId, RefreshTokenId, TenantId, TokenId, UserId};
use crate::name_pattern::NamePattern;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRecord {
    pub id: TenantId,
    pub name: String,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    pub id: UserId,
    pub tenant: TenantId,
    /// As registered; unique within the tenant without regard to ASCII case.
    pub username: String,
    pub email: Option<String>,
    /// A password hash in PHC form; `None` for a user who signs in elsewhere.
    pub password: Option<SecretHash>,
    pub role: Role,
    pub disabled: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl UserRecord {
    /// The form of a username that must be unique within a tenant.
    pub fn username_key(username: &str) -> String {
        username.to_ascii_lowercase()
    }
}

/// The hash of a secret. It cannot be printed: a hash in a log is a head start for whoever guesses.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash(String);

impl SecretHash {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The hash itself, for comparing and storing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// A user's identity at an upstream OpenID provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcIdentity {
    pub tenant: TenantId,
    pub issuer: String,
    pub subject: String,
    pub user_id: UserId,
    pub created_at: Timestamp,
}

/// An authorization request that is under way at the upstream provider (PKCE, RFC 7636).
/// Taken once, by the callback that brings its `state` back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcLogin {
    pub tenant: TenantId,
    /// Hash of the `state` parameter.
    pub state: SecretHash,
    pub nonce: SecretHash,
    /// The PKCE verifier itself: the token request needs it.
    pub verifier: SecretHash,
    /// What to do afterwards, in the caller's own terms (e.g. the device flow's user code).
    pub then: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub id: RefreshTokenId,
    pub tenant: TenantId,
    pub family: FamilyId,
    pub user_id: UserId,
    pub hash: SecretHash,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// Set when it was exchanged for its successor.
    pub used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    pub id: TokenId,
    pub tenant: TenantId,
    pub user_id: UserId,
    /// What its maker calls it.
    pub name: String,
    pub hash: SecretHash,
    pub scopes: ScopeSet,
    /// `None`: every skill.
    pub skills: Option<Vec<NamePattern>>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// Written at most once a minute.
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl ApiToken {
    /// What a request with this token may do, for an account of `role`.
    pub fn grant(&self, role: Role) -> Grant {
        Grant {
            role,
            scopes: self.scopes,
            skills: self.skills.clone(),
        }
    }
}

/// Where a device authorization stands (RFC 8628).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceState {
    Pending,
    Approved,
    Denied,
    /// The tokens were handed out; they are not handed out twice.
    Redeemed,
}

impl DeviceState {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Approved, Self::Denied, Self::Redeemed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Redeemed => "redeemed",
        }
    }

    /// The state that `text` names, as stored.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCode {
    pub id: DeviceCodeId,
    pub tenant: TenantId,
    pub hash: SecretHash,
    /// What the person types; unique among all that are stored.
    pub user_code: String,
    pub client_name: String,
    pub state: DeviceState,
    /// Who approved it.
    pub user_id: Option<UserId>,
    /// Least seconds between two polls; grows by 5 with each `slow_down`.
    pub interval_seconds: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub last_polled_at: Option<Timestamp>,
}

/// A publisher's OpenPGP public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub tenant: TenantId,
    /// Upper-case hex.
    pub fingerprint: String,
    pub user_id: UserId,
    pub armored: String,
    pub registered_at: Timestamp,
    /// From the key itself.
    pub expires_at: Option<Timestamp>,
    /// From the key itself: when its revocation says, or when the hub learnt of it.
    pub revoked_at: Option<Timestamp>,
    /// Removed by its owner: it signs nothing new, but what it signed can still be verified.
    pub removed_at: Option<Timestamp>,
}
