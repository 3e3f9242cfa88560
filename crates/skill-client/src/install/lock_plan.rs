//! Choosing versions for a lockfile: as if nothing were installed, and without changing anything.

use jiff::Timestamp;

use super::decide::{Action, Decision};
use super::fetch;
use super::offer::Question;
use super::{InstallError, InstallRequest, Installer, Status};
use crate::index::Index;
use crate::resolver::{Plan, Planned};

impl Installer<'_> {
    /// Chooses a version of everything that is asked for. What is not locked yet is verified, with
    /// its publisher's signature over name, version, digest and size; no archive is downloaded, and
    /// no signer is pinned before something of theirs is installed.
    pub async fn plan(&self, request: &InstallRequest) -> Result<Plan, InstallError> {
        let now = self.clock.now();
        let index = Index::default();
        let mut request = request.clone();
        let (locals, _) = self.load_locals(&mut request, &index, now).await?;
        let request = &request;
        let question = Question::new(request, &locals, &index, now)?;
        (self.observer)(&crate::events::Event::Resolving);
        let chosen = self.resolve(&question, request, &locals, &index).await;
        let (mut plan, _) = chosen.map_err(|setback| setback.error)?;
        for planned in &mut plan.skills {
            self.verify_planned(request, &question, planned, now)
                .await?;
        }
        self.remember();
        Ok(plan)
    }

    async fn verify_planned(
        &self,
        request: &InstallRequest,
        question: &Question,
        planned: &mut Planned,
        now: Timestamp,
    ) -> Result<(), InstallError> {
        let Some(registry) = planned.release.source.registry() else {
            return Ok(());
        };
        let is_locked = request.locked.get(&planned.name).is_some_and(|locked| {
            locked.version == planned.release.version
                && locked.sha256.is_some()
                && locked.sha256 == planned.release.sha256
                && locked.signer == planned.release.signer
        });
        if is_locked {
            return Ok(());
        }
        let client = self
            .client_for(registry)
            .ok_or_else(|| InstallError::OtherRegistry {
                what: planned.name.to_string(),
                registry: registry.to_owned(),
            })?;
        let package = question.aliases.get(&planned.name).unwrap_or(&planned.name);
        let decision = Decision {
            name: planned.name.clone(),
            package: package.clone(),
            version: planned.release.version.clone(),
            status: Status::Unchanged,
            previous: None,
            requested: None,
            source: planned.release.source.clone(),
            signer: planned.release.signer.clone(),
            action: Action::Keep,
            keeps_changes: false,
        };
        let wanted = fetch::Wanted {
            client,
            planned,
            decision: &decision,
        };
        let release = self.verified_release(request, &wanted, now).await?;
        planned.release.size = Some(release.size).filter(|size| *size > 0);
        planned.release.signer = release.verdict.signer().map(ToString::to_string);
        Ok(())
    }
}
