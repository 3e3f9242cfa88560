//! Accounts: what an administrator may not take away.

use skill_format::{Explain, Fault};

use crate::access::Role;
use crate::accounts::UserRecord;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserChangeRefused {
    #[error("this is the last administrator that can sign in")]
    LastAdmin,
}

/// Decides on giving `user` another role or (un)locking the account. `enabled_admins` counts the tenant's
/// administrators that are not disabled, before the change.
pub fn change(
    user: &UserRecord,
    role: Role,
    disabled: bool,
    enabled_admins: u64,
) -> Result<(), UserChangeRefused> {
    let is_admin = user.role == Role::Admin && !user.disabled;
    let stays_admin = role == Role::Admin && !disabled;
    if is_admin && !stays_admin && enabled_admins <= 1 {
        Err(UserChangeRefused::LastAdmin)
    } else {
        Ok(())
    }
}

impl Explain for UserChangeRefused {
    fn code(&self) -> &'static str {
        match self {
            Self::LastAdmin => "last-admin",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Conflict
    }

    fn help(&self) -> Option<String> {
        Some("make another user an administrator first".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TenantId;
    use jiff::Timestamp;

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
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_last_administrator_stays_one() {
        for (was, was_disabled, role, disabled, admins, allowed) in [
            (Role::Admin, false, Role::Publisher, false, 1, false),
            (Role::Admin, false, Role::Admin, true, 1, false),
            (Role::Admin, false, Role::Reader, true, 1, false),
            (Role::Admin, false, Role::Admin, false, 1, true),
            (Role::Admin, false, Role::Reader, false, 2, true),
            // Not one that counts.
            (Role::Admin, true, Role::Reader, true, 1, true),
            (Role::Publisher, false, Role::Reader, true, 1, true),
            (Role::Reader, false, Role::Admin, false, 1, true),
        ] {
            let decision = change(&user(was, was_disabled), role, disabled, admins);
            assert_eq!(
                decision.is_ok(),
                allowed,
                "{was} → {role}, disabled {disabled}, {admins} admins"
            );
        }
    }
}
