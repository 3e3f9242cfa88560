//! Puts everything in place: one transaction for the store, then the agents' folders.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use skill_format::SkillName;

use super::decide::{Action, Decision, Decisions};
use super::fetch::Fetched;
use super::held::Setback;
use super::offer::Offer;
use super::outcome::removed;
use super::{
    InstallError, InstallOutcome, InstallRequest, Installer, Linking, SkillOutcome, merge, remarks,
};
use crate::events::Event;
use crate::index::InstalledSkill;
use crate::link::{Installed, LinkOptions, LinkReport, Linker};
use crate::resolver::Plan;
use crate::store::{Committed, StoreGuard};
use crate::verify::Verdict;

/// What is being applied.
pub(super) struct Change<'c> {
    pub request: &'c InstallRequest,
    pub plan: &'c Plan,
    pub offer: &'c Offer<'c>,
    pub linking: Option<&'c Linking<'c>>,
}

/// A folder to put, with local changes in it if there were any.
struct Staged<'d> {
    decision: &'d Decision,
    fetched: &'d Fetched,
    merged: Option<skill_format::SkillTree>,
    keep_old: bool,
}

impl Installer<'_> {
    pub(super) async fn apply(
        &self,
        guard: &mut StoreGuard<'_>,
        change: Change<'_>,
        decisions: Decisions,
        fetched: BTreeMap<SkillName, Fetched>,
        now: Timestamp,
    ) -> Result<InstallOutcome, Setback> {
        let staged = stage(&decisions, &fetched).await?;
        if !staged.is_empty() {
            (self.observer)(&Event::Installing {
                count: staged.len(),
            });
        }
        // From here on it is done or it has failed as a whole: no skill is held back any more.
        let final_error = |error| Setback { skill: None, error };
        self.pin(&staged, now).map_err(final_error)?;
        let committed = self
            .commit(guard, &decisions, &staged, now)
            .map_err(final_error)?;
        note_requested(guard, &decisions).map_err(final_error)?;
        let mut backups = committed.backups;
        let links = change
            .linking
            .map(|linking| self.link(guard, &change, linking, &decisions, &mut backups))
            .transpose()
            .map_err(final_error)?;
        let entry =
            |decision: &Decision| guard.index().get_version(&decision.name, &decision.version);
        let outcome = |decision: &Decision| {
            let mut outcome = self.finished(decision, fetched.get(&decision.name));
            // Of an archive that was not fetched now.
            let known = entry(decision).and_then(|entry| self.cache.blob_size(&entry.checksum));
            outcome.size = outcome.size.or(known);
            outcome
        };
        Ok(InstallOutcome {
            skills: decisions.skills.iter().map(outcome).collect(),
            removed: decisions
                .removals
                .iter()
                .map(|removal| removed(removal))
                .collect(),
            backups,
            warnings: {
                let mut warnings = remarks::about_install(&change, &decisions, &fetched);
                warnings.extend(remarks::overlapping(guard, &decisions, &fetched));
                warnings
            },
            entries: decisions.skills.iter().filter_map(entry).cloned().collect(),
            plan: change.plan.clone(),
            links,
            ..InstallOutcome::default()
        })
    }

    /// Remembers who signed what is seen for the first time. Before the store is changed: a signer
    /// that another process pinned meanwhile stops the install.
    fn pin(&self, staged: &[Staged<'_>], now: Timestamp) -> Result<(), InstallError> {
        for Staged {
            decision, fetched, ..
        } in staged
        {
            if let Verdict::Signed {
                signer,
                first: true,
            } = &fetched.verdict
            {
                // An archive that lay at hand is pinned as if the registry had served it.
                let registry = decision
                    .source
                    .registry()
                    .unwrap_or(self.client.registry().url.as_str());
                self.verifier
                    .pin(registry, &decision.package, signer, now)?;
            }
        }
        Ok(())
    }

    fn commit(
        &self,
        guard: &mut StoreGuard<'_>,
        decisions: &Decisions,
        staged: &[Staged<'_>],
        now: Timestamp,
    ) -> Result<Committed, InstallError> {
        let entries: Vec<InstalledSkill> = staged
            .iter()
            .map(|staged| entry(staged, guard, now))
            .collect();
        let mut transaction = guard.begin(now)?;
        for (staged, entry) in staged.iter().zip(entries) {
            match &staged.merged {
                Some(files) => transaction.put_files(entry, files, staged.keep_old)?,
                None => transaction.put(entry, &staged.fetched.tree, staged.keep_old)?,
            }
        }
        for removal in &decisions.removals {
            transaction.remove(&removal.name, &removal.version, removal.keep_old);
        }
        if !self.client.is_offline()
            && decisions
                .skills
                .iter()
                .any(|skill| skill.source.registry().is_some())
        {
            transaction.set_synced();
        }
        Ok(transaction.commit()?)
    }

    /// Agents that see these skills are led to their new folders; the agents that were named see
    /// them from now on; what is gone goes from the agents' folders too.
    fn link(
        &self,
        guard: &StoreGuard<'_>,
        change: &Change<'_>,
        linking: &Linking<'_>,
        decisions: &Decisions,
        backups: &mut Vec<PathBuf>,
    ) -> Result<LinkReport, InstallError> {
        let installed: Vec<Installed> = decisions
            .skills
            .iter()
            .filter_map(|decision| guard.index().get_version(&decision.name, &decision.version))
            .map(|skill| Installed {
                name: skill.name.to_string(),
                folder: self.store.skill_dir(skill),
            })
            .collect();
        let gone: Vec<String> = decisions
            .removals
            .iter()
            .filter(|removal| guard.index().get(&removal.name).is_none())
            .map(|removal| removal.name.to_string())
            .collect();
        let mut linker = Linker::open(self.store.dir(), linking.roots, linking.scope)?;
        let mut report = linker.refresh(&installed, change.request.force)?;
        if !gone.is_empty() {
            let unlinked = linker.uninstall(&gone, change.request.force)?;
            backups.extend(report.absorb_unlinked(unlinked));
        }
        let options = LinkOptions {
            mode: linking.mode,
            force: change.request.force,
        };
        let mut common = Vec::new();
        for skill in installed {
            let own = linking
                .own
                .iter()
                .find(|(name, _)| name.as_str() == skill.name);
            match own {
                None => common.push(skill),
                Some((_, agents)) if agents.is_empty() => {}
                Some((_, agents)) => {
                    absorb(&mut report, linker.install(&[skill], agents, options)?);
                }
            }
        }
        if !linking.agents.is_empty() {
            absorb(
                &mut report,
                linker.install(&common, &linking.agents, options)?,
            );
        }
        let is_meant_for_nobody = |name: &SkillName| {
            let own = linking.own.get(name);
            own.is_some_and(Vec::is_empty)
        };
        let asked = decisions
            .skills
            .iter()
            .filter(|decision| decision.requested.is_some());
        let unseen = asked.filter(|decision| {
            linker.agents_of(decision.name.as_str()).is_empty()
                && !is_meant_for_nobody(&decision.name)
        });
        report.unseen = unseen.map(|decision| decision.name.to_string()).collect();
        Ok(report)
    }

    fn finished(&self, decision: &Decision, fetched: Option<&Fetched>) -> SkillOutcome {
        let mut outcome = decision.outcome(self.store, fetched.and_then(|fetched| fetched.size));
        outcome.size = outcome.size.filter(|size| *size > 0);
        if let Some(fetched) = fetched {
            outcome.signer = fetched.verdict.signer().map(ToString::to_string);
            outcome.first_signer = matches!(fetched.verdict, Verdict::Signed { first: true, .. });
        }
        outcome
    }
}

/// Merges local changes. Nothing has been changed yet when this fails.
async fn stage<'d>(
    decisions: &'d Decisions,
    fetched: &'d BTreeMap<SkillName, Fetched>,
) -> Result<Vec<Staged<'d>>, Setback> {
    let mut staged = Vec::new();
    for decision in &decisions.skills {
        let (Action::Put { local, keep_old }, Some(fetched)) =
            (&decision.action, fetched.get(&decision.name))
        else {
            continue;
        };
        let merged = match local {
            None => None,
            Some(local) => {
                let merged = merge(&local.base, &local.ours, fetched.tree.files())
                    .await
                    .map_err(|error| Setback::of(&decision.name, error))?;
                let refused = |conflicts| InstallError::LocalChanges {
                    name: decision.name.clone(),
                    conflicts,
                };
                Some(merged.map_err(refused)?)
            }
        };
        staged.push(Staged {
            decision,
            fetched,
            merged,
            keep_old: *keep_old,
        });
    }
    Ok(staged)
}

