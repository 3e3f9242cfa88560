//! Values that the hub makes once and every replica shares, such as the key that signs access tokens.

use hub_model::TenantId;

use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::Result;
use crate::sql::sql;

repository! {
    /// Named values that all replicas share. They may be secrets: never log one.
    Settings, settings
}

impl<A: Access> Settings<A> {
    pub async fn get(&mut self, tenant: TenantId, name: &str) -> Result<Option<String>> {
        sql("SELECT value FROM settings WHERE tenant_id = $1 AND name = $2")
            .bind(tenant)
            .bind(name)
            .optional(&mut *self.0.via().connect().await?, |row| row.take())
            .await
    }
}

impl Settings<&mut UnitOfWork> {
    /// Stores `fresh` unless there is a value; answers the one that stands. Of several replicas that start at once,
    /// one wins and all get its value.
    pub async fn get_or_insert(
        &mut self,
        tenant: TenantId,
        name: &str,
        fresh: &str,
    ) -> Result<String> {
        sql("INSERT INTO settings (tenant_id, name, value) VALUES ($1, $2, $3) ON CONFLICT (tenant_id, name) DO NOTHING")
            .bind(tenant)
            .bind(name)
            .bind(fresh)
            .execute(self.0.connection())
            .await?;
        sql("SELECT value FROM settings WHERE tenant_id = $1 AND name = $2")
            .bind(tenant)
            .bind(name)
            .one(self.0.connection(), |row| row.take())
            .await
    }

    /// Stores `value`, over another one if there is one.
    pub async fn put(&mut self, tenant: TenantId, name: &str, value: &str) -> Result<()> {
        sql(
            "INSERT INTO settings (tenant_id, name, value) VALUES ($1, $2, $3) \
             ON CONFLICT (tenant_id, name) DO UPDATE SET value = excluded.value",
        )
        .bind(tenant)
        .bind(name)
        .bind(value)
        .execute(self.0.connection())
        .await
        .map(|_| ())
    }
}
