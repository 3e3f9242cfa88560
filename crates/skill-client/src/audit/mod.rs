//! Checks installed and locked skills against what became known since: advisories, withdrawn
//! versions, other signers, revoked keys, changed files. Judges facts that others collect
//! (`facts`), so that every rule can be tested without a registry.
//!
//! To add a check: put what it needs into [`SkillFacts`], its rule into `rules` with a code of its
//! own, and collect the facts in `facts`.

mod facts;
mod osv;
mod packages;
mod rules;
mod sarif;
mod severity;
mod sources;

use std::path::PathBuf;

use jiff::civil::Date;
use serde::Serialize;
use skill_format::{SkillName, Version};

use crate::project::Suppression;
use crate::store::FileChange;

pub use facts::{Collected, Collector, KeyFacts, RegistryFacts, SkillFacts};
pub use osv::Advisory;
pub use sarif::sarif;
pub use severity::Level;
pub use sources::{Advisories, AdvisoryError};

/// Something that somebody should know.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Stable and kebab-case, such as `yanked`; `rules` lists them all.
    pub code: &'static str,
    pub level: Level,
    pub skill: SkillName,
    pub version: Version,
    /// One sentence without a full stop.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Of an advisory, with its other names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileChange>,
    /// The skill's folder; or the lockfile, for one that is not installed.
    pub path: PathBuf,
}

/// A finding that the project has decided about.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suppressed {
    pub finding: Finding,
    pub reason: String,
}

/// The result of an audit, worst first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditReport {
    pub findings: Vec<Finding>,
    pub suppressed: Vec<Suppressed>,
    /// Number of skills that were looked at.
    pub skills: usize,
    /// Number of advisories that they were compared with.
    pub advisories: usize,
    /// Exceptions in `skills.toml` that have run out or that match nothing.
    pub stale_suppressions: Vec<String>,
}

impl AuditReport {
    /// Whether something that is not excused weighs at least this much.
    pub fn reaches(&self, level: Level) -> bool {
        self.findings.iter().any(|finding| finding.level >= level)
    }
}

/// Applies every rule to every skill, then the project's exceptions. `today` decides which
/// exceptions have run out.
pub fn audit(
    skills: &[SkillFacts],
    advisories: &[Advisory],
    suppressions: &[Suppression],
    today: Date,
) -> AuditReport {
    let relevant = rules::relevant(skills, advisories);
    let mut findings: Vec<Finding> = skills
        .iter()
        .flat_map(|skill| rules::findings(skill, &relevant))
        .collect();
    findings.sort_by(|a, b| {
        (b.level, &a.skill, a.code, &a.ids).cmp(&(a.level, &b.skill, b.code, &b.ids))
    });
    let mut report = AuditReport {
        skills: skills.len(),
        advisories: advisories.len(),
        ..AuditReport::default()
    };
    let mut used = vec![false; suppressions.len()];
    for finding in findings {
        let excuse = suppressions
            .iter()
            .position(|excuse| is_current(excuse, today) && excuses(excuse, &finding));
        match excuse {
            Some(at) => {
                used[at] = true;
                report.suppressed.push(Suppressed {
                    finding,
                    reason: suppressions[at].reason.clone(),
                });
            }
            None => report.findings.push(finding),
        }
    }
    for (excuse, used) in suppressions.iter().zip(used) {
        if !is_current(excuse, today) {
            let text = format!("the exception for {} has run out", excuse.id);
            report.stale_suppressions.push(text);
        } else if !used {
            let text = format!("the exception for {} matches nothing", excuse.id);
            report.stale_suppressions.push(text);
        }
    }
    report
}

fn excuses(excuse: &Suppression, finding: &Finding) -> bool {
    let same_skill = excuse
        .skill
        .as_ref()
        .is_none_or(|skill| *skill == finding.skill);
    // Changed files and signers are excused for a named skill only: whoever wants that for all of
    // them should not run an audit.
    let by_code = finding.code == excuse.id && excuse.skill.is_some();
    same_skill && (by_code || finding.ids.contains(&excuse.id))
}

fn is_current(excuse: &Suppression, today: Date) -> bool {
    excuse.expires.is_none_or(|expires| today < expires)
}
