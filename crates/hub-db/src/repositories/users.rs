//! Accounts.

use hub_model::{Role, SecretHash, TenantId, UserId, UserRecord};
use jiff::Timestamp;

use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::{DbError, Result};
use crate::sql::{Columns, sql};

repository! {
    /// Accounts. Usernames are unique within a tenant without regard to ASCII case.
    Users, users
}

/// Most users that one call lists.
pub const USERS_PER_PAGE_MAX: u32 = 200;

pub(crate) fn read(row: &mut Columns<'_>) -> Result<UserRecord> {
    Ok(UserRecord {
        id: row.take()?,
        tenant: row.take()?,
        username: row.take()?,
        email: row.take()?,
        password: row.take()?,
        role: row.parsed(|word| word.parse().ok())?,
        disabled: row.take()?,
        created_at: row.take()?,
        updated_at: row.take()?,
    })
}

impl<A: Access> Users<A> {
    pub async fn by_id(&mut self, id: UserId) -> Result<Option<UserRecord>> {
        sql("SELECT id, tenant_id, username, email, password, role, disabled, created_at, updated_at \
             FROM users WHERE id = $1")
            .bind(id)
            .optional(&mut *self.0.via().connect().await?, read)
            .await
    }

    /// Any spelling of the username.
    pub async fn by_username(
        &mut self,
        tenant: TenantId,
        username: &str,
    ) -> Result<Option<UserRecord>> {
        sql("SELECT id, tenant_id, username, email, password, role, disabled, created_at, updated_at \
             FROM users WHERE tenant_id = $1 AND username_key = $2")
            .bind(tenant)
            .bind(&UserRecord::username_key(username))
            .optional(&mut *self.0.via().connect().await?, read)
            .await
    }

    /// By username, ascending, after the username `after`; at most [`USERS_PER_PAGE_MAX`].
    pub async fn list(
        &mut self,
        tenant: TenantId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<UserRecord>> {
        sql("SELECT id, tenant_id, username, email, password, role, disabled, created_at, updated_at \
             FROM users WHERE tenant_id = $1 AND username_key > $2 ORDER BY username_key LIMIT $3")
            .bind(tenant)
            .bind(&UserRecord::username_key(after.unwrap_or_default()))
            .bind(limit.min(USERS_PER_PAGE_MAX))
            .all(&mut *self.0.via().connect().await?, read)
            .await
    }

    /// Whether the tenant has any account: the first one of a new hub may become its administrator.
    pub async fn any(&mut self, tenant: TenantId) -> Result<bool> {
        sql("SELECT id FROM users WHERE tenant_id = $1 LIMIT 1")
            .bind(tenant)
            .optional(&mut *self.0.via().connect().await?, |_| Ok(()))
            .await
            .map(|found| found.is_some())
    }

    /// Administrators that are not disabled, counted up to 2: enough to know whether one is the last.
    pub async fn enabled_admins_up_to_two(&mut self, tenant: TenantId) -> Result<u64> {
        sql("SELECT COUNT(*) FROM (SELECT id FROM users WHERE tenant_id = $1 AND role = 'admin' AND disabled = 0 LIMIT 2) AS admins")
            .bind(tenant)
            .one(&mut *self.0.via().connect().await?, |row| row.take())
            .await
    }
}

impl Users<&mut UnitOfWork> {
    /// Errors: `Conflict::Username`.
    pub async fn insert(&mut self, user: &UserRecord) -> Result<()> {
        sql("INSERT INTO users (id, tenant_id, username, username_key, email, password, role, disabled, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
            .bind(user.id)
            .bind(user.tenant)
            .bind(&user.username)
            .bind(&UserRecord::username_key(&user.username))
            .bind(user.email.as_ref())
            .bind(user.password.as_ref())
            .bind(user.role.as_str())
            .bind(user.disabled)
            .bind(user.created_at)
            .bind(user.updated_at)
            .execute(self.0.connection())
            .await
            .map(|_| ())
    }

    /// The user, locked until the unit of work ends.
    pub async fn lock(&mut self, id: UserId) -> Result<Option<UserRecord>> {
        let text = "SELECT id, tenant_id, username, email, password, role, disabled, created_at, updated_at \
                    FROM users WHERE id = $1";
        crate::sql::composed(format!("{text}{}", self.0.dialect().for_update()))
            .bind(id)
            .optional(self.0.connection(), read)
            .await
    }

    pub async fn set_password(
        &mut self,
        id: UserId,
        password: &SecretHash,
        now: Timestamp,
    ) -> Result<()> {
        sql("UPDATE users SET password = $2, updated_at = $3 WHERE id = $1")
            .bind(id)
            .bind(password)
            .bind(now)
            .execute(self.0.connection())
            .await
            .and_then(exactly_one)
    }

    pub async fn set_role(&mut self, id: UserId, role: Role, now: Timestamp) -> Result<()> {
        sql("UPDATE users SET role = $2, updated_at = $3 WHERE id = $1")
            .bind(id)
            .bind(role.as_str())
            .bind(now)
            .execute(self.0.connection())
            .await
            .and_then(exactly_one)
    }

    pub async fn set_disabled(&mut self, id: UserId, disabled: bool, now: Timestamp) -> Result<()> {
        sql("UPDATE users SET disabled = $2, updated_at = $3 WHERE id = $1")
            .bind(id)
            .bind(disabled)
            .bind(now)
            .execute(self.0.connection())
            .await
            .and_then(exactly_one)
    }

    pub async fn set_email(
        &mut self,
        id: UserId,
        email: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        sql("UPDATE users SET email = $2, updated_at = $3 WHERE id = $1")
            .bind(id)
            .bind(email)
            .bind(now)
            .execute(self.0.connection())
            .await
            .and_then(exactly_one)
    }
}

/// An update of one row that must exist.
pub(crate) fn exactly_one(rows: u64) -> Result<()> {
    if rows == 1 {
        Ok(())
    } else {
        Err(DbError::NotFound)
    }
}
