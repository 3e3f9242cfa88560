//! Sign-in through an OpenID Connect provider: authorization code with PKCE (OpenID Connect Core
//! 1.0 §3.1, RFC 7636, RFC 9700). The hub is a relying party; it keeps no token of the provider.
//!
//! `provider.rs` speaks to the provider, `id_token.rs` judges what it says, `policy.rs` decides
//! who may come in and as what; `account.rs` finds or makes the account; `login.rs` and
//! `callback.rs` are the two URLs.

mod account;
mod http;
mod id_token;
mod policy;
mod provider;
mod return_to;

pub mod callback;
pub mod login;

pub(super) use provider::OidcClient;
pub use provider::OidcStartError;
