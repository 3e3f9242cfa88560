//! Slows down whoever guesses passwords: failed attempts are counted per account and per client
//! address, and further ones refused until the count has drained.
//!
//! An attempt is paid for before the password is checked and refunded when it was right, so that
//! many attempts at once cannot slip through together. The count is this process's own: `n`
//! replicas admit `n` times as many guesses, which changes nothing about passwords that keep to
//! the rules.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use hub_model::Clock;

use super::config::ThrottleConfig;
use crate::rate_limit::{ClientAddress, LocalLimiter, Quota, Rate};

/// Counts failed attempts.
pub struct Throttle {
    limiter: LocalLimiter<Key>,
    per_account: Rate,
    per_address: Rate,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// A keyed hash of the account's name, known or not: names given by strangers would
    /// otherwise fill the memory.
    Account(u64),
    Address(Option<IpAddr>),
    Overflow,
}

/// An attempt that was admitted. Count it as a failure by dropping it.
pub struct Attempt<'a> {
    throttle: &'a Throttle,
    account: Option<Key>,
    address: Key,
}

/// Too many failures; try again in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyFailures {
    pub retry_after_seconds: u64,
}

impl Throttle {
    /// Nothing counted yet.
    pub fn new(config: &ThrottleConfig, clock: Arc<dyn Clock>) -> Self {
        let rate = |requests| {
            Rate::from(Quota {
                requests,
                window_seconds: config.window_seconds,
            })
        };
        Self {
            limiter: LocalLimiter::new(Key::Overflow),
            per_account: rate(config.failures_per_account),
            per_address: rate(config.failures_per_address),
            hasher: RandomState::new(),
            clock,
        }
    }

    /// For tokens and user codes, which a machine may retry stubbornly after they were revoked:
    /// only so many that the database has its peace. They are long enough not to be guessed.
    pub fn for_guesses(clock: Arc<dyn Clock>) -> Self {
        let config = ThrottleConfig {
            failures_per_account: 10,
            failures_per_address: 120,
            window_seconds: 60,
        };
        Self::new(&config, clock)
    }

    /// Admits an attempt on `account` (a user's name, in lower case) from `address`.
    pub fn begin(
        &self,
        account: &str,
        address: ClientAddress,
    ) -> Result<Attempt<'_>, TooManyFailures> {
        let attempt = self.begin_anonymous(address)?;
        let account = Key::Account(self.hasher.hash_one(account));
        // On refusal the attempt is dropped and stays charged to the address.
        self.charge(account, self.per_account)?;
        Ok(Attempt {
            account: Some(account),
            ..attempt
        })
    }

    /// Admits an attempt that names no account, such as a token or a device's user code.
    pub fn begin_anonymous(&self, address: ClientAddress) -> Result<Attempt<'_>, TooManyFailures> {
        let address = Key::Address(address.bucket());
        self.charge(address, self.per_address)?;
        Ok(Attempt {
            throttle: self,
            account: None,
            address,
        })
    }

    fn charge(&self, key: Key, rate: Rate) -> Result<(), TooManyFailures> {
        let now_us = u64::try_from(self.clock.now().as_microsecond()).unwrap_or(0);
        let decision = self.limiter.check(key, rate, now_us);
        if decision.allowed {
            Ok(())
        } else {
            Err(TooManyFailures {
                retry_after_seconds: decision.retry_after_seconds,
            })
        }
    }
}

impl Attempt<'_> {
    /// The attempt was right: it does not count.
    pub fn succeeded(self) {
        let throttle = self.throttle;
        throttle.limiter.refund(self.address, throttle.per_address);
        if let Some(account) = self.account {
            throttle.limiter.refund(account, throttle.per_account);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(1_800_000_000).expect("in range")
        }
    }

    fn throttle() -> Throttle {
        let config = ThrottleConfig {
            failures_per_account: 3,
            failures_per_address: 5,
            window_seconds: 60,
        };
        Throttle::new(&config, Arc::new(Fixed))
    }

    fn address(last: u8) -> ClientAddress {
        ClientAddress(Some(IpAddr::from([192, 0, 2, last])))
    }

    #[test]
    fn failures_on_one_account_block_it_from_every_address() {
        let throttle = throttle();
        for last in 0..3 {
            assert!(throttle.begin("alice", address(last)).is_ok());
        }
        let refused = throttle.begin("alice", address(9)).err();
        assert_eq!(
            refused,
            Some(TooManyFailures {
                retry_after_seconds: 20
            })
        );
        assert!(throttle.begin("bob", address(9)).is_ok());
    }

    #[test]
    fn failures_from_one_address_block_it_for_every_account() {
        let throttle = throttle();
        for account in ["a", "b", "c", "d", "e"] {
            assert!(throttle.begin(account, address(1)).is_ok());
        }
        assert!(throttle.begin("f", address(1)).is_err());
        assert!(throttle.begin("f", address(2)).is_ok());
    }

    #[test]
    fn successes_do_not_count() {
        let throttle = throttle();
        for _ in 0..100 {
            throttle
                .begin("alice", address(1))
                .unwrap_or_else(|_| panic!("admitted"))
                .succeeded();
        }
    }
}
