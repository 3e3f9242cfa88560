//! Addresses of registries: HTTPS, or HTTP to this machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use skill_format::{Explain, Fault};
use url::Url;

use crate::http::is_loopback;

/// A registry and the name it is configured under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// `None` for an address that is not configured.
    pub name: Option<String>,
    pub url: RegistryUrl,
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.url),
            None => write!(f, "{}", self.url),
        }
    }
}

/// The base URL of a registry: no query, no user, no slash at its end.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistryUrl {
    url: Url,
    text: String,
}

impl RegistryUrl {
    /// Without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Parsed.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// An address that no registry can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryUrlError {
    #[error("`{text}` is not the address of a registry")]
    Invalid { text: String },
    /// Plain HTTP to another machine.
    #[error("`{url}` would be asked without encryption")]
    Insecure { url: String },
    /// `https://user:password@…`; the text is not kept.
    #[error("the address of a registry holds no user name or password")]
    HoldsLogin,
}

impl Explain for RegistryUrlError {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "registry-url",
            Self::Insecure { .. } => "registry-insecure",
            Self::HoldsLogin => "registry-url-login",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Invalid { .. } => "write https://HOST[:PORT][/PATH]".into(),
            Self::Insecure { .. } => {
                "use https; plain http is for registries on this machine only".into()
            }
            Self::HoldsLogin => "leave them out and run: skills login --registry URL".into(),
        })
    }
}

impl FromStr for RegistryUrl {
    type Err = RegistryUrlError;

    /// An address without a scheme is taken as HTTPS, on this machine as HTTP.
    fn from_str(text: &str) -> Result<Self, RegistryUrlError> {
        let text = text.trim();
        let invalid = || RegistryUrlError::Invalid {
            text: text.chars().take(200).collect(),
        };
        let url = if text.contains("://") {
            Url::parse(text).map_err(|_| invalid())?
        } else {
            let http = Url::parse(&format!("http://{text}")).map_err(|_| invalid())?;
            if is_loopback(&http) {
                http
            } else {
                Url::parse(&format!("https://{text}")).map_err(|_| invalid())?
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RegistryUrlError::HoldsLogin);
        }
        if !url.has_host() || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid());
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(RegistryUrlError::Insecure { url: url.into() }),
            _ => return Err(invalid()),
        }
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, text })
    }
}

impl fmt::Display for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for RegistryUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for RegistryUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, RegistryUrlError> {
        text.parse().map(|url: RegistryUrl| url.to_string())
    }

    #[test]
    fn addresses_are_brought_to_one_form() {
        for (text, url) in [
            ("https://Skills.Example.org/", "https://skills.example.org"),
            (
                "https://example.org/registry/",
                "https://example.org/registry",
            ),
            ("private.example.com", "https://private.example.com"),
            ("localhost:8080", "http://localhost:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://hub.localhost", "http://hub.localhost"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(url), "{text}");
        }
    }

    #[test]
    fn other_machines_are_not_asked_without_encryption() {
        for text in [
            "http://example.org",
            "http://10.0.0.1:18801",
            "http://127.0.0.1.example.org",
            "http://0.0.0.0",
        ] {
            assert!(
                matches!(parse(text), Err(RegistryUrlError::Insecure { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let error = parse("https://bob:hunter2@example.org").expect_err("a login");
        assert!(!error.to_string().contains("hunter2"));
        assert!(parse("ftp://example.org").is_err());
        assert!(parse("https://example.org/?a=b").is_err());
        assert!(parse("").is_err());
    }
}
