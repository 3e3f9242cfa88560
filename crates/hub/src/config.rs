//! What an operator may set, as `hub.toml` spells it. Reads no file and no
//! environment: the program that runs the hub resolves flags, environment and
//! file into a [`HubConfig`] once and passes it in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use skill_format::Limits as PackageLimits;
use url::Url;

use crate::auth::{AuthConfig, Secret};
use crate::invoke::InvokeConfig;
use crate::rate_limit::RateLimitConfig;

/// The whole of `hub.toml`. Every field has a default that works, so an empty
/// file (or none) starts a hub on SQLite and a folder of blobs.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HubConfig {
    /// Where the hub keeps what it writes itself: the SQLite file, the blob
    /// folder and its signing secrets. Created when it is missing.
    pub data_folder: PathBuf,
    /// The address to listen on. Loopback by default: a hub that strangers may
    /// reach is a decision, not an accident.
    pub bind: SocketAddr,
    /// The address that clients use, for links in answers. Defaults to
    /// `http://<bind>`; set it when a proxy or CDN stands in front, and when
    /// `bind` is `0.0.0.0` or `[::]`, which is no address to go to.
    pub public_url: Option<Url>,
    /// The hub's name on its start page.
    pub name: String,
    /// When true (the default), a publish without a publisher's signature is refused.
    pub require_signatures: bool,
    pub database: DatabaseConfig,
    pub blobs: BlobConfig,
    pub limits: LimitsConfig,
    pub auth: AuthConfig,
    pub rate_limit: RateLimitConfig,
    pub invoke: InvokeConfig,
    pub log: LogConfig,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            data_folder: PathBuf::from("hub-data"),
            bind: SocketAddr::from(([127, 0, 0, 1], 18_801)),
            public_url: None,
            name: "Skills hub".to_owned(),
            require_signatures: true,
            database: DatabaseConfig::default(),
            blobs: BlobConfig::default(),
            limits: LimitsConfig::default(),
            auth: AuthConfig::default(),
            rate_limit: RateLimitConfig::default(),
            invoke: InvokeConfig::default(),
            log: LogConfig::default(),
        }
    }
}

/// Which database holds the catalogue.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite:<file>` or `postgres://…`. Defaults to `hub.sqlite` in the data folder.
    pub url: Option<Secret>,
    /// Connections in the pool. Defaults to what suits the database.
    pub max_connections: Option<u32>,
}

/// Where package archives are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum BlobConfig {
    /// A folder on this machine.
    Folder(FolderConfig),
    /// A bucket of S3 or of a server that speaks its protocol.
    S3(S3Config),
    /// A bucket of Google Cloud Storage.
    Gcs(GcsConfig),
}

/// `kind = "folder"`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FolderConfig {
    /// Defaults to `blobs` in the data folder.
    pub path: Option<PathBuf>,
}

/// `kind = "s3"`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3Config {
    pub bucket: String,
    #[serde(default = "default_region")]
    pub region: String,
    /// For a server that is not AWS.
    #[serde(default)]
    pub endpoint: Option<Url>,
    pub access_key_id: String,
    pub secret_access_key: Secret,
    /// Put before every key.
    #[serde(default)]
    pub prefix: String,
    /// How long a presigned download stays valid.
    #[serde(default = "default_presign_seconds")]
    pub presign_seconds: u64,
}

/// `kind = "gcs"`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GcsConfig {
    pub bucket: String,
    /// The service account's key, as JSON text.
    pub service_account_key: Secret,
    /// Put before every key.
    #[serde(default)]
    pub prefix: String,
    /// How long a presigned download stays valid.
    #[serde(default = "default_presign_seconds")]
    pub presign_seconds: u64,
}

