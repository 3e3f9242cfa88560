//! The client's address: the socket's, or what trusted proxies say. Knows no limiter.
//!
//! A forwarding header is a claim by whoever connected. It is read from the right (the nearest
//! proxy wrote last) and only as long as the hop that made the claim is itself trusted, so a
//! client cannot choose its own address by sending the header.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};
use serde::Deserialize;

/// Where the client's address comes from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AddressConfig {
    /// Addresses or networks (`10.0.0.0/8`, `::1`) of proxies whose header is believed. Empty,
    /// the default, means that no header is read at all.
    pub trusted_proxies: Vec<Network>,
    /// The header that those proxies write.
    pub header: ForwardingHeader,
}

/// The header that carries the chain of addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardingHeader {
    /// `X-Forwarded-For: client, proxy1`
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy1` (RFC 7239)
    Forwarded,
}

/// The address a request is counted under. Put into the request's extensions by the outermost
/// layer; `None` when the server was not told the peer's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub Option<IpAddr>);

impl ClientAddress {
    /// The address that limits are counted under: an IPv6 client commonly owns a whole /64 and
    /// could otherwise use a fresh address for each request.
    pub fn bucket(self) -> Option<IpAddr> {
        match self.0? {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Some(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
            v4 @ IpAddr::V4(_) => Some(v4),
        }
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bucket() {
            Some(address) => address.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

impl AddressConfig {
    /// The client's address of a request with these headers and extensions.
    pub fn client_address(&self, headers: &HeaderMap, extensions: &Extensions) -> ClientAddress {
        let peer = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(address)| address.ip().to_canonical());
        ClientAddress(peer.map(|peer| self.resolve(peer, headers)))
    }

    fn resolve(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let mut nearest = peer;
        for claim in self.claims(headers).into_iter().rev() {
            let Some(address) = claim else { break };
            nearest = address;
            if !self.trusts(address) {
                break;
            }
        }
        nearest
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(address))
    }

    /// The chain as sent, oldest first; `None` for an entry that is not an address.
    fn claims(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let name = match self.header {
            ForwardingHeader::XForwardedFor => "x-forwarded-for",
            ForwardingHeader::Forwarded => "forwarded",
        };
        let values = headers.get_all(name).iter();
        let entries = values.flat_map(|value| value.to_str().unwrap_or("").split(','));
        match self.header {
            ForwardingHeader::XForwardedFor => entries.map(parse_node).collect(),
            ForwardingHeader::Forwarded => entries.map(parse_forwarded).collect(),
        }
    }
}

/// `for=` of one element of a `Forwarded` header.
fn parse_forwarded(element: &str) -> Option<IpAddr> {
    let node = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value)
    })?;
    parse_node(node.trim().trim_matches('"'))
}

/// An address with or without port and brackets.
fn parse_node(node: &str) -> Option<IpAddr> {
    let node = node.trim();
    let address = IpAddr::from_str(node)
        .or_else(|_| SocketAddr::from_str(node).map(|socket| socket.ip()))
        .or_else(|_| IpAddr::from_str(node.trim_start_matches('[').trim_end_matches(']')))
        .ok()?;
    Some(address.to_canonical())
}

/// An address range in CIDR notation; a lone address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

/// Why a configured network was not understood.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an address or a network such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl Network {
    /// Whether the address lies in this network.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(self.prefix))
                    .unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.prefix))
                    .unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let refuse = || NetworkError(text.to_owned());
        let (base, prefix) = match text.split_once('/') {
            Some((base, prefix)) => (base, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| refuse())?;
        let longest = if base.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| refuse())?,
            None => longest,
        };
        if prefix > longest {
            return Err(refuse());
        }
        Ok(Self { base, prefix })
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Ipv4Addr> for Network {
    fn from(address: Ipv4Addr) -> Self {
        Self {
            base: IpAddr::V4(address),
            prefix: 32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(networks: &[&str], header: ForwardingHeader) -> AddressConfig {
        AddressConfig {
            trusted_proxies: networks.iter().map(|n| n.parse().unwrap()).collect(),
            header,
        }
    }

    fn resolve(config: &AddressConfig, peer: &str, header: &str, values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                http::HeaderName::from_bytes(header.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        config.resolve(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn by_default_no_header_is_believed() {
        let config = AddressConfig::default();
        let got = resolve(&config, "127.0.0.1", "x-forwarded-for", &["1.2.3.4"]);
        assert_eq!(got, "127.0.0.1");
    }

    #[test]
    fn the_chain_is_followed_from_the_right_while_hops_are_trusted() {
        let config = config(&["10.0.0.0/8"], ForwardingHeader::XForwardedFor);
        let case = |values: &[&str]| resolve(&config, "10.1.1.1", "x-forwarded-for", values);
        assert_eq!(case(&["203.0.113.9, 10.2.2.2"]), "203.0.113.9");
        assert_eq!(case(&["6.6.6.6, 203.0.113.9, 10.2.2.2"]), "203.0.113.9");
        assert_eq!(case(&["6.6.6.6", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(case(&["203.0.113.9, garbage"]), "10.1.1.1");
        assert_eq!(case(&[]), "10.1.1.1");
        let outsider = resolve(&config, "198.51.100.1", "x-forwarded-for", &["203.0.113.9"]);
        assert_eq!(outsider, "198.51.100.1");
    }

    #[test]
    fn forwarded_is_read_with_quotes_ports_and_brackets() {
        let config = config(&["::1"], ForwardingHeader::Forwarded);
        let case = |value: &str| resolve(&config, "::1", "forwarded", &[value]);
        assert_eq!(case("for=203.0.113.9;proto=https"), "203.0.113.9");
        assert_eq!(
            case("proto=https;For=\"[2001:db8::7]:4711\""),
            "2001:db8::7"
        );
        assert_eq!(case("for=_hidden"), "::1");
        assert_eq!(case("for=\"203.0.113.9:80\""), "203.0.113.9");
    }

    #[test]
    fn networks_are_checked_when_read() {
        assert!("10.0.0.0/8".parse::<Network>().is_ok());
        assert!("10.0.0.0/33".parse::<Network>().is_err());
        assert!("10.0.0/8".parse::<Network>().is_err());
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("9.9.9.9".parse().unwrap()));
        assert!(!all.contains("2001:db8::1".parse().unwrap()));
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert!("10.0.0.0/8".parse::<Network>().unwrap().contains(mapped));
    }

    #[test]
    fn ipv6_clients_are_counted_by_their_network() {
        let a = ClientAddress(Some("2001:db8:1:2:3:4:5:6".parse().unwrap()));
        let b = ClientAddress(Some("2001:db8:1:2:ffff::1".parse().unwrap()));
        assert_eq!(a.bucket(), b.bucket());
        assert_eq!(ClientAddress(None).to_string(), "unknown");
    }
}
