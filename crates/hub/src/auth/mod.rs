//! Who somebody is, and what they may do: accounts, passwords, sessions, API tokens, sign-in
//! through an OpenID provider and for devices, publishers' keys. Knows nothing of skills.
//!
//! The way of a request: `layer::identify` reads its `Authorization` header (`bearer.rs`), turns
//! the credential into a [`Principal`] (`credential.rs`, `sessions/check.rs`,
//! `api_tokens/verify.rs`) and puts it into the extensions; `rate_limit` charges it;
//! `layer::gate` refuses it, or lets it through to a handler that takes `Principal` or
//! [`MaybePrincipal`] and asks it for a scope.
//!
//! | credential | life | where it is kept | revoked by |
//! |---|---|---|---|
//! | access token, a JWT | 15 minutes | nowhere | the end of its session |
//! | refresh token `skr_…` | 30 days, used once | its SHA-256 | logout, reuse, new password, disabling |
//! | API token `skl_…` | up to a year | its SHA-256 | its owner; disabling |
//! | device code `skd_…` | 15 minutes, used once | its SHA-256 | its user |
//! | password | until changed | argon2id | its owner |
//!
//! A revocation counts at once in the process that made it, and after at most
//! `auth.revocation_delay_seconds` in other replicas: see `revocation.rs`.

pub mod account;
pub mod api_tokens;
pub mod device;
pub mod keys;
pub mod oidc;
pub mod pages;
pub mod sessions;
pub mod users;

mod bearer;
mod bootstrap;
mod config;
mod credential;
mod layer;
mod password;
mod principal;
mod random;
mod refusal;
mod revocation;
mod secret;
mod service;
mod signing;
mod throttle;
mod username;

pub use bootstrap::{BootstrapAdmin, BootstrapError};
pub use config::{
    AuthConfig, DeviceConfig, OidcConfig, PasswordConfig, Registration, ThrottleConfig,
};
pub use layer::{gate, identify};
pub use principal::{MaybePrincipal, Principal, Via};
pub use secret::Secret;
pub use service::{AuthParts, AuthService, AuthStartError};
pub use signing::{KeyFileError, SignerError};
