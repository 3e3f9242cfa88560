//! Tenants: who shares a name space.

use hub_model::{TenantId, TenantRecord};

use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::{Conflict, DbError, Result};
use crate::sql::{Columns, sql};

repository! {
    /// Tenants. The one named `default` is always there.
    Tenants, tenants
}

fn read(row: &mut Columns<'_>) -> Result<TenantRecord> {
    Ok(TenantRecord {
        id: row.take()?,
        name: row.take()?,
        created_at: row.take()?,
    })
}

impl<A: Access> Tenants<A> {
    pub async fn by_id(&mut self, id: TenantId) -> Result<Option<TenantRecord>> {
        sql("SELECT id, name, created_at FROM tenants WHERE id = $1")
            .bind(id)
            .optional(&mut *self.0.via().connect().await?, read)
            .await
    }

    pub async fn by_name(&mut self, name: &str) -> Result<Option<TenantRecord>> {
        sql("SELECT id, name, created_at FROM tenants WHERE name = $1")
            .bind(name)
            .optional(&mut *self.0.via().connect().await?, read)
            .await
    }
}

impl Tenants<&mut UnitOfWork> {
    /// Errors: [`Conflict::TenantName`].
    pub async fn insert(&mut self, tenant: &TenantRecord) -> Result<()> {
        sql("INSERT INTO tenants (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING")
            .bind(tenant.id)
            .bind(&tenant.name)
            .bind(tenant.created_at)
            .execute(self.0.connection())
            .await
            .and_then(|rows| if rows == 1 { Ok(()) } else { Err(DbError::Conflict(Conflict::TenantName)) })
    }
}
