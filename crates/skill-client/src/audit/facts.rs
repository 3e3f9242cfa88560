//! Collects what an audit judges: from the store, the lockfile, the cache, the keyring and the
//! registries. What cannot be found out is a gap in the report, never an error that hides the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use skill_format::{Limits, Manifest, ReadOptions, Sha256, Skill, SkillName, SkillTree, Version};
use skill_signing::{Fingerprint, KeyState, Keyring, Pins, PublicKey};

use crate::api::{Client, SkillDetail};
use crate::cache::Cache;
use crate::index::InstalledSkill;
use crate::lockfile::{LockedSkill, Lockfile};
use crate::source::Origin;
use crate::store::{Drift, FileChange, Store, StoreError, changes};

/// Questions to registries under way at once.
const ASKED_AT_ONCE: usize = 16;

/// Everything that is known of one skill that is installed or locked.
#[derive(Debug, Clone)]
pub struct SkillFacts {
    pub name: SkillName,
    /// Its own name, whatever it is installed under.
    pub package: SkillName,
    pub version: Version,
    pub source: Origin,
    /// Of the archive it was installed from.
    pub sha256: Option<Sha256>,
    /// Of the archive that the lockfile names for this version.
    pub locked: Option<Sha256>,
    /// Fingerprint, as recorded at the installation.
    pub signer: Option<String>,
    /// Its folder; or the lockfile, for one that is locked and not installed.
    pub path: PathBuf,
    /// Declared packages: ecosystem, name, range.
    pub packages: Vec<(String, String, String)>,
    pub drift: Drift,
    /// Which files, where the original is still known.
    pub changes: Vec<FileChange>,
    /// `None` where no registry was asked.
    pub registry: Option<RegistryFacts>,
    /// Fingerprint of the key that is trusted for this skill.
    pub pinned: Option<String>,
    /// `None` where the key is not known.
    pub key: Option<KeyFacts>,
}

/// What the registry says now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryFacts {
    /// It still has this version.
    pub listed: bool,
    /// Why this version was withdrawn.
    pub yanked: Option<String>,
    /// Advice to the users of the skill.
    pub deprecated: Option<String>,
    pub sha256: Option<Sha256>,
    pub signer: Option<String>,
    /// Signer of the newest later version.
    pub latest_signer: Option<String>,
}

/// State of the key that signed an installed skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFacts {
    Good,
    Revoked { reason: String },
    Expired { at: Timestamp },
}

/// Where facts are collected from.
pub struct Collector<'a> {
    pub store: &'a Store,
    pub cache: &'a Cache,
    /// The project's lockfile and where it lies.
    pub lock: Option<(PathBuf, &'a Lockfile)>,
    /// One for each registry that may be asked; none for an audit without network.
    pub clients: &'a [Client],
    pub keyring: &'a Keyring,
    pub pins: &'a Pins,
    pub now: Timestamp,
}

/// What was collected, by name, and what could not be found out.
#[derive(Debug, Default)]
pub struct Collected {
    pub skills: Vec<SkillFacts>,
    pub gaps: Vec<String>,
}

/// What registries said, each question asked once. Keys of the maps begin with the registry's URL.
#[derive(Default)]
struct Answers {
    /// `None`: the registry does not have the skill.
    skills: BTreeMap<(String, SkillName), Option<SkillDetail>>,
    keys: BTreeMap<(String, String), PublicKey>,
}

