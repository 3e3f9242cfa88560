//! A key as the API shows it.

use hub_model::KeyRecord;
use jiff::Timestamp;
use serde::Serialize;
use skill_signing::PublicKey;
use utoipa::ToSchema;

use crate::problem::Problem;

/// A publisher's public key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyView {
    /// Upper-case hex, of the primary key.
    fingerprint: String,
    /// The account that it belongs to.
    username: String,
    /// What the key itself says about its owner; proves nothing.
    user_ids: Vec<String>,
    #[schema(example = "ed25519")]
    algorithm: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    registered_at: Timestamp,
    /// Removed by its owner: it signs nothing new here, and what it signed can still be verified.
    #[schema(value_type = Option<String>, format = DateTime)]
    removed_at: Option<Timestamp>,
    /// The key in ASCII armor.
    armored: String,
}

impl KeyView {
    /// The view of a stored key, which was readable when it was stored.
    pub fn new(record: KeyRecord, username: &str) -> Result<Self, Problem> {
        let key = PublicKey::from_armored(&record.armored).map_err(Problem::internal)?;
        Ok(Self {
            fingerprint: record.fingerprint,
            username: username.to_owned(),
            user_ids: key.user_ids(),
            algorithm: key.algorithm(),
            created_at: key.created_at(),
            expires_at: record.expires_at,
            revoked_at: record.revoked_at,
            registered_at: record.registered_at,
            removed_at: record.removed_at,
            armored: record.armored,
        })
    }
}
