//! `POST /api/v1/skills/{name}/invoke`: runs a skill.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{ACCEPT, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use hub_db::DbError;
use hub_model::{Scope, SkillRecord, VersionId};
use skill_trace::TraceContext;

use super::answer::{self, SKILL_WARNING};
use super::ask::{self, InvokeBody, InvokeParams};
use super::body::InvocationBody;
use super::input_check;
use super::prefer::Prefer;
use super::run::{self, Accepted, Order, OrderError};
use super::stream::{self, Seen, Watch};
use crate::App;
use crate::auth::Principal;
use crate::catalogue::find::{self, FindError};
use crate::extract::{Path, Query, idempotency_key};
use crate::problem::{Problem, ProblemBody, answers_with_problem};

#[derive(Debug, thiserror::Error)]
pub enum InvokeSkillError {
    /// The token does not reach, or the request cannot be read.
    #[error(transparent)]
    Request(Problem),
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("no mesh is configured")]
    NotConfigured,
    #[error("the hub is stopping")]
    Stopping,
    #[error("no place is free")]
    Busy,
    #[error("nobody can listen now")]
    TooManyStreams,
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error("a request with this idempotency key has just been refused")]
    KeyInUse,
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<Problem> for InvokeSkillError {
    fn from(problem: Problem) -> Self {
        Self::Request(problem)
    }
}

impl From<OrderError> for InvokeSkillError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::NotConfigured => Self::NotConfigured,
            OrderError::Stopping => Self::Stopping,
            OrderError::Busy => Self::Busy,
            OrderError::KeyReused => Self::KeyReused,
            OrderError::KeyInUse => Self::KeyInUse,
            OrderError::Database(error) => Self::Database(error),
        }
    }
}

impl From<InvokeSkillError> for Problem {
    fn from(error: InvokeSkillError) -> Self {
        match error {
            InvokeSkillError::Request(problem) => problem,
            InvokeSkillError::Find(error) => error.into(),
            InvokeSkillError::NotConfigured => Self::new(
                StatusCode::NOT_IMPLEMENTED,
                "mesh-not-configured",
                "This hub runs no skills: its operator has connected it to no mesh. Install the \
                 skill and run it with `skills run`.",
            ),
            InvokeSkillError::Stopping => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "hub-stopping",
                "The hub is stopping and takes no new invocations; try again.",
            )
            .with_header(RETRY_AFTER, HeaderValue::from_static("2")),
            InvokeSkillError::Busy => answer::busy(
                "The hub runs as many skills as it can, and as many wait as may; try again.",
            ),
            InvokeSkillError::TooManyStreams => too_many_streams(),
            InvokeSkillError::KeyReused => Self::new(
                StatusCode::CONFLICT,
                "idempotency-key-reused",
                "The idempotency key was used for another request. Choose a fresh one.",
            ),
            InvokeSkillError::KeyInUse => Self::new(
                StatusCode::CONFLICT,
                "idempotency-key-in-use",
                "A request with this idempotency key is being worked on.",
            )
            .with_header(RETRY_AFTER, HeaderValue::from_static("2")),
            InvokeSkillError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(InvokeSkillError);

/// 503: as many listen as may.
pub(super) fn too_many_streams() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too-many-streams",
        "As many clients listen to events as this hub allows. Ask for the result instead, or try again.",
    )
    .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
}