fn entry(staged: &Staged<'_>, guard: &StoreGuard<'_>, now: Timestamp) -> InstalledSkill {
    let Staged {
        decision, fetched, ..
    } = staged;
    // Keys that other programs keep in the entry stay.
    let before = guard.index().get(&decision.name);
    InstalledSkill {
        name: decision.name.clone(),
        version: decision.version.clone(),
        installed_at: now,
        source: decision.source.clone(),
        spec: fetched.spec.clone(),
        checksum: fetched.checksum,
        digest: Some(fetched.tree.digest()),
        signer: fetched.verdict.signer().map(ToString::to_string),
        package: (decision.package != decision.name).then(|| decision.package.clone()),
        requested: decision.requested.clone(),
        dependencies: fetched.manifest.dependencies.skills.clone(),
        extra: before.map(|entry| entry.extra.clone()).unwrap_or_default(),
    }
}

/// What was asked for may have changed for skills that stay as they are.
fn note_requested(guard: &mut StoreGuard<'_>, decisions: &Decisions) -> Result<(), InstallError> {
    let kept = decisions
        .skills
        .iter()
        .filter(|decision| matches!(decision.action, Action::Keep));
    let kept: Vec<_> = kept
        .filter(|decision| decision.requested.is_some())
        .collect();
    guard.edit_index(|index| {
        for decision in kept {
            if let Some(entry) = index.get_mut(&decision.name) {
                entry.requested.clone_from(&decision.requested);
            }
        }
    })?;
    Ok(())
}

/// Two reports as one. A folder that is in both was led to the new version by the first.
fn absorb(report: &mut LinkReport, other: LinkReport) {
    let is_known = |path: &std::path::Path| report.placed.iter().any(|placed| placed.path == path);
    let placed: Vec<_> = other
        .placed
        .into_iter()
        .filter(|placed| !is_known(&placed.path))
        .collect();
    report.placed.extend(placed);
    report.conflicts.extend(other.conflicts);
    report.failures.extend(other.failures);
    report.without_folder.extend(other.without_folder);
    report.gone.extend(other.gone);
}
