//! The rules: from the facts about one skill to findings.

use std::collections::{BTreeMap, BTreeSet};

use skill_format::SkillName;

use super::osv::{Advisory, AffectedSkill};
use super::packages::Affected;
use super::{Finding, KeyFacts, Level, RegistryFacts, SkillFacts};
use crate::ecosystem::Ecosystem;
use crate::source::Origin;
use crate::store::Drift;

/// Code of every finding, and what it means.
pub(super) const RULES: [(&str, &str); 14] = [
    ("advisory", "An advisory is about this version"),
    (
        "advisory-dependency",
        "An advisory is about every allowed version of a package that it needs",
    ),
    (
        "archive-changed",
        "The registry has other bytes under the same version",
    ),
    ("deprecated", "The skill is deprecated"),
    ("files-changed", "Files were changed after the installation"),
    ("files-missing", "The installed folder is gone"),
    ("files-unknown", "What was installed is not recorded"),
    ("key-expired", "The key that signed it has expired"),
    ("key-revoked", "The key that signed it was revoked"),
    (
        "lock-mismatch",
        "The lockfile names other bytes for the installed version",
    ),
    ("signer-changed", "Another key signs it"),
    ("unsigned", "It is not signed"),
    (
        "withdrawn",
        "The registry does not have this version any more",
    ),
    ("yanked", "The version was withdrawn"),
];

/// The advisories that can be about one of these skills or their packages: a few of a whole
/// database.
pub(super) fn relevant<'a>(skills: &[SkillFacts], advisories: &'a [Advisory]) -> Vec<&'a Advisory> {
    let names: BTreeSet<&SkillName> = skills.iter().map(|skill| &skill.package).collect();
    let mut packages: BTreeMap<Ecosystem, BTreeSet<String>> = BTreeMap::new();
    for (ecosystem, name, _) in skills.iter().flat_map(|skill| &skill.packages) {
        if let Some(ecosystem) = Ecosystem::of_manifest(ecosystem) {
            let names = packages.entry(ecosystem).or_default();
            names.insert(ecosystem.normal_name(name));
        }
    }
    advisories
        .iter()
        .filter(|advisory| !advisory.withdrawn)
        .filter(|advisory| {
            let mut skills = advisory.skills.iter();
            skills.any(|affected| names.contains(&affected.name))
                || advisory
                    .packages
                    .iter()
                    .any(|affected| affected.is_among(&packages))
        })
        .collect()
}

pub(super) fn findings(skill: &SkillFacts, advisories: &[&Advisory]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = advisories
        .iter()
        .flat_map(|advisory| by_advisory(skill, advisory))
        .collect();
    findings.extend(by_files(skill));
    findings.extend(by_lock(skill));
    if let Some(registry) = &skill.registry {
        findings.extend(by_registry(skill, registry));
    }
    findings.extend(by_signature(skill));
    findings
}

impl SkillFacts {
    fn finding(&self, code: &'static str, level: Level, message: impl Into<String>) -> Finding {
        debug_assert!(RULES.iter().any(|(known, _)| *known == code), "{code}");
        Finding {
            code,
            level,
            skill: self.name.clone(),
            version: self.version.clone(),
            message: message.into(),
            fix: None,
            ids: Vec::new(),
            url: None,
            files: Vec::new(),
            path: self.path.clone(),
        }
    }
}

impl Finding {
    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    fn of_advisory(mut self, advisory: &Advisory) -> Self {
        self.ids = std::iter::once(advisory.id.clone())
            .chain(advisory.aliases.iter().cloned())
            .collect();
        self.url = advisory.url.clone();
        self
    }
}

fn by_advisory(skill: &SkillFacts, advisory: &Advisory) -> Vec<Finding> {
    let own = advisory
        .skills
        .iter()
        .filter(|affected| affected.name == skill.package)
        .find(|affected| affected.affects(&skill.version))
        .map(|affected| own_advisory(skill, advisory, affected));
    let packages = skill
        .packages
        .iter()
        .filter_map(|(ecosystem, name, range)| {
            let ecosystem = Ecosystem::of_manifest(ecosystem)?;
            let normal_name = ecosystem.normal_name(name);
            let affected = advisory
                .packages
                .iter()
                .filter(|affected| affected.is_about(ecosystem, &normal_name))
                .find(|affected| affected.affects_all_of(range))?;
            Some(package_advisory(skill, advisory, affected, range))
        });
    own.into_iter().chain(packages).collect()
}

fn own_advisory(skill: &SkillFacts, advisory: &Advisory, affected: &AffectedSkill) -> Finding {
    let level = affected.level.unwrap_or(advisory.level);
    let text = format!("{}: {}", advisory.id, advisory.summary);
    let finding = skill.finding("advisory", level, text).of_advisory(advisory);
    match affected.fixed_in(&skill.version) {
        Some(fixed) => finding.fix(format!("fixed in {fixed}: skills update {}", skill.name)),
        None => finding.fix(format!(
            "no fixed version is named: skills uninstall {}",
            skill.name
        )),
    }
}

fn package_advisory(
    skill: &SkillFacts,
    advisory: &Advisory,
    affected: &Affected,
    range: &str,
) -> Finding {
    let level = affected.level.unwrap_or(advisory.level);
    let text = format!(
        "{}: every version of {} that it allows ({range}) is affected: {}",
        advisory.id, affected.name, advisory.summary
    );
    let finding = skill
        .finding("advisory-dependency", level, text)
        .of_advisory(advisory);
    match affected.fixed_in() {
        Some(fixed) => finding.fix(format!("ask its author to allow {} {fixed}", affected.name)),
        None => finding,
    }
}

