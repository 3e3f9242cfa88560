//! API tokens for machines: scoped, limited to skills, expiring, revocable. One file per
//! endpoint; beside them the token's text, its verification, and what it may hand on.

mod narrowing;
mod text;
mod verify;

pub mod create;
pub mod list;
pub mod revoke;

pub(super) use text::{ApiTokenText, hash_of};
pub(super) use verify::ApiTokenCache;
