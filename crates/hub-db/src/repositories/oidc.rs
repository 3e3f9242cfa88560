//! Upstream OpenID identities, and authorization requests under way.

use hub_model::{OidcIdentity, OidcLogin, SecretHash, TenantId};

use crate::access::{Access, repository};
use crate::db::UnitOfWork;
use crate::error::Result;
use crate::sql::{Columns, sql};

repository! {
    /// Upstream OpenID identities, and authorization requests under way.
    Oidc, oidc
}

fn read_login(row: &mut Columns<'_>) -> Result<OidcLogin> {
    Ok(OidcLogin {
        state: row.take()?,
        tenant: row.take()?,
        nonce: row.take()?,
        verifier: row.take()?,
        then: row.take()?,
        created_at: row.take()?,
        expires_at: row.take()?,
    })
}

impl<A: Access> Oidc<A> {
    pub async fn identity(
        &mut self,
        tenant: TenantId,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<OidcIdentity>> {
        sql(
            "SELECT tenant_id, issuer, subject, user_id, created_at FROM oidc_identities \
             WHERE tenant_id = $1 AND issuer = $2 AND subject = $3",
        )
        .bind(tenant)
        .bind(issuer)
        .bind(subject)
        .optional(&mut *self.0.via().connect().await?, |row| {
            Ok(OidcIdentity {
                tenant: row.take()?,
                issuer: row.take()?,
                subject: row.take()?,
                user_id: row.take()?,
                created_at: row.take()?,
            })
        })
        .await
    }
}

impl Oidc<&mut UnitOfWork> {
    /// Errors: `Conflict::OidcIdentity`.
    pub async fn insert_identity(&mut self, identity: &OidcIdentity) -> Result<()> {
        sql("INSERT INTO oidc_identities (tenant_id, issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(identity.tenant)
            .bind(&identity.issuer)
            .bind(&identity.subject)
            .bind(identity.user_id)
            .bind(identity.created_at)
            .execute(self.0.connection())
            .await
            .map(|_| ())
    }

    pub async fn insert_login(&mut self, login: &OidcLogin) -> Result<()> {
        sql("INSERT INTO oidc_logins (state_hash, tenant_id, nonce, verifier, next_step, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(&login.state)
            .bind(login.tenant)
            .bind(&login.nonce)
            .bind(&login.verifier)
            .bind(login.then.as_ref())
            .bind(login.created_at)
            .bind(login.expires_at)
            .execute(self.0.connection())
            .await
            .map(|_| ())
    }

    /// Takes the request out: of two callbacks with one `state`, one gets it. Expired ones are given too; the caller
    /// compares `expires_at`.
    pub async fn take_login(&mut self, state: &SecretHash) -> Result<Option<OidcLogin>> {
        sql("DELETE FROM oidc_logins WHERE state_hash = $1 \
             RETURNING state_hash, tenant_id, nonce, verifier, next_step, created_at, expires_at")
        .bind(state)
        .optional(self.0.connection(), read_login)
        .await
    }
}
