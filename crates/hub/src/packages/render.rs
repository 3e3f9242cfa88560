//! `GET /api/v1/skills/{name}/{version}/render`: the skill in the form that the
//! asking framework reads.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, HeaderName, USER_AGENT, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use skill_format::adapters::{self, Framework, RenderOptions, UnknownFramework, detect};
use skill_format::{InvalidSkill, ReadOptions, Skill, parse_version};
use utoipa::IntoParams;

use super::list_files::{OpenError, open};
use crate::App;
use crate::extract::{Json, Path, Query};
use crate::problem::{FieldError, Problem, ProblemBody, answers_with_problem};

/// Which form was chosen, for whoever let the hub choose.
const FRAMEWORK: HeaderName = HeaderName::from_static("skill-framework");

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RenderParams {
    /// `claude`, `anthropic-tool`, `openai`, `openai-skills`, `vertex`,
    /// `roundtable`, `mcp` or one of their aliases. Without it `Accept` and
    /// `User-Agent` decide; if they tell nothing, `claude`.
    format: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error(transparent)]
    Format(#[from] UnknownFramework),
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It was read when it was published; now it cannot be.
    #[error(transparent)]
    Skill(#[from] InvalidSkill),
    #[error("rendering was stopped")]
    Stopped(#[from] tokio::task::JoinError),
}

impl From<RenderError> for Problem {
    fn from(error: RenderError) -> Self {
        match error {
            RenderError::Format(error) => Self::explained_as(StatusCode::BAD_REQUEST, &error)
                .with_error(FieldError::new("format", error.to_string())),
            RenderError::Open(error) => error.into(),
            RenderError::Skill(error) => Self::internal(error),
            RenderError::Stopped(error) => Self::internal(error),
        }
    }
}

answers_with_problem!(RenderError);

/// A version in the form that an agent framework reads.
#[utoipa::path(
    get,
    path = "/api/v1/skills/{name}/{version}/render",
    tag = "packages",
    params(
        ("name" = String, Path, description = "The skill's name"),
        ("version" = String, Path, description = "A version, or `latest`"),
        RenderParams,
    ),
    responses(
        (status = 200, description = "The framework's own form", body = Object,
            headers(("Skill-Framework" = String, description = "Which form was chosen"))),
        (status = 400, description = "`framework-unknown`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "`skill-not-found`, `version-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn render(
    State(app): State<App>,
    Path((name, version)): Path<(String, String)>,
    Query(params): Query<RenderParams>,
    headers: HeaderMap,
) -> Result<Response, RenderError> {
    let framework = match &params.format {
        Some(format) => format.parse()?,
        None => detected(&headers),
    };
    let (version, tree) = open(&app, &name, &version).await?;
    let options = ReadOptions {
        folder_name: None,
        version: parse_version(&version.version).ok(),
    };
    let rendered = tokio::task::spawn_blocking(move || {
        let skill = Skill::from_tree(tree.as_ref().clone(), &options)?;
        let options = RenderOptions {
            instructions: true,
            ..RenderOptions::default()
        };
        Ok::<_, InvalidSkill>(adapters::render(&[&skill], framework, &options))
    });
    let rendered = rendered.await??;
    let told = [
        (FRAMEWORK, HeaderValue::from_static(framework.as_str())),
        (VARY, HeaderValue::from_static("accept, user-agent")),
    ];
    Ok((told, Json(rendered)).into_response())
}

fn detected(headers: &HeaderMap) -> Framework {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    detect::from_http(text(ACCEPT), text(USER_AGENT)).unwrap_or(Framework::Claude)
}
