//! Skills that were named directly: folders, archives, repositories. Reads and checks them; what
//! comes of them is decided elsewhere.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use skill_format::{
    Discovered, Limits, Manifest, ReadOptions, Sha256, Skill, SkillName, SkillTree, Version,
};
use skill_signing::Statement;

use super::decide::Decision;
use super::found::{Bad, Found, LeftOut, stated_name};
use super::held::Setback;
use super::{InstallError, InstallRequest, Installer, Wanted};
use crate::events::Event;
use crate::fsx::{At as _, read_start};
use crate::git;
use crate::index::Index;
use crate::source::{GitSource, Origin, SkillSource};
use crate::verify::{Claim, Verdict};

/// Largest signature file that is read.
const SIGNATURE_BYTES_MAX: u64 = 64 * 1024;

/// A skill that is at hand.
#[derive(Debug)]
pub(super) struct LocalSkill {
    /// The name to install it under.
    pub name: SkillName,
    pub manifest: Manifest,
    pub version: Version,
    pub tree: SkillTree,
    /// `full_digest` of the tree.
    pub digest: Sha256,
    /// Of an archive.
    pub archive: Option<Bytes>,
    /// The archive's digest, else the tree's.
    pub checksum: Sha256,
    pub origin: Origin,
    /// What to ask for to get a newer one.
    pub spec: String,
    pub verdict: Verdict,
}

