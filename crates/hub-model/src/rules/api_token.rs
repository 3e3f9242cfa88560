//! API tokens: what may be granted, and whether one still holds.

use jiff::{SignedDuration, Timestamp};
use skill_format::{Explain, Fault, Place};

use crate::access::{Grant, ScopeSet};
use crate::accounts::{ApiToken, UserRecord};
use crate::name_pattern::NamePattern;

/// Characters of a token's name.
pub const NAME_CHARS_MAX: usize = 100;
pub const PATTERNS_MAX: usize = 50;
/// A token lives at most a year.
pub const DAYS_MAX: u32 = 366;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    #[error("a token's name has 1 to {NAME_CHARS_MAX} characters and no control characters")]
    Name,
    #[error("a token has at least one scope")]
    NoScope,
    #[error("a token cannot be given more than its maker has: {}", .beyond)]
    Beyond { beyond: ScopeSet },
    #[error("a token names at most {PATTERNS_MAX} skill patterns, and at least one if any")]
    Patterns,
    #[error("a token lives 1 to {DAYS_MAX} days")]
    Days,
}

/// What a new token is asked to allow.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    pub name: &'a str,
    pub scopes: ScopeSet,
    pub skills: Option<&'a [NamePattern]>,
    /// `None`: until it is revoked.
    pub days: Option<u32>,
}

/// Checks a wish for a token against what its maker may do; the time at which it expires.
pub fn check(
    wanted: &Wanted<'_>,
    maker: &Grant,
    now: Timestamp,
) -> Result<Option<Timestamp>, InvalidToken> {
    let length = wanted.name.chars().count();
    if !(1..=NAME_CHARS_MAX).contains(&length) || wanted.name.chars().any(char::is_control) {
        return Err(InvalidToken::Name);
    }
    if wanted.scopes.is_empty() {
        return Err(InvalidToken::NoScope);
    }
    let allowed = maker.effective_scopes();
    if !wanted.scopes.is_subset_of(allowed) {
        let beyond = wanted
            .scopes
            .iter()
            .filter(|scope| !allowed.contains(*scope))
            .collect();
        return Err(InvalidToken::Beyond { beyond });
    }
    if wanted
        .skills
        .is_some_and(|patterns| patterns.is_empty() || patterns.len() > PATTERNS_MAX)
    {
        return Err(InvalidToken::Patterns);
    }
    match wanted.days {
        None => Ok(None),
        Some(days @ 1..=DAYS_MAX) => {
            Ok(Some(now + SignedDuration::from_hours(24 * i64::from(days))))
        }
        Some(_) => Err(InvalidToken::Days),
    }
}

/// Why a token does not open anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    #[error("the token was revoked")]
    Revoked,
    #[error("the token has expired")]
    Expired,
    #[error("the account is disabled")]
    AccountDisabled,
}

/// What a request with this token may do.
pub fn admit(token: &ApiToken, user: &UserRecord, now: Timestamp) -> Result<Grant, TokenRefused> {
    if user.disabled {
        Err(TokenRefused::AccountDisabled)
    } else if token.revoked_at.is_some() {
        Err(TokenRefused::Revoked)
    } else if token.expires_at.is_some_and(|end| end <= now) {
        Err(TokenRefused::Expired)
    } else {
        Ok(token.grant(user.role))
    }
}

impl Explain for InvalidToken {
    fn code(&self) -> &'static str {
        match self {
            Self::Beyond { .. } => "scope-not-allowed",
            Self::Name | Self::NoScope | Self::Patterns | Self::Days => "invalid-token-request",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Beyond { .. } => Fault::Denied,
            Self::Name | Self::NoScope | Self::Patterns | Self::Days => Fault::BadInput,
        }
    }

    fn place(&self) -> Option<Place> {
        let field = match self {
            Self::Name => "name",
            Self::NoScope | Self::Beyond { .. } => "scopes",
            Self::Patterns => "skills",
            Self::Days => "expiresInDays",
        };
        Some(Place {
            field: Some(field.into()),
            ..Place::default()
        })
    }
}

impl Explain for TokenRefused {
    fn code(&self) -> &'static str {
        match self {
            Self::Revoked => "token-revoked",
            Self::Expired => "token-expired",
            Self::AccountDisabled => "account-disabled",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Denied
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Role, Scope};
    use crate::accounts::SecretHash;
    use crate::ids::TenantId;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn user(role: Role, disabled: bool) -> UserRecord {
        UserRecord {
            id: "00000000-0000-7000-8000-000000000001"
                .parse()
                .expect("an id"),
            tenant: TenantId::DEFAULT,
            username: "alice".into(),
            email: None,
            password: None,
            role,
            disabled,
            created_at: at(0),
            updated_at: at(0),
        }
    }

