//! The package format of agent skills: what a skill is, how it is read, checked, packed and shown
//! to an agent framework. No network, no database, no asynchronous code, no clock.
//!
//! Whatever comes from a stranger is parsed here and nowhere else, with bounds: validator,
//! registry, installer and scanner share this one reader.
//!
//! How to add a field of `skill.yaml`: read it in `skill_yaml/` with its line, carry it into
//! [`Manifest`] in `merge.rs`, and describe what may be wrong with it in `lint/`.
//! How to add a framework: a variant of [`Framework`], a file in `adapters/` and its snapshot.

pub mod adapters;
mod archive;
mod diagnostic;
mod digest;
mod discover;
mod explain;
mod extract;
mod fields;
mod frontmatter;
mod limits;
mod lint;
mod manifest;
mod merge;
mod name;
pub mod python;
mod range;
mod schema;
mod skill;
mod skill_md;
mod skill_yaml;
mod suggest;
mod tree;
mod version;
mod yaml;

pub use adapters::{Framework, RenderOptions};
pub use archive::{ArchiveError, EntryProblem, GzipProblem, TarProblem, ZipProblem};
pub use diagnostic::{Diagnostic, Severity};
pub use digest::{DigestError, Sha256};
pub use discover::{Discovered, discover, discover_except};
pub use explain::{Explain, Fault, Place};
pub use extract::{ExtractError, TEMPORARY_PREFIX, sweep_leftovers};
pub use frontmatter::{
    FrontmatterError, FrontmatterFields, skill_md_with_metadata, write_frontmatter,
};
pub use limits::{LimitError, Limits};
pub use lint::{SECRET_FILE, lint, secret_files};
pub use manifest::{
    Dependencies, Entrypoint, EnvironmentVariable, FrameworkSupport, Manifest, NetworkPermission,
    Permissions, SigningHint,
};
pub use name::{NAME_CHARS_MAX, NameError, SkillName, is_reserved};
pub use range::{Range, RangeError};
pub use schema::{InputProblem, InvalidInput, check_input};
pub use skill::{InvalidSkill, ManifestError, ReadOptions, Skill, read_manifest};
pub use tree::{
    IgnoreError, PathError, PathProblem, SKILL_MD, SKILL_YAML, SkillFile, SkillTree, TreeError,
};
pub use version::{Version, VersionError, parse_version, version_identity};
