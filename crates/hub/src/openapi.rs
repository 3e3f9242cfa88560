//! The OpenAPI 3.1 document: collected from the annotations of the endpoints,
//! completed with what every endpoint may answer. Served at `/openapi.json`,
//! committed as `docs/openapi.json`; a test compares the two.

use std::sync::LazyLock;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::App;
use crate::catalogue::cache::Rendered;
use crate::problem::{FieldError, Problem, ProblemBody};
use crate::{auth, catalogue, invoke, ops, packages};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Skills hub",
        description = "A registry of agent skills: publish, find, verify, download, run. Errors are \
                       problem details (RFC 9457) with a stable `code`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "catalogue", description = "Finding and curating skills"),
        (name = "packages", description = "Publishing, downloading, looking into archives"),
        (name = "invocations", description = "Running skills, and what it came to"),
        (name = "auth", description = "Accounts, sessions, API tokens, sign-in"),
        (name = "keys", description = "Publishers' signing keys"),
        (name = "users", description = "Accounts, for administrators"),
        (name = "operations", description = "Health, probes, metrics"),
    ),
    paths(
        catalogue::list_skills::list_skills,
        catalogue::get_skill::get_skill,
        catalogue::get_version::get_version,
        catalogue::search_skills::search_skills,
        catalogue::list_tags::list_tags,
        catalogue::deprecate::deprecate,
        catalogue::undeprecate::undeprecate,
        catalogue::put_rating::put_rating,
        catalogue::delete_rating::delete_rating,
        catalogue::list_ratings::list_ratings,
        catalogue::list_dependents::list_dependents,
        catalogue::list_owners::list_owners,
        catalogue::add_owner::add_owner,
        catalogue::remove_owner::remove_owner,
        catalogue::list_downloads::list_downloads,
        ops::discovery::discovery_index,
        packages::publish::publish,
        packages::delete_version::delete_version,
        packages::change_version::change_version,
        packages::download::download,
        packages::download::package,
        packages::list_files::list_files,
        packages::get_file::get_file,
        packages::render::render,
        invoke::invoke_skill::invoke_skill,
        invoke::list_invocations::list_invocations,
        invoke::get_invocation::get_invocation,
        invoke::cancel::cancel,
        invoke::stream_events::stream_events,
        invoke::get_usage::get_usage,
        auth::account::settings::settings,
        auth::account::register::register,
        auth::account::login::login,
        auth::sessions::refresh::refresh,
        auth::sessions::end::logout,
        auth::account::me::me,
        auth::account::change_password::change_password,
        auth::api_tokens::list::list,
        auth::api_tokens::create::create,
        auth::api_tokens::revoke::revoke,
        auth::device::authorize::authorize,
        auth::device::poll::poll,
        auth::oidc::login::login,
        auth::oidc::callback::callback,
        auth::keys::list::list_own,
        auth::keys::register::register,
        auth::keys::challenge::challenge,
        auth::keys::read::read,
        auth::keys::remove::remove,
        auth::keys::list::list_of_user,
        auth::users::list::list,
        auth::users::update::update,
        catalogue::health::health,
        ops::probes::healthz,
        ops::probes::readyz,
        ops::metrics_page::metrics,
    ),
    components(schemas(ProblemBody, FieldError)),
    modifiers(&Security, &Completion),
)]
struct Document;

/// The document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The document as `docs/openapi.json` holds it: indented, with a line end.
pub fn openapi_json() -> String {
    // Strings, numbers and maps only: serialising them has no way to fail.
    openapi().to_pretty_json().unwrap_or_default() + "\n"
}

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.description = Some(
            "An access token from a sign-in, or an API token (`skl_…`). In private mode every \
             endpoint needs one."
                .to_owned(),
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// What every endpoint may answer, and operation ids in one style.
struct Completion;

const EVERYWHERE: [(&str, &str); 5] = [
    (
        "400",
        "`invalid-query`, `invalid-path`, `invalid-json`, `invalid-header`",
    ),
    (
        "401",
        "`authentication-required`, or the token is not accepted",
    ),
    ("429", "`rate-limited`"),
    ("500", "`internal-error`"),
    ("503", "`unavailable`, `timed-out`"),
];

impl Modify for Completion {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for item in document.paths.paths.values_mut() {
            let operations = [
                &mut item.get,
                &mut item.put,
                &mut item.post,
                &mut item.patch,
                &mut item.delete,
            ];
            for operation in operations.into_iter().flatten() {
                complete(operation);
            }
        }
    }
}

fn complete(operation: &mut Operation) {
    operation.operation_id = operation.operation_id.as_deref().map(camel_case);
    for (status, codes) in EVERYWHERE {
        operation
            .responses
            .responses
            .entry(status.to_owned())
            .or_insert_with(|| RefOr::T(problem_response(codes)));
    }
}

fn problem_response(codes: &str) -> utoipa::openapi::Response {
    let schema = Ref::from_schema_name("ProblemBody");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(codes)
        .content("application/problem+json", content)
        .build()
}

/// `list_skills` → `listSkills`.
fn camel_case(id: &str) -> String {
    let mut parts = id.split('_');
    let mut joined = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        joined.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        joined.push_str(letters.as_str());
    }
    joined
}

/// `GET /openapi.json`.
pub async fn openapi_document(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    static RENDERED: LazyLock<Result<Rendered, Problem>> =
        LazyLock::new(|| Rendered::json(&openapi()));
    match &*RENDERED {
        Ok(rendered) => Ok(rendered.answer(&headers, app.is_private())),
        Err(problem) => Err(problem.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_ids_are_unique_and_in_one_style() {
        let mut seen = std::collections::BTreeSet::new();
        for item in openapi().paths.paths.into_values() {
            let operations = [item.get, item.put, item.post, item.patch, item.delete];
            for operation in operations.into_iter().flatten() {
                let id = operation.operation_id.expect("an id");
                assert!(!id.contains('_'), "{id}");
                assert!(seen.insert(id.clone()), "{id} twice");
            }
        }
    }
}