/// Runs a skill and answers with its output, as an event stream, or at once with where to ask for it. It goes on when
/// the client leaves.
#[utoipa::path(
    post,
    path = "/api/v1/skills/{name}/invoke",
    tag = "invocations",
    params(
        ("name" = String, Path, description = "The skill's name"),
        InvokeParams,
        ("Prefer" = Option<String>, Header,
            description = "RFC 7240: `respond-async` answers 202 at once, `wait=N` after N seconds without a result"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "A request sent twice with the same key is one invocation"),
        ("traceparent" = Option<String>, Header,
            description = "W3C trace context: the run is a part of this trace. `tracestate` is passed on with it"),
        ("Accept" = Option<String>, Header,
            description = "`text/event-stream`: progress and the result as events"),
    ),
    request_body(content(
        (InvokeBody = "application/json"),
        (String = "text/plain"),
        (Vec<u8> = "application/octet-stream"),
    )),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "It is over: `status` says how. Or its events", content(
            (InvocationBody = "application/json"),
            (String = "text/event-stream"),
        ), headers(
            ("Location" = String, description = "The invocation"),
            ("Skill-Warning" = Option<String>, description = "`deprecated`, `yanked`"),
        )),
        (status = 202, description = "It goes on", body = InvocationBody,
            headers(("Location" = String, description = "The invocation"))),
        (status = 403, description = "`scope-insufficient`, `skill-not-allowed`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 404, description = "`skill-not-found`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "`idempotency-key-reused`, `idempotency-key-in-use`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 413, description = "`payload-too-large`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 422, description = "`invalid-body`, `invalid-input`, `entry-unknown`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 501, description = "`mesh-not-configured`", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, description = "`busy`, `skill-not-served`, `mesh-closed`, `hub-stopping`, `too-many-streams`, `unavailable`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 504, description = "`no-answer`, `interrupted`", body = ProblemBody,
            content_type = "application/problem+json"),
    )
)]
pub async fn invoke_skill(
    State(app): State<App>,
    principal: Principal,
    Path(name): Path<String>,
    Query(params): Query<InvokeParams>,
    request: Request,
) -> Result<Response, InvokeSkillError> {
    principal.require(Scope::Invoke)?;
    if app.gateway().invoker().is_none() {
        return Err(InvokeSkillError::NotConfigured);
    }
    let key = idempotency_key(request.headers())?;
    let mode = Mode::of(request.headers());
    let trace = request.extensions().get::<TraceContext>().cloned();
    let skill = find::skill(&app, &name).await?;
    principal.require_for(Scope::Invoke, &skill.name)?;
    let offered = offered(&app, &skill).await?;
    let time = Duration::from_secs(app.config().limits.request_seconds_max);
    let ask = ask::read(request, params, &app.config().invoke, time).await?;
    if let Some(version) = app.db().versions().by_id(offered.version).await? {
        input_check::check(&version.manifest, ask.entry.as_deref(), &ask.input).await?;
    }
    let order = Order {
        principal,
        skill_id: skill.id,
        skill: skill.name,
        entry: ask.entry,
        input: ask.input,
        timeout: ask.timeout,
        idempotency_key: key,
        trace,
    };
    let mut response = mode.answer(&app, order).await?;
    if let Some(warning) = offered.warning {
        let value = HeaderValue::from_static(warning);
        response.headers_mut().insert(SKILL_WARNING, value);
    }
    Ok(response)
}

/// What the catalogue offers of a skill.
struct Offered {
    version: VersionId,
    warning: Option<&'static str>,
}

/// The latest version, or the highest yanked one if there is no other. A skill all of whose versions are deleted is
/// no skill any more.
async fn offered(app: &App, skill: &SkillRecord) -> Result<Offered, InvokeSkillError> {
    let (version, is_yanked) = match &skill.latest {
        Some(latest) => (latest.id, false),
        None => {
            let releases = app.db().versions().releases(skill.id).await?;
            match releases.first() {
                Some(yanked) => (yanked.id, true),
                None => return Err(find::no_skill(app, &skill.name).await.into()),
            }
        }
    };
    let warning = match (skill.deprecated.is_some(), is_yanked) {
        (false, false) => None,
        (true, false) => Some("deprecated"),
        (false, true) => Some("yanked"),
        (true, true) => Some("deprecated, yanked"),
    };
    Ok(Offered { version, warning })
}

/// How the caller wants to hear of it.
enum Mode {
    Events,
    Answer(Prefer),
}

impl Mode {
    fn of(headers: &HeaderMap) -> Self {
        let mut accepted = headers.get_all(ACCEPT).iter();
        let wants_events = accepted.any(|value| {
            let text = value.to_str().unwrap_or_default();
            let mut types = text.split(',').filter_map(|one| one.split(';').next());
            types.any(|one| one.trim().eq_ignore_ascii_case("text/event-stream"))
        });
        if wants_events {
            Self::Events
        } else {
            Self::Answer(Prefer::of(headers))
        }
    }

    async fn answer(self, app: &App, order: Order) -> Result<Response, InvokeSkillError> {
        match self {
            Self::Events => {
                // The place first: who cannot listen has not run anything either.
                let place = app.gateway().stream();
                let place = place.ok_or(InvokeSkillError::TooManyStreams)?;
                let (record, watch) = begin(app, order).await?;
                Ok(stream::events(app, &record, watch, 0, place))
            }
            Self::Answer(prefer) => {
                let (record, mut watch) = begin(app, order).await?;
                let seen = match prefer.patience() {
                    None => Some(watch.end().await),
                    Some(patience) => tokio::time::timeout(patience, watch.end()).await.ok(),
                };
                Ok(match seen {
                    Some(Seen::Over(record)) => answer::over(&record),
                    None => answer::accepted(&record, prefer.applied()),
                    Some(Seen::Gone | Seen::Progress(_)) => answer::stopping(&record),
                })
            }
        }
    }
}

async fn begin(
    app: &App,
    order: Order,
) -> Result<(hub_model::InvocationRecord, Watch), InvokeSkillError> {
    Ok(match run::submit(app, order).await? {
        Accepted::New(record, live) => {
            let watch = Watch::of(app, record.id, Some(live));
            (record, watch)
        }
        Accepted::Before(record) => {
            let watch = Watch::new(app, record.id);
            (record, watch)
        }
    })
}
