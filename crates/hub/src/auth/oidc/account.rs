//! The account behind an identity at the provider: found by (issuer, subject), or made. Never by
//! e-mail address or username, which a provider lets people choose.

use hub_db::{Conflict, DbError, UnitOfWork};
use hub_model::{Event, OidcIdentity, Role, UserId, UserRecord, UserRef};

use super::policy::Person;
use crate::auth::account::register::registered;
use crate::auth::config::OidcConfig;
use crate::auth::random;
use crate::auth::service::AuthService;
use crate::auth::username;

/// How often a username with a number behind it is tried before giving up.
const NUMBERS_MAX: u32 = 50;

/// Who the hub says changed a role that the provider's groups changed.
const PROVIDER_AS_ACTOR: &str = "oidc";

/// Why there is no account for an identity.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("you have no account on this hub, and it makes none by itself")]
    Unknown,
    #[error("this account is disabled; ask the hub's administrator")]
    Disabled,
    #[error("no free username could be found for you; ask the hub's administrator")]
    NoUsername,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// The account of a person that the provider vouches for.
pub async fn sign_in(
    auth: &AuthService,
    person: &Person,
    config: &OidcConfig,
) -> Result<UserRecord, AccountError> {
    for number in 1..=NUMBERS_MAX {
        if let Some(user) = find(auth, person, config).await? {
            return Ok(user);
        }
        if !config.create_accounts {
            return Err(AccountError::Unknown);
        }
        let name = match number {
            1 => person.username.clone(),
            number => username::numbered(&person.username, number),
        };
        match make(auth, person, config, name).await {
            // The name is taken, or another callback of the same person was quicker: look again.
            Err(error) if is_race(&error) => {}
            other => return Ok(other?),
        }
    }
    Err(AccountError::NoUsername)
}

fn is_race(error: &DbError) -> bool {
    matches!(
        error.conflict(),
        Some(Conflict::Username | Conflict::OidcIdentity)
    )
}

async fn find(
    auth: &AuthService,
    person: &Person,
    config: &OidcConfig,
) -> Result<Option<UserRecord>, AccountError> {
    let mut unit = auth.db.begin().await?;
    let identity = unit
        .oidc()
        .identity(auth.tenant(), &config.issuer, &person.subject)
        .await?;
    let Some(identity) = identity else {
        return Ok(None);
    };
    let mut user = unit
        .users()
        .lock(identity.user_id)
        .await?
        .ok_or(DbError::NotFound)?;
    if user.disabled {
        return Err(AccountError::Disabled);
    }
    if let Some(role) = person.role.filter(|role| *role != user.role) {
        change_role(auth, &mut unit, &mut user, role).await?;
        unit.commit().await?;
        auth.sessions.forget_all();
        auth.api_tokens.forget_all();
    }
    Ok(Some(user))
}

async fn change_role(
    auth: &AuthService,
    unit: &mut UnitOfWork,
    user: &mut UserRecord,
    role: Role,
) -> Result<(), DbError> {
    let now = auth.clock.now();
    unit.users().set_role(user.id, role, now).await?;
    user.role = role;
    let event = Event::UserRoleChanged {
        user: UserRef {
            id: user.id,
            username: user.username.clone(),
        },
        role,
        agent_id: PROVIDER_AS_ACTOR.to_owned(),
    };
    unit.record(user.tenant, now, event);
    Ok(())
}

async fn make(
    auth: &AuthService,
    person: &Person,
    config: &OidcConfig,
    username: String,
) -> Result<UserRecord, DbError> {
    let now = auth.clock.now();
    let user = UserRecord {
        id: UserId::generate(now, &mut random::generator()),
        tenant: auth.tenant(),
        username,
        email: person.email.clone(),
        password: None,
        role: person.role.unwrap_or(config.default_role),
        disabled: false,
        created_at: now,
        updated_at: now,
    };
    let identity = OidcIdentity {
        tenant: user.tenant,
        issuer: config.issuer.clone(),
        subject: person.subject.clone(),
        user_id: user.id,
        created_at: now,
    };
    let mut unit = auth.db.begin().await?;
    unit.users().insert(&user).await?;
    unit.oidc().insert_identity(&identity).await?;
    unit.record(user.tenant, now, registered(&user));
    unit.commit().await?;
    Ok(user)
}
