//! How long to wait after failures. Randomness is passed in.

use std::sync::Arc;
use std::time::Duration;

/// Numbers from 0 up to 1.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// Waits that double from `min` to `max`, each shortened by up to a half, so that many who failed together
/// do not come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            failures: 0,
        }
    }

    /// One more failure: how long to wait now.
    pub fn fail(&mut self, jitter: f64) -> Duration {
        let full = self
            .min
            .saturating_mul(2_u32.saturating_pow(self.failures.min(31)))
            .min(self.max);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }

    /// It worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_jitter_shortens_them() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let waits: Vec<u64> = (0..5).map(|_| backoff.fail(0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        backoff.reset();
        assert_eq!(backoff.fail(1.0), Duration::from_millis(500));
        for _ in 0..100 {
            assert!(backoff.fail(0.5) <= Duration::from_secs(5));
        }
    }
}
