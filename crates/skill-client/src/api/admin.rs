//! What administrators do with accounts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ApiError, Client};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub username: String,
    /// `reader`, `publisher` or `admin`.
    pub role: String,
    #[serde(default)]
    pub disabled: bool,
    pub created_at: Option<Timestamp>,
}

/// What to change of an account; `None` leaves it as it is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UserChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Users {
    users: Vec<User>,
    next_after: Option<String>,
}

impl Client {
    /// All accounts, by name.
    pub async fn users(&self) -> Result<Vec<User>, ApiError> {
        let mut users = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let query: Vec<(&str, &str)> = after
                .as_deref()
                .map(|after| ("after", after))
                .into_iter()
                .collect();
            let page: Users = self.read_query(&["users"], &query).await?;
            users.extend(page.users);
            match page.next_after {
                // A registry that does not move on would be asked for ever.
                Some(next) if after.as_ref().is_none_or(|last| *last < next) => after = Some(next),
                _ => return Ok(users),
            }
        }
    }

    /// Changes an account.
    pub async fn change_user(&self, username: &str, change: &UserChange) -> Result<(), ApiError> {
        self.patch_nothing(&["users", username], &serde_json::json!(change))
            .await
    }
}
