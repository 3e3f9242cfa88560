//! Points in time between OpenPGP's whole seconds in 32 bits and [`jiff::Timestamp`].

use jiff::{SignedDuration, Timestamp};

/// How far a signer's clock may be ahead of ours.
pub(crate) const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// OpenPGP's time for `time`, rounded down; `None` before 1970 and after 2106.
pub(crate) fn to_pgp(time: Timestamp) -> Option<pgp::types::Timestamp> {
    u32::try_from(time.as_second())
        .ok()
        .map(pgp::types::Timestamp::from_secs)
}

pub(crate) fn from_pgp(time: pgp::types::Timestamp) -> Timestamp {
    at_second(i64::from(time.as_secs()))
}

/// `duration` after `time`; `None` if the duration is zero, which OpenPGP uses for "never".
pub(crate) fn after(
    time: pgp::types::Timestamp,
    duration: pgp::types::Duration,
) -> Option<Timestamp> {
    (duration.as_secs() != 0)
        .then(|| at_second(i64::from(time.as_secs()) + i64::from(duration.as_secs())))
}

fn at_second(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("the sum of two 32-bit numbers lies before the year 2243")
}

/// Whether `time` lies further ahead of `now` than clocks may differ.
pub(crate) fn is_future(time: Timestamp, now: Timestamp) -> bool {
    time.duration_since(now) > CLOCK_TOLERANCE
}

/// The day, for messages.
pub(crate) fn day(time: &Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
