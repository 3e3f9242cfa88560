//! Addresses as ZeroMQ writes them: `tcp://HOST:PORT`.

use std::fmt;
use std::str::FromStr;

/// A host's name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `*` is every interface.
    pub(crate) host: String,
    /// 0, written `*`, is any that is free.
    pub(crate) port: u16,
}

/// Why a text is no such address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadEndpoint {
    #[error("it does not begin with tcp://, and nothing else is spoken here")]
    Transport,
    #[error("it names no host before the port")]
    Host,
    #[error("it does not end with a port, a number from 1 to 65535")]
    Port,
}

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let address = text.strip_prefix("tcp://").ok_or(BadEndpoint::Transport)?;
        let (host, port) = address.rsplit_once(':').ok_or(BadEndpoint::Port)?;
        let port = match port {
            "*" => 0,
            port => match port.parse() {
                Ok(0) | Err(_) => return Err(BadEndpoint::Port),
                Ok(port) => port,
            },
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if bare.is_empty() {
            return Err(BadEndpoint::Host);
        }
        Ok(Self {
            host: bare.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "tcp://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "tcp://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_as_zeromq_does() {
        for text in ["tcp://127.0.0.1:5444", "tcp://[::1]:5444", "tcp://proxy:1"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        let any: Endpoint = "tcp://*:*".parse().unwrap();
        assert_eq!((any.host.as_str(), any.port), ("*", 0));
        let bad = |text: &str| text.parse::<Endpoint>().unwrap_err();
        assert_eq!(bad("ipc:///tmp/x"), BadEndpoint::Transport);
        assert_eq!(bad("nowhere"), BadEndpoint::Transport);
        assert_eq!(bad("tcp://host"), BadEndpoint::Port);
        assert_eq!(bad("tcp://host:99999"), BadEndpoint::Port);
        assert_eq!(bad("tcp://host:0"), BadEndpoint::Port);
        assert_eq!(bad("tcp://:5444"), BadEndpoint::Host);
    }
}
