//! The device authorization grant (RFC 8628): what a poll is answered, and what a person may do with a user code.
//!
//! ```text
//! pending ──approve──► approved ──poll──► redeemed
//!    └─────deny──────► denied                         any of them, too late: expired
//! ```

use jiff::{SignedDuration, Timestamp};
use skill_format::{Explain, Fault};

use crate::accounts::{DeviceCode, DeviceState};
use crate::ids::UserId;

/// Seconds between two polls to begin with (RFC 8628 §3.2).
pub const INTERVAL_SECONDS: u32 = 5;
/// What each `slow_down` adds to the interval (RFC 8628 §3.5).
pub const SLOW_DOWN_SECONDS: u32 = 5;
/// The interval stops growing here.
pub const INTERVAL_SECONDS_MAX: u32 = 60;
/// How long a code can be approved.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(15);

/// The answer to a poll (RFC 8628 §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    AuthorizationPending,
    /// The interval has grown to this many seconds.
    SlowDown {
        interval_seconds: u32,
    },
    /// Hand out tokens for this user, once.
    Approved(UserId),
    AccessDenied,
    ExpiredToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceRefused {
    #[error("this code has expired")]
    Expired,
    #[error("this code was answered already")]
    Answered,
}

/// Answers a poll. The returned code is to be stored in the same transaction.
pub fn poll(code: &DeviceCode, now: Timestamp) -> (Poll, DeviceCode) {
    let mut after = code.clone();
    after.last_polled_at = Some(now);
    let answer = match code.state {
        // The device code is spent; a copy of it is worth nothing.
        DeviceState::Redeemed => Poll::ExpiredToken,
        _ if code.expires_at <= now => Poll::ExpiredToken,
        DeviceState::Denied => Poll::AccessDenied,
        DeviceState::Approved => match code.user_id {
            Some(user) => {
                after.state = DeviceState::Redeemed;
                Poll::Approved(user)
            }
            None => Poll::AccessDenied,
        },
        DeviceState::Pending if too_soon(code, now) => {
            after.interval_seconds =
                (code.interval_seconds + SLOW_DOWN_SECONDS).min(INTERVAL_SECONDS_MAX);
            Poll::SlowDown {
                interval_seconds: after.interval_seconds,
            }
        }
        DeviceState::Pending => Poll::AuthorizationPending,
    };
    (answer, after)
}

/// A client's timer and the network are not exact: a tenth of the interval is let pass.
fn too_soon(code: &DeviceCode, now: Timestamp) -> bool {
    let least = SignedDuration::from_millis(i64::from(code.interval_seconds) * 900);
    code.last_polled_at
        .is_some_and(|last| now.duration_since(last) < least)
}

/// `user` approves the code.
pub fn approve(
    code: &DeviceCode,
    user: UserId,
    now: Timestamp,
) -> Result<DeviceCode, DeviceRefused> {
    answer(code, DeviceState::Approved, Some(user), now)
}

/// Somebody who has the user code says no.
pub fn deny(code: &DeviceCode, now: Timestamp) -> Result<DeviceCode, DeviceRefused> {
    answer(code, DeviceState::Denied, None, now)
}

fn answer(
    code: &DeviceCode,
    state: DeviceState,
    user_id: Option<UserId>,
    now: Timestamp,
) -> Result<DeviceCode, DeviceRefused> {
    if code.expires_at <= now {
        return Err(DeviceRefused::Expired);
    }
    if code.state != DeviceState::Pending {
        return Err(DeviceRefused::Answered);
    }
    Ok(DeviceCode {
        state,
        user_id,
        ..code.clone()
    })
}

impl Explain for DeviceRefused {
    fn code(&self) -> &'static str {
        match self {
            Self::Expired => "expired-code",
            Self::Answered => "code-already-answered",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Conflict
    }

