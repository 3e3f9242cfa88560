//! `DELETE /api/v1/skills/{name}/{version}`: yanks a version, or with `hard=true`
//! deletes it for good while nobody can rely on it yet.

use axum::extract::State;
use http::StatusCode;
use hub_db::{DEPENDENTS_PER_READ_MAX, DbError, UnitOfWork};
use hub_model::unpublish::{self, UnpublishRefused};
use hub_model::{Event, Scope, SkillRecord, VersionRecord, VersionRef};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::App;
use crate::auth::Principal;
use crate::catalogue::curate::{Change, CurateError, find_for};
use crate::catalogue::deprecate::{MESSAGE_CHARS_MAX, is_presentable};
use crate::catalogue::find::{self, FindError};
use crate::catalogue::list_skills::invalid_parameter;
use crate::extract::{Path, Query};
use crate::problem::{Problem, ProblemBody, answers_with_problem};
use crate::transaction::{in_transaction, retries_with_database};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeleteParams {
    /// Delete for good instead of yanking: within 72 hours, and only while no
    /// other skill depends on the version.
    #[serde(default)]
    #[param(default = false)]
    hard: bool,
    /// Why, for those who have the version; up to 1,000 characters.
    #[param(max_length = 1_000)]
    reason: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error("a reason has at most {MESSAGE_CHARS_MAX} characters and no control characters")]
    Reason,
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Curate(#[from] CurateError),
    #[error(transparent)]
    Refused(#[from] UnpublishRefused),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<DeleteError> for Problem {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Reason => invalid_parameter("reason", &error.to_string()),
            DeleteError::Find(error) => error.into(),
            DeleteError::Curate(error) => error.into(),
            DeleteError::Refused(refused) => Self::explained(refused),
            DeleteError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(DeleteError);
retries_with_database!(DeleteError);

/// Yanks a version, or deletes it for good. Its number is never used again.
/// Yanking a yanked version is no error.
#[utoipa::path(
    delete,
    path = "/api/v1/skills/{name}/{version}",
    tag = "packages",
    params(
        ("name" = String, Path, description = "The skill's name"),
        ("version" = String, Path, description = "The version"),
        DeleteParams,
    ),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "The version is yanked or deleted"),
        (status = 403, description = "`not-an-owner`, `scope-insufficient`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "`skill-not-found`, `version-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "`too-late-to-delete`, `has-dependents`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn delete_version(
    State(app): State<App>,
    principal: Principal,
    Path((name, version)): Path<(String, String)>,
    Query(params): Query<DeleteParams>,
) -> Result<StatusCode, DeleteError> {
    let reason = checked_reason(params.reason).ok_or(DeleteError::Reason)?;
    let skill = find_for(&app, &principal, Scope::Yank, &name).await?;
    let change = Change::new(&app, &principal, &skill);
    let hard = params.hard;
    in_transaction(
        &app,
        &(&change, version.as_str(), reason.as_deref()),
        move |unit, (change, version, reason)| {
            Box::pin(async move {
                change.lock_managed(unit).await?;
                let found = lock_version(unit, change.skill, version).await?;
                if hard {
                    delete(unit, change, &found).await
                } else {
                    yank(unit, change, &found, *reason).await
                }
            })
        },
    )
    .await?;
    change.forget_old();
    Ok(StatusCode::NO_CONTENT)
}

/// `Some(None)` for no or an empty reason, `None` for one that is not fit to be shown.
pub(crate) fn checked_reason(reason: Option<String>) -> Option<Option<String>> {
    let reason = reason
        .map(|reason| reason.trim().to_owned())
        .filter(|reason| !reason.is_empty());
    match &reason {
        Some(text) if !is_presentable(text) => None,
        _ => Some(reason),
    }
}

/// The version as it is now; its skill must be locked.
pub(crate) async fn lock_version(
    unit: &mut UnitOfWork,
    skill: &SkillRecord,
    version: &str,
) -> Result<VersionRecord, FindError> {
    let found = match find::identity(version) {
        Some(identity) => unit.versions().by_identity(skill.id, &identity).await?,
        None => None,
    };
    found.ok_or_else(|| FindError::NoVersion {
        name: skill.name.clone(),
        version: version.to_owned(),
    })
}

pub(crate) async fn yank<E>(
    unit: &mut UnitOfWork,
    change: &Change<'_>,
    version: &VersionRecord,
    reason: Option<&str>,
) -> Result<(), E>
where
    E: From<UnpublishRefused> + From<DbError>,
{
    let is_new_reason = reason.is_some() && reason != version.yank_reason.as_deref();
    if unpublish::yank(version)? == unpublish::Change::None && !is_new_reason {
        return Ok(());
    }
    unit.versions().yank(version, reason, change.now).await?;
    let (reason, agent_id) = (reason.map(str::to_owned), change.agent_id());
    let version = version_ref(change.skill, version);
    change.record(
        unit,
        Event::VersionYanked {
            version,
            reason,
            agent_id,
        },
    );
    Ok(())
}

async fn delete(
    unit: &mut UnitOfWork,
    change: &Change<'_>,
    version: &VersionRecord,
) -> Result<(), DeleteError> {
    unpublish::delete_in_time(version, change.now)?;
    let (tenant, skill) = (change.app.tenant(), change.skill);
    let mut after = None;
    loop {
        let mut dependents = unit.dependents();
        let page = dependents
            .of_any_version(tenant, &skill.name_key, skill.id, after, PAGE)
            .await?;
        unpublish::delete(version, change.now, &page)?;
        if page.len() < PAGE as usize {
            break;
        }
        after = page.last().map(|dependent| dependent.version_id);
    }
    unit.versions().delete(version, change.now).await?;
    let event = Event::VersionDeleted {
        version: version_ref(skill, version),
        sha256: version.sha256.clone(),
        agent_id: change.agent_id(),
    };
    change.record(unit, event);
    Ok(())
}

const PAGE: u32 = DEPENDENTS_PER_READ_MAX;

pub(crate) fn version_ref(skill: &SkillRecord, version: &VersionRecord) -> VersionRef {
    VersionRef {
        skill_id: skill.id,
        name: skill.name.clone(),
        version_id: version.id,
        version: version.version.clone(),
    }
}
