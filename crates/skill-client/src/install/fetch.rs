//! Brings what was chosen into the cache, verified. Nothing that is not gets a place there.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use skill_format::{
    Limits, Manifest, ReadOptions, Sha256, Skill, SkillName, SkillTree, Version, version_identity,
};
use skill_signing::Statement;

use super::decide::{Action, Decision, Decisions};
use super::held::Setback;
use super::local::LocalSkill;
use super::{InstallError, InstallRequest, Installer};
use crate::api::{ApiError, Client, Download, ReleaseDetail};
use crate::cache::{CachedTree, Unpacked};
use crate::events::{Event, Throttle};
use crate::resolver::{Plan, Planned};
use crate::source::{GitSource, Origin};
use crate::verify::{Claim, Locked, TrustError, Verdict};

/// Skills that are fetched at the same time.
const FETCHES_AT_ONCE: usize = 8;

/// A skill that is in the cache and verified.
#[derive(Debug)]
pub(super) struct Fetched {
    pub tree: CachedTree,
    pub manifest: Manifest,
    /// Of the archive, or of the tree where there is none.
    pub checksum: Sha256,
    pub verdict: Verdict,
    /// What to ask for to get a newer one, where it is not the registry.
    pub spec: Option<String>,
    pub size: Option<u64>,
    pub yank_reason: Option<Option<String>>,
}

/// The same before it is in the cache.
struct Arrived {
    name: SkillName,
    files: Files,
    record: Unpacked,
    manifest: Manifest,
    verdict: Verdict,
    spec: Option<String>,
    size: Option<u64>,
    yank_reason: Option<Option<String>>,
}

enum Files {
    Cached(CachedTree),
    New(SkillTree),
}

/// A release to be fetched, and from whom.
pub(super) struct Wanted<'w> {
    pub client: &'w Client,
    pub planned: &'w Planned,
    pub decision: &'w Decision,
}

/// What is known of a release before its archive is there.
pub(super) struct Release {
    checksum: Sha256,
    pub size: u64,
    pub verdict: Verdict,
    yank_reason: Option<Option<String>>,
}

