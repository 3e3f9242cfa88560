//! What a person should know about an install that nonetheless succeeds.

use std::collections::BTreeMap;

use skill_format::{Diagnostic, Severity, SkillName};

use super::apply::Change;
use super::decide::Decisions;
use super::fetch::Fetched;
use super::offer::Offer;
use super::outcome::Status;
use crate::budget::{Catalogue, CatalogueEntry};
use crate::head;
use crate::index::InstalledSkill;
use crate::resolver::Plan;
use crate::source::Origin;
use crate::store::StoreGuard;
use crate::verify::Verdict;

/// What can be said before anything is fetched.
pub(super) fn about_plan(plan: &Plan, decisions: &Decisions, offer: &Offer<'_>) -> Vec<Diagnostic> {
    let mut remarks = Vec::new();
    for planned in &plan.skills {
        if planned.release.yanked {
            remarks.push(yanked(
                &planned.name,
                planned.release.yank_reason.as_deref(),
            ));
        }
        if let Some(advice) = offer.deprecation(&planned.name) {
            remarks.push(warning(
                "deprecated",
                format!("{} is deprecated: {advice}", planned.name),
            ));
        }
    }
    for decision in &decisions.skills {
        if let Some(url) = offer.out_of_reach(&decision.name) {
            let text = format!(
                "{name} {version} stays as it is: it comes from {url}, which is not a configured registry",
                name = decision.name,
                version = decision.version,
            );
            let help = format!("skills registry add NAME {url}");
            remarks.push(warning("registry-unknown", text).help(help));
        }
    }
    for mixed in &decisions.mixed {
        let text = format!(
            "{} comes from {} and needs {}, for which it gets the one that you installed from {}",
            mixed.needed_by, mixed.wanted, mixed.name, mixed.installed
        );
        remarks.push(warning("dependency-from-elsewhere", text));
    }
    for decision in decisions
        .skills
        .iter()
        .filter(|decision| decision.keeps_changes)
    {
        let text = format!("{} was changed here and stays as it is", decision.name);
        remarks.push(
            warning("local-changes-kept", text)
                .help("--force installs it anew and saves the changed folder aside"),
        );
    }
    remarks
}

/// The same, and what the skills themselves tell.
pub(super) fn about_install(
    change: &Change<'_>,
    decisions: &Decisions,
    fetched: &BTreeMap<SkillName, Fetched>,
) -> Vec<Diagnostic> {
    let mut remarks = about_plan(change.plan, decisions, change.offer);
    for decision in &decisions.skills {
        let Some(fetched) = fetched.get(&decision.name) else {
            continue;
        };
        if let Some(reason) = &fetched.yank_reason
            && change
                .plan
                .get(&decision.name)
                .is_some_and(|planned| !planned.release.yanked)
        {
            remarks.push(yanked(&decision.name, reason.as_deref()));
        }
        if fetched.verdict == Verdict::Unsigned && !matches!(decision.source, Origin::Dir(_)) {
            remarks.push(warning(
                "unsigned",
                format!(
                    "{} is not signed: it comes from {}",
                    decision.name, decision.source
                ),
            ));
        }
        remarks.extend(missing_environment(change, &decision.name, fetched));
    }
    remarks
}

/// New skills that an agent may mistake for one that is installed: which of the two it takes for a
/// request is then chance. A skill and what it needs belong together and are not compared.
pub(super) fn overlapping(
    guard: &StoreGuard<'_>,
    decisions: &Decisions,
    fetched: &BTreeMap<SkillName, Fetched>,
) -> Vec<Diagnostic> {
    let new: Vec<(&SkillName, &Fetched)> = decisions
        .skills
        .iter()
        .filter(|decision| decision.status == Status::Installed)
        .filter_map(|decision| Some((&decision.name, fetched.get(&decision.name)?)))
        .collect();
    if new.is_empty() {
        return Vec::new();
    }
    let is_new = |name: &SkillName| new.iter().any(|(other, _)| *other == name);
    let skills = guard.index().skills();
    let known: Vec<&InstalledSkill> = skills.iter().filter(|skill| !is_new(&skill.name)).collect();
    let entries: Vec<CatalogueEntry> = known
        .iter()
        .filter_map(|skill| {
            let head = head::read_head(&guard.store().skill_dir(skill)).ok()?;
            Some(CatalogueEntry {
                name: skill.name.clone(),
                description: head.manifest.description,
            })
        })
        .collect();
    let catalogue = Catalogue::new(&entries);
    let belong = |name: &SkillName, fetched: &Fetched, other: &SkillName| {
        // The same skill under two names is what somebody wanted.
        let is_same = |skill: &&InstalledSkill| {
            skill.name == *other && *skill.package() == fetched.manifest.name
        };
        if known.iter().any(is_same) {
            return true;
        }
        let needs_new =
            |skill: &&InstalledSkill| skill.name == *other && skill.dependencies.contains_key(name);
        fetched.manifest.dependencies.skills.contains_key(other)
            || skills.iter().any(|skill| needs_new(&skill))
    };
    new.iter()
        .filter_map(|(name, fetched)| {
            let entry = CatalogueEntry {
                name: (*name).clone(),
                description: fetched.manifest.description.clone(),
            };
            let overlaps = catalogue.overlaps(&entry);
            overlaps
                .into_iter()
                .find(|overlap| !belong(name, fetched, &overlap.other))
        })
        .map(|overlap| {
            let text = format!(
                "{} and {} are described alike ({}): an agent may take one for the other",
                overlap.skill,
                overlap.other,
                overlap.words.join(", ")
            );
            warning("descriptions-overlap", text).help(format!(
                "keep one of them: skills uninstall {}",
                overlap.other
            ))
        })
        .collect()
}

/// Variables that the skill's scripts fail without.
fn missing_environment(
    change: &Change<'_>,
    name: &SkillName,
    fetched: &Fetched,
) -> Option<Diagnostic> {
    let set = change.request.environment.as_ref()?;
    let needed = fetched
        .manifest
        .permissions
        .environment
        .iter()
        .filter(|variable| variable.required);
    let missing: Vec<&str> = needed
        .map(|variable| variable.name.as_str())
        .filter(|variable| !set.contains(*variable))
        .collect();
    (!missing.is_empty()).then(|| {
        let text = format!(
            "{name} needs {}, which {} not set",
            missing.join(", "),
            if missing.len() == 1 { "is" } else { "are" }
        );
        warning("environment-missing", text).help("set it before the skill is run")
    })
}

fn yanked(name: &SkillName, reason: Option<&str>) -> Diagnostic {
    let reason = reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    warning(
        "yanked",
        format!("this version of {name} was withdrawn{reason}"),
    )
    .help(format!("skills update {name}"))
}

fn warning(code: &'static str, text: String) -> Diagnostic {
    Diagnostic::new(Severity::Warning, code, text)
}