    fn token(expires: Option<i64>, revoked: bool) -> ApiToken {
        ApiToken {
            id: "00000000-0000-7000-8000-000000000002"
                .parse()
                .expect("an id"),
            tenant: TenantId::DEFAULT,
            user_id: user(Role::Publisher, false).id,
            name: "ci".into(),
            hash: SecretHash::new("00"),
            scopes: ScopeSet::of(&[Scope::Read, Scope::Publish]),
            skills: None,
            created_at: at(0),
            expires_at: expires.map(at),
            last_used_at: None,
            revoked_at: revoked.then(|| at(5)),
        }
    }

    fn wanted(scopes: &[Scope]) -> Wanted<'static> {
        Wanted {
            name: "ci",
            scopes: ScopeSet::of(scopes),
            skills: None,
            days: Some(30),
        }
    }

    #[test]
    fn admits_until_the_end_and_not_after() {
        let alice = user(Role::Publisher, false);
        for (expires, revoked, now, expected) in [
            (None, false, 1_000_000, Ok(())),
            (Some(100), false, 99, Ok(())),
            (Some(100), false, 100, Err(TokenRefused::Expired)),
            (None, true, 10, Err(TokenRefused::Revoked)),
            (Some(100), true, 200, Err(TokenRefused::Revoked)),
        ] {
            assert_eq!(
                admit(&token(expires, revoked), &alice, at(now)).map(|_| ()),
                expected
            );
        }
        let disabled = user(Role::Publisher, true);
        assert_eq!(
            admit(&token(None, false), &disabled, at(1)),
            Err(TokenRefused::AccountDisabled)
        );
    }

    #[test]
    fn a_token_loses_what_its_user_lost() {
        let demoted = user(Role::Reader, false);
        let grant = admit(&token(None, false), &demoted, at(1)).expect("admitted");
        assert_eq!(grant.effective_scopes(), ScopeSet::of(&[Scope::Read]));
        assert!(grant.require(Scope::Publish).is_err());
    }

    #[test]
    fn a_token_cannot_exceed_its_maker() {
        let publisher = Grant::full(Role::Publisher);
        assert!(check(&wanted(&[Scope::Publish]), &publisher, at(0)).is_ok());
        let refused = check(&wanted(&[Scope::Read, Scope::Admin]), &publisher, at(0));
        assert_eq!(
            refused,
            Err(InvalidToken::Beyond {
                beyond: ScopeSet::of(&[Scope::Admin])
            })
        );
        // Nor a token made with a narrower token.
        let narrow = Grant {
            scopes: ScopeSet::of(&[Scope::Read]),
            ..publisher
        };
        assert!(check(&wanted(&[Scope::Publish]), &narrow, at(0)).is_err());
    }

    #[test]
    fn bounds() {
        let publisher = Grant::full(Role::Publisher);
        let pattern: NamePattern = "acme-*".parse().expect("a pattern");
        let many = vec![pattern; PATTERNS_MAX + 1];
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        let base = || wanted(&[Scope::Read]);
        for (wish, expected) in [
            (Wanted { name: "", ..base() }, InvalidToken::Name),
            (
                Wanted {
                    name: &long,
                    ..base()
                },
                InvalidToken::Name,
            ),
            (
                Wanted {
                    name: "a\nb",
                    ..base()
                },
                InvalidToken::Name,
            ),
            (wanted(&[]), InvalidToken::NoScope),
            (
                Wanted {
                    skills: Some(&[]),
                    ..base()
                },
                InvalidToken::Patterns,
            ),
            (
                Wanted {
                    skills: Some(&many),
                    ..base()
                },
                InvalidToken::Patterns,
            ),
            (
                Wanted {
                    days: Some(0),
                    ..base()
                },
                InvalidToken::Days,
            ),
            (
                Wanted {
                    days: Some(DAYS_MAX + 1),
                    ..base()
                },
                InvalidToken::Days,
            ),
        ] {
            assert_eq!(check(&wish, &publisher, at(0)), Err(expected));
        }
        assert_eq!(check(&base(), &publisher, at(0)), Ok(Some(at(30 * 86_400))));
        assert_eq!(
            check(
                &Wanted {
                    days: None,
                    ..base()
                },
                &publisher,
                at(0)
            ),
            Ok(None)
        );
    }
}