impl Installer<'_> {
    /// Everything that has to be put in place, by the name it is installed under.
    pub(super) async fn fetch(
        &self,
        request: &InstallRequest,
        plan: &Plan,
        decisions: &Decisions,
        locals: &[LocalSkill],
        now: Timestamp,
    ) -> Result<BTreeMap<SkillName, Fetched>, Setback> {
        let to_put = decisions
            .skills
            .iter()
            .filter(|decision| matches!(decision.action, Action::Put { .. }));
        let fetches = to_put.filter_map(|decision| {
            let planned = plan.get(&decision.name)?;
            let local = locals.iter().find(|local| local.name == decision.name);
            Some(async move {
                let fetched = self
                    .fetch_one(request, (planned, decision, local), now)
                    .await;
                fetched.map_err(|error| Setback::of(&decision.name, error))
            })
        });
        let arrived: Vec<Arrived> = stream::iter(fetches)
            .buffered(FETCHES_AT_ONCE)
            .try_collect()
            .await?;
        for skill in &arrived {
            check_dependencies(skill, plan, request)
                .map_err(|error| Setback::of(&skill.name, error))?;
        }
        Ok(self.keep(arrived)?)
    }

    async fn fetch_one(
        &self,
        request: &InstallRequest,
        (planned, decision, local): (&Planned, &Decision, Option<&LocalSkill>),
        now: Timestamp,
    ) -> Result<Arrived, InstallError> {
        match (local, decision.source.registry()) {
            (Some(local), _) => self.take_local(local, decision),
            (None, Some(registry)) => {
                let client =
                    self.client_for(registry)
                        .ok_or_else(|| InstallError::OtherRegistry {
                            what: decision.name.to_string(),
                            registry: registry.to_owned(),
                        })?;
                let release = Wanted {
                    client,
                    planned,
                    decision,
                };
                self.fetch_release(request, &release, now).await
            }
            (None, None) => self.fetch_again(request, planned, decision, now).await,
        }
    }

    fn take_local(&self, local: &LocalSkill, decision: &Decision) -> Result<Arrived, InstallError> {
        if let Some(bytes) = &local.archive {
            self.cache.put_blob(bytes)?;
        }
        let files = match self.cache.tree(&local.digest)? {
            Some(tree) => Files::Cached(tree),
            None => Files::New(local.tree.clone()),
        };
        Ok(Arrived {
            name: decision.name.clone(),
            files,
            record: Unpacked {
                tree: local.digest,
                checksum: local.checksum,
                name: local.manifest.name.clone(),
                version: local.version.clone(),
                source: local.origin.clone(),
                signer: local.verdict.signer().map(ToString::to_string),
            },
            manifest: local.manifest.clone(),
            verdict: local.verdict.clone(),
            spec: Some(local.spec.clone()),
            size: local.archive.as_ref().map(|bytes| bytes.len() as u64),
            yank_reason: None,
        })
    }

    /// What was locked or installed from a folder, an archive or a commit: it must be the same.
    async fn fetch_again(
        &self,
        request: &InstallRequest,
        planned: &Planned,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<Arrived, InstallError> {
        if let Some(arrived) = self.fetched_before(planned, decision)? {
            return Ok(arrived);
        }
        if self.client.is_offline() && matches!(decision.source, Origin::Git { .. }) {
            return Err(InstallError::NotFetched {
                name: decision.name.clone(),
                place: decision.source.to_string(),
            });
        }
        let local = self.load_again(request, decision, now).await?;
        if version_identity(&local.version) != version_identity(&decision.version) {
            return Err(InstallError::SourceMoved {
                name: decision.name.clone(),
                locked: decision.version.to_string(),
                place: decision.source.to_string(),
                found: local.version.to_string(),
            });
        }
        match planned.release.sha256 {
            Some(locked) if locked != local.checksum => {
                let what = format!("{}@{}", decision.name, decision.version);
                Err(TrustError::LockedChecksum {
                    what,
                    locked,
                    found: local.checksum,
                }
                .into())
            }
            _ => self.take_local(&local, decision),
        }
    }

    /// The skill of this commit, if it was fetched before: a commit never holds anything else.
    fn fetched_before(
        &self,
        planned: &Planned,
        decision: &Decision,
    ) -> Result<Option<Arrived>, InstallError> {
        let Origin::Git { url, commit, path } = &decision.source else {
            return Ok(None);
        };
        let record = self
            .cache
            .fetched_from(&decision.source, &decision.package)?
            .filter(|record| {
                record.version == decision.version
                    && planned
                        .release
                        .sha256
                        .is_none_or(|locked| locked == record.checksum)
            });
        let Some(record) = record else {
            return Ok(None);
        };
        let Some(tree) = self.cache.tree(&record.tree)? else {
            return Ok(None);
        };
        let options = ReadOptions {
            folder_name: None,
            version: Some(record.version.clone()),
        };
        let what = decision.source.to_string();
        let skill = Skill::from_tree(tree.files().clone(), &options)
            .map_err(|source| InstallError::Invalid { what, source })?;
        let spec = GitSource::at_commit(url, commit, path.as_deref())?;
        Ok(Some(Arrived {
            name: decision.name.clone(),
            files: Files::Cached(tree),
            record,
            manifest: skill.manifest,
            verdict: Verdict::Unsigned,
            spec: Some(spec.to_string()),
            size: None,
            yank_reason: None,
        }))
    }

    async fn fetch_release(
        &self,
        request: &InstallRequest,
        wanted: &Wanted<'_>,
        now: Timestamp,
    ) -> Result<Arrived, InstallError> {
        let decision = wanted.decision;
        let (package, version) = (&decision.package, &decision.version);
        let what = format!("{package}@{version}");
        let release = self.verified_release(request, wanted, now).await?;
        let (files, tree) = match self.cached_tree(&release.checksum, package, version)? {
            Some(tree) => (tree.files().clone(), Some(tree)),
            None => {
                let bytes = self.archive(wanted, &release).await?;
                let files =
                    SkillTree::read_archive(&bytes, &Limits::default()).map_err(|source| {
                        InstallError::Archive {
                            what: what.clone(),
                            source,
                        }
                    })?;
                (files, None)
            }
        };
        let digest = tree
            .as_ref()
            .map_or_else(|| files.full_digest(), CachedTree::digest);
        let skill = Skill::from_tree(
            files,
            &ReadOptions {
                folder_name: None,
                version: None,
            },
        )
        .map_err(|source| InstallError::Invalid {
            what: what.clone(),
            source,
        })?;
        check_identity(&skill, package, version, &what)?;
        Ok(Arrived {
            name: decision.name.clone(),
            record: Unpacked {
                tree: digest,
                checksum: release.checksum,
                name: package.clone(),
                version: version.clone(),
                source: decision.source.clone(),
                signer: release.verdict.signer().map(ToString::to_string),
            },
            files: tree.map_or_else(|| Files::New(skill.tree), Files::Cached),
            manifest: skill.manifest,
            verdict: release.verdict,
            spec: None,
            size: Some(release.size),
            yank_reason: release.yank_reason,
        })
    }

    /// What the registry says of a release, after its signature was checked.
    pub(super) async fn verified_release(
        &self,
        request: &InstallRequest,
        wanted: &Wanted<'_>,
        now: Timestamp,
    ) -> Result<Release, InstallError> {
        let Wanted {
            client,
            planned,
            decision,
        } = wanted;
        let locked = locked(request, planned);
        let detail = match client.release(&decision.package, &decision.version).await {
            Ok(detail) => detail,
            Err(error @ ApiError::Offline { .. }) => {
                return self
                    .verified_before(&decision.package, &decision.version, locked.as_ref())?
                    .ok_or(error.into());
            }
            Err(error) => return Err(error.into()),
        };
        check_answer(&detail, planned, decision)?;
        let release = &detail.release;
        let statement = Statement::new(
            &decision.package,
            &decision.version,
            release.checksum,
            release.size,
        );
        let registry = client.registry().url.as_str();
        let claim = Claim {
            registry,
            statement,
            signature: detail.signature.as_deref(),
            signer_hint: release.signer.as_deref(),
            locked: locked.as_ref(),
            allow_unsigned: request.allow_unsigned,
        };
        let verdict = self.verifier.verify(&claim, Some(client), now).await?;
        Ok(Release {
            checksum: release.checksum,
            size: release.size,
            verdict,
            yank_reason: release.yanked.then(|| release.yank_reason.clone()),
        })
    }

    /// Offline, and the registry's answer was never seen: the lockfile names the bytes and the
    /// signer, and the cache says that just these were verified before.
    fn verified_before(
        &self,
        package: &SkillName,
        version: &Version,
        locked: Option<&Locked>,
    ) -> Result<Option<Release>, InstallError> {
        let Some((checksum, signer)) =
            locked.and_then(|locked| Some((locked.sha256?, locked.signer.as_ref()?)))
        else {
            return Ok(None);
        };
        let Some(record) = self.cache.unpacked(&checksum)? else {
            return Ok(None);
        };
        let is_it = record.name == *package
            && record.version == *version
            && record.signer.as_ref() == Some(signer);
        let Some(signer) = signer.parse().ok().filter(|_| is_it) else {
            return Ok(None);
        };
        Ok(Some(Release {
            checksum,
            size: 0,
            verdict: Verdict::Signed {
                signer,
                first: false,
            },
            yank_reason: None,
        }))
    }

    fn cached_tree(
        &self,
        checksum: &Sha256,
        package: &SkillName,
        version: &Version,
    ) -> Result<Option<CachedTree>, InstallError> {
        let record = self.cache.unpacked(checksum)?;
        match record.filter(|record| record.name == *package && record.version == *version) {
            Some(record) => Ok(self.cache.tree(&record.tree)?),
            None => Ok(None),
        }
    }

    /// The archive, from the cache or the registry.
    async fn archive(&self, wanted: &Wanted<'_>, release: &Release) -> Result<Bytes, InstallError> {
        let (package, version) = (&wanted.decision.package, &wanted.decision.version);
        loop {
            if let Some(bytes) = self.cache.blob(&release.checksum)? {
                return Ok(bytes);
            }
            let what = format!("the download of {package}@{version}");
            let waiting = || {
                (self.observer)(&Event::Waiting {
                    what: &what,
                    holder: None,
                })
            };
            let Some(mut partial) = self.cache.partial(&release.checksum, waiting).await? else {
                continue;
            };
            let download = Download {
                name: package.clone(),
                version: version.clone(),
                checksum: release.checksum,
                size: release.size,
            };
            let path = partial.path().to_owned();
            let throttle = Throttle::new();
            let mut progress = |progress| {
                if throttle.is_due(progress) {
                    (self.observer)(&Event::Downloading {
                        name: package,
                        version,
                        progress,
                    });
                }
            };
            wanted
                .client
                .download(&download, partial.file(), path, &mut progress)
                .await?;
            self.cache.keep(partial)?;
        }
    }

    fn keep(&self, arrived: Vec<Arrived>) -> Result<BTreeMap<SkillName, Fetched>, InstallError> {
        let mut fetched = BTreeMap::new();
        let mut new = Vec::new();
        for skill in arrived {
            let Arrived {
                name,
                files,
                record,
                manifest,
                verdict,
                spec,
                size,
                yank_reason,
            } = skill;
            let checksum = record.checksum;
            let entry = move |tree| Fetched {
                tree,
                manifest,
                checksum,
                verdict,
                spec,
                size,
                yank_reason,
            };
            match files {
                Files::Cached(tree) => {
                    fetched.insert(name, entry(tree));
                }
                Files::New(files) => new.push((name, record, files, entry)),
            }
        }
        let mut waiting = Vec::with_capacity(new.len());
        let mut trees = Vec::with_capacity(new.len());
        for (name, record, files, entry) in new {
            trees.push((record, files));
            waiting.push((name, entry));
        }
        for (tree, (name, entry)) in self.cache.put_trees(trees)?.into_iter().zip(waiting) {
            fetched.insert(name, entry(tree));
        }
        Ok(fetched)
    }
}

