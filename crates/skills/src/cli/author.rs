//! Flags of the verbs that skill authors use.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::RegistryArg;

/// What a new skill contains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// Instructions only
    #[default]
    Instruction,
    /// Instructions and scripts/run.py
    Python,
    /// Instructions and scripts/run.sh
    Bash,
}

/// Create a new skill folder that passes `skills validate`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Name of the skill and of its folder: lower-case letters, digits and hyphens
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// What the skill does and when to use it
    #[arg(long)]
    pub description: Option<String>,
    /// Author written into the metadata
    #[arg(long)]
    pub author: Option<String>,
    /// SPDX licence expression
    #[arg(long, default_value = "MIT")]
    pub license: String,
    #[arg(long, value_enum, default_value_t)]
    pub template: Template,
    /// Folder in which the skill's folder is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub path: PathBuf,
    /// Write SKILL.md only, without skill.yaml
    #[arg(long)]
    pub bare: bool,
}

/// Check skills against the specification. Exit code 2 if one has errors.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Skill folders, archives, or folders of many skills
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// Treat warnings as errors
    #[arg(long)]
    pub strict: bool,
}

/// Pack a skill folder into a .spm archive: the same folder gives the same bytes.
#[derive(Debug, Args)]
pub struct PackArgs {
    /// The skill's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Where to write the archive [default: NAME-VERSION.spm in the current folder]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Version of a skill that declares none
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}

/// Unpack a .spm archive into a folder, after the same checks as an install.
#[derive(Debug, Args)]
pub struct UnpackArgs {
    /// The archive (.spm, .tar.gz or .zip)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The folder to create
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Replace an existing folder
    #[arg(long)]
    pub force: bool,
}

/// Where the passphrase of a secret key comes from. Else: `SKILLS_PASSPHRASE`, else a prompt.
#[derive(Debug, Clone, Default, Args)]
pub struct PassphraseArg {
    /// File whose first line is the key's passphrase
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// Sign an archive: writes a detached OpenPGP signature beside it (FILE.asc).
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The archive
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Fingerprint (or its end) of the key to sign with [default: your only or default key]
    #[arg(long, value_name = "FINGERPRINT")]
    pub key: Option<String>,
    /// Where to write the signature [default: FILE.asc]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Version of a skill that declares none
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// Print the statement that is signed, for signing it with gpg, and sign nothing
    #[arg(long)]
    pub print_statement: bool,
    #[command(flatten)]
    pub passphrase: PassphraseArg,
}

/// Verify an archive's signature, or an installed skill against what was signed.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// An archive, or the name of an installed skill
    #[arg(value_name = "FILE|NAME")]
    pub target: String,
    /// The detached signature [default: FILE.asc]
    #[arg(long, value_name = "FILE")]
    pub signature: Option<PathBuf>,
    /// File of the public key that must have signed [default: the keyring]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Version of a skill that declares none
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
}

/// Publish a skill, or every skill in a folder, signed with your key.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// Skill folders, archives, or folders of many skills
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub registry: RegistryArg,
    /// Version of a skill that declares none
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// Fingerprint (or its end) of the key to sign with [default: your only or default key]
    #[arg(long, value_name = "FINGERPRINT")]
    pub key: Option<String>,
    /// Publish without a signature, where the registry allows it
    #[arg(long, conflicts_with = "key")]
    pub unsigned: bool,
    /// Check and pack, but send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Skip versions that are published already instead of failing
    #[arg(long)]
    pub skip_existing: bool,
    /// Publish files too that usually hold secrets, such as .env or a private key
    #[arg(long)]
    pub allow_secret_files: bool,
    #[command(flatten)]
    pub passphrase: PassphraseArg,
}

/// Withdraw a version: nobody new resolves to it, locked users keep it.
#[derive(Debug, Args)]
pub struct UnpublishArgs {
    /// NAME@VERSION
    #[arg(value_name = "NAME@VERSION")]
    pub spec: String,
    #[command(flatten)]
    pub registry: RegistryArg,
    /// Delete for good: within 72 hours, and only if nothing depends on it
    #[arg(long)]
    pub hard: bool,
    /// Take the withdrawal back
    #[arg(long, conflicts_with = "hard")]
    pub undo: bool,
    /// Shown to people who have the version locked
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Mark a skill as deprecated: installs go on with a warning that carries your advice.
#[derive(Debug, Args)]
pub struct DeprecateArgs {
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Advice for its users, such as what to use instead
    #[arg(value_name = "MESSAGE", required_unless_present = "undo")]
    pub message: Option<String>,
    /// Take the deprecation back
    #[arg(long, conflicts_with = "message")]
    pub undo: bool,
    #[command(flatten)]
    pub registry: RegistryArg,
}
