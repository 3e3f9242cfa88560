//! What happens to every request, whatever its URL. `routes.rs` puts these in
//! order; none of them knows an endpoint.

pub mod bounds;
pub mod edge;
pub mod linger;
pub mod reading;
mod trace;