impl Default for BlobConfig {
    fn default() -> Self {
        Self::Folder(FolderConfig::default())
    }
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

fn default_presign_seconds() -> u64 {
    // Long enough for a 25 MiB archive over a 64 kbit/s line to *start*; S3
    // checks the time only when the request arrives.
    300
}

/// Bounds on what one request, one connection and one process may take.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Largest archive that is accepted, in bytes. 25 MiB.
    pub archive_bytes_max: u64,
    /// Largest unpacked skill, in bytes. 100 MiB.
    pub unpacked_bytes_max: u64,
    /// Largest body of a request that is not a publish, in bytes. 256 KiB:
    /// an armored key with many user ids and signatures stays below 100 KiB.
    pub json_bytes_max: usize,
    /// Longest path and query together, in bytes.
    pub uri_bytes_max: usize,
    /// Largest set of request headers, in bytes. A base64 armored signature in
    /// `Skill-Signature` takes under 4 KiB.
    pub header_bytes_max: usize,
    /// Publishes that are read and checked at the same time; each may hold an
    /// archive and its unpacked tree in memory (at most 25 + 100 MiB), so four of
    /// them stay under 500 MiB. More wait for their turn.
    pub publishes_at_once_max: usize,
    /// Connections that are open at the same time.
    pub connections_max: usize,
    /// How long a client may take to send its request headers, and how long a
    /// connection may idle between requests.
    pub header_seconds_max: u64,
    /// How long a request other than a publish may take.
    pub request_seconds_max: u64,
    /// How long a publish may take, its upload included.
    pub publish_seconds_max: u64,
    /// How long a client may leave the hub waiting for the next bytes of a body,
    /// or for room to send the next bytes of an answer.
    pub idle_seconds_max: u64,
    /// How long in-flight requests may take after the hub was asked to stop.
    pub drain_seconds_max: u64,
    /// Memory for rendered metadata, in bytes. 192 MiB: 100,000 skills at about
    /// 1.5 KiB each stay in memory.
    pub metadata_cache_bytes_max: u64,
    /// Versions that one skill may have: all of them stand in its metadata.
    pub versions_per_skill_max: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let package = PackageLimits::default();
        Self {
            archive_bytes_max: package.archive_bytes_max,
            unpacked_bytes_max: package.unpacked_bytes_max,
            json_bytes_max: 256 * 1024,
            uri_bytes_max: 8 * 1024,
            header_bytes_max: 32 * 1024,
            publishes_at_once_max: 4,
            connections_max: 10_000,
            header_seconds_max: 15,
            request_seconds_max: 30,
            publish_seconds_max: 300,
            idle_seconds_max: 30,
            drain_seconds_max: 20,
            metadata_cache_bytes_max: 192 * 1024 * 1024,
            versions_per_skill_max: 2_000,
        }
    }
}

impl LimitsConfig {
    /// The bounds of the archive reader.
    pub fn package(&self) -> PackageLimits {
        PackageLimits {
            archive_bytes_max: self.archive_bytes_max,
            unpacked_bytes_max: self.unpacked_bytes_max,
            ..PackageLimits::default()
        }
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds_max)
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds_max)
    }
}

/// How the program that runs the hub should log. The hub itself only emits events.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// A filter in `tracing`'s syntax, such as `info` or `hub=debug,info`.
    pub filter: String,
    /// One JSON object per line, or lines for people.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Why a `hub.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The message carries line, column and the offending key.
    #[error("the configuration cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    #[error("the configuration's `{field}` {problem}")]
    Value {
        field: &'static str,
        problem: &'static str,
    },
}

