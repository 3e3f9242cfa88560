//! What a publisher signs: "this name and version are these bytes".
//!
//! A statement has exactly one byte form, so that signer, registry and client, each building it
//! from what they know, arrive at the same bytes, and `skills sign --print-statement` can be signed
//! with gpg. Version 1:
//!
//! ```text
//! skills statement 1
//! name: text-summarizer
//! version: 1.4.0
//! sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
//! size: 20481
//! ```
//!
//! Every line ends with a line feed, the last one too; the order is fixed; there is nothing else.
//! The version has no build metadata: `1.0.0+b` and `1.0.0` are one version and share one
//! statement. The digest has 64 lower-case hex digits and is over the archive (`.spm`), whose
//! length in bytes is the size, in decimal without leading zeros.
//!
//! Knows nothing of signatures.

use std::fmt;

use skill_format::{
    Explain, Fault, Place, Sha256, SkillName, Version, parse_version, version_identity,
};

const HEADER: &str = "skills statement 1";
const HEADER_ANY_VERSION: &str = "skills statement ";

/// Longest statement: five lines of which only name and version vary; a name has at most 64
/// characters and a version at most 256.
const BYTES_MAX: usize = 1024;

/// What a publisher signs about one version of one skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    name: SkillName,
    version: Version,
    sha256: Sha256,
    size: u64,
}

impl Statement {
    /// A statement about an archive of `size` bytes with the digest `sha256`. Build metadata of
    /// `version` is left out.
    pub fn new(name: &SkillName, version: &Version, sha256: Sha256, size: u64) -> Self {
        let mut version = version.clone();
        version.build = Default::default();
        Self {
            name: name.clone(),
            version,
            sha256,
            size,
        }
    }

    /// A statement about these bytes.
    pub fn about(name: &SkillName, version: &Version, archive: &[u8]) -> Self {
        Self::new(name, version, Sha256::of(archive), archive.len() as u64)
    }

    pub fn name(&self) -> &SkillName {
        &self.name
    }

    /// Never has build metadata.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The archive's digest.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// The archive's length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes that are signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// Reads a statement. What [`Statement::to_bytes`] would not have written is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > BYTES_MAX {
            return Err(StatementError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| StatementError::NotUtf8)?;
        let mut lines = text
            .split_inclusive('\n')
            .map(|line| line.strip_suffix('\n'));
        match lines.next().flatten() {
            Some(HEADER) => {}
            Some(line) if line.starts_with(HEADER_ANY_VERSION) => {
                return Err(StatementError::OtherVersion);
            }
            _ => return Err(StatementError::NotAStatement),
        }
        let statement = Self {
            name: field(lines.next(), "name", |text| SkillName::parse(text).ok())?,
            version: field(lines.next(), "version", |text| parse_version(text).ok())?,
            sha256: field(lines.next(), "sha256", |text| text.parse().ok())?,
            size: field(lines.next(), "size", |text| text.parse().ok())?,
        };
        // One comparison enforces what the fields' own parsers are lenient about: build metadata,
        // upper-case or prefixed digests, `+1`, leading zeros, further lines.
        if statement.to_bytes() != bytes {
            return Err(StatementError::NotCanonical);
        }
        Ok(statement)
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        writeln!(f, "name: {}", self.name.as_str())?;
        writeln!(f, "version: {}", version_identity(&self.version))?;
        writeln!(f, "sha256: {}", self.sha256.hex())?;
        writeln!(f, "size: {}", self.size)
    }
}

fn field<T>(
    line: Option<Option<&str>>,
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StatementError> {
    line.flatten()
        .and_then(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .and_then(parse)
        .ok_or(StatementError::Field { name })
}

/// Why bytes are not a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    #[error("a statement has at most {BYTES_MAX} bytes")]
    TooLong,
    #[error("a statement is UTF-8 text")]
    NotUtf8,
    /// The first line is another.
    #[error("this is not a statement: its first line is not `{HEADER}`")]
    NotAStatement,
    /// Written by a later release.
    #[error("this statement has a version that this program does not know")]
    OtherVersion,
    #[error("the line `{name}: …` of the statement is missing, misplaced or invalid")]
    Field { name: &'static str },
    /// The same meaning in other bytes.
    #[error("the statement is not in its canonical form")]
    NotCanonical,
}

impl Explain for StatementError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "statement-too-long",
            Self::NotUtf8 => "statement-not-utf8",
            Self::NotAStatement => "statement-unknown",
            Self::OtherVersion => "statement-version",
            Self::Field { .. } => "statement-field",
            Self::NotCanonical => "statement-not-canonical",
        }
    }

    fn fault(&self) -> Fault {
        Fault::BadInput
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::OtherVersion => "update this program".into(),
            _ => "`skills sign --print-statement FILE` writes the statement of an archive".into(),
        })
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Field { name } => Some(Place {
                file: None,
                line: None,
                field: Some((*name).into()),
            }),
            _ => None,
        }
    }
}
