//! Ownership: owners add and remove owners; a skill never loses its last one.

use skill_format::{Explain, Fault};

use crate::catalogue::OwnerRecord;
use crate::ids::UserId;

/// Owners are listed with every skill, so there is a bound to them.
pub const OWNERS_MAX: usize = 50;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnershipRefused {
    #[error("only an owner of this skill may do this")]
    NotAnOwner,
    #[error("a skill has at most {OWNERS_MAX} owners")]
    TooMany,
    #[error("`{username}` is not an owner of this skill")]
    NoSuchOwner { username: String },
    #[error("`{username}` is the last owner of this skill")]
    LastOwner { username: String },
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Actor {
    pub user: UserId,
    /// Administrators act on every skill.
    pub is_admin: bool,
}

/// Whether `actor` may act as an owner: publish is decided elsewhere, but yanking, deleting, deprecating and changing
/// owners ask this.
pub fn may_manage(owners: &[OwnerRecord], actor: Actor) -> Result<(), OwnershipRefused> {
    if actor.is_admin || owners.iter().any(|owner| owner.user_id == actor.user) {
        Ok(())
    } else {
        Err(OwnershipRefused::NotAnOwner)
    }
}

/// Decides on adding `user`; adding an owner again is no error.
pub fn add(owners: &[OwnerRecord], actor: Actor, user: UserId) -> Result<(), OwnershipRefused> {
    may_manage(owners, actor)?;
    let already = owners.iter().any(|owner| owner.user_id == user);
    if !already && owners.len() >= OWNERS_MAX {
        Err(OwnershipRefused::TooMany)
    } else {
        Ok(())
    }
}

/// Decides on removing the owner called `username`.
pub fn remove(
    owners: &[OwnerRecord],
    actor: Actor,
    user: UserId,
    username: &str,
) -> Result<(), OwnershipRefused> {
    may_manage(owners, actor)?;
    if !owners.iter().any(|owner| owner.user_id == user) {
        return Err(OwnershipRefused::NoSuchOwner {
            username: username.to_owned(),
        });
    }
    if owners.len() == 1 {
        return Err(OwnershipRefused::LastOwner {
            username: username.to_owned(),
        });
    }
    Ok(())
}

impl Explain for OwnershipRefused {
    fn code(&self) -> &'static str {
        match self {
            Self::NotAnOwner => "not-an-owner",
            Self::TooMany => "too-many-owners",
            Self::NoSuchOwner { .. } => "owner-not-found",
            Self::LastOwner { .. } => "last-owner",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::NotAnOwner => Fault::Denied,
            Self::TooMany | Self::LastOwner { .. } => Fault::Conflict,
            Self::NoSuchOwner { .. } => Fault::NotFound,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::LastOwner { .. } => Some("add another owner first".to_owned()),
            Self::NotAnOwner | Self::TooMany | Self::NoSuchOwner { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn user(n: u8) -> UserId {
        format!("00000000-0000-7000-8000-0000000000{n:02x}")
            .parse()
            .expect("an id")
    }

    fn owners(count: u8) -> Vec<OwnerRecord> {
        let skill_id = "00000000-0000-7000-8000-000000000000"
            .parse()
            .expect("an id");
        (1..=count)
            .map(|n| OwnerRecord {
                skill_id,
                user_id: user(n),
                username: format!("user-{n}"),
                added_at: Timestamp::UNIX_EPOCH,
            })
            .collect()
    }

    const ADMIN: bool = true;

    fn actor(n: u8, is_admin: bool) -> Actor {
        Actor {
            user: user(n),
            is_admin,
        }
    }

    #[test]
    fn owners_and_administrators_manage_and_nobody_else() {
        assert_eq!(may_manage(&owners(2), actor(1, false)), Ok(()));
        assert_eq!(may_manage(&owners(2), actor(9, ADMIN)), Ok(()));
        assert_eq!(
            may_manage(&owners(2), actor(9, false)),
            Err(OwnershipRefused::NotAnOwner)
        );
        assert_eq!(
            add(&owners(2), actor(9, false), user(9)),
            Err(OwnershipRefused::NotAnOwner)
        );
        assert_eq!(
            remove(&owners(2), actor(9, false), user(1), "user-1"),
            Err(OwnershipRefused::NotAnOwner)
        );
    }

    #[test]
    fn the_last_owner_stays_whoever_asks() {
        for who in [actor(1, false), actor(9, ADMIN)] {
            let refused = remove(&owners(1), who, user(1), "user-1").expect_err("refused");
            assert_eq!(refused.code(), "last-owner");
        }
        assert_eq!(
            remove(&owners(2), actor(1, false), user(1), "user-1"),
            Ok(())
        );
        assert_eq!(
            remove(&owners(2), actor(1, false), user(2), "user-2"),
            Ok(())
        );
    }

    #[test]
    fn removing_who_is_no_owner_is_an_error_also_with_one_owner() {
        let refused = remove(&owners(1), actor(1, false), user(9), "user-9").expect_err("refused");
        assert_eq!(refused.code(), "owner-not-found");
    }

    #[test]
    fn the_number_of_owners_is_bounded_and_adding_twice_is_fine() {
        let full = owners(u8::try_from(OWNERS_MAX).expect("small"));
        assert_eq!(
            add(&full, actor(1, false), user(200)),
            Err(OwnershipRefused::TooMany)
        );
        assert_eq!(add(&full, actor(1, false), user(2)), Ok(()));
        assert_eq!(add(&owners(1), actor(1, false), user(2)), Ok(()));
    }
}
