//! The two middlewares of authentication. Knows URLs only by the list of those that stay open.
//!
//! They stand apart so that `rate_limit::layer` fits between them: [`identify`] says who asks,
//! the limiter charges them, and [`gate`] refuses, so that refused requests are charged too.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

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
/// not [open](is_open).
pub async fn gate(State(auth): State<Arc<AuthService>>, request: Request, next: Next) -> Response {
    if !is_open(request.uri().path()) {
        if let Some(Refused(problem)) = request.extensions().get() {
            return problem.clone().into_response();
        }
        if auth.config().private && request.extensions().get::<Principal>().is_none() {
            return authentication_required().into_response();
        }
    }
    next.run(request).await
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
