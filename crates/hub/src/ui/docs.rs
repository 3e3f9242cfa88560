//! `GET /docs`: the API for people, rendered from the OpenAPI document. The usual
//! viewers load their script from elsewhere; a hub must be readable without.

use std::sync::LazyLock;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{RefOr, Required};

use super::page::{Page, show};
use crate::App;
use crate::openapi::openapi;

#[derive(Template)]
#[template(path = "docs.html")]
struct DocsPage {
    page: Page,
    groups: &'static [Group],
    codes: &'static [Code],
}

/// The endpoints of one tag.
pub(crate) struct Group {
    name: String,
    description: String,
    endpoints: Vec<Endpoint>,
}

struct Endpoint {
    id: String,
    verb: &'static str,
    path: String,
    summary: String,
    needs_token: bool,
    parameters: Vec<Parameter>,
    bodies: Vec<String>,
    answers: Vec<Answer>,
}

struct Parameter {
    name: String,
    place: &'static str,
    required: bool,
    description: String,
}

struct Answer {
    status: String,
    description: String,
}

/// A problem's stable name, and the statuses under which it comes.
struct Code {
    name: String,
    statuses: String,
}

/// The API page.
pub async fn docs(State(app): State<App>) -> Response {
    static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(groups);
    static CODES: LazyLock<Vec<Code>> = LazyLock::new(|| codes(&GROUPS));
    show(
        StatusCode::OK,
        &DocsPage {
            page: Page::of(&app),
            groups: &GROUPS,
            codes: &CODES,
        },
    )
}

fn groups() -> Vec<Group> {
    let document = openapi();
    let tags = document.tags.unwrap_or_default();
    let mut groups: Vec<Group> = tags
        .into_iter()
        .map(|tag| Group {
            name: tag.name,
            description: tag.description.unwrap_or_default(),
            endpoints: Vec::new(),
        })
        .collect();
    for (path, item) in document.paths.paths {
        for (tag, endpoint) in endpoints(&path, item) {
            if let Some(group) = groups.iter_mut().find(|group| group.name == tag) {
                group.endpoints.push(endpoint);
            }
        }
    }
    groups
}

fn endpoints(path: &str, item: PathItem) -> Vec<(String, Endpoint)> {
    let operations = [
        ("GET", item.get),
        ("POST", item.post),
        ("PUT", item.put),
        ("PATCH", item.patch),
        ("DELETE", item.delete),
    ];
    operations
        .into_iter()
        .filter_map(|(verb, operation)| {
            let operation = operation?;
            let tag = operation.tags.clone()?.into_iter().next()?;
            Some((tag, endpoint(verb, path, operation)))
        })
        .collect()
}

fn endpoint(verb: &'static str, path: &str, operation: Operation) -> Endpoint {
    let parameters = operation
        .parameters
        .unwrap_or_default()
        .into_iter()
        .filter_map(parameter);
    let bodies = match operation.request_body {
        Some(RefOr::T(body)) => body.content.into_keys().collect(),
        Some(RefOr::Ref(_)) | None => Vec::new(),
    };
    let answers = operation
        .responses
        .responses
        .into_iter()
        .map(|(status, response)| Answer {
            status,
            description: match response {
                RefOr::T(response) => response.description,
                RefOr::Ref(reference) => reference.ref_location,
            },
        });
    Endpoint {
        id: operation.operation_id.unwrap_or_default(),
        verb,
        path: path.to_owned(),
        summary: [operation.summary, operation.description]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" "),
        needs_token: operation.security.is_some(),
        parameters: parameters.collect(),
        bodies,
        answers: answers.collect(),
    }
}

fn parameter(parameter: RefOr<utoipa::openapi::path::Parameter>) -> Option<Parameter> {
    let RefOr::T(parameter) = parameter else {
        return None;
    };
    Some(Parameter {
        name: parameter.name,
        place: match parameter.parameter_in {
            ParameterIn::Path => "path",
            ParameterIn::Header => "header",
            _ => "query",
        },
        required: parameter.required == Required::True,
        description: parameter.description.unwrap_or_default(),
    })
}

/// The problem codes that the answers name in backticks.
fn codes(groups: &[Group]) -> Vec<Code> {
    let mut found: std::collections::BTreeMap<String, std::collections::BTreeSet<String>> =
        std::collections::BTreeMap::new();
    let answers = groups
        .iter()
        .flat_map(|group| &group.endpoints)
        .flat_map(|e| &e.answers);
    for answer in answers.filter(|answer| answer.status.starts_with(['4', '5'])) {
        for name in answer.description.split('`').skip(1).step_by(2) {
            found
                .entry(name.to_owned())
                .or_default()
                .insert(answer.status.clone());
        }
    }
    let codes = found.into_iter().map(|(name, statuses)| Code {
        name,
        statuses: statuses.into_iter().collect::<Vec<_>>().join(", "),
    });
    codes.collect()
}
