//! The rules. Each takes what is known and answers with a decision or the reason against it; none does anything.
//! The caller asks inside the transaction that then carries the decision out, with the rows locked.

pub mod api_token;
pub mod device;
pub mod ownership;
pub mod publish;
pub mod rating;
pub mod refresh;
pub mod unpublish;
pub mod user;
