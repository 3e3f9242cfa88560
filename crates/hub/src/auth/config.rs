//! The `[auth]` part of `hub.toml`, with its defaults. Knows no file and no environment: whoever
//! reads those fills these structs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hub_model::{Role, device};
use serde::Deserialize;

use super::secret::Secret;

/// How people and machines prove who they are. Every field has a default that is safe on a
/// public address.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Reading needs a token too; anonymous requests get 401 `authentication-required`.
    pub private: bool,
    /// Who may create an account. Unset means: open on a public hub, closed on a private one,
    /// because a private hub that lets anybody register is not private.
    pub registration: Option<Registration>,
    /// The role of an account that registered by itself.
    pub default_role: Role,
    /// `iss` of the hub's own tokens. Unset means the hub's public URL.
    pub issuer: Option<String>,
    /// Life of an access token, in seconds.
    pub access_token_seconds: u32,
    /// Life of an unused refresh token, in days. Each use issues a new one.
    pub refresh_token_days: u32,
    /// Life of a session however often it is refreshed, in days.
    pub session_days_max: u32,
    /// How long another replica may go on accepting a session or API token that was revoked on
    /// this one, in seconds. On the replica that did the revoking it is zero.
    pub revocation_delay_seconds: u32,
    /// Secret for the hub's own tokens, at least 32 bytes. Unset means: a key file in the data
    /// folder, made at first start. Replicas without a shared data folder need this one.
    pub signing_secret: Option<Secret>,
    /// Secrets that still verify but no longer sign: move the old `signing_secret` here when
    /// changing it, and drop it once `access_token_seconds` have passed.
    pub previous_signing_secrets: Vec<Secret>,
    /// Where the key file lives. Unset means `signing-keys.json` in the data folder.
    pub signing_key_file: Option<PathBuf>,
    /// Age at which a key of the key file is replaced at the next start, in days.
    pub signing_key_days: u32,
    /// Life of an API token whose maker named none, in days.
    pub api_token_days_default: u32,
    /// Longest life of an API token, in days.
    pub api_token_days_max: u32,
    /// Password hashing.
    pub password: PasswordConfig,
    /// Failed sign-ins before further ones are refused.
    pub throttle: ThrottleConfig,
    /// The device flow (RFC 8628).
    pub device: DeviceConfig,
    /// Sign-in through an OpenID Connect provider.
    pub oidc: Option<OidcConfig>,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            private: false,
            registration: None,
            default_role: Role::Publisher,
            issuer: None,
            access_token_seconds: 15 * 60,
            refresh_token_days: 30,
            session_days_max: 180,
            revocation_delay_seconds: 5,
            signing_secret: None,
            previous_signing_secrets: Vec::new(),
            signing_key_file: None,
            signing_key_days: 90,
            api_token_days_default: 90,
            api_token_days_max: 366,
            password: PasswordConfig::default(),
            throttle: ThrottleConfig::default(),
            device: DeviceConfig::default(),
            oidc: None,
        }
    }
}

impl AuthConfig {
    /// The registration rule in force, see [`AuthConfig::registration`].
    pub fn registration(&self) -> Registration {
        self.registration.unwrap_or(if self.private {
            Registration::Closed
        } else {
            Registration::Open
        })
    }
}

/// Who may create an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anybody.
    Open,
    /// Nobody; an administrator or the OIDC provider brings accounts.
    Closed,
}

/// Cost of a password hash (argon2id) and how many run at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordConfig {
    /// Memory of one hash, in KiB. The default, 19 MiB with two passes, is what OWASP's password
    /// storage cheat sheet names first for argon2id.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Hashes computed at the same time; memory in use is at most `memory_kib` times this.
    pub concurrency: usize,
    /// Requests that may wait for a free place; the next one is answered 503.
    pub queue_max: usize,
}

impl Default for PasswordConfig {
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            passes: 2,
            concurrency: 2,
            queue_max: 64,
        }
    }
}

/// Failed sign-ins per window, counted per account and per client address.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThrottleConfig {
    /// Failures on one account, known or not, before it is refused.
    pub failures_per_account: u32,
    /// Failures from one address before it is refused.
    pub failures_per_address: u32,
    /// Length of the window, in seconds.
    pub window_seconds: u32,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            failures_per_account: 10,
            failures_per_address: 50,
            window_seconds: 15 * 60,
        }
    }
}

/// The device flow (RFC 8628).
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceConfig {
    /// Life of a device code, in seconds.
    pub code_seconds: u32,
    /// Least pause between two polls, in seconds; a faster client is told `slow-down`.
    pub interval_seconds: u32,
    /// Life of the browser's sign-in on the device page, in seconds.
    pub page_session_seconds: u32,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        Self {
            code_seconds: 15 * 60,
            interval_seconds: device::INTERVAL_SECONDS,
            page_session_seconds: 15 * 60,
        }
    }
}

/// One OpenID Connect provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// What the sign-in button says.
    #[serde(default = "OidcConfig::default_name")]
    pub name: String,
    /// The provider's issuer, exactly as its discovery document spells it.
    pub issuer: String,
    /// This hub's client id at the provider.
    pub client_id: String,
    /// This hub's client secret; unset for a public client.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// Scopes asked for, besides `openid`.
    #[serde(default = "OidcConfig::default_scopes")]
    pub scopes: Vec<String>,
    /// The claim that the username is made from.
    #[serde(default = "OidcConfig::default_username_claim")]
    pub username_claim: String,
    /// The claim that lists the user's groups.
    #[serde(default = "OidcConfig::default_groups_claim")]
    pub groups_claim: String,
    /// If not empty, the user's verified e-mail address must be in one of these domains.
    #[serde(default)]
    pub allowed_domains: Vec<String>,
    /// If not empty, the user must be in one of these groups.
    #[serde(default)]
    pub allowed_groups: Vec<String>,
    /// Role by group; the highest one that applies wins. If this is not empty, the provider
    /// decides on roles: they are written anew at every sign-in. If it is empty, the hub's
    /// administrators decide.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
    /// Role of a new account, and of one none of whose groups is in `roles`.
    #[serde(default = "OidcConfig::default_role")]
    pub default_role: Role,
    /// Whether an unknown user gets an account at first sign-in.
    #[serde(default = "OidcConfig::default_create_accounts")]
    pub create_accounts: bool,
    /// Tolerated difference between this clock and the provider's, in seconds.
    #[serde(default = "OidcConfig::default_clock_skew_seconds")]
    pub clock_skew_seconds: u32,
}

impl OidcConfig {
    fn default_name() -> String {
        "single sign-on".to_owned()
    }
    fn default_scopes() -> Vec<String> {
        vec!["profile".to_owned(), "email".to_owned()]
    }
    fn default_username_claim() -> String {
        "preferred_username".to_owned()
    }
    fn default_groups_claim() -> String {
        "groups".to_owned()
    }
    fn default_role() -> Role {
        Role::Publisher
    }
    fn default_create_accounts() -> bool {
        true
    }
    fn default_clock_skew_seconds() -> u32 {
        60
    }
}
