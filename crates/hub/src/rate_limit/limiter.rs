//! Puts the local and the shared limiter behind one question.

use std::sync::Arc;
use std::time::Duration;

use hub_model::Clock;

use super::class::Class;
use super::client::Client;
use super::config::RateLimitConfig;
use super::gcra::{Decision, Rate};
use super::local::LocalLimiter;
use super::shared::SharedLimiter;

/// Decides whether a client may send one more request.
pub struct RateLimiter {
    config: RateLimitConfig,
    local: LocalLimiter<(Class, Client)>,
    shared: Option<SharedLimiter>,
    clock: Arc<dyn Clock>,
}

/// The limiter's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RateLimitError {
    /// `rate_limit.redis_url` is not an address that Redis clients understand. The address is
    /// not shown, as it may hold a password.
    #[error("`rate_limit.redis_url` is not a redis:// address")]
    RedisUrl,
}

impl RateLimiter {
    /// Builds the limiter. With `redis_url` it must be called within a Tokio runtime.
    pub fn new(config: RateLimitConfig, clock: Arc<dyn Clock>) -> Result<Self, RateLimitError> {
        let timeout = Duration::from_millis(config.redis_timeout_ms);
        let shared = config
            .redis_url
            .as_ref()
            .map(|url| SharedLimiter::new(url.expose(), timeout))
            .transpose()
            .map_err(|_| RateLimitError::RedisUrl)?;
        Ok(Self {
            config,
            local: LocalLimiter::new((Class::Read, Client::Unknown)),
            shared,
            clock,
        })
    }

    /// The configuration in force.
    pub fn config(&self) -> &RateLimitConfig {
        &self.config
    }

    /// Decides on one request and counts it if it may pass.
    pub async fn check(&self, class: Class, client: Client) -> (Rate, Decision) {
        let rate = Rate::from(self.config.quota(class));
        let now_us = u64::try_from(self.clock.now().as_microsecond()).unwrap_or(0);
        if let Some(shared) = &self.shared
            && let Ok(decision) = shared.check(class, client, rate, now_us).await
        {
            return (rate, decision);
        }
        (rate, self.local.check((class, client), rate, now_us))
    }
}