impl Collector<'_> {
    /// Facts about everything in the store and in the lockfile.
    pub async fn collect(&self) -> Result<Collected, StoreError> {
        let index = self.store.index()?;
        let mut gaps = Vec::new();
        for entry in index.unreadable() {
            let file = self.store.index_path().display().to_string();
            gaps.push(format!(
                "an entry of {file} is not understood: {}",
                entry.problem
            ));
        }
        let mut skills: Vec<SkillFacts> = index
            .skills()
            .iter()
            .map(|skill| self.installed(skill, &mut gaps))
            .collect();
        if let Some((path, lock)) = &self.lock {
            let is_installed =
                |locked: &LockedSkill| index.get_version(&locked.name, &locked.version).is_some();
            let only_locked = lock.skills().values().filter(|skill| !is_installed(skill));
            skills.extend(only_locked.map(|skill| locked(skill, path.clone())));
        }
        let answers = self.ask(&skills, &mut gaps).await;
        let pins = self.read_pins(&mut gaps);
        for facts in &mut skills {
            self.complete(facts, &answers, &pins, &mut gaps);
        }
        gaps.sort();
        gaps.dedup();
        Ok(Collected { skills, gaps })
    }

    fn installed(&self, skill: &InstalledSkill, gaps: &mut Vec<String>) -> SkillFacts {
        let lock = self
            .lock
            .as_ref()
            .and_then(|(_, lock)| lock.get(&skill.name));
        let mut facts = SkillFacts {
            name: skill.name.clone(),
            package: skill.package().clone(),
            version: skill.version.clone(),
            source: skill.source.clone(),
            sha256: Some(skill.checksum),
            locked: lock
                .filter(|locked| locked.version == skill.version && locked.source == skill.source)
                .and_then(|locked| locked.sha256),
            signer: skill.signer.clone(),
            path: self.store.skill_dir(skill),
            packages: Vec::new(),
            drift: self.store.drift(skill),
            changes: Vec::new(),
            registry: None,
            pinned: None,
            key: None,
        };
        if facts.drift == Drift::Missing {
            return facts;
        }
        match SkillTree::read_dir_exactly(&facts.path, &Limits::default()) {
            Ok(tree) => {
                if facts.drift == Drift::Changed
                    && let Some(original) = self.original(skill)
                {
                    facts.changes = changes(&original, &tree);
                }
                match Skill::from_tree(tree, &ReadOptions::default()) {
                    Ok(skill) => facts.packages = packages(skill.manifest),
                    Err(error) => gaps.push(unchecked_packages(&facts.name, &error)),
                }
            }
            Err(error) => gaps.push(unchecked_packages(&facts.name, &error)),
        }
        facts
    }

    /// What was installed, if the cache still has it: unpacked, or packed.
    fn original(&self, skill: &InstalledSkill) -> Option<SkillTree> {
        let digest = skill.digest?;
        if let Ok(Some(tree)) = self.cache.tree(&digest) {
            return Some(tree.files().clone());
        }
        let archive = self.cache.blob(&skill.checksum).ok()??;
        let tree = SkillTree::read_archive(&archive, &Limits::default()).ok()?;
        (tree.full_digest() == digest).then_some(tree)
    }

    fn read_pins(&self, gaps: &mut Vec<String>) -> BTreeMap<(String, String), String> {
        match self.pins.list() {
            Ok(pins) => pins
                .into_iter()
                .map(|pin| ((pin.registry, pin.skill), pin.fingerprint.to_string()))
                .collect(),
            Err(error) => {
                gaps.push(format!("pinned signers were not compared: {error}"));
                BTreeMap::new()
            }
        }
    }

    fn client(&self, url: &str) -> Option<&Client> {
        self.clients
            .iter()
            .find(|client| client.registry().url.as_str() == url)
    }

    async fn ask(&self, skills: &[SkillFacts], gaps: &mut Vec<String>) -> Answers {
        let mut answers = Answers::default();
        if self.clients.is_empty() {
            return answers;
        }
        let urls: BTreeSet<&str> = skills
            .iter()
            .filter_map(|skill| skill.source.registry())
            .collect();
        for url in urls {
            let Some(client) = self.client(url) else {
                gaps.push(format!(
                    "{url} was not asked: it is not a registry's address"
                ));
                continue;
            };
            // One that does not answer says so once, not for every skill.
            if let Err(error) = client.health().await {
                gaps.push(format!("{url} was not asked: {error}"));
                continue;
            }
            let from_here = || {
                skills
                    .iter()
                    .filter(|skill| skill.source.registry() == Some(url))
            };
            let names: BTreeSet<&SkillName> = from_here().map(|skill| &skill.package).collect();
            let asked = stream::iter(names)
                .map(|name| async move { (name, client.skill(name).await) })
                .buffered(ASKED_AT_ONCE);
            for (name, answer) in asked.collect::<Vec<_>>().await {
                let detail = match answer {
                    Ok(detail) => Some(detail),
                    Err(error) if error.is_not_found() => None,
                    Err(error) => {
                        gaps.push(format!("{name}: {error}"));
                        continue;
                    }
                };
                answers
                    .skills
                    .insert((url.to_owned(), name.clone()), detail);
            }
            let signers: BTreeSet<Fingerprint> = from_here()
                .filter_map(|skill| skill.signer.as_ref()?.parse().ok())
                .collect();
            let asked = stream::iter(signers)
                .map(|signer| async move { (client.key(&signer).await, signer) })
                .buffered(ASKED_AT_ONCE);
            for (answer, signer) in asked.collect::<Vec<_>>().await {
                match answer {
                    Ok(registered) => {
                        let key = PublicKey::from_armored(&registered.armored).ok();
                        if let Some(key) = key.filter(|key| *key.fingerprint() == signer) {
                            answers
                                .keys
                                .insert((url.to_owned(), signer.to_string()), key);
                        }
                    }
                    Err(error) if error.is_not_found() => {}
                    Err(error) => gaps.push(format!("the key {signer} was not checked: {error}")),
                }
            }
        }
        answers
    }

    /// What is known beside the skill itself.
    fn complete(
        &self,
        facts: &mut SkillFacts,
        answers: &Answers,
        pins: &BTreeMap<(String, String), String>,
        gaps: &mut Vec<String>,
    ) {
        let url = facts.source.registry().unwrap_or_default().to_owned();
        let detail = answers.skills.get(&(url.clone(), facts.package.clone()));
        facts.registry = detail.map(|detail| registry_facts(&facts.version, detail.as_ref()));
        facts.pinned = pins.get(&(url.clone(), facts.package.to_string())).cloned();
        let Some(signer) = facts.signer.clone() else {
            return;
        };
        let here = match signer.parse().map(|signer| self.keyring.get(&signer)) {
            Ok(Ok(key)) => key,
            Ok(Err(error)) => {
                gaps.push(format!("the key {signer} was not checked: {error}"));
                None
            }
            Err(_) => None,
        };
        let known = match (here, answers.keys.get(&(url, signer))) {
            // A revocation that either copy holds counts.
            (Some(here), Some(there)) => Some(here.merge(there).unwrap_or(here)),
            (here, there) => here.or_else(|| there.cloned()),
        };
        facts.key = known.map(|key| key_facts(&key, self.now));
    }
}

