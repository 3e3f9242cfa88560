//! `config.json`: the registries a person uses, their tokens, a few settings. Read and written
//! here only; flags and environment variables are resolved by the caller.

mod file;
mod registry;
mod secret;

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use skill_format::{Explain, Fault, Place};

pub use file::ConfigFile;
pub use registry::{Registry, RegistryUrl, RegistryUrlError};
pub use secret::Secret;

use crate::fsx::FsError;

/// The registry of someone who has configured none: the local hub.
pub const DEFAULT_REGISTRY_NAME: &str = "local";
/// See [`DEFAULT_REGISTRY_NAME`].
pub const DEFAULT_REGISTRY_URL: &str = "http://127.0.0.1:18801";

/// The file's content. Keys that this version does not know survive a change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Name → URL.
    #[serde(default)]
    registries: BTreeMap<String, RegistryUrl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_registry: Option<String>,
    /// By the registry's URL, so that a token never follows a name to another host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    credentials: BTreeMap<String, Credentials>,
    #[serde(default)]
    pub settings: Settings,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Preferences.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Versions younger than this are not installed unless named exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_release_age_hours: Option<u32>,
    /// Fingerprint of the key that signs when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
    /// Agents that an install reaches when none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// What proves to a registry who is asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// For display only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// An API token or an access token.
    pub token: Secret,
    /// Present after a login; gives the next access token, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Secret>,
    /// When `token` ends, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl Credentials {
    /// Whether they are of a session, which a logout ends. An API token is revoked by its id.
    pub fn is_session(&self) -> bool {
        self.refresh_token.is_some() || self.expires_at.is_some()
    }
}

impl Default for Config {
    fn default() -> Self {
        let url = DEFAULT_REGISTRY_URL
            .parse()
            .expect("the constant is a valid loopback URL");
        Self {
            registries: BTreeMap::from([(DEFAULT_REGISTRY_NAME.to_owned(), url)]),
            default_registry: Some(DEFAULT_REGISTRY_NAME.to_owned()),
            credentials: BTreeMap::new(),
            settings: Settings::default(),
            extra: Map::new(),
        }
    }
}

impl Config {
    /// The registry that `wanted` names: a configured name, else an address; the default registry
    /// if nothing is wanted.
    pub fn registry(&self, wanted: Option<&str>) -> Result<Registry, ConfigError> {
        let wanted = match wanted {
            Some(wanted) => wanted,
            None => self.default_name()?,
        };
        if let Some(url) = self.registries.get(wanted) {
            return Ok(Registry {
                name: Some(wanted.to_owned()),
                url: url.clone(),
            });
        }
        if !wanted.contains([':', '/', '.']) && wanted != "localhost" {
            return Err(self.unknown(wanted));
        }
        let url: RegistryUrl = wanted.parse()?;
        let name = self
            .registries
            .iter()
            .find(|(_, known)| **known == url)
            .map(|(name, _)| name.clone());
        Ok(Registry { name, url })
    }

    /// All registries, by name.
    pub fn registries(&self) -> impl Iterator<Item = Registry> {
        self.registries.iter().map(|(name, url)| Registry {
            name: Some(name.clone()),
            url: url.clone(),
        })
    }

    /// The name of the default registry.
    pub fn default_name(&self) -> Result<&str, ConfigError> {
        self.default_registry
            .as_deref()
            .or_else(|| self.registries.keys().next().map(String::as_str))
            .ok_or(ConfigError::NoRegistry)
    }

    /// Adds a registry, or gives a known name another URL. The first one becomes the default.
    pub fn add_registry(&mut self, name: &str, url: RegistryUrl) -> Result<(), ConfigError> {
        if !is_registry_name(name) {
            return Err(ConfigError::RegistryName {
                name: name.to_owned(),
            });
        }
        self.registries.insert(name.to_owned(), url);
        self.default_registry.get_or_insert_with(|| name.to_owned());
        Ok(())
    }

