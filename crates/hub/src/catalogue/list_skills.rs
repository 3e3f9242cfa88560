//! `GET /api/v1/skills`: the catalogue, page by page.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use hub_db::{DbError, SkillQuery, TAGS_PER_QUERY_MAX};
use hub_model::{Cursor, InvalidCursor, InvalidPage, Page, Sort, Start, UnknownSort};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::SkillBody;
use super::search_skills::{SearchError, find, split_tags};
use super::summaries;
use crate::App;
use crate::extract::{Json, Query};
use crate::problem::{FieldError, Problem, answers_with_problem};
use crate::search::{SearchOrder, SearchRequest};

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Only skills that match these words; the order is then by relevance unless `sort` says otherwise.
    search: Option<String>,
    /// Only skills that carry all of these tags, separated by commas or each in a `tags` of its own. At most 10.
    tags: Option<String>,
    /// `downloads` (the default), `rating`, `recent` or `name`.
    #[param(inline, value_type = Option<SortWord>)]
    sort: Option<String>,
    /// 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// How many to skip, at most 10,000.
    #[param(minimum = 0, maximum = 10_000, default = 0)]
    offset: Option<u32>,
    /// `nextCursor` of the page before, to read on without bound. Not with `search`.
    cursor: Option<String>,
}

/// For the OpenAPI document only.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a parameter")]
enum SortWord {
    Downloads,
    Rating,
    Recent,
    Name,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillListBody {
    #[schema(value_type = Vec<SkillBody>)]
    pub skills: Vec<Arc<SkillBody>>,
    /// On all pages.
    pub total: u64,
    pub limit: u32,
    pub offset: u32,
    /// Where the next page begins; null on the last one.
    pub next_cursor: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Sort(#[from] UnknownSort),
    #[error(transparent)]
    Page(#[from] InvalidPage),
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    #[error("a cursor goes with a list, not with `search`: use `offset`")]
    CursorWithSearch,
    #[error("a list is filtered by at most {TAGS_PER_QUERY_MAX} tags")]
    TooManyTags,
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<ListError> for Problem {
    fn from(error: ListError) -> Self {
        let field = match error {
            ListError::Sort(_) => "sort",
            ListError::Page(InvalidPage::Limit) => "limit",
            ListError::Page(InvalidPage::Offset) => "offset",
            ListError::Cursor(_) | ListError::CursorWithSearch => "cursor",
            ListError::TooManyTags => "tags",
            ListError::Search(error) => return error.into(),
            ListError::Database(error) => return error.into(),
        };
        invalid_parameter(field, &error.to_string())
    }
}

answers_with_problem!(ListError);

/// 400 `invalid-query` that names the parameter.
pub(crate) fn invalid_parameter(field: &str, message: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "invalid-query",
        format!("The parameter `{field}` is not as it should be: {message}."),
    )
    .with_error(FieldError::new(field, message))
}

/// The catalogue: skills that can be installed, page by page.
#[utoipa::path(
    get,
    path = "/api/v1/skills",
    tag = "catalogue",
    params(ListParams),
    responses((status = 200, description = "A page of skills", body = SkillListBody))
)]
pub async fn list_skills(
    State(app): State<App>,
    Query(params): Query<ListParams>,
) -> Result<Json<SkillListBody>, ListError> {
    let sort = params.sort.as_deref().map(str::parse::<Sort>).transpose()?;
    let tags = split_tags(params.tags.as_deref());
    if tags.len() > TAGS_PER_QUERY_MAX {
        return Err(ListError::TooManyTags);
    }
    let page = page(&params, sort.unwrap_or_default())?;
    match params.search.filter(|words| !words.trim().is_empty()) {
        None => {
            listed(
                &app,
                SkillQuery {
                    sort: sort.unwrap_or_default(),
                    tags,
                    page,
                },
            )
            .await
        }
        Some(_) if matches!(page.start, Start::After(_)) => Err(ListError::CursorWithSearch),
        Some(query) => {
            let order = sort.map_or(SearchOrder::Relevance, SearchOrder::By);
            let (limit, offset) = (page.limit(), page.offset());
            let request = SearchRequest {
                query,
                tags,
                order,
                limit: limit as usize,
                offset: offset as usize,
                ..SearchRequest::default()
            };
            let (found, bodies) = find(&app, request).await?;
            let skills = bodies.into_iter().map(|(_, body)| body).collect();
            let total = found.total as u64;
            Ok(Json(SkillListBody {
                skills,
                total,
                limit,
                offset,
                next_cursor: None,
            }))
        }
    }
}

fn page(params: &ListParams, sort: Sort) -> Result<Page, ListError> {
    let start = match &params.cursor {
        Some(cursor) => Start::After(Cursor::parse(cursor, sort)?),
        None => Start::Offset(params.offset.unwrap_or(0)),
    };
    Ok(Page::new(
        params.limit.unwrap_or(Page::LIMIT_DEFAULT),
        start,
    )?)
}

async fn listed(app: &App, query: SkillQuery) -> Result<Json<SkillListBody>, ListError> {
    let page = app.db().skills().list(app.tenant(), &query).await?;
    Ok(Json(SkillListBody {
        skills: summaries::of_records(app, page.skills).await?,
        total: page.total,
        limit: query.page.limit(),
        offset: query.page.offset(),
        next_cursor: page.next.map(|cursor| cursor.encode()),
    }))
}
