//! Every URL of the hub on one screen, and below it the layers that every
//! request passes. A test compares the URLs with the OpenAPI document.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, patch, post, put};
use tower::ServiceBuilder;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::App;
use crate::auth::{self, account, api_tokens, device, keys, oidc, pages, sessions, users};
use crate::catalogue::{
    add_owner::add_owner, delete_rating::delete_rating, deprecate::deprecate, get_skill::get_skill,
    get_version::get_version, health::health, list_dependents::list_dependents,
    list_downloads::list_downloads, list_owners::list_owners, list_ratings::list_ratings,
    list_skills::list_skills, list_tags::list_tags, put_rating::put_rating,
    remove_owner::remove_owner, search_skills::search_skills, undeprecate::undeprecate,
};
use crate::invoke::{
    cancel::cancel, get_invocation::get_invocation, get_usage::get_usage,
    invoke_skill::invoke_skill, list_invocations::list_invocations, stream_events::stream_events,
};
use crate::middleware::{bounds, edge, linger, reading};
use crate::openapi::openapi_document;
use crate::ops::{
    discovery::discovery_index, metrics_page::metrics, probes::healthz, probes::readyz,
};
use crate::packages::{
    change_version::change_version, delete_version::delete_version, download::download,
    download::package, get_file::get_file, list_files::list_files, publish::publish,
    render::render,
};
use crate::rate_limit;
use crate::ui::{docs::docs, home::home, skill::skill};

pub(crate) fn router(app: App) -> Router {
    let limits = &app.config().limits;
    let publish_time = Duration::from_secs(limits.publish_seconds_max);
    let request_time = Duration::from_secs(limits.request_seconds_max);
    // The form around an archive: boundaries, a signature, a version.
    let publish_bytes = usize::try_from(limits.archive_bytes_max).unwrap_or(usize::MAX);
    let publish_bytes = publish_bytes.saturating_add(64 * 1024);
    let publish = publish
        .layer(DefaultBodyLimit::max(publish_bytes))
        .layer(from_fn_with_state(publish_time, bounds::time));

    // It takes as long as the skill may; reading its body is bounded where it is read.
    let input_bytes = app.config().invoke.input_bytes_max;
    let invoke_skill = invoke_skill.layer(DefaultBodyLimit::max(input_bytes));

    let quick = Router::new()
        .route("/", get(home))
        .route("/skills/{name}", get(skill))
        .route("/docs", get(docs))
        .route("/openapi.json", get(openapi_document))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/.well-known/agent-skills/index.json", get(discovery_index))
        .route("/packages/{file}", get(package))
        .route("/api/v1/health", get(health))
        .route("/api/v1/search", get(search_skills))
        .route("/api/v1/tags", get(list_tags))
        .route("/api/v1/skills", get(list_skills))
        .route("/api/v1/skills/{name}", get(get_skill))
        .route(
            "/api/v1/skills/{name}/deprecation",
            put(deprecate).delete(undeprecate),
        )
        .route(
            "/api/v1/skills/{name}/rating",
            put(put_rating).delete(delete_rating),
        )
        .route("/api/v1/skills/{name}/ratings", get(list_ratings))
        .route("/api/v1/skills/{name}/dependents", get(list_dependents))
        .route("/api/v1/skills/{name}/owners", get(list_owners))
        .route(
            "/api/v1/skills/{name}/owners/{username}",
            put(add_owner).delete(remove_owner),
        )
        .route("/api/v1/skills/{name}/downloads", get(list_downloads))
        .route(
            "/api/v1/skills/{name}/{version}",
            get(get_version)
                .delete(delete_version)
                .patch(change_version),
        )
        .route("/api/v1/skills/{name}/{version}/download", get(download))
        .route("/api/v1/skills/{name}/{version}/files", get(list_files))
        .route(
            "/api/v1/skills/{name}/{version}/files/{*path}",
            get(get_file),
        )
        .route("/api/v1/skills/{name}/{version}/render", get(render))
        .route("/api/v1/invocations", get(list_invocations))
        .route(
            "/api/v1/invocations/{id}",
            get(get_invocation).delete(cancel),
        )
        .route("/api/v1/invocations/{id}/events", get(stream_events))
        .route("/api/v1/usage", get(get_usage))
        .route("/api/v1/auth/config", get(account::settings::settings))
        .route("/api/v1/auth/register", post(account::register::register))
        .route("/api/v1/auth/login", post(account::login::login))
        .route("/api/v1/auth/refresh", post(sessions::refresh::refresh))
        .route("/api/v1/auth/logout", post(sessions::end::logout))
        .route("/api/v1/auth/me", get(account::me::me))
        .route(
            "/api/v1/auth/password",
            put(account::change_password::change_password),
        )
        .route(
            "/api/v1/auth/tokens",
            get(api_tokens::list::list).post(api_tokens::create::create),
        )
        .route(
            "/api/v1/auth/tokens/{id}",
            delete(api_tokens::revoke::revoke),
        )
        .route("/api/v1/auth/device", post(device::authorize::authorize))
        .route("/api/v1/auth/device/token", post(device::poll::poll))
        .route("/api/v1/auth/oidc/login", get(oidc::login::login))
        .route("/api/v1/auth/oidc/callback", get(oidc::callback::callback))
        .route(
            "/device",
            get(pages::show::show).post(pages::decide::submit),
        )
        .route(
            "/api/v1/keys",
            get(keys::list::list_own).post(keys::register::register),
        )
        .route("/api/v1/keys/challenge", get(keys::challenge::challenge))
        .route(
            "/api/v1/keys/{fingerprint}",
            get(keys::read::read).delete(keys::remove::remove),
        )
        .route("/api/v1/users", get(users::list::list))
        .route("/api/v1/users/{username}", patch(users::update::update))
        .route(
            "/api/v1/users/{username}/keys",
            get(keys::list::list_of_user),
        )
        .layer(from_fn_with_state(request_time, bounds::time));

    // From the outside in: name and watch the request; bound it; hear a refused
    // client out; let browsers of other origins read; find out who asks; count it against their quota; turn
    // away whom `auth` found wanting; compress; bound its body.
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(app.clone(), edge::observe))
        .layer(from_fn_with_state(app.clone(), bounds::sizes))
        .layer(from_fn(linger::linger))
        .layer(reading::cors())
        .layer(from_fn_with_state(app.auth().clone(), auth::identify))
        .layer(rate_limit::layer(app.rate_limiter().clone()))
        .layer(from_fn_with_state(app.auth().clone(), auth::gate))
        .layer(reading::compression())
        .layer(RequestBodyTimeoutLayer::new(app.config().limits.idle()))
        .layer(DefaultBodyLimit::max(app.config().limits.json_bytes_max));
    Router::new()
        .route("/api/v1/skills", post(publish))
        .route("/api/v1/skills/{name}/invoke", post(invoke_skill))
        .merge(quick)
        .fallback(bounds::no_route)
        .method_not_allowed_fallback(bounds::no_method)
        .layer(layers)
        .with_state(app)
}
