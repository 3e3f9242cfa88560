//! Device authorizations (RFC 8628).

use hub_model::{DeviceCode, DeviceState, SecretHash, TenantId};

use super::users::exactly_one;
use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::Result;
use crate::sql::{Columns, composed, sql};

repository! {
    /// Device authorizations. The rules are `hub_model::device`.
    DeviceCodes, device_codes
}

const COLUMNS: &str = "id, tenant_id, code_hash, user_code, client_name, state, user_id, interval_seconds, created_at, \
                       expires_at, last_polled_at";

fn read(row: &mut Columns<'_>) -> Result<DeviceCode> {
    Ok(DeviceCode {
        id: row.take()?,
        tenant: row.take()?,
        hash: row.take()?,
        user_code: row.take()?,
        client_name: row.take()?,
        state: row.parsed(DeviceState::parse)?,
        user_id: row.take()?,
        interval_seconds: row.take()?,
        created_at: row.take()?,
        expires_at: row.take()?,
        last_polled_at: row.take()?,
    })
}

impl<A: Access> DeviceCodes<A> {
    pub async fn by_user_code(
        &mut self,
        tenant: TenantId,
        user_code: &str,
    ) -> Result<Option<DeviceCode>> {
        composed(format!(
            "SELECT {COLUMNS} FROM device_codes WHERE tenant_id = $1 AND user_code = $2"
        ))
        .bind(tenant)
        .bind(user_code)
        .optional(&mut *self.0.via().connect().await?, read)
        .await
    }
}

impl DeviceCodes<&mut UnitOfWork> {
    /// Locked until the unit of work ends.
    pub async fn lock_by_hash(&mut self, hash: &SecretHash) -> Result<Option<DeviceCode>> {
        let lock = self.0.dialect().for_update();
        composed(format!(
            "SELECT {COLUMNS} FROM device_codes WHERE code_hash = $1{lock}"
        ))
        .bind(hash)
        .optional(self.0.connection(), read)
        .await
    }

    /// Locked until the unit of work ends.
    pub async fn lock_by_user_code(
        &mut self,
        tenant: TenantId,
        user_code: &str,
    ) -> Result<Option<DeviceCode>> {
        let lock = self.0.dialect().for_update();
        composed(format!(
            "SELECT {COLUMNS} FROM device_codes WHERE tenant_id = $1 AND user_code = $2{lock}"
        ))
        .bind(tenant)
        .bind(user_code)
        .optional(self.0.connection(), read)
        .await
    }

    /// Errors: `Conflict::UserCode` (draw another one), `Conflict::Secret`.
    pub async fn insert(&mut self, code: &DeviceCode) -> Result<()> {
        sql("INSERT INTO device_codes (id, tenant_id, code_hash, user_code, client_name, state, user_id, \
             interval_seconds, created_at, expires_at, last_polled_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
            .bind(code.id)
            .bind(code.tenant)
            .bind(&code.hash)
            .bind(&code.user_code)
            .bind(&code.client_name)
            .bind(code.state.as_str())
            .bind(code.user_id)
            .bind(code.interval_seconds)
            .bind(code.created_at)
            .bind(code.expires_at)
            .bind(code.last_polled_at)
            .execute(self.0.connection())
            .await
            .map(|_| ())
    }

    /// Writes what changes in the life of a device code: state, user, interval, last poll.
    pub async fn update(&mut self, code: &DeviceCode) -> Result<()> {
        sql("UPDATE device_codes SET state = $2, user_id = $3, interval_seconds = $4, last_polled_at = $5 WHERE id = $1")
            .bind(code.id)
            .bind(code.state.as_str())
            .bind(code.user_id)
            .bind(code.interval_seconds)
            .bind(code.last_polled_at)
            .execute(self.0.connection())
            .await
            .and_then(exactly_one)
    }
}
