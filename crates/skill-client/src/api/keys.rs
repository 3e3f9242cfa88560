//! Publishers' public keys at a registry.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use skill_signing::Fingerprint;

use super::{ApiError, Client};

/// A public key that a publisher has registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredKey {
    /// Of the primary key, upper-case hex.
    pub fingerprint: String,
    /// The publisher.
    pub username: Option<String>,
    /// What the key says about its owner; proves nothing.
    #[serde(default)]
    pub user_ids: Vec<String>,
    pub algorithm: Option<String>,
    pub created_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub registered_at: Option<Timestamp>,
    /// It signs nothing new there; what it signed before can still be verified.
    pub removed_at: Option<Timestamp>,
    /// In ASCII armor.
    pub armored: String,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<RegisteredKey>,
}

impl Client {
    /// A text to sign with a key, to prove that one has it.
    pub async fn key_challenge(&self) -> Result<String, ApiError> {
        #[derive(Deserialize)]
        struct Challenge {
            challenge: String,
        }
        let url = self.url(&["keys", "challenge"]);
        // Not `read`: every challenge is new and none is worth keeping.
        let reply = self
            .send_as_user(
                crate::http::Request::get(url.clone()),
                super::DOCUMENT_BYTES_MAX,
            )
            .await?;
        super::parse(&url, &reply.body).map(|answer: Challenge| answer.challenge)
    }

    /// Registers a public key as the user's own. `signature` is made by it over `challenge`.
    pub async fn register_key(
        &self,
        armored: &str,
        challenge: &str,
        signature: &str,
    ) -> Result<(), ApiError> {
        let body = json!({"armored": armored, "challenge": challenge, "signature": signature});
        self.post_nothing(&["keys"], &body).await
    }

    /// The user's own keys.
    pub async fn own_keys(&self) -> Result<Vec<RegisteredKey>, ApiError> {
        self.read(&["keys"]).await.map(|list: Keys| list.keys)
    }

    /// A key by its fingerprint or that of one of its subkeys.
    pub async fn key(&self, fingerprint: &Fingerprint) -> Result<RegisteredKey, ApiError> {
        self.read(&["keys", fingerprint.as_str()]).await
    }

    /// The keys of a publisher.
    pub async fn keys_of(&self, username: &str) -> Result<Vec<RegisteredKey>, ApiError> {
        self.read(&["users", username, "keys"])
            .await
            .map(|list: Keys| list.keys)
    }

    /// Withdraws a key from the registry.
    pub async fn remove_key(&self, fingerprint: &Fingerprint) -> Result<(), ApiError> {
        self.delete(&["keys", fingerprint.as_str()], &[]).await
    }
}
