//! Installing: from what a person asked for to a store that has it, all of it or nothing.
//!
//! The way through: `local` reads folders, archives and repositories that were named; `offer` tells
//! the resolver what there is; `fetch` brings and verifies what was chosen; `decide` compares it
//! with what is installed, local changes included; `apply` puts everything in place in one
//! transaction and leads the agents' folders to it.

mod apply;
mod decide;
mod error;
mod fetch;
mod found;
mod held;
mod local;
mod lock_plan;
mod merge;
mod offer;
mod outcome;
mod remarks;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use skill_format::{Range, Sha256, SkillName, Version};

pub use error::{InstallError, Why};
pub use found::LeftOut;
pub use held::HeldBack;
pub use merge::{MergeConflict, merge};
pub use outcome::{InstallOutcome, Removed, SkillOutcome, Status};

use crate::agents::{Agent, Roots, Scope};
use crate::api::Client;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::events::{Event, Observer, waiting};
use crate::git::GitLimits;
use crate::index::Index;
use crate::link::Mode;
use crate::resolver::{self, Requirement, ResolveError};
use crate::source::{Origin, SkillSource};
use crate::store::{Store, StoreGuard};
use crate::verify::Verifier;
use held::Setback;
use local::LocalSkill;

/// Said by a requirement that a person stated on the spot.
pub const ORIGIN_COMMAND: &str = "the command line";
/// Said by a requirement that an earlier install left.
const ORIGIN_INSTALLED: &str = "what is installed";

/// Everything an install works with.
pub struct Installer<'a> {
    pub store: &'a Store,
    pub cache: &'a Cache,
    /// The registry that names without an address belong to.
    pub client: &'a Client,
    /// Further registries, for what was installed or locked from there.
    pub others: &'a [Client],
    pub verifier: &'a Verifier,
    pub clock: &'a dyn Clock,
    pub observer: &'a Observer<'a>,
}

/// One thing to install.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub source: SkillSource,
    /// Install it under this name.
    pub alias: Option<SkillName>,
    /// Of a folder or a repository: take the skill of this name, and no other.
    pub only: Option<SkillName>,
}

impl Wanted {
    /// Everything that the source holds, under its own name.
    pub fn of(source: SkillSource) -> Self {
        Self {
            source,
            alias: None,
            only: None,
        }
    }
}

/// What a lockfile says of one skill.
#[derive(Debug, Clone)]
pub struct LockedRelease {
    pub version: Version,
    /// Of the archive; outranks what the registry says.
    pub sha256: Option<Sha256>,
    /// Fingerprint of the signer; outranks what the registry says.
    pub signer: Option<String>,
    pub source: Origin,
    pub dependencies: BTreeMap<SkillName, Range>,
}

/// What to install, and by which rules. The default installs nothing.
#[derive(Debug, Clone, Default)]
pub struct InstallRequest {
    pub wanted: Vec<Wanted>,
    /// Further direct requirements: what `skills.toml` names.
    pub roots: Vec<Requirement>,
    /// Roots and locked skills that are installed under another name than their own: that name →
    /// the skill's own.
    pub aliases: BTreeMap<SkillName, SkillName>,
    /// By the name it is installed under: the address of the registry that a skill is taken from,
    /// where that is not the installer's own. What such a skill depends on comes from there too,
    /// unless it is asked for directly.
    pub registries: BTreeMap<SkillName, String>,
    /// Ranges that replace every other requirement on a skill.
    pub overrides: BTreeMap<SkillName, Range>,
    /// What `skills.lock` says. These versions are kept where the requirements allow it.
    pub locked: BTreeMap<SkillName, LockedRelease>,
    /// Choose only what is locked.
    pub frozen: bool,
    /// Installed skills that may change although nothing new is asked of them; the others stay at
    /// their version as long as everything fits together.
    pub update: BTreeSet<SkillName>,
    /// Take these skills only, out of folders and repositories of several.
    pub pick: Vec<SkillName>,
    /// Nobody named these skills: it is what is installed, to be brought up to date. None of them
    /// changes where it comes from, `force` or not, and one that fails does not stop the others.
    pub unnamed: bool,
    /// Installed skills that were to be updated and stay as they are.
    pub held: Vec<HeldBack>,
    /// Uninstall whatever neither is asked for nor is needed by what is.
    pub prune: bool,
    /// Replace local changes (they are saved aside), and skills of the same name from elsewhere.
    pub force: bool,
    /// The roots are only kept in mind: `force` does not reach them.
    pub spare_roots: bool,
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
    pub allow_unsigned: bool,
    /// Ignore releases that are younger.
    pub minimum_age: Option<SignedDuration>,
    /// Names of the environment variables that are set; `None` checks none.
    pub environment: Option<BTreeSet<String>>,
    pub git_limits: GitLimits,
}

