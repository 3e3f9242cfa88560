//! The `[invoke]` part of `hub.toml`, with its defaults.

use std::time::Duration;

use serde::Deserialize;

/// Bounds on running skills through the gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InvokeConfig {
    /// Largest body of a request, in bytes. 1 MiB.
    pub input_bytes_max: usize,
    /// Largest output that is kept, in bytes; a skill that writes more has failed. 1 MiB.
    pub output_bytes_max: usize,
    /// How long an invocation may take if its caller does not say.
    pub timeout_seconds_default: u64,
    /// The most that a caller may ask for.
    pub timeout_seconds_max: u64,
    /// Invocations that this process runs at the same time; each holds its input and its output in memory, so 64 of
    /// them stay under 128 MiB.
    pub concurrent_max: usize,
    /// Invocations that wait in this process for their turn. They hold no input.
    pub queued_max: usize,
    /// Callers that listen to events at the same time.
    pub streams_max: usize,
    /// Progress that is held for those who listen, per invocation, in bytes.
    pub progress_bytes_max: usize,
    /// How often a silent stream of events gets a comment, so that proxies do not cut it.
    pub keep_alive_seconds: u64,
    /// How long an invocation and its output are kept after its end; as long its idempotency key counts.
    pub kept_hours: u32,
    /// After how long without a sign of life of its process an invocation is handed over again.
    pub lease_seconds: u32,
    /// How often one invocation is handed over before it is given up.
    pub attempts_max: u32,
}

impl Default for InvokeConfig {
    fn default() -> Self {
        Self {
            input_bytes_max: 1024 * 1024,
            output_bytes_max: 1024 * 1024,
            timeout_seconds_default: 30,
            timeout_seconds_max: 300,
            concurrent_max: 64,
            queued_max: 1_000,
            streams_max: 256,
            progress_bytes_max: 256 * 1024,
            keep_alive_seconds: 15,
            kept_hours: 24,
            lease_seconds: 30,
            attempts_max: 5,
        }
    }
}

impl InvokeConfig {
    /// The first value with which nothing could work, and why.
    pub(crate) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let at_least_one = [
            (
                "invoke.timeout_seconds_default",
                self.timeout_seconds_default,
            ),
            ("invoke.concurrent_max", self.concurrent_max as u64),
            ("invoke.keep_alive_seconds", self.keep_alive_seconds),
            ("invoke.kept_hours", u64::from(self.kept_hours)),
            ("invoke.attempts_max", u64::from(self.attempts_max)),
        ];
        let zero = at_least_one.into_iter().find(|(_, value)| *value == 0);
        if let Some((field, _)) = zero {
            return Some((field, "must be at least 1"));
        }
        if self.timeout_seconds_max < self.timeout_seconds_default {
            let problem = "must not be below invoke.timeout_seconds_default";
            return Some(("invoke.timeout_seconds_max", problem));
        }
        if self.timeout_seconds_max > DAY_SECONDS {
            return Some(("invoke.timeout_seconds_max", "must be at most 86400"));
        }
        if self.lease_seconds < LEASE_SECONDS_MIN {
            return Some(("invoke.lease_seconds", "must be at least 6"));
        }
        None
    }

    pub(crate) fn timeout_default(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds_default)
    }

    pub(crate) fn lease(&self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_secs(i64::from(self.lease_seconds))
    }

    /// Three chances to extend a lease before it lapses.
    pub(crate) fn lease_interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.lease_seconds)) / 3
    }
}

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Shorter ones would lapse while a busy database takes its time.
const LEASE_SECONDS_MIN: u32 = 6;
