//! How much one client may ask for: classes of requests, each with a quota, counted per user or
//! address, in this process or shared between replicas through Redis. Knows no endpoint.
//!
//! The counting is GCRA (`gcra.rs`), once in Rust and once in Lua; `class.rs` says which quota
//! a request is charged to, `client.rs` and `address.rs` to whom.

mod address;
mod class;
mod client;
mod config;
mod gcra;
mod headers;
mod layer;
mod limiter;
mod local;
mod shared;

pub use address::{AddressConfig, ClientAddress, ForwardingHeader, Network, NetworkError};
pub use class::Class;
pub use config::{Quota, RateLimitConfig};
pub use layer::{RateLimitLayer, RateLimitService, layer};
pub use limiter::{RateLimitError, RateLimiter};

pub(crate) use gcra::Rate;
pub(crate) use local::LocalLimiter;
