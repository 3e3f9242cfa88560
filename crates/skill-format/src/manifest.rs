//! What is known about a skill, whichever of its files said it: the shape that the registry
//! stores and serves. Knows nothing of how the files are read; see `skill_md.rs`, `skill_yaml/`
//! and `merge.rs`.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::name::SkillName;
use crate::range::Range;

/// The effective manifest of a skill: `skill.yaml` wins over `SKILL.md` where both speak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub name: SkillName,
    /// `None` for a skill that states no version and was read without one.
    pub version: Option<Version>,
    /// Not empty. More than 1,024 characters break the specification, but are kept.
    pub description: String,
    pub author: Option<String>,
    /// An SPDX expression, or the name of a file.
    pub license: Option<String>,
    pub repository: Option<String>,
    pub homepage: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Which frameworks the skill was made for. None means any.
    #[serde(default)]
    pub frameworks: Vec<FrameworkSupport>,
    #[serde(default)]
    pub dependencies: Dependencies,
    /// Digest of every file but `skill.yaml`, as its author stated it.
    pub checksum: Option<Sha256>,
    pub signing: Option<SigningHint>,
    #[serde(default)]
    pub permissions: Permissions,
    #[serde(default)]
    pub entrypoints: Vec<Entrypoint>,
    /// What the skill needs of its surroundings, as prose (1–500 characters).
    pub compatibility: Option<String>,
    /// Tools that the agent may use without asking, such as `Bash(git:*)`.
    #[serde(default)]
    pub allowed_tools: Vec<String>,
    /// Free text by key. A value that was no text is its JSON.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// A framework that the skill was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrameworkSupport {
    /// As the author wrote it, such as `anthropic-claude`.
    pub name: String,
    /// Which versions of the framework, in its own notation.
    pub compatibility: Option<String>,
    /// The file with the framework's form of the skill.
    pub instructions_file: Option<String>,
}

/// What a skill needs besides itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Dependencies {
    /// Other skills.
    pub skills: BTreeMap<SkillName, Range>,
    /// Hosts and runtimes (`roundtable`, `python`), in their own notation.
    pub hosts: BTreeMap<String, String>,
    /// Packages by ecosystem (`python`, `node`, `system`), in the ecosystem's notation.
    pub packages: BTreeMap<String, BTreeMap<String, String>>,
}

impl Dependencies {
    pub fn is_empty(&self) -> bool {
        self.skills.is_empty() && self.hosts.is_empty() && self.packages.is_empty()
    }
}

/// How the author signs. A hint for people: the client trusts signatures, not this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningHint {
    pub algorithm: Option<String>,
    pub public_key_id: Option<String>,
}

/// What the skill's scripts ask to be allowed. The default asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Permissions {
    pub network: NetworkPermission,
    /// Patterns of paths to read, relative to the folder the agent works in.
    pub read: Vec<String>,
    /// Patterns of paths to write, relative to the folder the agent works in.
    pub write: Vec<String>,
    pub environment: Vec<EnvironmentVariable>,
}

/// Which hosts a script may connect to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkPermission {
    #[default]
    None,
    All,
    /// Host names, each with an optional leading `*.` and an optional `:port`.
    Hosts(Vec<String>),
}

/// An environment variable that a script reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentVariable {
    pub name: String,
    /// Whether the script fails without it.
    pub required: bool,
    /// Whether its value must never be shown.
    pub secret: bool,
    pub description: Option<String>,
}

/// A script that can be run on its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entrypoint {
    pub name: String,
    /// Path of the script inside the skill.
    pub command: String,
    pub description: Option<String>,
    /// JSON Schema of the input. With one, the script is offered to a model as a tool of its own.
    pub input_schema: Option<serde_json::Value>,
    /// JSON Schema of the output.
    pub output_schema: Option<serde_json::Value>,
    /// Whether running it twice with one input does what running it once does.
    pub idempotent: bool,
    /// How long a run may take, in seconds.
    pub timeout_seconds: Option<u64>,
}
