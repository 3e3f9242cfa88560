//! Who asks, as the handlers see it. Knows no credential: `authenticate.rs` turns one into a
//! [`Principal`] and puts it into the request's extensions.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, request::Parts};
use hub_model::{Denied, FamilyId, Grant, Role, Scope, TenantId, TokenId, UserId};

use crate::problem::Problem;

/// A user, and what this request may do in that user's name. Cheap to clone.
///
/// As an extractor it answers 401 `authentication-required` to an anonymous request.
#[derive(Debug, Clone)]
pub struct Principal(Arc<Identity>);

#[derive(Debug)]
struct Identity {
    user_id: UserId,
    username: String,
    tenant: TenantId,
    grant: Grant,
    via: Via,
}

/// The kind of credential that a request came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// An access token of a signed-in session.
    Session(FamilyId),
    /// An API token.
    ApiToken(TokenId),
}

impl Principal {
    pub(crate) fn new(
        user_id: UserId,
        username: String,
        tenant: TenantId,
        grant: Grant,
        via: Via,
    ) -> Self {
        Self(Arc::new(Identity {
            user_id,
            username,
            tenant,
            grant,
            via,
        }))
    }

    pub fn user_id(&self) -> UserId {
        self.0.user_id
    }

    pub fn username(&self) -> &str {
        &self.0.username
    }

    pub fn tenant(&self) -> TenantId {
        self.0.tenant
    }

    pub fn role(&self) -> Role {
        self.0.grant.role
    }

    /// Role, scopes and skill patterns together, for rules that decide themselves.
    pub fn grant(&self) -> &Grant {
        &self.0.grant
    }

    pub fn via(&self) -> Via {
        self.0.via
    }

    /// Whether an administrator's rights apply: the role and the scope `admin` together.
    pub fn is_admin(&self) -> bool {
        self.0.grant.require(Scope::Admin).is_ok()
    }

    /// 403 `role-insufficient` or `scope-insufficient` unless role and token allow `scope`.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        self.0.grant.require(scope).map_err(denied)
    }

    /// As [`Principal::require`], for one skill: also 403 `skill-not-allowed` if the token's
    /// patterns leave it out.
    pub fn require_for(&self, scope: Scope, skill: &str) -> Result<(), Problem> {
        self.0.grant.require_for(scope, skill).map_err(denied)
    }

    /// The session, for what only a person who signed in may do: 403 `session-required` to an
    /// API token.
    pub fn require_session(&self) -> Result<FamilyId, Problem> {
        match self.0.via {
            Via::Session(family) => Ok(family),
            Via::ApiToken(_) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "session-required",
                "An API token may not do this. Sign in with `skills login`.",
            )),
        }
    }
}

/// Code and remedy are those of the rule: `role-insufficient`, `scope-insufficient`,
/// `skill-not-allowed`.
fn denied(denied: Denied) -> Problem {
    let challenge = match &denied {
        Denied::Scope { needed } => Some(insufficient_scope(*needed)),
        Denied::Role { .. } | Denied::Skill { .. } => None,
    };
    let problem = Problem::explained(denied);
    match challenge {
        Some(value) => problem.with_header(WWW_AUTHENTICATE, value),
        None => problem,
    }
}

/// The challenge of RFC 6750 §3.1.
fn insufficient_scope(needed: Scope) -> HeaderValue {
    let text = format!("Bearer realm=\"skills\", error=\"insufficient_scope\", scope=\"{needed}\"");
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer realm=\"skills\""))
}

/// 401 for a request that came without a credential where one is needed.
pub(crate) fn authentication_required() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "authentication-required",
        "This needs a token: send `Authorization: Bearer …`. `skills login` gets one.",
    )
    .with_header(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"skills\""),
    )
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(authentication_required)
    }
}

/// The principal, if there is one. A *wrong* credential never gets here: `auth::layer` refuses
/// it with 401, so that a mistyped token is not mistaken for an anonymous request.
#[derive(Debug, Clone)]
pub struct MaybePrincipal(pub Option<Principal>);

impl<S: Send + Sync> FromRequestParts<S> for MaybePrincipal {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<Principal>().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use hub_model::ScopeSet;

    use super::*;

    fn principal(role: Role, scopes: &[Scope], skills: Option<&str>) -> Principal {
        let skills = skills.map(|pattern| vec![pattern.parse().expect("a pattern")]);
        let grant = Grant {
            role,
            scopes: ScopeSet::of(scopes),
            skills,
        };
        let id = uuid::Uuid::from_u128(7);
        let via = Via::ApiToken(TokenId::from_uuid(id));
        Principal::new(
            UserId::from_uuid(id),
            "alice".into(),
            TenantId::DEFAULT,
            grant,
            via,
        )
    }

    #[test]
    fn refusals_say_which_part_is_missing() {
        let code = |result: Result<(), Problem>| result.expect_err("refused").code().to_owned();
        let reader = principal(Role::Reader, &Scope::ALL, None);
        assert_eq!(code(reader.require(Scope::Publish)), "role-insufficient");
        let narrow = principal(Role::Publisher, &[Scope::Read], None);
        assert_eq!(code(narrow.require(Scope::Publish)), "scope-insufficient");
        let one = principal(Role::Publisher, &[Scope::Publish], Some("acme-*"));
        assert_eq!(
            code(one.require_for(Scope::Publish, "other")),
            "skill-not-allowed"
        );
        assert!(one.require_for(Scope::Publish, "acme-csv").is_ok());
        assert_eq!(
            one.require_session().expect_err("refused").code(),
            "session-required"
        );
    }

    #[test]
    fn an_admin_whose_token_lacks_the_scope_is_no_admin() {
        assert!(principal(Role::Admin, &[Scope::Admin], None).is_admin());
        assert!(!principal(Role::Admin, &[Scope::Read], None).is_admin());
        assert!(!principal(Role::Publisher, &[Scope::Admin], None).is_admin());
    }
}
