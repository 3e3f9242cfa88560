//! The client of a skill registry and the local store of installed skills: find, verify, install,
//! publish, link into agents, load, run. Knows no server code and never reads the environment.
//!
//! One install, end to end: [`SkillSource::parse`] reads what a person typed, the [`resolver`]
//! picks versions, the archives are verified on their way into the cache, the store takes all of
//! them in one transaction, and the agents' folders are linked to it.

pub mod api;
pub mod audit;
pub mod cache;
pub mod clock;
pub mod config;
#[cfg(unix)]
pub mod doctor;
mod ecosystem;
pub mod events;
pub mod fsx;
pub mod git;
pub mod head;
pub mod http;
pub mod index;
pub mod install;
pub mod paths;
pub mod publish;
pub mod source;
pub mod store;
pub mod uninstall;
pub mod verify;

// What is chosen, linked, loaded and run.
pub mod agents;
pub mod budget;
pub mod link;
pub mod loader;
pub mod lockfile;
mod near;
pub mod outdated;
pub mod project;
#[cfg(unix)]
pub mod python;
pub mod resolver;
#[cfg(unix)]
pub mod run;
mod toml_text;
pub mod workspace;

pub use api::{ApiError, Client, ClientOptions};
pub use cache::Cache;
pub use clock::{Clock, SystemClock};
pub use config::{Config, ConfigError, ConfigFile, Credentials, Registry, RegistryUrl, Secret};
pub use events::{Event, Observer};
pub use index::{Index, IndexError, InstalledSkill};
pub use install::{InstallError, InstallOutcome, InstallRequest, Installer};
pub use paths::{PathInputs, Paths, Scope};
pub use publish::{PublishError, PublishRequest, Publisher};
pub use source::{GitSource, Origin, SkillSource, SourceError};
pub use store::Store;
pub use uninstall::UninstallRequest;
pub use verify::{TrustError, Verifier};
