//! The generic cell rate algorithm: one timestamp per client says whether a request fits.
//! Pure arithmetic in whole microseconds; `gcra.lua` computes the same.
//!
//! Each request costs `interval`. The stored value is the *theoretical arrival time* (TAT): when
//! the client will have paid for everything it sent. A request fits while the TAT, with this
//! request paid, is at most one `window` ahead of now.

use super::config::Quota;

/// A quota in the algorithm's terms. Times are in microseconds: at 6,000 requests a minute one
/// costs 10 ms, and quotas a thousand times larger must still not round to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Cost of one request, in microseconds; at least 1.
    pub interval_us: u64,
    /// How far ahead of now the TAT may be, in microseconds.
    pub window_us: u64,
    /// Requests in one window.
    pub limit: u32,
    /// Length of the window as configured, in seconds.
    pub window_seconds: u32,
}

impl From<Quota> for Rate {
    fn from(quota: Quota) -> Self {
        let limit = quota.requests.max(1);
        let window_seconds = quota.window_seconds.max(1);
        let interval_us = (u64::from(window_seconds) * 1_000_000 / u64::from(limit)).max(1);
        Self {
            interval_us,
            // A whole number of intervals, so that exactly `limit` requests fit at once.
            window_us: interval_us * u64::from(limit),
            limit,
            window_seconds,
        }
    }
}

/// What the limiter says about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request may pass.
    pub allowed: bool,
    /// Requests that would still pass at this moment.
    pub remaining: u32,
    /// Seconds until the whole quota is there again, rounded up.
    pub reset_seconds: u64,
    /// Seconds until one more request would pass, rounded up; 0 if allowed.
    pub retry_after_seconds: u64,
}

impl Rate {
    /// Decides on one request at `now_us`. Returns the decision and the new TAT to store, or no
    /// TAT when the request is refused (a refused request costs nothing).
    pub fn decide(self, tat_us: Option<u64>, now_us: u64) -> (Decision, Option<u64>) {
        // The upper bound matters when the clock was set back or the quota was lowered: nobody
        // waits longer than one window.
        let paid_until = tat_us
            .unwrap_or(now_us)
            .clamp(now_us, now_us + self.window_us);
        let next = paid_until + self.interval_us;
        let ahead = next - now_us;
        if ahead > self.window_us {
            (self.refused(paid_until - now_us), None)
        } else {
            (self.allowed(ahead), Some(next))
        }
    }

    /// The decision after a request passed and the TAT is `ahead_us` ahead of now.
    pub fn allowed(self, ahead_us: u64) -> Decision {
        Decision {
            allowed: true,
            remaining: self.remaining(ahead_us),
            reset_seconds: ahead_us.div_ceil(1_000_000),
            retry_after_seconds: 0,
        }
    }

    /// The decision when a request did not fit and the TAT stays `ahead_us` ahead of now.
    pub fn refused(self, ahead_us: u64) -> Decision {
        let wait_us = (ahead_us + self.interval_us).saturating_sub(self.window_us);
        Decision {
            allowed: false,
            remaining: 0,
            reset_seconds: ahead_us.div_ceil(1_000_000),
            retry_after_seconds: wait_us.div_ceil(1_000_000).max(1),
        }
    }

    fn remaining(self, ahead_us: u64) -> u32 {
        let free = self.window_us.saturating_sub(ahead_us) / self.interval_us;
        u32::try_from(free).unwrap_or(u32::MAX).min(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(requests: u32, window_seconds: u32) -> Rate {
        Rate::from(Quota {
            requests,
            window_seconds,
        })
    }

    #[test]
    fn the_whole_quota_fits_at_once_and_the_next_request_waits_for_one_interval() {
        let rate = rate(3, 60);
        let mut tat = None;
        for left in [2, 1, 0] {
            let (decision, next) = rate.decide(tat, 1_000);
            assert!(decision.allowed);
            assert_eq!(decision.remaining, left);
            tat = next;
        }
        let (decision, next) = rate.decide(tat, 1_000);
        assert!(!decision.allowed);
        assert_eq!(next, None);
        assert_eq!(decision.retry_after_seconds, 20);
        assert_eq!(decision.reset_seconds, 60);
        assert!(rate.decide(tat, 1_000 + 20_000_000).0.allowed);
    }

    #[test]
    fn a_quota_of_nothing_still_admits_one_request() {
        assert!(rate(0, 0).decide(None, 5).0.allowed);
    }

    #[test]
    fn a_stored_time_far_in_the_past_is_a_full_quota() {
        let (decision, _) = rate(10, 60).decide(Some(1), 10_000_000_000);
        assert_eq!(decision.remaining, 9);
    }

    #[test]
    fn a_clock_set_back_blocks_nobody_for_longer_than_a_window() {
        let rate = rate(10, 60);
        let (decision, _) = rate.decide(Some(9_000_000_000), 1_000);
        assert!(!decision.allowed);
        assert_eq!(decision.reset_seconds, 60);
    }

    proptest! {
        /// Whatever the pattern of arrivals: no more passes than the stored burst
        /// and what is refilled meanwhile, and waiting `Retry-After` helps.
        #[test]
        fn never_admits_more_than_the_quota(
            requests in 1u32..50,
            window in 1u32..100,
            pauses_us in prop::collection::vec(0u64..3_000_000, 1..200),
        ) {
            let rate = rate(requests, window);
            let mut now = 1_000_000u64;
            let start = now;
            let mut tat = None;
            let mut admitted = 0u64;
            for pause in pauses_us {
                now += pause;
                let (decision, next) = rate.decide(tat, now);
                if decision.allowed {
                    admitted += 1;
                    tat = next;
                } else {
                    let later = now + decision.retry_after_seconds * 1_000_000;
                    prop_assert!(rate.decide(tat, later).0.allowed);
                }
            }
            let refilled = (now - start) / rate.interval_us;
            prop_assert!(admitted <= u64::from(requests) + refilled);
        }
    }
}