fn by_files(skill: &SkillFacts) -> Option<Finding> {
    let reinstall = format!("skills install --force {}", skill.name);
    Some(match &skill.drift {
        Drift::None => return None,
        Drift::Missing => skill
            .finding("files-missing", Level::Moderate, "its folder is gone")
            .fix(reinstall),
        Drift::Changed => {
            let files: Vec<&str> = skill
                .changes
                .iter()
                .map(|change| change.path.as_str())
                .collect();
            let text = match files.as_slice() {
                [] => "its files are not those that were installed".to_owned(),
                files => format!("changed since it was installed: {}", files.join(", ")),
            };
            let mut finding = skill.finding("files-changed", Level::High, text);
            finding.files = skill.changes.clone();
            finding.fix(format!(
                "{reinstall} puts the original back and saves the changed folder"
            ))
        }
        Drift::Unreadable(reason) => skill
            .finding(
                "files-changed",
                Level::High,
                format!("its folder is no skill any more: {reason}"),
            )
            .fix(reinstall),
        Drift::Unknown => skill
            .finding(
                "files-unknown",
                Level::Info,
                "what was installed is not recorded, so changes cannot be seen",
            )
            .fix(reinstall),
    })
}

fn by_lock(skill: &SkillFacts) -> Option<Finding> {
    let (locked, installed) = (skill.locked?, skill.sha256?);
    (locked != installed).then(|| {
        let text = format!("skills.lock has {locked}, installed is {installed}");
        skill
            .finding("lock-mismatch", Level::High, text)
            .fix("find out which of the two is right before you use it")
    })
}

fn by_registry(skill: &SkillFacts, registry: &RegistryFacts) -> Vec<Finding> {
    let update = format!("skills update {}", skill.name);
    let mut findings = Vec::new();
    if !registry.listed {
        let text = "the registry does not have this version any more";
        findings.push(
            skill
                .finding("withdrawn", Level::Moderate, text)
                .fix(&update),
        );
    }
    if let Some(reason) = &registry.yanked {
        let text = format!("this version was withdrawn: {reason}");
        findings.push(skill.finding("yanked", Level::Moderate, text).fix(&update));
    }
    if let Some(advice) = &registry.deprecated {
        findings.push(skill.finding("deprecated", Level::Info, format!("deprecated: {advice}")));
    }
    if !registry.listed {
        return findings;
    }
    if let (Some(there), Some(here)) = (registry.sha256, skill.sha256)
        && there != here
    {
        let text = "the registry now has other bytes under this version";
        findings.push(
            skill
                .finding("archive-changed", Level::Critical, text)
                .fix("do not update it; ask the registry's operator"),
        );
    }
    if registry.signer != skill.signer {
        let name = |signer: &Option<String>| signer.clone().unwrap_or_else(|| "nobody".into());
        let text = format!(
            "it was installed with a signature of {}; the registry now says {}",
            name(&skill.signer),
            name(&registry.signer)
        );
        findings.push(skill.finding("signer-changed", Level::High, text).fix(
            match (&registry.signer, skill.source.registry()) {
                (Some(found), Some(url)) => format!(
                    "ask the publisher, not the registry, whether the key is theirs, then: \
                         skills key trust {found} --skill {} --registry {url}",
                    skill.package
                ),
                _ => "ask the publisher, not the registry, why it is not signed any more".into(),
            },
        ));
    }
    // Who has said to trust the new key knows of it.
    let trusted = skill.pinned.as_ref().or(skill.signer.as_ref());
    if let (Some(latest), Some(trusted)) = (&registry.latest_signer, trusted)
        && latest != trusted
    {
        let text =
            format!("newer versions are signed by {latest}, and {trusted} is trusted for it");
        findings.push(skill.finding("signer-changed", Level::Low, text).fix(
            match skill.source.registry() {
                Some(registry) => format!(
                    "if the publisher confirms the key: skills key trust {latest} --skill {} \
                         --registry {registry}",
                    skill.package
                ),
                None => "ask the publisher before you trust the new key".into(),
            },
        ));
    }
    findings
}

fn by_signature(skill: &SkillFacts) -> Vec<Finding> {
    let Some(signer) = &skill.signer else {
        // Nobody signs a folder of one's own.
        if matches!(skill.source, Origin::Dir(_)) {
            return Vec::new();
        }
        let text = format!("it is not signed; it comes from {}", skill.source);
        return vec![skill.finding("unsigned", Level::Info, text)];
    };
    let mut findings = Vec::new();
    if let Some(pinned) = skill.pinned.as_ref().filter(|pinned| *pinned != signer) {
        let text = format!("it is signed by {signer}, while {pinned} is trusted for it");
        findings.push(
            skill
                .finding("signer-changed", Level::High, text)
                .fix(format!(
                    "skills update {} to a version of the trusted key",
                    skill.name
                )),
        );
    }
    match &skill.key {
        Some(KeyFacts::Revoked { reason }) => findings.push(
            skill
                .finding(
                    "key-revoked",
                    Level::High,
                    format!("the key {signer} was revoked: {reason}"),
                )
                .fix(format!(
                    "skills update {0}, or skills uninstall {0}",
                    skill.name
                )),
        ),
        Some(KeyFacts::Expired { at }) => {
            let day = at.strftime("%Y-%m-%d");
            let text = format!("the key {signer} expired on {day}; the signature was made before");
            findings.push(skill.finding("key-expired", Level::Info, text));
        }
        Some(KeyFacts::Good) | None => {}
    }
    findings
}
