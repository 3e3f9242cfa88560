//! Publishers' public keys: registered with proof of possession, updated with whatever their
//! owner signed into them (a later expiry, a revocation), and readable by everybody who verifies.

mod view;

pub mod challenge;
pub mod list;
pub mod read;
pub mod register;
pub mod remove;

pub use view::KeyView;
