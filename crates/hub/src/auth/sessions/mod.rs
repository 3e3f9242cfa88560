//! Sessions: what a sign-in begins, a refresh continues, and a logout, a reused refresh token, a
//! new password or a disabled account ends.
//!
//! A session is a family of refresh tokens (RFC 9700 §4.14.2): each is used once and replaced by
//! its successor. Access tokens name the session, and are good only while it is.

pub mod begin;
mod check;
pub mod end;
pub mod refresh;

pub use begin::SessionTokens;
pub(super) use check::SessionCache;
