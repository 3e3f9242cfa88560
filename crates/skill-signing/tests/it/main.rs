//! Through the public surface: the rules of verification, the keyring, the pins, and real `gpg`.

mod craft;
mod gpg;
mod interop_keys;
mod interop_refusals;
mod interop_sign;
mod keyring;
mod pins;
mod properties;
mod statements;
mod support;
mod verifying;
