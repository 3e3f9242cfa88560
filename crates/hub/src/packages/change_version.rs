//! `PATCH /api/v1/skills/{name}/{version}`: yanks a version or takes a yank back.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use hub_db::{DbError, UnitOfWork};
use hub_model::unpublish::{self, UnpublishRefused};
use hub_model::{Event, Scope};
use serde::Deserialize;
use utoipa::ToSchema;

use super::delete_version::{checked_reason, lock_version, version_ref, yank};
use crate::App;
use crate::auth::Principal;
use crate::catalogue::cache::Rendered;
use crate::catalogue::curate::{Change, CurateError, find_for};
use crate::catalogue::deprecate::{MESSAGE_CHARS_MAX, invalid_text};
use crate::catalogue::find::{self, FindError};
use crate::catalogue::get_version::{self, GetVersionError};
use crate::extract::{Json, Path};
use crate::problem::{Problem, ProblemBody, answers_with_problem};
use crate::transaction::{in_transaction, retries_with_database};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionChange {
    yanked: bool,
    /// Why, for those who have the version; up to 1,000 characters.
    #[schema(max_length = 1000)]
    yank_reason: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("a reason has at most {MESSAGE_CHARS_MAX} characters and no control characters")]
    Reason,
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Curate(#[from] CurateError),
    #[error(transparent)]
    Refused(#[from] UnpublishRefused),
    #[error(transparent)]
    Show(#[from] GetVersionError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Reason => invalid_text("yankReason", &error.to_string()),
            ChangeError::Find(error) => error.into(),
            ChangeError::Curate(error) => error.into(),
            ChangeError::Refused(refused) => Self::explained(refused),
            ChangeError::Show(error) => error.into(),
            ChangeError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(ChangeError);
retries_with_database!(ChangeError);

/// Yanks a version, or takes a yank back. States the result, so repeating it is
/// no error.
#[utoipa::path(
    patch,
    path = "/api/v1/skills/{name}/{version}",
    tag = "packages",
    params(
        ("name" = String, Path, description = "The skill's name"),
        ("version" = String, Path, description = "The version"),
    ),
    request_body = VersionChange,
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The release as it is now", body = get_version::VersionBody),
        (status = 403, description = "`not-an-owner`, `scope-insufficient`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "`skill-not-found`, `version-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn change_version(
    State(app): State<App>,
    principal: Principal,
    Path((name, version)): Path<(String, String)>,
    Json(change): Json<VersionChange>,
) -> Result<Response, ChangeError> {
    let reason = checked_reason(change.yank_reason).ok_or(ChangeError::Reason)?;
    let skill = find_for(&app, &principal, Scope::Yank, &name).await?;
    let wanted = Wanted {
        yanked: change.yanked,
        reason: reason.as_deref(),
        version: &version,
    };
    let change = Change::new(&app, &principal, &skill);
    in_transaction(&app, &(&change, &wanted), |unit, (change, wanted)| {
        Box::pin(write(unit, change, wanted))
    })
    .await?;
    change.forget_old();
    let found = find::version(&app, &skill, &version).await?;
    let body = get_version::body(&app, &skill, found).await?;
    let rendered = Rendered::json(&body).map_err(GetVersionError::Render)?;
    Ok(rendered.answer(&HeaderMap::new(), true))
}

struct Wanted<'a> {
    version: &'a str,
    yanked: bool,
    reason: Option<&'a str>,
}

async fn write(
    unit: &mut UnitOfWork,
    change: &Change<'_>,
    wanted: &Wanted<'_>,
) -> Result<(), ChangeError> {
    change.lock_managed(unit).await?;
    let found = lock_version(unit, change.skill, wanted.version).await?;
    if wanted.yanked {
        return yank(unit, change, &found, wanted.reason).await;
    }
    if unpublish::restore(&found)? == unpublish::Change::None {
        return Ok(());
    }
    unit.versions().restore(&found, change.now).await?;
    let (version, agent_id) = (version_ref(change.skill, &found), change.agent_id());
    change.record(unit, Event::VersionRestored { version, agent_id });
    Ok(())
}