fn locked(skill: &LockedSkill, path: PathBuf) -> SkillFacts {
    SkillFacts {
        name: skill.name.clone(),
        package: skill.package().clone(),
        version: skill.version.clone(),
        source: skill.source.clone(),
        sha256: skill.sha256,
        locked: skill.sha256,
        signer: skill.signer.clone(),
        path,
        packages: Vec::new(),
        drift: Drift::None,
        changes: Vec::new(),
        registry: None,
        pinned: None,
        key: None,
    }
}

fn packages(manifest: Manifest) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for (ecosystem, packages) in manifest.dependencies.packages {
        for (name, range) in packages {
            all.push((ecosystem.clone(), name, range));
        }
    }
    all
}

fn unchecked_packages(name: &SkillName, error: &impl std::fmt::Display) -> String {
    format!("the packages that {name} needs were not checked: {error}")
}

fn key_facts(key: &PublicKey, now: Timestamp) -> KeyFacts {
    match key.state(now) {
        KeyState::Revoked(revocation) => KeyFacts::Revoked {
            reason: if revocation.text.is_empty() {
                revocation.reason.as_str().to_owned()
            } else {
                format!("{} ({})", revocation.reason.as_str(), revocation.text)
            },
        },
        KeyState::Expired(at) => KeyFacts::Expired { at },
        KeyState::Valid | KeyState::NotYetValid(_) => KeyFacts::Good,
    }
}

fn registry_facts(version: &Version, detail: Option<&SkillDetail>) -> RegistryFacts {
    let releases = detail.map_or(&[][..], |detail| &detail.releases);
    let release = releases
        .iter()
        .find(|release| release.version.cmp_precedence(version).is_eq());
    let latest = releases
        .iter()
        .filter(|release| !release.yanked && release.version.cmp_precedence(version).is_gt())
        .max_by(|a, b| a.version.cmp_precedence(&b.version));
    RegistryFacts {
        listed: release.is_some(),
        yanked: release.filter(|release| release.yanked).map(|release| {
            let reason = release.yank_reason.clone();
            reason.unwrap_or_else(|| "no reason given".into())
        }),
        deprecated: detail
            .and_then(|detail| detail.info.deprecated.as_ref())
            .map(|deprecation| deprecation.message.clone()),
        sha256: release.map(|release| release.checksum),
        signer: release.and_then(|release| release.signer.clone()),
        latest_signer: latest.and_then(|release| release.signer.clone()),
    }
}
