//! `GET /`: what this hub is, a search box, the latest skills, how to install.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use hub_db::{DbError, SkillQuery};
use hub_model::{Page as ListPage, Sort, Stats};
use serde::Deserialize;

use super::page::{Page, show};
use crate::App;
use crate::catalogue::body::SkillBody;
use crate::catalogue::search_skills::{SearchError, find};
use crate::catalogue::summaries;
use crate::extract::Query;
use crate::problem::{Problem, answers_with_problem};
use crate::search::SearchRequest;

const SKILLS_SHOWN: u32 = 12;
const HITS_SHOWN: usize = 30;

#[derive(Debug, Deserialize)]
pub struct HomeParams {
    #[serde(default)]
    q: String,
}

#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<HomeError> for Problem {
    fn from(error: HomeError) -> Self {
        match error {
            HomeError::Search(error) => error.into(),
            HomeError::Database(error) => error.into(),
        }
    }
}

answers_with_problem!(HomeError);

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    page: Page,
    query: String,
    heading: String,
    notice: Option<&'static str>,
    suggestion: Option<Suggestion>,
    stats: Stats,
    skills: Vec<Card>,
}

struct Suggestion {
    text: String,
    /// `q=…`
    href: String,
}

struct Card {
    name: String,
    version: String,
    /// Escaped; matches in `<em>`.
    description_html: String,
    downloads: u64,
    rating: String,
    deprecated: bool,
    tags: Vec<String>,
}

impl Card {
    fn new(skill: &SkillBody, description_html: Option<String>) -> Self {
        Self {
            name: skill.name.clone(),
            version: skill.version.clone().unwrap_or_default(),
            description_html: description_html.unwrap_or_else(|| escaped(&skill.description)),
            downloads: skill.downloads,
            rating: if skill.rating_count == 0 {
                String::new()
            } else {
                format!("★ {:.1} ({})", skill.rating, skill.rating_count)
            },
            deprecated: skill.deprecated.is_some(),
            tags: skill.tags.iter().take(6).cloned().collect(),
        }
    }
}

fn escaped(text: &str) -> String {
    askama::filters::escape(text, askama::filters::Html)
        .map(|escaped| escaped.to_string())
        .unwrap_or_default()
}

/// The start page, and what a search found.
pub async fn home(
    State(app): State<App>,
    Query(params): Query<HomeParams>,
) -> Result<Response, HomeError> {
    let query = params.q.trim().to_owned();
    let page = if query.is_empty() {
        start(&app).await?
    } else {
        results(&app, query).await?
    };
    Ok(show(StatusCode::OK, &page))
}

async fn start(app: &App) -> Result<HomePage, HomeError> {
    let query = SkillQuery {
        sort: Sort::Recent,
        tags: Vec::new(),
        page: ListPage::first(SKILLS_SHOWN),
    };
    let latest = app.db().skills().list(app.tenant(), &query).await?;
    let skills: Vec<Arc<SkillBody>> = summaries::of_records(app, latest.skills).await?;
    Ok(HomePage {
        page: Page::of(app),
        query: String::new(),
        heading: "Latest skills".to_owned(),
        notice: None,
        suggestion: None,
        stats: app.db().stats().of(app.tenant()).await?,
        skills: skills.iter().map(|skill| Card::new(skill, None)).collect(),
    })
}

async fn results(app: &App, query: String) -> Result<HomePage, HomeError> {
    let request = SearchRequest {
        query: query.clone(),
        limit: HITS_SHOWN,
        ..SearchRequest::default()
    };
    let mut page = HomePage {
        page: Page::of(app),
        query,
        heading: String::new(),
        notice: None,
        suggestion: None,
        stats: Stats::default(),
        skills: Vec::new(),
    };
    match find(app, request).await {
        Ok((found, bodies)) => {
            page.heading = match found.total {
                1 => "1 skill".to_owned(),
                total => format!("{total} skills"),
            };
            page.suggestion = found.suggestion.map(|text| Suggestion {
                href: form_urlencoded::Serializer::new(String::new())
                    .append_pair("q", &text)
                    .finish(),
                text,
            });
            page.skills = bodies
                .into_iter()
                .map(|(hit, skill)| Card::new(&skill, hit.description_html))
                .collect();
        }
        Err(SearchError::NotReady) => {
            page.notice = Some("The search index is being built. Try again in a moment.");
        }
        Err(SearchError::QueryTooLong) => {
            page.notice = Some("That is too long to search for. Use a few words.");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(page)
}
