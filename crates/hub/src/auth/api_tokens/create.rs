//! `POST /api/v1/auth/tokens`: makes an API token and shows it, once.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use hub_db::{DbError, TOKENS_PER_USER_MAX, UnitOfWork};
use hub_model::api_token::{self, InvalidToken, Wanted};
use hub_model::{ApiToken, NamePattern, ScopeSet, TenantId, TokenId, UserId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::narrowing::{self, TooBroad};
use super::text::ApiTokenText;
use crate::auth::principal::{Principal, Via};
use crate::auth::random;
use crate::auth::refusal::{invalid_field, refusal};
use crate::auth::service::AuthService;
use crate::extract::Json;
use crate::problem::{Problem, ProblemBody};

/// What the new token may do, and for how long.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateApiToken {
    /// What you call it, 1 to 100 characters.
    #[schema(example = "CI of acme-csv")]
    name: String,
    /// `read`, `publish`, `yank`, `owners`, `keys`, `admin`.
    #[schema(value_type = Vec<String>, example = json!(["read", "publish"]))]
    scopes: ScopeSet,
    /// Names or patterns with `*`; without it, every skill.
    #[schema(value_type = Option<Vec<String>>, example = json!(["acme-*"]))]
    skills: Option<Vec<NamePattern>>,
    /// Days until it expires; the hub has a maximum. Without it, the hub's default, or the end of
    /// the API token that makes this one if that comes first.
    expires_in_days: Option<u32>,
}

/// The new token. `token` is shown here and never again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiTokenCreated {
    #[schema(value_type = String, example = "01931b7e-3d5c-7c1e-9a53-0b6f1c2d3e4f")]
    id: TokenId,
    name: String,
    #[schema(example = "skl_…")]
    token: String,
    #[schema(value_type = Vec<String>)]
    scopes: ScopeSet,
    #[schema(value_type = Option<Vec<String>>)]
    skills: Option<Vec<NamePattern>>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error(transparent)]
    Invalid(#[from] InvalidToken),
    #[error("on this hub a token lives for 1 to {0} days")]
    Life(u32),
    #[error(transparent)]
    TooBroad(#[from] TooBroad),
    #[error("an account has at most {TOKENS_PER_USER_MAX} API tokens; revoke one first")]
    TooMany,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Db(error) => error.into(),
            CreateError::Invalid(InvalidToken::Beyond { .. }) | CreateError::TooBroad(_) => {
                refusal(StatusCode::FORBIDDEN, "token-too-broad", &error)
            }
            CreateError::Invalid(invalid) => {
                Problem::explained_as(StatusCode::UNPROCESSABLE_ENTITY, &invalid)
            }
            CreateError::Life(_) => invalid_field("invalid-token-request", "expiresInDays", &error),
            CreateError::TooMany => refusal(StatusCode::CONFLICT, "too-many-tokens", &error),
        }
    }
}

/// Make an API token
///
/// It can do at most what the credential that makes it can. The answer is the only place where
/// the token is ever shown.
#[utoipa::path(
    post, path = "/api/v1/auth/tokens", tag = "auth", operation_id = "createApiToken",
    request_body = CreateApiToken, security(("bearer" = [])),
    responses(
        (status = 201, body = ApiTokenCreated),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`authentication-required`, `invalid-token`"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`token-too-broad`"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "`too-many-tokens`"),
        (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "`invalid-token-request`, `invalid-body`"),
    )
)]
pub async fn create(
    State(auth): State<Arc<AuthService>>,
    principal: Principal,
    Json(request): Json<CreateApiToken>,
) -> Result<(StatusCode, Json<ApiTokenCreated>), Problem> {
    let created = auth.create_api_token(&principal, request).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

impl AuthService {
    async fn create_api_token(
        &self,
        maker: &Principal,
        request: CreateApiToken,
    ) -> Result<ApiTokenCreated, CreateError> {
        let now = self.clock.now();
        let days = self.days_of_token(request.expires_in_days)?;
        let skills = request.skills.as_deref();
        let wanted = Wanted {
            name: &request.name,
            scopes: request.scopes,
            skills,
            days: Some(days),
        };
        let expires_at =
            api_token::check(&wanted, maker.grant(), now)?.ok_or(CreateError::Life(days))?;
        narrowing::check_skills(skills, maker.grant().skills.as_deref())?;
        let own_end = self.end_of(maker).await?;
        let expires_at = match request.expires_in_days {
            Some(_) => {
                narrowing::check_end(expires_at, own_end)?;
                expires_at
            }
            None => own_end.map_or(expires_at, |own| own.min(expires_at)),
        };

        let mut unit = self.db.begin().await?;
        // Locking the account makes two requests count one after the other.
        unit.users()
            .lock(maker.user_id())
            .await?
            .ok_or(DbError::NotFound)?;
        let existing = unit.api_tokens().of_user(maker.user_id()).await?.len();
        if existing >= TOKENS_PER_USER_MAX as usize {
            return Err(CreateError::TooMany);
        }
        let wanted = NewApiToken {
            user_id: maker.user_id(),
            name: request.name,
            scopes: request.scopes,
            skills: request.skills,
            expires_at,
        };
        let (record, text) = insert(&mut unit, wanted, self.tenant(), now).await?;
        unit.commit().await?;
        Ok(ApiTokenCreated {
            id: record.id,
            name: record.name,
            token: text.expose().to_owned(),
            scopes: record.scopes,
            skills: record.skills,
            created_at: record.created_at,
            expires_at,
        })
    }

    fn days_of_token(&self, wished: Option<u32>) -> Result<u32, CreateError> {
        let max = self.config.api_token_days_max;
        let days = wished.unwrap_or(self.config.api_token_days_default.min(max));
        if days <= max {
            Ok(days)
        } else {
            Err(CreateError::Life(max))
        }
    }

    /// When the maker's own credential ends for good, if it is an API token.
    async fn end_of(&self, maker: &Principal) -> Result<Option<Timestamp>, DbError> {
        let Via::ApiToken(id) = maker.via() else {
            return Ok(None);
        };
        let own = self.db.api_tokens().by_id(maker.tenant(), id).await?;
        Ok(own.and_then(|own| own.expires_at))
    }
}

/// What a new token is made from.
pub struct NewApiToken {
    pub user_id: UserId,
    pub name: String,
    pub scopes: ScopeSet,
    pub skills: Option<Vec<NamePattern>>,
    pub expires_at: Timestamp,
}

/// Stores a new token. Its text exists only in the answer.
pub(in crate::auth) async fn insert(
    unit: &mut UnitOfWork,
    wanted: NewApiToken,
    tenant: TenantId,
    now: Timestamp,
) -> Result<(ApiToken, ApiTokenText), DbError> {
    let text = ApiTokenText::generate(TokenId::generate(now, &mut random::generator()));
    let record = ApiToken {
        id: text.id(),
        tenant,
        user_id: wanted.user_id,
        name: wanted.name,
        hash: text.hash(),
        scopes: wanted.scopes,
        skills: wanted.skills,
        created_at: now,
        expires_at: Some(wanted.expires_at),
        last_used_at: None,
        revoked_at: None,
    };
    unit.api_tokens().insert(&record).await?;
    Ok((record, text))
}
