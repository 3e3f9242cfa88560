//! `GET /api/v1/keys/challenge`: what a key must sign to prove that its owner has it.
//!
//! The challenge is a text that says what it is for, so that nobody can be made to sign it as
//! something else, with a token in it that only the hub can make. It is good for one user, who
//! may use it more than once: proving the same twice gives nothing.

use std::sync::Arc;

use axum::extract::State;
use hub_model::{Scope, UserId};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::principal::Principal;
use crate::auth::service::AuthService;
use crate::auth::signing::{Content, Purpose};
use crate::extract::Json;
use crate::problem::{Problem, ProblemBody};

const LIFE: SignedDuration = SignedDuration::from_mins(10);

/// A text to sign.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyChallenge {
    /// Sign its bytes, exactly, with a detached signature.
    challenge: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Get a challenge for registering a key
#[utoipa::path(
    get, path = "/api/v1/keys/challenge", tag = "keys", operation_id = "keyChallenge",
    security(("bearer" = [])),
    responses(
        (status = 200, body = KeyChallenge),
        (status = 401, body = ProblemBody, content_type = "application/problem+json", description = "`authentication-required`"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json", description = "`role-insufficient`, `scope-insufficient`"),
    )
)]
pub async fn challenge(
    State(auth): State<Arc<AuthService>>,
    principal: Principal,
) -> Result<Json<KeyChallenge>, Problem> {
    principal.require(Scope::Keys)?;
    Ok(Json(
        auth.key_challenge(principal.user_id(), principal.username()),
    ))
}

impl AuthService {
    fn key_challenge(&self, user: UserId, username: &str) -> KeyChallenge {
        let expires_at = self.clock.now() + LIFE;
        let binding = expires_at.to_string();
        let content = Content {
            subject: user.to_string(),
            binding: binding.clone(),
        };
        let token = self.signer.seal(Purpose::KeyChallenge, content, LIFE);
        KeyChallenge {
            challenge: self.challenge_text(username, &binding, &token),
            expires_at,
        }
    }

    /// Whether this text is a challenge that the hub gave to this user and that still counts.
    pub(super) fn is_own_challenge(&self, text: &str, principal: &Principal) -> bool {
        let Some((_, token)) = text.trim_end().rsplit_once("\ntoken: ") else {
            return false;
        };
        let Ok(content) = self.signer.open(Purpose::KeyChallenge, token) else {
            return false;
        };
        content.subject == principal.user_id().to_string()
            && text == self.challenge_text(principal.username(), &content.binding, token)
    }

    fn challenge_text(&self, username: &str, expires: &str, token: &str) -> String {
        format!(
            "skills hub key registration v1\nhub: {}\nuser: {username}\nexpires: {expires}\ntoken: {token}\n",
            self.public_base
        )
    }
}
