//! `GET /api/v1/skills/{name}/owners`.

use axum::extract::State;
use hub_db::DbError;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::time;
use super::find::{self, FindError};
use crate::App;
use crate::extract::{Json, Path};
use crate::problem::{Problem, ProblemBody, answers_with_problem};

#[derive(Debug, Serialize, ToSchema)]
pub struct OwnersBody {
    /// The longest-standing first.
    owners: Vec<OwnerBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnerBody {
    username: String,
    #[schema(format = DateTime)]
    added_at: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ListOwnersError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<ListOwnersError> for Problem {
    fn from(error: ListOwnersError) -> Self {
        match error {
            ListOwnersError::Find(error) => error.into(),
            ListOwnersError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(ListOwnersError);

/// Who may publish under a skill's name.
#[utoipa::path(
    get,
    path = "/api/v1/skills/{name}/owners",
    tag = "catalogue",
    params(("name" = String, Path, description = "The skill's name")),
    responses(
        (status = 200, description = "The owners", body = OwnersBody),
        (status = 404, description = "`skill-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn list_owners(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<OwnersBody>, ListOwnersError> {
    let skill = find::skill(&app, &name).await?;
    let owners = app.db().owners().of(&[skill.id]).await?;
    let owners = owners.into_iter().map(|owner| OwnerBody {
        username: owner.username,
        added_at: time(owner.added_at),
    });
    Ok(Json(OwnersBody {
        owners: owners.collect(),
    }))
}
