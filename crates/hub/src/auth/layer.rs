//! The two middlewares of authentication. Knows URLs only by the list of those that stay open.
//!
//! They stand apart so that `rate_limit::layer` fits between them: [`identify`] says who asks,
//! the limiter charges them, and [`gate`] refuses, so that refused requests are charged too.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use hub_model::Scope;

use super::principal::{Principal, authentication_required};
use super::service::AuthService;
use crate::problem::Problem;

/// Why the request's credential was not accepted, for [`gate`].
#[derive(Clone)]
struct Refused(Problem);

/// Puts the [`ClientAddress`](crate::rate_limit::ClientAddress) and, if there is one, the
/// [`Principal`] into the request's extensions. Refuses nothing.
pub async fn identify(
    State(auth): State<Arc<AuthService>>,
    mut request: Request,
    next: Next,
) -> Response {
    let address = auth.client_address(request.headers(), request.extensions());
    let principal = auth.principal_of(request.headers(), address).await;
    let extensions = request.extensions_mut();
    extensions.insert(address);
    match principal {
        Ok(Some(principal)) => drop(extensions.insert(principal)),
        Ok(None) => {}
        Err(error) => drop(extensions.insert(Refused(error.into()))),
    }
    next.run(request).await
}

/// Answers 401 to a wrong credential, and in private mode to a missing one, on every URL that is
/// not [open](is_open). In private mode reading needs the scope `read` too: 403 without it.
pub async fn gate(State(auth): State<Arc<AuthService>>, request: Request, next: Next) -> Response {
    if !is_open(request.uri().path()) {
        if let Some(Refused(problem)) = request.extensions().get() {
            return problem.clone().into_response();
        }
        if auth.config().private
            && let Err(problem) = may_enter(&request)
        {
            return problem.into_response();
        }
    }
    next.run(request).await
}

/// Whether a private hub lets this request through to its endpoint.
fn may_enter(request: &Request) -> Result<(), Problem> {
    let principal: Option<&Principal> = request.extensions().get();
    let principal = principal.ok_or_else(authentication_required)?;
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_reading && !is_beside_the_catalogue(request.uri().path()) {
        principal.require(Scope::Read)?;
    }
    Ok(())
}

/// What any token may read: nothing of the catalogue. Whoever asks sees only what is theirs, needs
/// another scope, which the endpoint asks for, or watches and programs against the hub.
fn is_beside_the_catalogue(path: &str) -> bool {
    path.starts_with("/api/v1/auth/")
        || matches!(
            path,
            "/api/v1/keys"
                | "/api/v1/keys/challenge"
                | "/api/v1/users"
                | "/api/v1/health"
                | "/metrics"
                | "/docs"
                | "/openapi.json"
        )
}

/// What anybody may reach, whatever the mode and the credential: the probes, and the ways to get
/// a credential. A stale token in the header must not keep anybody from signing in again.
fn is_open(path: &str) -> bool {
    matches!(
        path,
        "/healthz"
            | "/readyz"
            | "/device"
            | "/api/v1/auth/config"
            | "/api/v1/auth/register"
            | "/api/v1/auth/login"
            | "/api/v1/auth/refresh"
            | "/api/v1/auth/logout"
            | "/api/v1/auth/device"
            | "/api/v1/auth/device/token"
            | "/api/v1/auth/oidc/login"
            | "/api/v1/auth/oidc/callback"
    )
}
