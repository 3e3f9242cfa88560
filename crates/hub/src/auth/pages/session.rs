//! A browser's sign-in on the device page: short, and good for that page only.

use http::HeaderMap;
use hub_db::DbError;
use hub_model::UserRecord;
use jiff::SignedDuration;
use sha2::{Digest, Sha256};

use super::Cookie;
use crate::auth::service::AuthService;
use crate::auth::signing::{Content, Purpose};

impl AuthService {
    /// The value of the session cookie.
    pub(in crate::auth) fn seal_page_session(&self, user: &UserRecord) -> String {
        let content = Content {
            subject: user.id.to_string(),
            binding: password_mark(user),
        };
        self.signer
            .seal(Purpose::PageSession, content, self.page_session_life())
    }

    pub(in crate::auth) fn page_session_life(&self) -> SignedDuration {
        SignedDuration::from_secs(self.config.device.page_session_seconds.into())
    }

    /// Who is signed in in this browser. The account is read each time, so a disabled one or a
    /// changed password counts at once.
    pub(super) async fn page_user(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<UserRecord>, DbError> {
        let cookie = Cookie::PageSession.read(headers, self.is_https());
        let content = cookie.and_then(|value| self.signer.open(Purpose::PageSession, value).ok());
        let Some(content) = content else {
            return Ok(None);
        };
        let Ok(id) = content.subject.parse() else {
            return Ok(None);
        };
        let user = self.db.users().by_id(id).await?;
        Ok(user.filter(|user| !user.disabled && password_mark(user) == content.binding))
    }
}

/// Changes whenever the password does. The hash of a hash, of which 64 bits are shown, tells
/// nothing about either.
fn password_mark(user: &UserRecord) -> String {
    let stored = user.password.as_ref().map_or("", |hash| hash.expose());
    hex::encode(&Sha256::digest(format!("page session\0{stored}"))[..8])
}
