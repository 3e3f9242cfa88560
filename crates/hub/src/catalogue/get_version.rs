//! `GET /api/v1/skills/{name}/{version}`: one release, with everything that is
//! needed to verify it.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use hub_db::DbError;
use hub_model::{SkillRecord, VersionRecord, VersionState};
use serde::Serialize;
use serde_json::Value;
use skill_format::{Sha256, SkillName, parse_version};
use skill_signing::Statement;
use utoipa::ToSchema;

use super::body::{ReleaseBody, checksum, time};
use super::cache::Rendered;
use super::find::{self, FindError};
use crate::App;
use crate::extract::Path;
use crate::problem::{Problem, ProblemBody, answers_with_problem};

/// One release in full.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionBody {
    #[serde(flatten)]
    pub release: ReleaseBody,
    pub name: String,
    pub description: String,
    /// The whole effective manifest.
    #[schema(value_type = Object)]
    pub manifest: Value,
    /// `sha256:` and 64 hex digits, over the unpacked tree without `skill.yaml`.
    pub content_digest: String,
    /// The publisher's armored detached OpenPGP signature over `statement`.
    pub signature: Option<String>,
    /// The text that was signed. A client builds it itself from what it
    /// downloaded and never trusts this one; it is here to be read.
    pub statement: String,
    /// Username.
    pub published_by: String,
}

#[derive(Debug, thiserror::Error)]
pub enum GetVersionError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Render(Problem),
    /// What is stored is no version of a skill.
    #[error("the stored version {0} cannot be stated")]
    Unstatable(String),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<GetVersionError> for Problem {
    fn from(error: GetVersionError) -> Self {
        match error {
            GetVersionError::Find(error) => error.into(),
            GetVersionError::Render(problem) => problem,
            GetVersionError::Unstatable(_) => Self::internal(error),
            GetVersionError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(GetVersionError);

/// One release of a skill, by its version or as `latest`.
#[utoipa::path(
    get,
    path = "/api/v1/skills/{name}/{version}",
    tag = "catalogue",
    params(
        ("name" = String, Path, description = "The skill's name"),
        ("version" = String, Path, description = "A version, or `latest`"),
    ),
    responses(
        (status = 200, description = "The release", body = VersionBody,
            headers(("ETag" = String, description = "For `If-None-Match`"))),
        (status = 304, description = "The client has this already"),
        (status = 404, description = "`skill-not-found`, `version-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn get_version(
    State(app): State<App>,
    Path((name, version)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, GetVersionError> {
    let skill = find::skill(&app, &name).await?;
    let version = find::version(&app, &skill, &version).await?;
    let body = body(&app, &skill, version).await?;
    let rendered = Rendered::json(&body).map_err(GetVersionError::Render)?;
    Ok(rendered.answer(&headers, app.is_private()))
}

/// The answer about one release; the publish answers the same.
pub(crate) async fn body(
    app: &App,
    skill: &SkillRecord,
    version: VersionRecord,
) -> Result<VersionBody, GetVersionError> {
    let publisher = app.db().users().by_id(version.published_by).await?;
    let published_by = publisher.map(|user| user.username).unwrap_or_default();
    let statement = statement(&skill.name, &version)
        .ok_or_else(|| GetVersionError::Unstatable(version.version.clone()))?;
    Ok(render(
        app,
        &skill.name,
        version,
        statement.to_string(),
        published_by,
    ))
}

/// What the publisher signed about this version.
fn statement(name: &str, version: &VersionRecord) -> Option<Statement> {
    let name = SkillName::parse(name).ok()?;
    let sha256: Sha256 = version.sha256.parse().ok()?;
    let number = parse_version(&version.version).ok()?;
    Some(Statement::new(&name, &number, sha256, version.size))
}

pub(crate) fn render(
    app: &App,
    name: &str,
    version: VersionRecord,
    statement: String,
    published_by: String,
) -> VersionBody {
    let links = app.links();
    VersionBody {
        release: ReleaseBody {
            download_url: links.archive(name, &version.version, &version.media_type),
            version: version.version,
            published_at: time(version.published_at),
            checksum: checksum(&version.sha256),
            size: version.size,
            yanked: version.state == VersionState::Yanked,
            yank_reason: version.yank_reason,
            signer: version.signer,
            dependencies: version.about.dependencies,
            downloads: version.downloads,
        },
        name: name.to_owned(),
        description: version.about.description,
        manifest: version.manifest,
        content_digest: checksum(&version.content_digest),
        signature: version.signature,
        statement,
        published_by,
    }
}