    /// Forgets a registry and, if no other name has the same URL, its tokens.
    pub fn remove_registry(&mut self, name: &str) -> Result<(), ConfigError> {
        let Some(url) = self.registries.remove(name) else {
            return Err(self.unknown(name));
        };
        if !self.registries.values().any(|other| *other == url) {
            self.credentials.remove(url.as_str());
        }
        if self.default_registry.as_deref() == Some(name) {
            self.default_registry = self.registries.keys().next().cloned();
        }
        Ok(())
    }

    /// Makes a known registry the default.
    pub fn set_default(&mut self, name: &str) -> Result<(), ConfigError> {
        if !self.registries.contains_key(name) {
            return Err(self.unknown(name));
        }
        self.default_registry = Some(name.to_owned());
        Ok(())
    }

    /// What proves to this registry who is asking.
    pub fn credentials(&self, registry: &RegistryUrl) -> Option<&Credentials> {
        self.credentials.get(registry.as_str())
    }

    /// Remembers, or with `None` forgets, what proves who is asking.
    pub fn set_credentials(&mut self, registry: &RegistryUrl, credentials: Option<Credentials>) {
        match credentials {
            Some(credentials) => self
                .credentials
                .insert(registry.as_str().to_owned(), credentials),
            None => self.credentials.remove(registry.as_str()),
        };
    }

    fn unknown(&self, name: &str) -> ConfigError {
        ConfigError::UnknownRegistry {
            name: name.to_owned(),
            known: self.registries.keys().cloned().collect(),
        }
    }
}

