//! Publishing one skill or a folder of many: read, pack, sign, send, dependencies first. Knows how
//! a registry is asked, and of the local stores only what they put where (`own.rs`).

mod batch;
mod challenge;
mod error;
mod own;
mod register;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Serialize;
use skill_format::{
    Diagnostic, Explain as _, Fault, InvalidSkill, Limits, Manifest, ReadOptions, SECRET_FILE,
    Sha256, Skill, SkillName, SkillTree, Version, lint, parse_version,
};
use skill_signing::{Fingerprint, SecretKey, Statement, sign};

pub use batch::{BatchOutcome, Skipped};
pub use challenge::ChallengeError;
pub use error::PublishError;
pub use own::InstalledPlaces;

use crate::api::{Client, Publication, ReleaseDetail};
use crate::clock::Clock;
use crate::events::{Event, Observer};
use crate::fsx::{At as _, read_start};

/// Everything that publishing works with.
pub struct Publisher<'a> {
    pub client: &'a Client,
    pub clock: &'a dyn Clock,
    /// The key to sign with; `None` publishes unsigned, where the registry allows it.
    pub signer: Option<Signer<'a>>,
    pub observer: &'a Observer<'a>,
}

/// A key that is ready to sign.
pub struct Signer<'a> {
    pub key: &'a SecretKey,
    pub passphrase: Option<&'a str>,
}

/// What to publish, and how.
#[derive(Debug, Clone, Default)]
pub struct PublishRequest {
    /// Skill folders, archives, or folders of many skills.
    pub paths: Vec<PathBuf>,
    /// For a skill that states none.
    pub version: Option<Version>,
    /// Check and pack, and send nothing.
    pub dry_run: bool,
    /// Leave out versions that are published already, whatever they hold.
    pub skip_existing: bool,
    /// Publish files too that by their names hold secrets.
    pub allow_secret_files: bool,
    /// Not looked for skills to publish: those are other people's.
    pub installed: InstalledPlaces,
}

/// A skill that is packed and ready to be sent.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub path: PathBuf,
    pub manifest: Manifest,
    pub version: Version,
    pub archive: Bytes,
    pub checksum: Sha256,
    /// What a linter says; no errors. The registry may be stricter about it.
    pub remarks: Vec<Diagnostic>,
    /// A signature that lies beside the archive.
    pub signature: Option<String>,
    /// The version is not stated by the skill itself.
    version_is_given: bool,
}

impl Prepared {
    /// What is signed.
    pub fn statement(&self) -> Statement {
        Statement::new(
            &self.manifest.name,
            &self.version,
            self.checksum,
            self.archive.len() as u64,
        )
    }
}

/// What became of one skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    pub name: SkillName,
    pub version: Version,
    pub path: PathBuf,
    pub checksum: Sha256,
    /// Bytes of the archive.
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    pub state: PublishState,
    pub remarks: Vec<Diagnostic>,
}

/// How a publication ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublishState {
    Published,
    /// The same bytes were there already: an earlier publication whose answer was lost, say.
    AlreadyThere,
    /// The version was there already and was to be left out.
    Skipped,
    /// It would be published.
    Ready,
}

