//! A clock that a test sets.

use std::sync::atomic::{AtomicI64, Ordering};

use hub_model::Clock;
use jiff::{SignedDuration, Timestamp};

/// Stands still until it is moved. Starts at the real time, in whole
/// milliseconds, so that files and keys made by other programs fit.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows the present.
    #[allow(
        clippy::disallowed_methods,
        reason = "a starting point; it stands still from then on"
    )]
    pub fn at_present() -> Self {
        Self::at(Timestamp::now())
    }

    /// A clock that shows `time`.
    pub fn at(time: Timestamp) -> Self {
        Self(AtomicI64::new(time.as_millisecond()))
    }

    /// Moves the clock forward (or, negative, back).
    pub fn advance(&self, by: SignedDuration) {
        let millis = i64::try_from(by.as_millis()).expect("tests move by less than ages");
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let millis = self.0.load(Ordering::SeqCst);
        Timestamp::from_millisecond(millis).expect("tests stay within the calendar")
    }
}
