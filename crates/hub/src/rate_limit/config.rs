//! The `[rate_limit]` part of `hub.toml`, with its defaults.

use serde::Deserialize;

use super::address::AddressConfig;
use super::class::Class;
use crate::auth::Secret;

/// How much one client may ask for. A client is a signed-in principal, or else an address.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitConfig {
    /// Off means: no limit and no headers.
    pub enabled: bool,
    /// Metadata and downloads. 6,000 a minute is 100 a second: an install of 100 packages costs
    /// about 300 requests, so twenty machines behind one address may install at once.
    pub read: Quota,
    /// Searches cost more than reads; a person who types makes a few a second.
    pub search: Quota,
    /// Whatever changes something. A first upload of 1,000 skills fits into one window.
    pub write: Quota,
    /// Sign-in, registration, token refresh, device polling, OIDC. A device polls 12 times a
    /// minute (RFC 8628 §3.5).
    pub auth: Quota,
    /// Running skills, which costs more than anything else.
    pub invoke: Quota,
    /// `redis://…` to share the limits between replicas. Unset means: each replica counts alone.
    /// A secret, because the address may carry a password.
    pub redis_url: Option<Secret>,
    /// How long to wait for Redis before a request is counted locally, in milliseconds.
    pub redis_timeout_ms: u64,
    /// Where the client's address comes from.
    pub address: AddressConfig,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            read: Quota::per_minute(6_000),
            search: Quota::per_minute(1_200),
            write: Quota::per_minute(1_200),
            auth: Quota::per_minute(60),
            invoke: Quota::per_minute(600),
            redis_url: None,
            redis_timeout_ms: 50,
            address: AddressConfig::default(),
        }
    }
}

impl RateLimitConfig {
    /// The quota of a class.
    pub fn quota(&self, class: Class) -> Quota {
        match class {
            Class::Read => self.read,
            Class::Search => self.search,
            Class::Write => self.write,
            Class::Auth => self.auth,
            Class::Invoke => self.invoke,
        }
    }
}

/// `requests` in any `window_seconds`, refilled evenly. All of them may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Requests in one window; 0 is read as 1, a limiter that admits nobody being of no use.
    pub requests: u32,
    /// Length of the window, in seconds; 0 is read as 1.
    pub window_seconds: u32,
}

impl Quota {
    /// `requests` a minute.
    pub const fn per_minute(requests: u32) -> Self {
        Self {
            requests,
            window_seconds: 60,
        }
    }
}
