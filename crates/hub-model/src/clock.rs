//! The clock, passed in wherever time matters, so that tests choose it.

use jiff::Timestamp;

/// Tells the time in whole milliseconds: what is stored is what was told, so a record reads back equal.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everyone else takes"
    )]
    fn now(&self) -> Timestamp {
        whole_milliseconds(Timestamp::now())
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// Cuts what a millisecond column cannot hold.
pub fn whole_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// The UTC calendar day of `time`, as days since 1970-01-01. Download counts are kept per such day.
pub fn day_of(time: Timestamp) -> i64 {
    const MILLIS_PER_DAY: i64 = 24 * 60 * 60 * 1000;
    time.as_millisecond().div_euclid(MILLIS_PER_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_clock_tells_whole_milliseconds() {
        let now = SystemClock.now();
        assert_eq!(
            Timestamp::from_millisecond(now.as_millisecond()).ok(),
            Some(now)
        );
    }

    #[test]
    fn days_turn_at_midnight_utc() {
        let day = |text: &str| day_of(text.parse().expect("a time"));
        assert_eq!(day("1970-01-01T00:00:00Z"), 0);
        assert_eq!(day("1970-01-01T23:59:59.999Z"), 0);
        assert_eq!(day("1970-01-02T00:00:00Z"), 1);
        assert_eq!(day("1969-12-31T23:59:59.999Z"), -1);
        assert_eq!(day("2026-11-21T12:00:00Z"), 20_778);
    }
}
