//! Limits counted in Redis, so that all replicas share them. Decides nothing when Redis is away:
//! the caller then counts locally.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client as RedisClient, RedisError, Script};

use super::class::Class;
use super::client::Client;
use super::gcra::{Decision, Rate};

/// After a failure Redis is left alone for this long, so that an outage costs one request in a
/// while the time-out and not every request.
const PAUSE_AFTER_FAILURE_US: u64 = 1_000_000;

/// Keyed limiter in Redis.
pub struct SharedLimiter {
    connection: ConnectionManager,
    script: Script,
    timeout: Duration,
    /// Whether the last attempt succeeded; a change is logged.
    up: AtomicBool,
    paused_until_us: AtomicU64,
}

/// Redis gave no answer in time.
#[derive(Debug)]
pub struct Away;

impl SharedLimiter {
    /// Prepares a connection; it is made at the first request, so that the hub starts while
    /// Redis is away. Must be called within a Tokio runtime.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(Some(timeout))
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(RedisClient::open(url)?, config)?;
        Ok(Self {
            connection,
            script: Script::new(include_str!("gcra.lua")),
            timeout,
            up: AtomicBool::new(true),
            paused_until_us: AtomicU64::new(0),
        })
    }

    /// Decides on one request and remembers it. `now_us` only paces attempts; the decision is
    /// made on Redis's clock.
    pub async fn check(
        &self,
        class: Class,
        client: Client,
        rate: Rate,
        now_us: u64,
    ) -> Result<Decision, Away> {
        if now_us < self.paused_until_us.load(Ordering::Relaxed) {
            return Err(Away);
        }
        match tokio::time::timeout(self.timeout, self.ask(class, client, rate)).await {
            Ok(Ok((allowed, ahead_us))) => {
                self.note_up();
                Ok(if allowed {
                    rate.allowed(ahead_us)
                } else {
                    rate.refused(ahead_us)
                })
            }
            Ok(Err(error)) => Err(self.note_down(now_us, &error)),
            Err(elapsed) => Err(self.note_down(now_us, &elapsed)),
        }
    }

    async fn ask(
        &self,
        class: Class,
        client: Client,
        rate: Rate,
    ) -> Result<(bool, u64), RedisError> {
        self.script
            .key(format!("skills:rate:{}:{client}", class.as_str()))
            .arg(rate.interval_us)
            .arg(rate.window_us)
            .invoke_async(&mut self.connection.clone())
            .await
    }

    fn note_up(&self) {
        if !self.up.swap(true, Ordering::Relaxed) {
            metrics::gauge!("hub_rate_limit_redis_up").set(1.0);
            tracing::info!("Redis answers again: rate limits are shared between replicas");
        }
    }

    fn note_down(&self, now_us: u64, error: &(dyn Error + 'static)) -> Away {
        self.paused_until_us
            .store(now_us + PAUSE_AFTER_FAILURE_US, Ordering::Relaxed);
        metrics::counter!("hub_rate_limit_redis_failures_total").increment(1);
        if self.up.swap(false, Ordering::Relaxed) {
            metrics::gauge!("hub_rate_limit_redis_up").set(0.0);
            // A Redis error names the command or the socket, never the URL with its password.
            tracing::warn!(
                error,
                "Redis is away: rate limits are counted by this replica alone"
            );
        }
        Away
    }
}
