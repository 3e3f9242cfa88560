//! Refresh tokens: each is exchanged once for its successor. One that comes a second time was copied, by whoever of
//! the two: the whole family ends (RFC 9700 §4.14.2).

use jiff::Timestamp;
use skill_format::{Explain, Fault};

use crate::accounts::RefreshToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefreshRefused {
    #[error("the session has expired")]
    Expired,
    #[error("the session was ended")]
    Revoked,
    /// The caller must revoke the token's family, and commit that although the request fails.
    #[error("this refresh token was used before; the session was ended")]
    Reused,
}

/// Decides on exchanging `token` for its successor.
pub fn decide(token: &RefreshToken, now: Timestamp) -> Result<(), RefreshRefused> {
    // Reuse is told even of a token that has expired since: the family may live on.
    if token.revoked_at.is_some() {
        Err(RefreshRefused::Revoked)
    } else if token.used_at.is_some() {
        Err(RefreshRefused::Reused)
    } else if token.expires_at <= now {
        Err(RefreshRefused::Expired)
    } else {
        Ok(())
    }
}

impl RefreshRefused {
    /// Whether the token's family is to be revoked.
    pub fn ends_the_family(self) -> bool {
        self == Self::Reused
    }
}

impl Explain for RefreshRefused {
    fn code(&self) -> &'static str {
        match self {
            Self::Expired => "session-expired",
            Self::Revoked => "session-revoked",
            Self::Reused => "refresh-token-reused",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Denied
    }

    fn help(&self) -> Option<String> {
        Some("sign in again with `skills login`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::SecretHash;
    use crate::ids::TenantId;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// Issued at 0, expires at 100.
    fn token(used: bool, revoked: bool) -> RefreshToken {
        let id = "00000000-0000-7000-8000-000000000001";
        RefreshToken {
            id: id.parse().expect("an id"),
            tenant: TenantId::DEFAULT,
            family: id.parse().expect("an id"),
            user_id: id.parse().expect("an id"),
            hash: SecretHash::new("00"),
            issued_at: at(0),
            expires_at: at(100),
            used_at: used.then(|| at(10)),
            revoked_at: revoked.then(|| at(20)),
        }
    }

    #[test]
    fn every_combination() {
        use RefreshRefused::{Expired, Reused, Revoked};
        for (used, revoked, now, expected) in [
            (false, false, 50, Ok(())),
            (false, false, 99, Ok(())),
            (false, false, 100, Err(Expired)),
            (true, false, 50, Err(Reused)),
            (true, false, 100, Err(Reused)),
            (false, true, 50, Err(Revoked)),
            (false, true, 100, Err(Revoked)),
            (true, true, 50, Err(Revoked)),
            (true, true, 100, Err(Revoked)),
        ] {
            let decision = decide(&token(used, revoked), at(now));
            assert_eq!(
                decision, expected,
                "used {used}, revoked {revoked}, at {now}"
            );
            assert_eq!(
                decision.is_err_and(RefreshRefused::ends_the_family),
                expected == Err(Reused)
            );
        }
    }
}