/// Which agents shall see what is installed.
#[derive(Debug, Clone)]
pub struct Linking<'a> {
    pub roots: &'a Roots,
    pub scope: Scope,
    /// Beside those that see a skill already.
    pub agents: Vec<&'a Agent>,
    /// Skills that go into these agents instead, by the name they are installed under.
    pub own: BTreeMap<SkillName, Vec<&'a Agent>>,
    pub mode: Mode,
}

impl InstallRequest {
    /// Installs these, by the default rules.
    pub fn of(wanted: impl IntoIterator<Item = SkillSource>) -> Self {
        Self {
            wanted: wanted.into_iter().map(Wanted::of).collect(),
            ..Self::default()
        }
    }

    /// Brings installed skills up to date: `names`, or all if there are none, each from where it
    /// came. `latest` goes past the ranges that were asked for.
    pub fn update(index: &Index, names: &[SkillName], latest: bool) -> Result<Self, InstallError> {
        if let Some(name) = names.iter().find(|name| index.get(name).is_none()) {
            return Err(InstallError::not_installed(name, index));
        }
        let mut request = Self {
            unnamed: names.is_empty(),
            ..Self::default()
        };
        for skill in index
            .skills()
            .iter()
            .filter(|skill| names.is_empty() || names.contains(&skill.name))
        {
            request.update.insert(skill.name.clone());
            if let Origin::Registry(url) = &skill.source {
                // Another registry may have a skill of that name, which is another skill.
                request.registries.insert(skill.name.clone(), url.clone());
            }
            let source = match (&skill.source, &skill.spec, &skill.requested) {
                (Origin::Registry(_), _, None) => continue,
                (Origin::Registry(_), _, Some(range)) => {
                    let range = if latest { Range::any() } else { range.clone() };
                    SkillSource::registry(skill.package().clone(), range)
                }
                (_, Some(spec), _) => match SkillSource::parse(spec, std::path::Path::new("/")) {
                    Ok(source) => source,
                    Err(error) if request.unnamed => {
                        request.update.remove(&skill.name);
                        let held = HeldBack::of(&skill.name, &error.into());
                        request.held.push(held);
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                },
                // Its source is not known well enough to fetch a newer one.
                (_, None, _) => continue,
            };
            let holds_several = matches!(source, SkillSource::Dir(_) | SkillSource::Git(_));
            let only = holds_several.then(|| skill.package().clone());
            let alias = skill.package.is_some().then(|| skill.name.clone());
            request.wanted.push(Wanted {
                alias,
                only,
                source,
            });
        }
        Ok(request)
    }
}

impl Installer<'_> {
    /// Installs what is asked for, with what it depends on. Nothing is changed unless everything
    /// could be fetched and verified.
    pub async fn install(
        &self,
        request: &InstallRequest,
        linking: Option<&Linking<'_>>,
    ) -> Result<InstallOutcome, InstallError> {
        let now = self.clock.now();
        let share = self
            .cache
            .share(waiting(self.observer, "the cache"))
            .await?;
        let (mut guard, repaired) = self.open_store("skills install", now).await?;
        let result = self.install_into(&mut guard, request, linking, now).await;
        drop(share);
        self.remember();
        result.map(|outcome| InstallOutcome {
            repairs: repaired,
            ..outcome
        })
    }

    /// Who speaks to the registry with this address.
    pub(crate) fn client_for(&self, registry: &str) -> Option<&Client> {
        std::iter::once(self.client)
            .chain(self.others)
            .find(|client| client.registry().url.as_str() == registry)
    }

