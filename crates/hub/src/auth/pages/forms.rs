//! Proof that a form was shown to the browser that sends it (against cross-site request
//! forgery): a token signed for the browser's visit cookie.

use http::HeaderMap;
use jiff::SignedDuration;

use super::Cookie;
use crate::auth::random;
use crate::auth::service::AuthService;
use crate::auth::signing::{Content, Purpose};

/// How long a page may be left open before its form is sent.
const FORM_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// How long a browser keeps its visit cookie.
pub const VISIT_LIFE: SignedDuration = SignedDuration::from_hours(2);

/// `random::text`.
const VISIT_LENGTH: usize = 43;

/// A browser, by its visit cookie.
pub struct Visit {
    pub id: String,
    /// The cookie is new and must be set.
    pub is_new: bool,
}

impl AuthService {
    /// The browser's visit, begun now if it has none.
    pub(super) fn visit(&self, headers: &HeaderMap) -> Visit {
        let known = Cookie::Visit.read(headers, self.is_https());
        match known.filter(|id| id.len() == VISIT_LENGTH) {
            Some(id) => Visit {
                id: id.to_owned(),
                is_new: false,
            },
            None => Visit {
                id: random::text(),
                is_new: true,
            },
        }
    }

    /// The token to put into a form that this browser is shown.
    pub(super) fn form_token(&self, visit: &Visit) -> String {
        let content = Content {
            subject: visit.id.clone(),
            binding: String::new(),
        };
        self.signer.seal(Purpose::Form, content, FORM_LIFE)
    }

    /// Whether a form with this token was shown to the browser that sends it.
    pub(super) fn is_own_form(&self, headers: &HeaderMap, token: &str) -> bool {
        let visit = Cookie::Visit.read(headers, self.is_https());
        let shown_to = self.signer.open(Purpose::Form, token).ok();
        let same_site = headers
            .get("sec-fetch-site")
            .is_none_or(|site| site != "cross-site");
        same_site
            && visit
                .zip(shown_to)
                .is_some_and(|(visit, shown)| visit == shown.subject)
    }
}
