//! Why a skill was not published.

use std::path::PathBuf;

use skill_format::{
    ArchiveError, Explain, Fault, InvalidSkill, Place, SECRET_FILE, Sha256, SkillName, TreeError,
    Version, VersionError,
};
use skill_signing::SigningError;

use super::ChallengeError;
use crate::api::ApiError;
use crate::fsx::FsError;

/// Why a skill was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The registry asks for a signature over what it has no business with.
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    #[error(transparent)]
    File(#[from] FsError),
    /// The registry does not know the key, and this user or token may not make it known.
    #[error(
        "{registry} does not know the signing key {fingerprint}, and it could not be registered: {reason}"
    )]
    KeyNotRegistered {
        fingerprint: String,
        registry: String,
        #[source]
        reason: Box<PublishError>,
    },
    #[error("there is no SKILL.md in {}", .path.display())]
    NoSkill {
        path: PathBuf,
        /// Agents' folders below it, with skills that no store has put there.
        left_out: Vec<PathBuf>,
    },
    #[error("the folder {} is refused: {source}", .path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: TreeError,
    },
    #[error("the archive {} is refused: {source}", .path.display())]
    Archive {
        path: PathBuf,
        #[source]
        source: ArchiveError,
    },
    #[error("{}: {source}", .path.display())]
    Invalid {
        path: PathBuf,
        #[source]
        source: InvalidSkill,
    },
    #[error("{} packs to {bytes} bytes, more than the {bytes_max} that are allowed", .path.display())]
    TooLarge {
        path: PathBuf,
        bytes: u64,
        bytes_max: u64,
    },
    #[error("{name} states no version")]
    NoVersion { path: PathBuf, name: SkillName },
    #[error("{} states the version {stated}, and not {given}", .path.display())]
    OtherVersion {
        path: PathBuf,
        stated: Version,
        given: Version,
    },
    #[error("{}: {source}", .path.display())]
    Version {
        path: PathBuf,
        #[source]
        source: VersionError,
    },
    /// Whoever gets the skill can read them, and a version is never changed.
    #[error("{} would publish what usually holds a secret: {}", .path.display(), .files.join(", "))]
    SecretFiles { path: PathBuf, files: Vec<String> },
    #[error("{} is not a signature", .path.display())]
    SignatureFile { path: PathBuf },
    /// The registry confirmed something else than what was sent.
    #[error("{name} was sent with the digest {sent}, and the registry has {found}")]
    OtherAnswer {
        name: SkillName,
        sent: Sha256,
        found: Sha256,
    },
}

impl PublishError {
    fn inner(&self) -> Option<&dyn Explain> {
        Some(match self {
            Self::Api(error) => error,
            Self::Signing(error) => error,
            Self::Challenge(error) => error,
            Self::File(error) => error,
            Self::Folder { source, .. } => source,
            Self::Archive { source, .. } => source,
            Self::Invalid { source, .. } => source,
            Self::Version { source, .. } => source,
            _ => return None,
        })
    }
}

impl Explain for PublishError {
    fn code(&self) -> &'static str {
        match self {
            Self::KeyNotRegistered { .. } => "key-not-registered",
            Self::NoSkill { .. } => "no-skill-md",
            Self::TooLarge { .. } => "archive-too-large",
            Self::NoVersion { .. } => "version-missing",
            Self::OtherVersion { .. } => "version-differs",
            Self::SecretFiles { .. } => SECRET_FILE,
            Self::SignatureFile { .. } => "signature-file",
            Self::OtherAnswer { .. } => "other-answer",
            _ => self.inner().map_or("publish-failed", Explain::code),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::KeyNotRegistered { .. } => Fault::Denied,
            Self::NoSkill { .. } => Fault::NotFound,
            Self::TooLarge { .. }
            | Self::NoVersion { .. }
            | Self::OtherVersion { .. }
            | Self::SecretFiles { .. }
            | Self::SignatureFile { .. } => Fault::BadInput,
            Self::OtherAnswer { .. } => Fault::Denied,
            _ => self.inner().map_or(Fault::Internal, Explain::fault),
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::KeyNotRegistered {
                fingerprint,
                registry,
                reason,
            } => {
                let register = format!("skills key register {fingerprint} --registry {registry}");
                match reason.code() {
                    "scope-insufficient" | "role-insufficient" => format!(
                        "somebody who is signed in to the account registers the key once: \
                         skills login --registry {registry}, then {register}; \
                         or use a token that has the scope `keys` too"
                    ),
                    _ => reason
                        .help()
                        .unwrap_or_else(|| format!("register it, then publish again: {register}")),
                }
            }
            Self::NoSkill { left_out, .. } if !left_out.is_empty() => format!(
                "{} was not looked into, since agents keep installed skills there; \
                 to publish one that is your own, name its folder",
                left_out
                    .iter()
                    .map(|folder| folder.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            Self::NoSkill { .. } => "name a folder that holds one, or make one: skills init".into(),
            Self::TooLarge { .. } => "leave out what agents do not need: name it in .skillignore".into(),
            Self::NoVersion { .. } => {
                "add `metadata.version` to SKILL.md or `version` to skill.yaml, or give one with --version".into()
            }
            Self::OtherVersion { .. } => "change the file, or leave out --version".into(),
            Self::SecretFiles { path, files } => {
                let lines: Vec<_> = files.iter().map(|file| format!("`/{file}`")).collect();
                let again = if path.is_dir() { "" } else { ", and pack it again" };
                format!(
                    "leave it out: write {} into .skillignore beside SKILL.md{again}; \
                     if it holds no secret: --allow-secret-files",
                    lines.join(" and ")
                )
            }
            Self::SignatureFile { .. } => "sign it anew: skills sign FILE".into(),
            Self::OtherAnswer { .. } => "tell the registry's operator".into(),
            _ => return self.inner().and_then(Explain::help),
        })
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Invalid { path, source } => {
                let place = source.place().unwrap_or_default();
                let file = place.file.map(|file| path.join(file).display().to_string());
                Some(Place {
                    file: file.or_else(|| Some(path.display().to_string())),
                    ..place
                })
            }
            Self::SecretFiles { path, files } => Some(Place {
                file: files
                    .first()
                    .map(|file| path.join(file).display().to_string()),
                ..Place::default()
            }),
            _ => self.inner().and_then(Explain::place),
        }
    }
}
