//! The one page for browsers: `/device`, where somebody signs in and decides about a device
//! code. Only here are there cookies; the API never reads one.

mod cookies;
mod forms;
mod html;
mod session;

pub mod decide;
pub mod show;

pub(super) use cookies::Cookie;
pub(super) use html::page_or_problem;
