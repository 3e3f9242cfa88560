//! `GET /.well-known/agent-skills/index.json`: the discovery index that agents
//! look for (cloudflare/agent-skills-discovery-rfc 0.2.0).
//!
//! The format has no pages, so the index lists the most downloaded skills up to
//! [`SKILLS_MAX`]; the API lists the rest.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use hub_db::{DbError, SkillQuery};
use hub_model::{Page, Sort, Start};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::catalogue::body::checksum;
use crate::catalogue::cache::Rendered;
use crate::problem::{Problem, answers_with_problem};

/// About 300 bytes each, so an index of at most 1.5 MB.
const SKILLS_MAX: usize = 5_000;

/// How old the index may be. Building it reads fifty pages.
const AGE_MAX: Duration = Duration::from_secs(10);

const SCHEMA: &str = "https://schemas.agentskills.io/discovery/0.2.0/schema.json";

/// The index as last built. Cheap to clone.
#[derive(Clone, Default)]
pub struct DiscoveryCache(Arc<Mutex<Option<(Instant, Rendered)>>>);

impl DiscoveryCache {
    fn get(&self) -> Option<Rendered> {
        let built = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, rendered) = built.as_ref()?;
        (at.elapsed() < AGE_MAX).then(|| rendered.clone())
    }

    fn put(&self, rendered: Rendered) {
        let mut built = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *built = Some((Instant::now(), rendered));
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct IndexBody {
    #[serde(rename = "$schema")]
    schema: &'static str,
    skills: Vec<IndexedSkillBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct IndexedSkillBody {
    name: String,
    /// Always `archive`.
    r#type: &'static str,
    description: String,
    /// A tar.gz or zip with `SKILL.md` at its root.
    url: String,
    /// `sha256:` and 64 hex digits.
    digest: String,
}

#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    #[error(transparent)]
    Render(Problem),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<DiscoveryError> for Problem {
    fn from(error: DiscoveryError) -> Self {
        match error {
            DiscoveryError::Render(problem) => problem,
            DiscoveryError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(DiscoveryError);

/// The discovery index: the hub's most downloaded skills, up to 5,000.
#[utoipa::path(
    get,
    path = "/.well-known/agent-skills/index.json",
    tag = "catalogue",
    responses(
        (status = 200, description = "The index", body = IndexBody),
        (status = 304, description = "The client has this already"),
    )
)]
pub async fn discovery_index(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, DiscoveryError> {
    let rendered = match app.discovery().get() {
        Some(rendered) => rendered,
        None => {
            let index = IndexBody {
                schema: SCHEMA,
                skills: indexed(&app).await?,
            };
            let rendered = Rendered::json(&index).map_err(DiscoveryError::Render)?;
            app.discovery().put(rendered.clone());
            rendered
        }
    };
    Ok(rendered.answer(&headers, app.is_private()))
}

async fn indexed(app: &App) -> Result<Vec<IndexedSkillBody>, DbError> {
    let mut skills = Vec::new();
    let mut page = Page::first(Page::LIMIT_MAX);
    loop {
        let query = SkillQuery {
            sort: Sort::Downloads,
            tags: Vec::new(),
            page: page.clone(),
        };
        let found = app.db().skills().list(app.tenant(), &query).await?;
        skills.extend(found.skills.into_iter().filter_map(|skill| {
            let latest = skill.latest?;
            Some(IndexedSkillBody {
                url: app
                    .links()
                    .archive(&skill.name, &latest.version, &latest.media_type),
                digest: checksum(&latest.sha256),
                name: skill.name,
                r#type: "archive",
                description: skill.about.description,
            })
        }));
        match found.next {
            Some(cursor) if skills.len() < SKILLS_MAX => page.start = Start::After(cursor),
            _ => return Ok(skills),
        }
    }
}