/// Reads and packs one skill: a folder or an archive.
pub fn prepare(path: &Path, version: Option<&Version>) -> Result<Prepared, PublishError> {
    let limits = Limits::default();
    let (tree, archive, signature) = if path.is_dir() {
        let folder = |source| PublishError::Folder {
            path: path.to_owned(),
            source,
        };
        let tree = SkillTree::read_dir(path, &limits).map_err(folder)?;
        let archive = tree.pack();
        (tree, archive, None)
    } else {
        let archive = read_start(path, limits.archive_bytes_max).at("read", path)?;
        check_size(path, &archive, &limits)?;
        let refused = |source| PublishError::Archive {
            path: path.to_owned(),
            source,
        };
        let tree = SkillTree::read_archive(&archive, &limits).map_err(refused)?;
        (tree, archive, read_signature(path)?)
    };
    check_size(path, &archive, &limits)?;
    let remarks = lint(&tree, folder_name(path).as_deref());
    let invalid = |source| PublishError::Invalid {
        path: path.to_owned(),
        source,
    };
    // What the specification forbids no registry takes: nothing is sent only to be refused.
    if remarks.iter().any(Diagnostic::is_error) {
        return Err(invalid(InvalidSkill {
            diagnostics: remarks,
        }));
    }
    let skill = Skill::from_tree(tree, &ReadOptions::default()).map_err(invalid)?;
    let (version, version_is_given) = match (skill.manifest.version.clone(), version) {
        (Some(stated), None) => (stated, false),
        (Some(stated), Some(given)) if stated == *given => (stated, false),
        (Some(stated), Some(given)) => {
            return Err(PublishError::OtherVersion {
                path: path.to_owned(),
                stated,
                given: given.clone(),
            });
        }
        (None, Some(given)) => (given.clone(), true),
        (None, None) => {
            return Err(PublishError::NoVersion {
                path: path.to_owned(),
                name: skill.manifest.name,
            });
        }
    };
    // What a person typed or a metadata field held may be looser than what is published.
    parse_version(&version.to_string()).map_err(|source| PublishError::Version {
        path: path.to_owned(),
        source,
    })?;
    Ok(Prepared {
        path: path.to_owned(),
        checksum: Sha256::of(&archive),
        manifest: skill.manifest,
        version,
        archive: archive.into(),
        remarks,
        signature,
        version_is_given,
    })
}

/// Refuses a skill with files that by their names hold secrets: what was published once is out.
fn check_secrets(skill: Prepared) -> Result<Prepared, PublishError> {
    let secrets = skill
        .remarks
        .iter()
        .filter(|remark| remark.code == SECRET_FILE);
    let files: Vec<String> = secrets.filter_map(|remark| remark.file.clone()).collect();
    if files.is_empty() {
        return Ok(skill);
    }
    Err(PublishError::SecretFiles {
        path: skill.path,
        files,
    })
}

/// The name that the skill's own must be equal to. An archive lies in no folder of its own.
fn folder_name(path: &Path) -> Option<String> {
    if !path.is_dir() {
        return None;
    }
    // `.` has no name of its own.
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = real.file_name()?;
    Some(name.to_string_lossy().into_owned())
}

fn check_size(path: &Path, archive: &[u8], limits: &Limits) -> Result<(), PublishError> {
    let (bytes, bytes_max) = (archive.len() as u64, limits.archive_bytes_max);
    if bytes > bytes_max {
        return Err(PublishError::TooLarge {
            path: path.to_owned(),
            bytes,
            bytes_max,
        });
    }
    Ok(())
}

/// `FILE.asc` beside an archive.
fn read_signature(archive: &Path) -> Result<Option<String>, PublishError> {
    let mut path = archive.as_os_str().to_owned();
    path.push(".asc");
    let path = PathBuf::from(path);
    match crate::fsx::read_optional(&path)? {
        None => Ok(None),
        Some(bytes) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| PublishError::SignatureFile { path }),
    }
}