    /// The registry that a request takes a skill from, if nobody speaks to it.
    fn out_of_reach<'r>(&self, request: &'r InstallRequest, name: &SkillName) -> Option<&'r str> {
        let url = request.registries.get(name)?;
        self.client_for(url).is_none().then_some(url)
    }

    /// Keeps what the registries said, for the next command.
    pub(crate) fn remember(&self) {
        std::iter::once(self.client)
            .chain(self.others)
            .for_each(Client::remember);
    }

    /// The right to change the store, after what was interrupted has been finished or undone.
    pub(crate) async fn open_store(
        &self,
        purpose: &str,
        now: Timestamp,
    ) -> Result<(StoreGuard<'_>, Vec<crate::store::Repair>), InstallError> {
        let what = format!("the store {}", self.store.dir().display());
        let mut guard = self
            .store
            .lock(purpose, waiting(self.observer, &what))
            .await?;
        let report = guard.repair(self.cache, now)?;
        for repair in &report.repairs {
            (self.observer)(&Event::Repaired(repair));
        }
        Ok((guard, report.repairs))
    }

    async fn install_into(
        &self,
        guard: &mut StoreGuard<'_>,
        request: &InstallRequest,
        linking: Option<&Linking<'_>>,
        now: Timestamp,
    ) -> Result<InstallOutcome, InstallError> {
        let index = guard.index().clone();
        let mut request = request.clone();
        let (mut locals, left_out) = self.load_locals(&mut request, &index, now).await?;
        loop {
            let tried = self
                .try_into_store(guard, (&request, &locals, &index), linking, now)
                .await;
            let setback = match tried {
                Ok(outcome) => {
                    return Ok(InstallOutcome {
                        held: request.held,
                        left_out,
                        ..outcome
                    });
                }
                Err(setback) => setback,
            };
            match request.without(&setback, &mut locals, &index) {
                Some(smaller) => request = smaller,
                None => return Err(setback.error),
            }
        }
    }

    /// One try, which changes nothing if it fails because of one skill.
    async fn try_into_store(
        &self,
        guard: &mut StoreGuard<'_>,
        (request, locals, index): (&InstallRequest, &[LocalSkill], &Index),
        linking: Option<&Linking<'_>>,
        now: Timestamp,
    ) -> Result<InstallOutcome, Setback> {
        let mut question = offer::Question::new(request, locals, index, now)?;
        (self.observer)(&Event::Resolving);
        let (plan, offer) = loop {
            match self.resolve(&question, request, locals, index).await {
                // It was withdrawn, and there is no other: what is installed stays, with a warning.
                Err(Setback {
                    error:
                        InstallError::Resolve(ResolveError::NoMatchingVersion {
                            ref name,
                            ref range,
                            ..
                        }),
                    ..
                }) if question.keep(name, range, index) => {}
                result => break result?,
            }
        };
        let decisions = decide::decide(self, guard, request, &question, &plan, locals)?;
        if request.dry_run {
            return Ok(outcome::planned(self.store, &plan, &decisions, &offer));
        }
        let fetched = self.fetch(request, &plan, &decisions, locals, now).await?;
        let change = apply::Change {
            request,
            plan: &plan,
            offer: &offer,
            linking,
        };
        self.apply(guard, change, decisions, fetched, now).await
    }

    /// Chooses versions. At first only what has to be looked up is: installed skills offer the
    /// version they have. If that does not fit together, all of them are looked up.
    async fn resolve<'r>(
        &'r self,
        question: &offer::Question,
        request: &'r InstallRequest,
        locals: &'r [LocalSkill],
        index: &'r Index,
    ) -> Result<(resolver::Plan, offer::Offer<'r>), Setback> {
        let narrow =
            offer::Offer::new(self, request, question, locals, index, offer::Reach::Needed);
        match resolver::resolve(&question.request, &narrow).await {
            Ok(plan) => return Ok((plan, narrow)),
            Err(error) if !narrow.held_back() => return Err(narrow.error(error)),
            Err(_) => {}
        }
        let wide = offer::Offer::new(
            self,
            request,
            question,
            locals,
            index,
            offer::Reach::Everything,
        );
        match resolver::resolve(&question.request, &wide).await {
            Ok(plan) => Ok((plan, wide)),
            Err(error) => Err(wide.error(error)),
        }
    }
}
