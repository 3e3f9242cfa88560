//! `GET /api/v1/skills/{name}`: one skill with its releases. The hub's busiest
//! answer: rendered once, then served from memory until the skill changes.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use hub_db::DbError;
use hub_model::{SkillId, SkillRecord};

use super::body::{ReleaseBody, SkillBody, SkillDetailBody};
use super::cache::Rendered;
use super::find::{self, FindError};
use crate::App;
use crate::extract::Path;
use crate::problem::{Problem, answers_with_problem};

#[derive(Debug, thiserror::Error)]
pub enum GetSkillError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Render(Problem),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<GetSkillError> for Problem {
    fn from(error: GetSkillError) -> Self {
        match error {
            GetSkillError::Find(error) => error.into(),
            GetSkillError::Render(problem) => problem,
            GetSkillError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(GetSkillError);

/// One skill with all its releases.
#[utoipa::path(
    get,
    path = "/api/v1/skills/{name}",
    tag = "catalogue",
    params(("name" = String, Path, description = "The skill's name")),
    responses(
        (status = 200, description = "The skill", body = SkillDetailBody,
            headers(("ETag" = String, description = "For `If-None-Match`"))),
        (status = 304, description = "The client has this already"),
        (status = 404, description = "`skill-not-found`", body = crate::problem::ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn get_skill(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, GetSkillError> {
    let missed = match app.cache().detail(&name) {
        Ok(rendered) => return Ok(rendered.answer(&headers, app.is_private())),
        Err(missed) => missed,
    };
    let (skill_name, detail) = detail(&app, &name).await?;
    let rendered = Rendered::json(&detail).map_err(GetSkillError::Render)?;
    if skill_name == name {
        // Other spellings are not cached: nothing would invalidate them.
        app.cache().put_detail(&name, rendered.clone(), missed);
    }
    Ok(rendered.answer(&headers, app.is_private()))
}

/// The skill's exact name and its whole page.
pub(crate) async fn detail(
    app: &App,
    name: &str,
) -> Result<(String, SkillDetailBody), GetSkillError> {
    let skill = find::skill(app, name).await?;
    let releases = releases(app, &skill).await?;
    if releases.is_empty() {
        // All versions were deleted; the name stays taken, the skill is gone.
        return Err(find::no_skill(app, name).await.into());
    }
    let versions = releases
        .iter()
        .map(|release| release.version.clone())
        .collect();
    let owners = owners(app, skill.id).await?;
    let name = skill.name.clone();
    let skill = SkillBody::new(skill, versions, owners, app.links());
    Ok((name, SkillDetailBody { skill, releases }))
}

async fn releases(app: &App, skill: &SkillRecord) -> Result<Vec<ReleaseBody>, DbError> {
    let records = app.db().versions().releases(skill.id).await?;
    let bodies = records
        .into_iter()
        .map(|record| ReleaseBody::new(&skill.name, record, app.links()));
    Ok(bodies.collect())
}

pub(crate) async fn owners(app: &App, skill: SkillId) -> Result<Vec<String>, DbError> {
    let owners = app.db().owners().of(&[skill]).await?;
    Ok(owners.into_iter().map(|owner| owner.username).collect())
}