    fn help(&self) -> Option<String> {
        Some("start again with `skills login`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::SecretHash;
    use crate::ids::TenantId;
    use proptest::prelude::*;

    const EXPIRES: i64 = 900;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn alice() -> UserId {
        "00000000-0000-7000-8000-000000000001"
            .parse()
            .expect("an id")
    }

    fn fresh() -> DeviceCode {
        DeviceCode {
            id: "00000000-0000-7000-8000-000000000002"
                .parse()
                .expect("an id"),
            tenant: TenantId::DEFAULT,
            hash: SecretHash::new("00"),
            user_code: "BCDF-GHJK".into(),
            client_name: "skills".into(),
            state: DeviceState::Pending,
            user_id: None,
            interval_seconds: INTERVAL_SECONDS,
            created_at: at(0),
            expires_at: at(EXPIRES),
            last_polled_at: None,
        }
    }

    #[test]
    fn approval_is_handed_out_exactly_once() {
        let code = approve(&fresh(), alice(), at(10)).expect("approved");
        let (first, code) = poll(&code, at(11));
        assert_eq!(first, Poll::Approved(alice()));
        assert_eq!(code.state, DeviceState::Redeemed);
        let (second, _) = poll(&code, at(20));
        assert_eq!(second, Poll::ExpiredToken);
    }

    #[test]
    fn denial_is_told() {
        let code = deny(&fresh(), at(10)).expect("denied");
        assert_eq!(poll(&code, at(11)).0, Poll::AccessDenied);
    }

    #[test]
    fn every_state_expires() {
        for state in DeviceState::ALL {
            let code = DeviceCode {
                state,
                user_id: Some(alice()),
                ..fresh()
            };
            assert_eq!(poll(&code, at(EXPIRES)).0, Poll::ExpiredToken, "{state:?}");
            assert_eq!(
                approve(&code, alice(), at(EXPIRES)),
                Err(DeviceRefused::Expired)
            );
        }
    }

    #[test]
    fn a_code_is_answered_once() {
        for state in [
            DeviceState::Approved,
            DeviceState::Denied,
            DeviceState::Redeemed,
        ] {
            let code = DeviceCode { state, ..fresh() };
            assert_eq!(
                approve(&code, alice(), at(1)),
                Err(DeviceRefused::Answered),
                "{state:?}"
            );
            assert_eq!(
                deny(&code, at(1)),
                Err(DeviceRefused::Answered),
                "{state:?}"
            );
        }
    }

    #[test]
    fn polling_too_fast_slows_down_by_five_seconds_each_time() {
        let (answer, code) = poll(&fresh(), at(0));
        assert_eq!(answer, Poll::AuthorizationPending);
        let (answer, code) = poll(&code, at(1));
        assert_eq!(
            answer,
            Poll::SlowDown {
                interval_seconds: 10
            }
        );
        let (answer, code) = poll(&code, at(8));
        assert_eq!(
            answer,
            Poll::SlowDown {
                interval_seconds: 15
            }
        );
        let (answer, _) = poll(&code, at(23));
        assert_eq!(answer, Poll::AuthorizationPending);
    }

    #[test]
    fn a_tenth_of_the_interval_is_let_pass() {
        let (_, code) = poll(&fresh(), at(0));
        let now = |millis| Timestamp::from_millisecond(millis).expect("a time");
        assert_eq!(poll(&code, now(4_500)).0, Poll::AuthorizationPending);
        assert!(matches!(poll(&code, now(4_499)).0, Poll::SlowDown { .. }));
    }

    #[test]
    fn a_fast_poller_gets_an_approval_all_the_same() {
        let (_, code) = poll(&fresh(), at(0));
        let code = approve(&code, alice(), at(1)).expect("approved");
        assert_eq!(poll(&code, at(1)).0, Poll::Approved(alice()));
    }

    /// What can happen to a code, and when.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Poll,
        Approve,
        Deny,
    }

    proptest! {
        #[test]
        fn tokens_come_at_most_once_and_only_after_an_approval(
            steps in prop::collection::vec(
                (prop_oneof![Just(Step::Poll), Just(Step::Approve), Just(Step::Deny)], 0_i64..200), 0..30),
        ) {
            let mut code = fresh();
            let (mut now, mut approved_at, mut handed_out) = (0, None, 0);
            for (step, wait) in steps {
                now += wait;
                match step {
                    Step::Poll => {
                        let (answer, after) = poll(&code, at(now));
                        if answer == Poll::Approved(alice()) {
                            handed_out += 1;
                            prop_assert!(approved_at.is_some_and(|then| then <= now) && now < EXPIRES);
                        }
                        prop_assert!(after.interval_seconds >= code.interval_seconds);
                        prop_assert!(after.interval_seconds <= INTERVAL_SECONDS_MAX);
                        code = after;
                    }
                    Step::Approve => {
                        if let Ok(after) = approve(&code, alice(), at(now)) {
                            prop_assert!(approved_at.replace(now).is_none());
                            code = after;
                        }
                    }
                    Step::Deny => {
                        if let Ok(after) = deny(&code, at(now)) {
                            prop_assert!(approved_at.is_none());
                            code = after;
                        }
                    }
                }
            }
            prop_assert!(handed_out <= 1);
        }
    }
}
