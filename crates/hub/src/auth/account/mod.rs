//! One's own account: making one, signing in to it, looking at it, changing its password. One
//! file per endpoint.

pub mod change_password;
pub mod login;
pub mod me;
pub mod register;
pub mod settings;
pub mod view;