/// Letters, digits, `-`, `_`: nothing that could be an address or an option.
fn is_registry_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=64).contains(&name.len())
        && !name.starts_with('-')
        && name.chars().all(plain)
        && name != "localhost"
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    File(#[from] FsError),
    /// Not JSON, or not of the expected form.
    #[error("{} is not a valid configuration: {source}", .path.display())]
    Invalid {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error(transparent)]
    Url(#[from] RegistryUrlError),
    /// A name that would be taken for something else.
    #[error("`{name}` cannot name a registry")]
    RegistryName { name: String },
    /// Neither a configured name nor an address.
    #[error("there is no registry `{name}`")]
    UnknownRegistry { name: String, known: Vec<String> },
    /// All have been removed.
    #[error("no registry is configured")]
    NoRegistry,
}

impl Explain for ConfigError {
    fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Invalid { .. } => "config-invalid",
            Self::Url(error) => error.code(),
            Self::RegistryName { .. } => "registry-name",
            Self::UnknownRegistry { .. } => "registry-unknown",
            Self::NoRegistry => "registry-none",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::File(error) => error.fault(),
            Self::Url(error) => error.fault(),
            Self::Invalid { .. }
            | Self::RegistryName { .. }
            | Self::UnknownRegistry { .. }
            | Self::NoRegistry => Fault::BadInput,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.help(),
            Self::Url(error) => return error.help(),
            Self::Invalid { .. } => {
                "mend the file, or move it away to start with the defaults".into()
            }
            Self::RegistryName { .. } => "use letters, digits, `-` and `_`".into(),
            Self::UnknownRegistry { known, .. } if known.is_empty() => {
                "add it: skills registry add NAME URL".into()
            }
            Self::UnknownRegistry { known, .. } => {
                format!(
                    "known are {}; add another: skills registry add NAME URL",
                    known.join(", ")
                )
            }
            Self::NoRegistry => format!(
                "add one: skills registry add {DEFAULT_REGISTRY_NAME} {DEFAULT_REGISTRY_URL}"
            ),
        })
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::File(error) => error.place(),
            Self::Invalid { path, source } => Some(Place {
                file: Some(path.display().to_string()),
                line: u32::try_from(source.line()).ok().filter(|line| *line > 0),
                field: None,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn file() -> (tempfile::TempDir, ConfigFile) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = ConfigFile::new(dir.path().join("home/.skills/config.json"));
        (dir, file)
    }

    fn url(text: &str) -> RegistryUrl {
        text.parse().expect("a valid URL")
    }

    fn token(text: &str) -> Credentials {
        Credentials {
            username: None,
            token: Secret::new(text),
            refresh_token: None,
            expires_at: None,
        }
    }

    #[test]
    fn without_a_file_the_local_hub_is_the_registry() {
        let (_dir, file) = file();
        let registry = file.read().expect("read").registry(None).expect("default");
        assert_eq!(
            (registry.name.as_deref(), registry.url.as_str()),
            (Some("local"), DEFAULT_REGISTRY_URL)
        );
    }

    #[test]
    #[cfg(unix)]
    fn the_file_and_its_folder_are_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_dir, file) = file();
        file.update(|config| config.add_registry("team", url("https://skills.example.org")))
            .expect("update");
        let mode = |path: &Path| path.metadata().expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(file.path()), 0o600);
        assert_eq!(mode(file.path().parent().expect("a folder")), 0o700);
    }

    #[test]
    fn keys_that_are_not_known_survive_a_change() {
        let (_dir, file) = file();
        std::fs::create_dir_all(file.path().parent().expect("a folder")).expect("mkdir");
        let text = r#"{"registries":{"a":"https://a.example.org"},"theme":"dark","settings":{"telemetry":false}}"#;
        std::fs::write(file.path(), text).expect("write");
        file.update(|config| config.set_default("a"))
            .expect("update");
        let value: Value =
            serde_json::from_slice(&std::fs::read(file.path()).expect("read")).expect("JSON");
        assert_eq!(value["theme"], "dark");
        assert_eq!(value["settings"]["telemetry"], false);
        assert_eq!(value["defaultRegistry"], "a");
    }

    #[test]
    fn a_token_belongs_to_an_address_and_not_to_a_name() {
        let mut config = Config::default();
        config
            .add_registry("team", url("https://one.example.org"))
            .expect("add");
        config.set_credentials(&url("https://one.example.org"), Some(token("skl_1")));
        config
            .add_registry("team", url("https://two.example.org"))
            .expect("change");
        let team = config.registry(Some("team")).expect("known");
        assert_eq!(config.credentials(&team.url), None);
    }

    #[test]
    fn removing_a_registry_forgets_its_token_and_moves_the_default() {
        let mut config = Config::default();
        config
            .add_registry("team", url("https://one.example.org"))
            .expect("add");
        config.set_default("team").expect("known");
        config.set_credentials(&url("https://one.example.org"), Some(token("skl_1")));
        config.remove_registry("team").expect("remove");
        assert_eq!(config.default_name().expect("a default"), "local");
        assert_eq!(config.credentials(&url("https://one.example.org")), None);
        assert_eq!(
            config.remove_registry("team").expect_err("gone").code(),
            "registry-unknown"
        );
    }

    #[test]
    fn an_address_will_do_where_a_name_is_asked_for() {
        let config = Config::default();
        let registry = config
            .registry(Some("private.example.com"))
            .expect("an address");
        assert_eq!(registry.url.as_str(), "https://private.example.com");
        assert_eq!(
            config
                .registry(Some("127.0.0.1:18801"))
                .expect("known")
                .name
                .as_deref(),
            Some("local")
        );
        assert_eq!(
            config
                .registry(Some("http://example.com"))
                .expect_err("http")
                .code(),
            "registry-insecure"
        );
        assert_eq!(
            config.registry(Some("nobody")).expect_err("unknown").code(),
            "registry-unknown"
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut config = Config::default();
        config.set_credentials(&url("https://one.example.org"), Some(token("skl_hidden")));
        assert!(!format!("{config:?}").contains("skl_hidden"));
    }

    #[test]
    fn a_broken_file_is_reported_with_its_line() {
        let (_dir, file) = file();
        std::fs::create_dir_all(file.path().parent().expect("a folder")).expect("mkdir");
        std::fs::write(file.path(), "{\n  oops\n}").expect("write");
        let error = file.read().expect_err("not JSON");
        assert_eq!(
            (error.code(), error.place().and_then(|place| place.line)),
            ("config-invalid", Some(2))
        );
    }

    #[test]
    fn changes_made_at_the_same_time_are_all_kept() {
        let (_dir, file) = file();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let file = &file;
                scope.spawn(move || {
                    let name = format!("r{number}");
                    file.update(|config| config.add_registry(&name, url("https://example.org")))
                        .expect("update");
                });
            }
        });
        assert_eq!(file.read().expect("read").registries().count(), 9);
    }
}
