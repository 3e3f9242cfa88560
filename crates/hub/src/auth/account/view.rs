//! An account as the API shows it to its owner and to administrators.

use hub_model::{Role, UserRecord};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// An account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    username: String,
    #[schema(value_type = String, example = "publisher")]
    role: Role,
    email: Option<String>,
    disabled: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<UserRecord> for UserView {
    fn from(user: UserRecord) -> Self {
        Self {
            username: user.username,
            role: user.role,
            email: user.email,
            disabled: user.disabled,
            created_at: user.created_at,
        }
    }
}
