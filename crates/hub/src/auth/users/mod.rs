//! Accounts as administrators manage them. One file per endpoint.

pub mod list;
pub mod update;
