//! What every change to a skill begins with: find it, ask whether this request
//! may change it, lock it.

use hub_db::{DbError, UnitOfWork};
use hub_model::ownership::{self, Actor, OwnershipRefused};
use hub_model::{Event, OwnerRecord, Scope, SkillRecord, SkillRef};
use jiff::Timestamp;

use super::find::{self, FindError};
use crate::App;
use crate::auth::Principal;
use crate::problem::Problem;
use crate::transaction::retries_with_database;

/// Why a skill may not be changed.
#[derive(Debug, thiserror::Error)]
pub enum CurateError {
    #[error(transparent)]
    Find(#[from] FindError),
    /// The token's scopes or patterns do not reach.
    #[error(transparent)]
    Denied(Problem),
    #[error(transparent)]
    Ownership(#[from] OwnershipRefused),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<CurateError> for Problem {
    fn from(error: CurateError) -> Self {
        match error {
            CurateError::Find(error) => error.into(),
            CurateError::Denied(problem) => problem,
            CurateError::Ownership(refused) => Problem::explained(refused),
            CurateError::Database(error) => error.into(),
        }
    }
}

retries_with_database!(CurateError);

/// A change to one skill by one request: what every change's transaction needs.
pub struct Change<'a> {
    pub app: &'a App,
    pub principal: &'a Principal,
    /// As found before the transaction; what matters is read again under the lock.
    pub skill: &'a SkillRecord,
    pub now: Timestamp,
}

impl<'a> Change<'a> {
    pub fn new(app: &'a App, principal: &'a Principal, skill: &'a SkillRecord) -> Self {
        Self {
            app,
            principal,
            skill,
            now: app.now(),
        }
    }

    pub fn actor(&self) -> Actor {
        Actor {
            user: self.principal.user_id(),
            is_admin: self.principal.is_admin(),
        }
    }

    /// Who did it, for the event.
    pub fn agent_id(&self) -> String {
        self.principal.username().to_owned()
    }

    /// The skill, for the event.
    pub fn skill_ref(&self) -> SkillRef {
        SkillRef {
            id: self.skill.id,
            name: self.skill.name.clone(),
        }
    }

    /// Notes what happened; written last in the transaction.
    pub fn record(&self, unit: &mut UnitOfWork, event: Event) {
        unit.record(self.app.tenant(), self.now, event);
    }

    /// Locks the skill; its present state and owners.
    pub async fn lock(
        &self,
        unit: &mut UnitOfWork,
    ) -> Result<(SkillRecord, Vec<OwnerRecord>), DbError> {
        let locked = unit
            .skills()
            .lock_by_id(self.skill.id)
            .await?
            .ok_or(DbError::NotFound)?;
        let owners = unit.owners().of(&[self.skill.id]).await?;
        Ok((locked, owners))
    }

    /// As [`Change::lock`], for what only owners and administrators may do.
    pub async fn lock_managed(&self, unit: &mut UnitOfWork) -> Result<SkillRecord, CurateError> {
        let (locked, owners) = self.lock(unit).await?;
        ownership::may_manage(&owners, self.actor())?;
        Ok(locked)
    }

    /// For what makes no sense once all versions are deleted: then the name stays taken and the
    /// skill is gone. To be called under the lock.
    pub async fn must_have_versions(&self, unit: &mut UnitOfWork) -> Result<(), CurateError> {
        let numbers = unit.versions().numbers_of(&[self.skill.id], 1).await?;
        if numbers.is_empty() {
            return Err(CurateError::Find(FindError::NoSkill {
                name: self.skill.name.clone(),
                nearest: Vec::new(),
            }));
        }
        Ok(())
    }

    /// To be called after the commit: this process forgets the old state at once,
    /// without waiting for the outbox.
    pub fn forget_old(&self) {
        self.app.cache().invalidate(self.skill.id, &self.skill.name);
    }
}

/// The skill that the path names, if the token may act on it with `scope`.
pub async fn find_for(
    app: &App,
    principal: &Principal,
    scope: Scope,
    name: &str,
) -> Result<SkillRecord, CurateError> {
    principal.require(scope).map_err(CurateError::Denied)?;
    let skill = find::skill(app, name).await?;
    principal
        .require_for(scope, &skill.name)
        .map_err(CurateError::Denied)?;
    Ok(skill)
}