impl Publisher<'_> {
    /// Publishes one prepared skill. Sending it again after a lost answer does no harm: the same
    /// bytes count as published.
    pub async fn publish(
        &self,
        skill: &Prepared,
        request: &PublishRequest,
    ) -> Result<Published, PublishError> {
        let name = &skill.manifest.name;
        (self.observer)(&Event::Publishing {
            name,
            version: &skill.version,
        });
        let (signature, signer) = self.signature(skill)?;
        if request.dry_run {
            return Ok(published(skill, signer, PublishState::Ready));
        }
        if request.skip_existing && self.existing(skill).await?.is_some() {
            return Ok(published(skill, signer, PublishState::Skipped));
        }
        let publication = Publication {
            archive: skill.archive.clone(),
            signature,
            version: skill.version_is_given.then(|| skill.version.clone()),
        };
        match self.send(&publication).await {
            Ok(release) => {
                check_release(skill, &release)?;
                Ok(published(skill, signer, PublishState::Published))
            }
            Err(PublishError::Api(error)) if error.is("version-exists") => {
                match self.existing(skill).await {
                    Ok(Some(there)) if is_this(skill, signer.as_deref(), &there) => {
                        Ok(published(skill, signer, PublishState::AlreadyThere))
                    }
                    // A token that may publish and not read: what the registry said first counts.
                    Err(denied) if denied.fault() != Fault::Denied => Err(denied),
                    _ => Err(error.into()),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Sends it; if the registry does not know the key, registers the key and sends it again.
    async fn send(&self, publication: &Publication) -> Result<ReleaseDetail, PublishError> {
        match (self.client.publish(publication).await, &self.signer) {
            (Err(error), Some(signer)) if error.is("key-not-registered") => {
                if let Err(reason) = self.register_key(signer).await {
                    return Err(PublishError::KeyNotRegistered {
                        fingerprint: signer.key.fingerprint().to_string(),
                        registry: self.client.registry().url.to_string(),
                        reason: Box::new(reason),
                    });
                }
                Ok(self.client.publish(publication).await?)
            }
            (result, _) => Ok(result?),
        }
    }

    /// What the registry has under this name and version.
    async fn existing(&self, skill: &Prepared) -> Result<Option<ReleaseDetail>, PublishError> {
        match self
            .client
            .release(&skill.manifest.name, &skill.version)
            .await
        {
            Ok(release) => Ok(Some(release)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A signature that was made elsewhere, or a new one.
    fn signature(
        &self,
        skill: &Prepared,
    ) -> Result<(Option<String>, Option<String>), PublishError> {
        if let Some(signature) = &skill.signature {
            return Ok((Some(signature.clone()), None));
        }
        let Some(Signer { key, passphrase }) = &self.signer else {
            return Ok((None, None));
        };
        let signature = sign(
            key,
            *passphrase,
            &skill.statement().to_bytes(),
            self.clock.now(),
        )?;
        let fingerprint: &Fingerprint = key.fingerprint();
        Ok((Some(signature), Some(fingerprint.to_string())))
    }
}

/// Whether a published version is what was to be published: the same bytes, signed by the same key
/// (which is not looked into where the signature was made elsewhere).
fn is_this(skill: &Prepared, signer: Option<&str>, there: &ReleaseDetail) -> bool {
    let same_signer = skill.signature.is_some() || there.release.signer.as_deref() == signer;
    there.release.checksum == skill.checksum && same_signer
}

/// The registry must have taken what was sent.
fn check_release(skill: &Prepared, release: &ReleaseDetail) -> Result<(), PublishError> {
    if release.release.checksum == skill.checksum && release.name == skill.manifest.name {
        return Ok(());
    }
    Err(PublishError::OtherAnswer {
        name: skill.manifest.name.clone(),
        sent: skill.checksum,
        found: release.release.checksum,
    })
}

fn published(skill: &Prepared, signer: Option<String>, state: PublishState) -> Published {
    Published {
        name: skill.manifest.name.clone(),
        version: skill.version.clone(),
        path: skill.path.clone(),
        checksum: skill.checksum,
        size: skill.archive.len() as u64,
        signer,
        state,
        remarks: skill.remarks.clone(),
    }
}

/// The skills that the paths name: each folder with a `SKILL.md`, and each archive. What was not
/// looked into is noted in the outcome.
fn skill_paths(
    request: &PublishRequest,
    outcome: &mut BatchOutcome,
) -> Result<Vec<PathBuf>, PublishError> {
    let mut skills = Vec::new();
    for path in &request.paths {
        if !path.is_dir() {
            skills.push(path.clone());
            continue;
        }
        let found = request.installed.own_skills(path).at("read", path)?;
        if found.folders.is_empty() {
            return Err(PublishError::NoSkill {
                path: path.clone(),
                left_out: found.left_out,
            });
        }
        skills.extend(found.folders);
        outcome.left_out.extend(found.left_out);
        outcome.unreadable.extend(found.unreadable);
        outcome
            .partial
            .extend(found.is_partial.then(|| path.clone()));
    }
    Ok(skills)
}