impl Installer<'_> {
    /// Everything that was named by path or URL. Of what nobody named, what cannot be read is held
    /// back.
    pub(super) async fn load_locals(
        &self,
        request: &mut InstallRequest,
        index: &Index,
        now: Timestamp,
    ) -> Result<(Vec<LocalSkill>, Vec<LeftOut>), InstallError> {
        let mut locals: Vec<LocalSkill> = Vec::new();
        let mut all_left_out = Vec::new();
        for wanted in request.wanted.clone() {
            let found = match self.load_wanted(&wanted, request, now).await {
                Ok((found, left_out)) => {
                    all_left_out.extend(left_out);
                    found
                }
                Err(error) => {
                    let setback = Setback {
                        skill: wanted.installed_name().cloned(),
                        error,
                    };
                    match request.without(&setback, &mut locals, index) {
                        Some(smaller) => *request = smaller,
                        None => return Err(setback.error),
                    }
                    continue;
                }
            };
            for skill in found {
                if let Some(other) = locals.iter().find(|other| other.name == skill.name) {
                    return Err(InstallError::AskedTwice {
                        name: skill.name,
                        first: other.origin.to_string(),
                        second: skill.origin.to_string(),
                    });
                }
                locals.push(skill);
            }
        }
        Ok((locals, all_left_out))
    }

    async fn load_wanted(
        &self,
        wanted: &Wanted,
        request: &InstallRequest,
        now: Timestamp,
    ) -> Result<(Vec<LocalSkill>, Vec<LeftOut>), InstallError> {
        let found = match &wanted.source {
            SkillSource::Registry { .. } => return Ok(Default::default()),
            SkillSource::Dir(path) => load_dir(path)?,
            SkillSource::File(path) => Found::one(self.load_file(path, request, now).await?),
            SkillSource::Git(source) => self.load_git(source, request).await?,
        };
        let is_several = found.is_several();
        let picked = match &wanted.only {
            Some(only) => std::slice::from_ref(only),
            None if is_several => &request.pick,
            None => &[],
        };
        let (skills, left_out) = found.judge(picked)?;
        Ok((named(skills, is_several, wanted, request)?, left_out))
    }

    /// What an index or a lockfile says that a skill came from.
    pub(super) async fn load_again(
        &self,
        request: &InstallRequest,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<LocalSkill, InstallError> {
        let found = match &decision.source {
            Origin::Git { url, commit, path } => {
                self.load_git(
                    &GitSource::at_commit(url, commit, path.as_deref())?,
                    request,
                )
                .await?
            }
            Origin::File(path) => Found::one(self.load_file(path, request, now).await?),
            Origin::Dir(path) => load_dir(path)?,
            Origin::Registry(url) => {
                return Err(InstallError::OtherRegistry {
                    what: decision.name.to_string(),
                    registry: url.clone(),
                });
            }
        };
        let place = decision.source.to_string();
        let (found, _) = found.judge(std::slice::from_ref(&decision.package))?;
        let available: Vec<SkillName> = found
            .iter()
            .map(|skill| skill.manifest.name.clone())
            .collect();
        let skill = found
            .into_iter()
            .find(|skill| skill.manifest.name == decision.package);
        skill.ok_or(InstallError::NothingPicked {
            wanted: decision.package.clone(),
            place,
            available,
        })
    }

    async fn load_git(
        &self,
        source: &GitSource,
        request: &InstallRequest,
    ) -> Result<Found, InstallError> {
        if self.client.is_offline() {
            return Err(crate::api::ApiError::NeedsNetwork {
                registry: source.shown_url(),
            }
            .into());
        }
        let url = source.shown_url();
        (self.observer)(&Event::Fetching { url: &url });
        let scratch = tempfile::tempdir().at("create a folder in", std::env::temp_dir())?;
        let checkout = git::fetch(
            source,
            &scratch.path().join("repository"),
            &request.git_limits,
        )
        .await?;
        let commit = checkout.commit;
        // A version of its own for every commit of a skill that states none.
        let fallback = format!("0.0.0-g{}", commit.get(..12).unwrap_or_default());
        let fallback = fallback.parse().unwrap_or_else(|_| Version::new(0, 0, 0));
        let mut all = Found::default();
        for found in checkout.skills {
            let path = (!found.path.is_empty()).then_some(found.path);
            let what = match &path {
                Some(path) => format!("{url}#{commit}:{path}"),
                None => format!("{url}#{commit}"),
            };
            let mut names: Vec<String> = path
                .iter()
                .filter_map(|path| path.rsplit('/').next())
                .map(str::to_owned)
                .collect();
            let origin = Origin::Git {
                url: url.clone(),
                commit: commit.clone(),
                path,
            };
            let read = match found.tree {
                Ok(tree) => {
                    names.extend(tree_name(&tree));
                    let spec = source.to_string();
                    read_skill(tree, &what, fallback.clone(), origin, spec)
                }
                Err(error) => Err(error.into()),
            };
            match read {
                Ok(skill) => all.skills.push(skill),
                Err(error) => all.bad.push(Bad {
                    place: what,
                    names,
                    error,
                }),
            }
        }
        Ok(all)
    }

    /// An archive, with the signature that lies beside it.
    async fn load_file(
        &self,
        path: &Path,
        request: &InstallRequest,
        now: Timestamp,
    ) -> Result<LocalSkill, InstallError> {
        let what = path.display().to_string();
        let limits = Limits::default();
        // What is larger is refused by the reader.
        let bytes = read_start(path, limits.archive_bytes_max).at("read", path)?;
        let bytes = Bytes::from(bytes);
        let tree =
            SkillTree::read_archive(&bytes, &limits).map_err(|source| InstallError::Archive {
                what: what.clone(),
                source,
            })?;
        let origin = Origin::File(path.to_owned());
        let mut skill = read_skill(tree, &what, Version::new(0, 0, 0), origin, what.clone())?;
        skill.checksum = Sha256::of(&bytes);
        let signature = read_signature(&signature_path(path))?;
        let claim = Claim {
            registry: self.client.registry().url.as_str(),
            statement: Statement::new(
                &skill.manifest.name,
                &skill.version,
                skill.checksum,
                bytes.len() as u64,
            ),
            signature: signature.as_deref(),
            signer_hint: None,
            locked: None,
            allow_unsigned: request.allow_unsigned,
        };
        skill.verdict = self.verifier.verify(&claim, Some(self.client), now).await?;
        skill.archive = Some(bytes);
        Ok(skill)
    }
}

