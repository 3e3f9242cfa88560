//! Times, keys and statements that tests share.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use skill_signing::{SecretKey, Statement};

pub const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The time at which tests happen, for us and for gpg.
pub fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a constant")
}

pub fn days_later(days: i32) -> Timestamp {
    now() + DAY * days
}

pub fn statement() -> Statement {
    let name = "csv-analyzer".parse().expect("a constant");
    Statement::about(&name, &"1.2.3".parse().expect("a constant"), b"the archive")
}

/// A key made at [`now`] that does not expire.
pub fn alice() -> SecretKey {
    static KEY: OnceLock<SecretKey> = OnceLock::new();
    KEY.get_or_init(|| generate("alice <alice@example.org>", None))
        .clone()
}

pub fn generate(user_id: &str, valid_for: Option<Duration>) -> SecretKey {
    SecretKey::generate(user_id, valid_for, now(), &mut rand::rng()).expect("a good user id")
}
