//! A few pages for people: the start page with search, a page per skill, the API
//! page. Self-contained HTML: no script, no external asset, nothing to build.

pub mod docs;
pub mod home;
mod page;
pub mod skill;
