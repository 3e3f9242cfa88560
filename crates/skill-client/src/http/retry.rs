//! When to try again, and how long to wait before.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::error::shown;
use super::{HttpError, Reply, Request};

/// Tries after one that ran into a time-out: whoever waits has waited for long already.
const TIME_OUT_RETRIES_MAX: u32 = 1;

/// Exponential backoff with full jitter, bounded in number and time.
#[derive(Clone)]
pub struct RetryPolicy {
    /// Tries after the first.
    pub retries_max: u32,
    /// Upper bound of the first wait; doubles with every further one.
    pub base: Duration,
    /// Longest wait, also where the server asks for one.
    pub wait_max: Duration,
    /// From 0 to 1: which part of the bound to wait.
    pub jitter: Arc<dyn Fn() -> f64 + Send + Sync>,
}

impl Default for RetryPolicy {
    /// Waits of at most 0.25, 0.5 and 1 s; up to 30 s where the server names a time.
    fn default() -> Self {
        Self {
            retries_max: 3,
            base: Duration::from_millis(250),
            wait_max: Duration::from_secs(30),
            jitter: Arc::new(random_fraction),
        }
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RetryPolicy({} × {:?}, at most {:?})",
            self.retries_max, self.base, self.wait_max
        )
    }
}

/// The standard library seeds each of these anew: random enough to keep clients apart.
fn random_fraction() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}

impl RetryPolicy {
    /// How long to wait before trying again; `None` to take `result` as it is. An error if the
    /// server asks for more time than [`RetryPolicy::wait_max`].
    pub(super) fn wait_after(
        &self,
        attempt: u32,
        request: &Request,
        result: &Result<Reply, HttpError>,
        now: Timestamp,
    ) -> Result<Option<Duration>, HttpError> {
        match result {
            Ok(reply) => {
                self.wait_after_answer(attempt, request, (reply.status, &reply.headers), now)
            }
            Err(HttpError::TimedOut { .. }) if attempt >= TIME_OUT_RETRIES_MAX => Ok(None),
            Err(error) if request.idempotent && error.is_passing() => {
                Ok(self.wait_after_failure(attempt))
            }
            Err(_) => Ok(None),
        }
    }

    /// The same for an answer of which only the head was read.
    pub(crate) fn wait_after_answer(
        &self,
        attempt: u32,
        request: &Request,
        (status, headers): (StatusCode, &HeaderMap),
        now: Timestamp,
    ) -> Result<Option<Duration>, HttpError> {
        if !asks_again(request, status, headers) {
            return Ok(None);
        }
        let asked = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| parse_retry_after(text, now));
        if let Some(retry_after) = asked.filter(|asked| *asked > self.wait_max) {
            return Err(HttpError::Busy {
                url: shown(&request.url),
                retry_after,
            });
        }
        Ok(self
            .wait_after_failure(attempt)
            .map(|wait| wait.max(asked.unwrap_or_default())))
    }

    /// The wait after a failure that may pass; `None` when it was the last try.
    pub(crate) fn wait_after_failure(&self, attempt: u32) -> Option<Duration> {
        (attempt < self.retries_max).then(|| self.backoff(attempt))
    }

    fn backoff(&self, attempt: u32) -> Duration {
        let bound = self
            .base
            .saturating_mul(2_u32.saturating_pow(attempt))
            .min(self.wait_max);
        bound.mul_f64((self.jitter)().clamp(0.0, 1.0))
    }
}

/// 429 says that nothing was done; after the others something may have been, so that only an
/// idempotent request is sent again. 409 with a time is a twin of this request under way.
fn asks_again(request: &Request, status: StatusCode, headers: &HeaderMap) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            request.idempotent
        }
        StatusCode::CONFLICT => request.idempotent && headers.contains_key(RETRY_AFTER),
        _ => false,
    }
}

/// Seconds, or the time of day at which to come back (RFC 9110, section 10.2.3).
fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            jitter: Arc::new(|| 1.0),
            ..RetryPolicy::default()
        }
    }

    fn reply(status: u16, retry_after: Option<&str>) -> Result<Reply, HttpError> {
        let mut headers = HeaderMap::new();
        if let Some(text) = retry_after {
            headers.insert(RETRY_AFTER, text.parse().expect("a header"));
        }
        let url = "https://example.org".parse().expect("a URL");
        Ok(Reply {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: "".into(),
            url,
        })
    }

    fn get() -> Request {
        Request::get("https://example.org".parse().expect("a URL"))
    }

    fn post() -> Request {
        Request::new(
            reqwest::Method::POST,
            "https://example.org".parse().expect("a URL"),
        )
    }

    fn wait(
        attempt: u32,
        request: &Request,
        result: &Result<Reply, HttpError>,
    ) -> Option<Duration> {
        policy()
            .wait_after(attempt, request, result, Timestamp::UNIX_EPOCH)
            .expect("patience")
    }

    #[test]
    fn waits_double_and_then_end() {
        let waits: Vec<_> = (0..4)
            .map(|attempt| wait(attempt, &get(), &reply(503, None)))
            .collect();
        let millis = |millis| Some(Duration::from_millis(millis));
        assert_eq!(waits, [millis(250), millis(500), millis(1000), None]);
    }

    #[test]
    fn a_server_that_names_a_time_is_believed_up_to_a_bound() {
        assert_eq!(
            wait(0, &post(), &reply(429, Some("7"))),
            Some(Duration::from_secs(7))
        );
        let patient = reply(429, Some("3600"));
        let error = policy()
            .wait_after(0, &get(), &patient, Timestamp::UNIX_EPOCH)
            .expect_err("too long");
        assert!(
            matches!(error, HttpError::Busy { retry_after, .. } if retry_after.as_secs() == 3600)
        );
    }

    #[test]
    fn what_may_have_been_done_is_repeated_only_if_that_does_no_harm() {
        assert_eq!(wait(0, &post(), &reply(503, None)), None);
        assert_eq!(wait(0, &get(), &reply(500, None)), None);
        assert_eq!(wait(0, &get(), &reply(404, None)), None);
        assert_eq!(wait(0, &get(), &reply(409, None)), None);
        let mut twin = post();
        twin.idempotent = true;
        assert_eq!(
            wait(0, &twin, &reply(409, Some("2"))),
            Some(Duration::from_secs(2))
        );
    }

    #[test]
    fn a_date_counts_from_now() {
        let now = Timestamp::from_second(784_111_777 - 10).expect("in range");
        let wait = |text| parse_retry_after(text, now);
        assert_eq!(
            wait("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::from_secs(10))
        );
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn jitter_is_a_fraction_and_varies() {
        let fractions: Vec<f64> = (0..16).map(|_| random_fraction()).collect();
        assert!(
            fractions
                .iter()
                .all(|fraction| (0.0..1.0).contains(fraction))
        );
        assert!(fractions.iter().any(|fraction| *fraction != fractions[0]));
    }
}
