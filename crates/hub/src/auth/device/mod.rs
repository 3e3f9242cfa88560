//! The device flow (RFC 8628), with the hub as the authorization server: a program without a
//! browser gets a code, its user approves it on the [device page](super::pages), the program
//! polls until it gets tokens. The rules are `hub_model::device`.

mod user_code;

pub mod authorize;
pub mod poll;

pub(super) use user_code::UserCode;
