//! Flags of the verbs around accounts, keys, registries and the cache.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::RegistryArg;
use super::author::PassphraseArg;

/// Sign in to a registry.
#[derive(Debug, Args)]
pub struct LoginArgs {
    #[command(flatten)]
    pub registry: RegistryArg,
    /// Sign in with a name and a password
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
    /// Read an API token from standard input
    #[arg(long, conflicts_with_all = ["username", "device"])]
    pub token_stdin: bool,
    /// Sign in through a browser, here or on another device
    #[arg(long, conflicts_with = "username")]
    pub device: bool,
    /// Make a new account with the given name first
    #[arg(long, requires = "username")]
    pub register: bool,
}

/// Sign out: the session is ended and forgotten. An API token is forgotten only.
#[derive(Debug, Args)]
pub struct LogoutArgs {
    #[command(flatten)]
    pub registry: RegistryArg,
}

/// Show who the registry thinks you are.
#[derive(Debug, Args)]
pub struct WhoamiArgs {
    #[command(flatten)]
    pub registry: RegistryArg,
}

/// API tokens, for CI and services.
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    pub action: TokenAction,
}

#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// Create a token and show it once
    Create {
        #[arg(value_name = "NAME")]
        name: String,
        /// read, publish, yank, owners, keys, invoke, admin
        #[arg(long = "scope", value_delimiter = ',', default_value = "read")]
        scopes: Vec<String>,
        /// Only for skills that match this pattern, such as team-*
        #[arg(long = "skill", value_name = "PATTERN", value_delimiter = ',')]
        skills: Vec<String>,
        /// Days until it expires [default: the registry's, or the end of the token that you signed in with]
        #[arg(long, value_name = "DAYS")]
        expires: Option<u32>,
        #[command(flatten)]
        registry: RegistryArg,
    },
    /// List your tokens
    List {
        #[command(flatten)]
        registry: RegistryArg,
    },
    /// Revoke a token
    Revoke {
        #[arg(value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        id: String,
        #[command(flatten)]
        registry: RegistryArg,
    },
}

/// Who may publish a skill.
#[derive(Debug, Args)]
pub struct OwnerArgs {
    #[command(subcommand)]
    pub action: OwnerAction,
}

#[derive(Debug, Subcommand)]
pub enum OwnerAction {
    /// List the owners of a skill
    List {
        #[arg(value_name = "SKILL")]
        skill: String,
        #[command(flatten)]
        registry: RegistryArg,
    },
    /// Add an owner
    Add {
        #[arg(value_name = "SKILL")]
        skill: String,
        #[arg(value_name = "USER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        user: String,
        #[command(flatten)]
        registry: RegistryArg,
    },
    /// Remove an owner
    Remove {
        #[arg(value_name = "SKILL")]
        skill: String,
        #[arg(value_name = "USER", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        user: String,
        #[command(flatten)]
        registry: RegistryArg,
    },
}

/// Signing keys: yours, and those you trust.
#[derive(Debug, Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    pub action: KeyAction,
}

#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// Make a new signing key
    Generate {
        /// Name (and address) written into the key
        #[arg(value_name = "USER-ID")]
        user_id: String,
        /// Days until it expires; 0 for never
        #[arg(long, value_name = "DAYS", default_value_t = 730)]
        expires: u32,
        /// Keep the secret key without a passphrase
        #[arg(long)]
        no_passphrase: bool,
        #[command(flatten)]
        passphrase: PassphraseArg,
    },
    /// Import a public or secret key (armored or binary); `-` reads standard input
    Import {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print a key
    Export {
        #[arg(value_name = "FINGERPRINT")]
        key: String,
        /// Export the secret key
        #[arg(long)]
        secret: bool,
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List keys
    List,
    /// Trust a key, or accept a skill's new signer
    Trust {
        #[arg(value_name = "FINGERPRINT")]
        key: String,
        /// Accept this key as the new signer of this skill
        #[arg(long, value_name = "NAME")]
        skill: Option<String>,
        #[command(flatten)]
        registry: RegistryArg,
    },
    /// Revoke one of your keys
    Revoke {
        #[arg(value_name = "FINGERPRINT")]
        key: String,
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        #[command(flatten)]
        passphrase: PassphraseArg,
    },
    /// Remove a key from the keyring
    Remove {
        #[arg(value_name = "FINGERPRINT")]
        key: String,
        /// Remove it even if it is a secret key
        #[arg(long)]
        force: bool,
    },
    /// Register a public key with a registry, so that it accepts your signatures
    Register {
        /// [default: your only or default key]
        #[arg(value_name = "FINGERPRINT")]
        key: Option<String>,
        #[command(flatten)]
        registry: RegistryArg,
        #[command(flatten)]
        passphrase: PassphraseArg,
    },
}

/// The registries you use.
#[derive(Debug, Args)]
pub struct RegistryArgs {
    #[command(subcommand)]
    pub action: RegistryAction,
}

#[derive(Debug, Subcommand)]
pub enum RegistryAction {
    /// List the configured registries
    List,
    /// Add a registry
    Add {
        #[arg(value_name = "NAME")]
        name: String,
        #[arg(value_name = "URL")]
        url: String,
        /// Make it the default
        #[arg(long)]
        default: bool,
    },
    /// Remove a registry
    Remove {
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Show or set the default registry
    Default {
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

/// The local cache.
#[derive(Debug, Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    pub action: CacheAction,
}

#[derive(Debug, Subcommand)]
pub enum CacheAction {
    /// Show how much the cache holds
    Size,
    /// Empty the cache; installed skills stay
    Clear,
    /// Check every cached file against its digest and drop the bad ones
    Verify,
}

/// Print shell completions.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}
