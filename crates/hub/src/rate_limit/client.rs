//! Whom a request is counted under.

use std::fmt;
use std::net::IpAddr;

use hub_model::UserId;

use super::address::ClientAddress;

/// The owner of a quota: a signed-in user, whatever the token or the address, or else an
/// address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Client {
    /// Anybody who proved to be this user.
    User(UserId),
    /// Anybody at this address (IPv6: in this /64).
    Address(IpAddr),
    /// Requests of which the server knows no address share one quota.
    Unknown,
}

impl Client {
    /// The client of a request.
    pub fn of(user: Option<UserId>, address: ClientAddress) -> Self {
        match (user, address.bucket()) {
            (Some(user), _) => Self::User(user),
            (None, Some(address)) => Self::Address(address),
            (None, None) => Self::Unknown,
        }
    }
}

/// As it stands in a Redis key.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user:{user}"),
            Self::Address(address) => write!(f, "address:{address}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
