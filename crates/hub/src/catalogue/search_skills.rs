//! `GET /api/v1/search`: full-text search with ranking, typing errors forgiven.

use std::sync::Arc;

use axum::extract::State;
use hub_db::DbError;
use hub_model::{InvalidPage, Page, SkillId, Start};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::SkillBody;
use super::list_skills::invalid_parameter;
use super::summaries;
use crate::App;
use crate::extract::{Json, Query};
use crate::problem::{Problem, answers_with_problem};
use crate::search::{Found, Hit, QUERY_BYTES_MAX, SearchOrder, SearchRequest};

/// Filters beyond this many are not looked at by anybody but a machine gone wrong.
const TAGS_MAX: usize = 10;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchParams {
    /// The words to look for. Without any, the filters alone decide.
    #[param(max_length = 1024)]
    q: Option<String>,
    /// Only skills that carry all of these tags, separated by commas or each in a `tags` of its own. At most 10.
    tags: Option<String>,
    /// Only skills that name this framework.
    framework: Option<String>,
    /// Only skills of this author or owner.
    author: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// How many to skip, at most 10,000.
    #[param(minimum = 0, maximum = 10_000, default = 0)]
    offset: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SearchBody {
    /// The words as understood.
    pub query: String,
    /// Best first.
    pub results: Vec<SearchResultBody>,
    /// On all pages.
    pub total: usize,
    /// What was probably meant, when the words as typed found nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SearchResultBody {
    #[serde(flatten)]
    #[schema(value_type = SkillBody)]
    pub skill: Arc<SkillBody>,
    /// Comparable within one answer only.
    pub score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highlights: Option<HighlightsBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct HighlightsBody {
    /// HTML: an excerpt with everything escaped and the matches in `<em>`.
    #[schema(example = "Reads <em>CSV</em> files")]
    pub description: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("the query may take {QUERY_BYTES_MAX} bytes")]
    QueryTooLong,
    #[error("a search is filtered by at most {TAGS_MAX} tags")]
    TooManyTags,
    #[error(transparent)]
    Page(#[from] InvalidPage),
    #[error("the search index is being built")]
    NotReady,
    #[error(transparent)]
    Index(#[from] tantivy::TantivyError),
    #[error("the search was stopped")]
    Stopped(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        let field = match error {
            SearchError::QueryTooLong => "q",
            SearchError::TooManyTags => "tags",
            SearchError::Page(InvalidPage::Limit) => "limit",
            SearchError::Page(InvalidPage::Offset) => "offset",
            SearchError::NotReady => {
                return Self::unavailable("The search index is being built; try again.", 2);
            }
            SearchError::Index(error) => return Self::internal(error),
            SearchError::Stopped(error) => return Self::internal(error),
            SearchError::Database(error) => return error.into(),
        };
        invalid_parameter(field, &error.to_string())
    }
}

answers_with_problem!(SearchError);

/// Full-text search with relevance ranking.
#[utoipa::path(
    get,
    path = "/api/v1/search",
    tag = "catalogue",
    params(SearchParams),
    responses((status = 200, description = "What was found, best first", body = SearchBody))
)]
pub async fn search_skills(
    State(app): State<App>,
    Query(params): Query<SearchParams>,
) -> Result<Json<SearchBody>, SearchError> {
    let limit = params.limit.unwrap_or(Page::LIMIT_DEFAULT);
    let page = Page::new(limit, Start::Offset(params.offset.unwrap_or(0)))?;
    let query = params.q.unwrap_or_default();
    let request = SearchRequest {
        query: query.clone(),
        tags: split_tags(params.tags.as_deref()),
        framework: filter(params.framework),
        author: filter(params.author),
        order: SearchOrder::Relevance,
        limit: page.limit() as usize,
        offset: page.offset() as usize,
    };
    let (found, bodies) = find(&app, request).await?;
    let results = bodies.into_iter().map(|(hit, skill)| SearchResultBody {
        skill,
        score: hit.score,
        highlights: hit
            .description_html
            .map(|description| HighlightsBody { description }),
    });
    Ok(Json(SearchBody {
        query,
        results: results.collect(),
        total: found.total,
        suggestion: found.suggestion,
    }))
}

/// Runs a search and reads what it found; the hits of the first part are moved
/// to the second, each beside its skill.
pub(crate) async fn find(
    app: &App,
    request: SearchRequest,
) -> Result<(Found, Vec<(Hit, Arc<SkillBody>)>), SearchError> {
    if request.query.len() > QUERY_BYTES_MAX {
        return Err(SearchError::QueryTooLong);
    }
    if request.tags.len() > TAGS_MAX {
        return Err(SearchError::TooManyTags);
    }
    if !app.is_search_ready() {
        return Err(SearchError::NotReady);
    }
    let started = std::time::Instant::now();
    let index = app.search().clone();
    let mut found = tokio::task::spawn_blocking(move || index.search(&request)).await??;
    app.metrics().search_seconds().record(started.elapsed());
    let hits = std::mem::take(&mut found.hits);
    let ids: Vec<SkillId> = hits.iter().map(|hit| hit.id).collect();
    let bodies = summaries::of_ids(app, &ids).await?;
    let beside = hits.into_iter().filter_map(|hit| {
        let body = Arc::clone(bodies.get(&hit.id)?);
        // Yanked since it was indexed.
        body.version.is_some().then_some((hit, body))
    });
    Ok((found, beside.collect()))
}

/// `a, b,,c` → `a`, `b`, `c`.
pub(crate) fn split_tags(tags: Option<&str>) -> Vec<String> {
    let words = tags.unwrap_or_default().split(',').map(str::trim);
    words
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect()
}

fn filter(word: Option<String>) -> Option<String> {
    word.filter(|word| !word.trim().is_empty())
}