/// What the lockfile says of this very version.
fn locked(request: &InstallRequest, planned: &Planned) -> Option<Locked> {
    let locked = request.locked.get(&planned.name)?;
    (locked.version == planned.release.version).then(|| Locked {
        sha256: locked.sha256,
        signer: locked.signer.clone(),
    })
}

/// The registry contradicts itself, or an answer is not the one that was asked for.
fn check_answer(
    detail: &ReleaseDetail,
    planned: &Planned,
    decision: &Decision,
) -> Result<(), InstallError> {
    let expected = format!("{}@{}", decision.package, decision.version);
    let found = format!("{}@{}", detail.name, detail.release.version);
    if found != expected {
        return Err(InstallError::OtherSkill { expected, found });
    }
    match planned.release.sha256 {
        Some(locked) if locked != detail.release.checksum => Err(TrustError::LockedChecksum {
            what: expected,
            locked,
            found: detail.release.checksum,
        }
        .into()),
        _ => Ok(()),
    }
}

/// The archive must hold the skill that was asked for. A skill that states no version was given
/// its version when it was published.
fn check_identity(
    skill: &Skill,
    package: &SkillName,
    version: &Version,
    what: &str,
) -> Result<(), InstallError> {
    let manifest = &skill.manifest;
    let other_version = manifest
        .version
        .as_ref()
        .filter(|found| version_identity(found) != version_identity(version));
    if manifest.name == *package && other_version.is_none() {
        return Ok(());
    }
    let found = match &manifest.version {
        Some(found) => format!("{}@{found}", manifest.name),
        None => manifest.name.to_string(),
    };
    Err(InstallError::OtherSkill {
        expected: what.to_owned(),
        found,
    })
}

/// What the skill itself says that it needs must be in the plan: the registry's word alone is not
/// enough to leave something out.
fn check_dependencies(
    skill: &Arrived,
    plan: &Plan,
    request: &InstallRequest,
) -> Result<(), InstallError> {
    for (dependency, range) in &skill.manifest.dependencies.skills {
        let range = request.overrides.get(dependency).unwrap_or(range);
        let planned = plan.get(dependency);
        let fits = planned.is_some_and(|planned| {
            planned.release.is_local() || range.matches(&planned.release.version)
        });
        if !fits && *dependency != skill.name {
            return Err(InstallError::HiddenDependency {
                what: format!("{}@{}", skill.record.name, skill.record.version),
                dependency: dependency.clone(),
                range: range.to_string(),
            });
        }
    }
    Ok(())
}