impl HubConfig {
    /// Reads `hub.toml`'s text. Relative paths stay relative to the working folder.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// Refuses values with which the hub could start but never work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let bad = |field, problem| Err(ConfigError::Value { field, problem });
        if limits.publishes_at_once_max == 0 {
            return bad("limits.publishes_at_once_max", "must be at least 1");
        }
        if limits.connections_max == 0 {
            return bad("limits.connections_max", "must be at least 1");
        }
        if limits.header_bytes_max < HEADER_BYTES_FLOOR {
            return bad("limits.header_bytes_max", "must be at least 8192");
        }
        let seconds = [
            ("limits.header_seconds_max", limits.header_seconds_max),
            ("limits.request_seconds_max", limits.request_seconds_max),
            ("limits.publish_seconds_max", limits.publish_seconds_max),
            ("limits.idle_seconds_max", limits.idle_seconds_max),
        ];
        if let Some((field, _)) = seconds.iter().find(|(_, seconds)| *seconds == 0) {
            return bad(field, "must be at least 1");
        }
        if let Some((field, problem)) = self.invoke.fault() {
            return bad(field, problem);
        }
        match &self.public_url {
            Some(url) if !matches!(url.scheme(), "http" | "https") => {
                bad("public_url", "must begin with http:// or https://")
            }
            Some(url) if url.query().is_some() || url.fragment().is_some() => bad(
                "public_url",
                "must end with its path: no query and no fragment",
            ),
            _ => Ok(()),
        }
    }

    /// The address that clients use, without a slash at the end.
    pub fn public_base(&self) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", reachable(self.bind)),
        }
    }

    /// Whether [`Self::public_base`] is a guess with which only clients on this
    /// machine get anywhere. It is never taken from a request's `Host`: answers
    /// are cached, here and by others, and would carry one client's word to all.
    pub fn is_public_address_guessed(&self) -> bool {
        self.public_url.is_none() && self.bind.ip().is_unspecified()
    }

    /// The database to open: the configured one, or SQLite in the data folder.
    pub fn database_url(&self) -> String {
        match &self.database.url {
            Some(url) => url.expose().to_owned(),
            None => format!("sqlite:{}", self.data_folder.join("hub.sqlite").display()),
        }
    }

    pub(crate) fn blob_folder(&self, configured: Option<&Path>) -> PathBuf {
        configured.map_or_else(|| self.data_folder.join("blobs"), Path::to_path_buf)
    }
}

/// Where a listener on every address can be reached from its own machine.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}

/// The least read buffer that hyper's HTTP/1 parser accepts.
const HEADER_BYTES_FLOOR: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_a_working_configuration() {
        let config = HubConfig::from_toml("").expect("defaults");
        assert_eq!(config.public_base(), "http://127.0.0.1:18801");
        assert_eq!(config.database_url(), "sqlite:hub-data/hub.sqlite");
        assert!(config.require_signatures);
    }

    #[test]
    fn links_never_lead_to_an_unspecified_address() {
        for (text, base, is_guessed) in [
            ("bind = \"0.0.0.0:80\"", "http://127.0.0.1:80", true),
            ("bind = \"[::]:18801\"", "http://[::1]:18801", true),
            ("bind = \"192.0.2.7:1\"", "http://192.0.2.7:1", false),
            (
                "bind = \"0.0.0.0:80\"\npublic_url = \"https://skills.example.org/hub/\"",
                "https://skills.example.org/hub",
                false,
            ),
        ] {
            let config = HubConfig::from_toml(text).expect(text);
            assert_eq!(config.public_base(), base);
            assert_eq!(config.is_public_address_guessed(), is_guessed, "{text}");
        }
    }

    #[test]
    fn a_misspelt_key_is_named() {
        let error = HubConfig::from_toml("publicurl = \"x\"").expect_err("unknown key");
        assert!(error.to_string().contains("publicurl"), "{error}");
    }

    #[test]
    fn an_s3_store_needs_only_what_has_no_default() {
        let text = "[blobs]\nkind = \"s3\"\nbucket = \"b\"\naccess_key_id = \"a\"\nsecret_access_key = \"hidden-value\"\n";
        let config = HubConfig::from_toml(text).expect("valid");
        assert!(matches!(&config.blobs, BlobConfig::S3(s3) if s3.presign_seconds == 300));
        assert!(!format!("{config:?}").contains("hidden-value"));
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        for (text, field) in [
            (
                "[limits]\npublishes_at_once_max = 0",
                "publishes_at_once_max",
            ),
            ("[limits]\nidle_seconds_max = 0", "idle_seconds_max"),
            ("[limits]\nheader_bytes_max = 10", "header_bytes_max"),
            ("[invoke]\nconcurrent_max = 0", "concurrent_max"),
            ("[invoke]\ntimeout_seconds_max = 5", "timeout_seconds_max"),
            ("[invoke]\nlease_seconds = 1", "lease_seconds"),
            ("public_url = \"ftp://example.com\"", "public_url"),
            ("public_url = \"http://example.com/?a\"", "public_url"),
        ] {
            let error = HubConfig::from_toml(text).expect_err(text);
            assert!(error.to_string().contains(field), "{error}");
        }
    }
}
