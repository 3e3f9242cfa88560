//! `PUT /api/v1/skills/{name}/deprecation`: says that a skill should not be used
//! any more, and what instead.

use axum::extract::State;
use http::StatusCode;
use hub_db::UnitOfWork;
use hub_model::{Deprecation, Event, Scope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::curate::{Change, CurateError, find_for};
use crate::App;
use crate::auth::Principal;
use crate::extract::{Json, Path};
use crate::problem::{FieldError, Problem, ProblemBody, answers_with_problem};
use crate::transaction::in_transaction;

/// Characters: a few sentences.
pub(crate) const MESSAGE_CHARS_MAX: usize = 1_000;

#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct DeprecationBody {
    /// What to use instead, or why not to use it. 1 to 1,000 characters.
    #[schema(min_length = 1, max_length = 1000)]
    message: String,
}

#[derive(Debug, thiserror::Error)]
pub enum DeprecateError {
    #[error("a message has 1 to {MESSAGE_CHARS_MAX} characters and no control characters")]
    Message,
    #[error(transparent)]
    Curate(#[from] CurateError),
}

impl From<DeprecateError> for Problem {
    fn from(error: DeprecateError) -> Self {
        match error {
            DeprecateError::Message => invalid_text("message", &error.to_string()),
            DeprecateError::Curate(error) => error.into(),
        }
    }
}

answers_with_problem!(DeprecateError);

/// Whether a text for people is of a fit length and steers no terminal that shows it.
pub(crate) fn is_presentable(text: &str) -> bool {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    text.chars().count() <= MESSAGE_CHARS_MAX && !text.contains(steers)
}

/// 422 `invalid-body` that names the field.
pub(crate) fn invalid_text(field: &str, message: &str) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid-body",
        format!("The body is not as it should be: {message}."),
    )
    .with_error(FieldError::new(field, message))
}

/// Marks a skill as deprecated, or changes the message.
#[utoipa::path(
    put,
    path = "/api/v1/skills/{name}/deprecation",
    tag = "catalogue",
    params(("name" = String, Path, description = "The skill's name")),
    request_body = DeprecationBody,
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The skill is deprecated", body = DeprecationBody),
        (status = 403, description = "`not-an-owner`, `scope-insufficient`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "`skill-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn deprecate(
    State(app): State<App>,
    principal: Principal,
    Path(name): Path<String>,
    Json(body): Json<DeprecationBody>,
) -> Result<Json<DeprecationBody>, DeprecateError> {
    let message = body.message.trim().to_owned();
    if message.is_empty() || !is_presentable(&message) {
        return Err(DeprecateError::Message);
    }
    set(&app, &principal, &name, Some(message.clone())).await?;
    Ok(Json(DeprecationBody { message }))
}

/// Sets or lifts the deprecation. Lifting one that is not there changes nothing.
pub(crate) async fn set(
    app: &App,
    principal: &Principal,
    name: &str,
    message: Option<String>,
) -> Result<(), CurateError> {
    let skill = find_for(app, principal, Scope::Publish, name).await?;
    let change = Change::new(app, principal, &skill);
    in_transaction(
        app,
        &(&change, message.as_deref()),
        |unit, (change, message)| Box::pin(write(unit, change, *message)),
    )
    .await?;
    change.forget_old();
    Ok(())
}

async fn write(
    unit: &mut UnitOfWork,
    change: &Change<'_>,
    message: Option<&str>,
) -> Result<(), CurateError> {
    let locked = change.lock_managed(unit).await?;
    change.must_have_versions(unit).await?;
    if locked
        .deprecated
        .as_ref()
        .map(|deprecation| deprecation.message.as_str())
        == message
    {
        return Ok(());
    }
    let message = message.map(str::to_owned);
    let deprecation = message.clone().map(|message| Deprecation {
        message,
        at: change.now,
    });
    unit.skills()
        .set_deprecation(change.skill.id, deprecation.as_ref(), change.now)
        .await?;
    let (skill, agent_id) = (change.skill_ref(), change.agent_id());
    change.record(
        unit,
        Event::SkillDeprecated {
            skill,
            message,
            agent_id,
        },
    );
    Ok(())
}
