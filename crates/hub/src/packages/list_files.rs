//! `GET /api/v1/skills/{name}/{version}/files`: what is in the archive.

use std::sync::Arc;

use axum::extract::State;
use hub_model::VersionRecord;
use serde::Serialize;
use skill_format::{DigestError, Sha256, SkillTree};
use utoipa::ToSchema;

use super::trees::TreeError;
use crate::App;
use crate::catalogue::find::{self, FindError};
use crate::extract::{Json, Path};
use crate::problem::{Problem, ProblemBody, answers_with_problem};

#[derive(Debug, Serialize, ToSchema)]
pub struct FileBody {
    /// Relative, with `/` between its parts.
    path: String,
    size: u64,
    executable: bool,
    /// 64 hex digits.
    sha256: String,
}

/// Why an archive cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("the stored digest is not one: {0}")]
    Digest(#[from] DigestError),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Find(error) => error.into(),
            OpenError::Digest(_) => Self::internal(error),
            OpenError::Tree(error) => error.into(),
        }
    }
}

answers_with_problem!(OpenError);

/// The version that the path names, and its files.
pub(crate) async fn open(
    app: &App,
    name: &str,
    version: &str,
) -> Result<(VersionRecord, Arc<SkillTree>), OpenError> {
    let skill = find::skill(app, name).await?;
    let version = find::version(app, &skill, version).await?;
    let digest: Sha256 = version.sha256.parse()?;
    let tree = app.trees().get(digest).await?;
    Ok((version, tree))
}

/// The files in the archive of a version, by path.
#[utoipa::path(
    get,
    path = "/api/v1/skills/{name}/{version}/files",
    tag = "packages",
    params(
        ("name" = String, Path, description = "The skill's name"),
        ("version" = String, Path, description = "A version, or `latest`"),
    ),
    responses(
        (status = 200, description = "The files", body = Vec<FileBody>),
        (status = 404, description = "`skill-not-found`, `version-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn list_files(
    State(app): State<App>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Vec<FileBody>>, OpenError> {
    let (_, tree) = open(&app, &name, &version).await?;
    let files = tree.iter().map(|(path, file)| FileBody {
        path: path.to_owned(),
        size: file.bytes.len() as u64,
        executable: file.executable,
        sha256: Sha256::of(&file.bytes).hex(),
    });
    Ok(Json(files.collect()))
}