/// Gives skills the names they are installed under, and leaves out those that were not picked.
fn named(
    mut found: Vec<LocalSkill>,
    is_several: bool,
    wanted: &Wanted,
    request: &InstallRequest,
) -> Result<Vec<LocalSkill>, InstallError> {
    if !request.pick.is_empty() && is_several {
        let available: Vec<SkillName> = found.iter().map(|skill| skill.name.clone()).collect();
        if let Some(missing) = request.pick.iter().find(|name| !available.contains(name))
            && request.wanted.len() == 1
        {
            return Err(InstallError::NothingPicked {
                wanted: missing.clone(),
                place: wanted.source.to_string(),
                available,
            });
        }
        found.retain(|skill| request.pick.contains(&skill.name));
    }
    if let Some(only) = &wanted.only {
        let available: Vec<SkillName> = found.iter().map(|skill| skill.name.clone()).collect();
        found.retain(|skill| skill.name == *only);
        if found.is_empty() {
            return Err(InstallError::NothingPicked {
                wanted: only.clone(),
                place: wanted.source.to_string(),
                available,
            });
        }
    }
    if let Some(alias) = &wanted.alias {
        match found.as_mut_slice() {
            [only] => only.name = alias.clone(),
            several => {
                return Err(InstallError::AliasForSeveral {
                    alias: alias.clone(),
                    count: several.len(),
                });
            }
        }
    }
    Ok(found)
}

/// One skill, or every skill in folders below.
fn load_dir(dir: &Path) -> Result<Found, InstallError> {
    let dir = dir.canonicalize().at("read", dir)?;
    let mut found = Found::default();
    let discovered = match skill_format::discover(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Discovered::default(),
        discovered => discovered.at("read", &dir)?,
    };
    for folder in &discovered.folders {
        match load_folder(folder) {
            Ok(skill) => found.skills.push(skill),
            Err(error) => found.bad.push(bad(folder, error)),
        }
    }
    for folder in &discovered.unreadable {
        if let Err(error) = std::fs::read_dir(folder).at("read", folder) {
            found.bad.push(bad(folder, error.into()));
        }
    }
    if found.skills.is_empty() && found.bad.is_empty() {
        return Err(InstallError::NoSkill { path: dir });
    }
    Ok(found)
}

fn bad(folder: &Path, error: InstallError) -> Bad {
    let text = std::fs::read_to_string(folder.join("SKILL.md"));
    let stated = text.ok().and_then(|text| stated_name(&text));
    let own = folder.file_name();
    let own = own.map(|name| name.to_string_lossy().into_owned());
    Bad {
        place: folder.display().to_string(),
        names: own.into_iter().chain(stated).collect(),
        error,
    }
}

fn load_folder(folder: &Path) -> Result<LocalSkill, InstallError> {
    let tree =
        SkillTree::read_dir(folder, &Limits::default()).map_err(|source| InstallError::Folder {
            path: folder.to_owned(),
            source,
        })?;
    let what = folder.display().to_string();
    let origin = Origin::Dir(folder.to_owned());
    read_skill(tree, &what, Version::new(0, 0, 0), origin, what.clone())
}

/// The name that a tree's `SKILL.md` states.
fn tree_name(tree: &SkillTree) -> Option<String> {
    let file = tree.get("SKILL.md")?;
    stated_name(std::str::from_utf8(&file.bytes).ok()?)
}

fn read_skill(
    tree: SkillTree,
    what: &str,
    version_if_unstated: Version,
    origin: Origin,
    spec: String,
) -> Result<LocalSkill, InstallError> {
    let digest = tree.full_digest();
    let skill = Skill::from_tree(tree, &ReadOptions::default()).map_err(|source| {
        InstallError::Invalid {
            what: what.to_owned(),
            source,
        }
    })?;
    Ok(LocalSkill {
        name: skill.manifest.name.clone(),
        version: skill
            .manifest
            .version
            .clone()
            .unwrap_or(version_if_unstated),
        manifest: skill.manifest,
        tree: skill.tree,
        digest,
        archive: None,
        checksum: digest,
        origin,
        spec,
        verdict: Verdict::Unsigned,
    })
}

/// `FILE.asc`.
fn signature_path(archive: &Path) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(".asc");
    name.into()
}

/// One byte more than any signature has is read: whoever checks it says that it is too large.
fn read_signature(path: &Path) -> Result<Option<String>, InstallError> {
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.at("read", path)?,
    };
    let mut text = String::new();
    file.take(SIGNATURE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .at("read", path)?;
    Ok(Some(text))
}
