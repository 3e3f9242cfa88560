//! What `install`, `update` and `uninstall` have in common: the store they work on, the agents they
//! reach, and how their outcome is told.

use std::cell::RefCell;
use std::collections::BTreeSet;

use indicatif::ProgressBar;
use skill_client::agents::{Agent, AgentTable, Roots, Scope as AgentScope};
use skill_client::install::{HeldBack, ORIGIN_COMMAND, SkillOutcome, Status};
use skill_client::link::{Change, LinkReport};
use skill_client::resolver::Requirer;
use skill_client::store::Repair;
use skill_client::workspace::Workspace;
use skill_client::{
    Cache, Client, Event, InstallOutcome, Installer, Paths, Scope, Store, SystemClock, Verifier,
};
use skill_format::SkillName;
use skill_signing::{Keyring, Pins};

use crate::cli::RegistryArg;
use crate::cli::consume::AgentArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::printer::Printer;

/// Everything that changes a store, opened for one command.
pub struct Kit {
    pub paths: Paths,
    pub store: Store,
    cache: Cache,
    client: Client,
    others: Vec<Client>,
    verifier: Verifier,
    clock: SystemClock,
}

impl Kit {
    pub fn open(registry: &RegistryArg, offline: bool, context: &Context) -> Result<Self, Failure> {
        Self::for_project(registry, offline, None, context)
    }

    /// With the registries that a project names.
    pub fn for_project(
        registry: &RegistryArg,
        offline: bool,
        workspace: Option<&Workspace>,
        context: &Context,
    ) -> Result<Self, Failure> {
        let paths = context.paths().clone();
        let (client, others) = context.clients(registry, offline, workspace)?;
        Ok(Self {
            store: Store::new(paths.store_dir()),
            cache: Cache::new(paths.cache_dir()),
            client,
            others,
            verifier: Verifier::new(
                Keyring::open(paths.keyring_dir()),
                Pins::open(paths.pins_file()),
            ),
            clock: SystemClock,
            paths,
        })
    }

    /// The address of the registry that names without one belong to.
    pub fn registry(&self) -> &str {
        self.client.registry().url.as_str()
    }

    /// All registries that can be asked.
    pub fn clients(&self) -> Vec<&Client> {
        std::iter::once(&self.client).chain(&self.others).collect()
    }

    pub fn installer<'a>(&'a self, observer: &'a skill_client::Observer<'a>) -> Installer<'a> {
        Installer {
            store: &self.store,
            cache: &self.cache,
            client: &self.client,
            others: &self.others,
            verifier: &self.verifier,
            clock: &self.clock,
            observer,
        }
    }
}

/// Where agents look for skills, from this run's surroundings.
pub fn roots(paths: &Paths, context: &Context) -> Roots {
    let roots = Roots::new(context.home()).with_environment(&|name| context.env(name));
    match paths.project_dir() {
        Some(project) => roots.with_project(project),
        None => roots,
    }
}

/// Skills of a project are for agents that work on it; all others are for agents everywhere.
pub fn agent_scope(paths: &Paths) -> AgentScope {
    match (paths.scope(), paths.project_dir()) {
        (Scope::Project | Scope::Named, Some(_)) => AgentScope::Project,
        _ => AgentScope::Global,
    }
}

/// The agents that were asked for: by flag, else as configured.
pub fn agents<'t>(
    table: &'t AgentTable,
    args: &AgentArgs,
    configured: &[String],
) -> Result<Vec<&'t Agent>, Failure> {
    if args.all_agents {
        return Ok(table.iter().collect());
    }
    let wanted = if args.agents.is_empty() {
        configured
    } else {
        &args.agents
    };
    Ok(table.select(wanted)?)
}

/// Shows the events of a long operation: a bar for downloads, a line for what took long or was mended.
pub struct Progress<'a> {
    printer: &'a Printer,
    bar: RefCell<Option<ProgressBar>>,
}

impl<'a> Progress<'a> {
    pub fn new(printer: &'a Printer) -> Self {
        Self {
            printer,
            bar: RefCell::new(None),
        }
    }

    pub fn show(&self, event: &Event<'_>) {
        match event {
            Event::Waiting { what, holder } => {
                let holder = holder
                    .map(|holder| format!(" ({holder})"))
                    .unwrap_or_default();
                self.printer.note(format!(
                    "waiting for {what}, which another process is using{holder}"
                ));
            }
            Event::Repaired(repair) => self.repaired(repair),
            Event::Fetching { url } => self.printer.done("Fetching", url),
            Event::Resolving => self.printer.detail("choosing versions"),
            Event::Downloading {
                name,
                version,
                progress,
            } => {
                let mut bar = self.bar.borrow_mut();
                let label = format!("{name} {version}");
                let bar = match bar.as_ref().filter(|bar| bar.message() == label) {
                    Some(bar) => bar.clone(),
                    None => bar
                        .insert(self.printer.progress(&label, progress.total))
                        .clone(),
                };
                bar.set_position(progress.received);
                if progress.received >= progress.total {
                    bar.finish_and_clear();
                }
            }
            Event::Installing { count } => self
                .printer
                .detail(format!("putting {count} skills in place")),
            Event::Publishing { name, version } => {
                self.printer.detail(format!("publishing {name} {version}"))
            }
        }
    }

    fn repaired(&self, repair: &Repair) {
        match repair {
            Repair::Swept => self.printer.detail("removed what an interrupted run had left"),
            Repair::Finished { skills } => {
                self.printer.note(format!("finished an interrupted change: {}", skills.join(", ")));
            }
            Repair::Adopted { name, version } => {
                self.printer.note(format!("took {name} {version}, found in the store, into the index"));
            }
            Repair::SetAside { name, version, backup } => {
                self.printer.warn(format!("{name} {version} in the store was unknown; moved to {}", backup.display()));
            }
            Repair::Reinstalled { name, version } => {
                self.printer.note(format!("put {name} {version} back, whose folder was gone"));
            }
            Repair::Missing { name, version } => self.printer.warn(format!(
                "the folder of {name} {version} is gone; `skills install {name}@{version}` brings it back"
            )),
        }
    }
}

/// Tells what an install did, or would do.
pub fn report(outcome: &InstallOutcome, printer: &Printer) {
    for warning in &outcome.warnings {
        let help = warning
            .help
            .as_ref()
            .map(|help| format!(" ({help})"))
            .unwrap_or_default();
        printer.warn(format!("{}{help}", warning.message));
    }
    report_held(&outcome.held, printer);
    for left_out in &outcome.left_out {
        printer.warn(format!("{} was left out: {}", left_out.place, left_out.why));
    }
    for skill in &outcome.skills {
        report_skill(skill, outcome.dry_run, printer);
    }
    // Of a skill that changed its version, that says it all.
    let stays = |name: &SkillName| outcome.skills.iter().any(|skill| skill.name == *name);
    for removed in outcome
        .removed
        .iter()
        .filter(|removed| !stays(&removed.name))
    {
        let verb = if outcome.dry_run {
            "Would remove"
        } else {
            "Removed"
        };
        printer.done(verb, format!("{} {}", removed.name, removed.version));
    }
    for backup in &outcome.backups {
        printer.note(format!(
            "what you had changed is kept in {}",
            backup.display()
        ));
    }
    if let Some(links) = &outcome.links {
        report_links(links, printer);
    }
    if outcome.is_unchanged() {
        printer.done("Unchanged", unchanged(outcome.skills.len()));
    }
}

/// What follows "Unchanged" when there was nothing to do.
fn unchanged(skills: usize) -> String {
    match skills {
        0 => "no skill is affected".to_owned(),
        1 => "1 skill, as it should be".to_owned(),
        count => format!("{count} skills, all as they should be"),
    }
}

/// Several skills that failed for one reason share a line.
fn report_held(held: &[HeldBack], printer: &Printer) {
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for one in held.iter().filter(|one| told.insert(&one.why.message)) {
        let alike = held
            .iter()
            .filter(|other| other.why.message == one.why.message);
        let names: Vec<&str> = alike.map(|other| other.name.as_str()).collect();
        let stay = match names.as_slice() {
            [_] => "stays as it is",
            _ => "stay as they are",
        };
        printer.warn(format!("{} {stay}: {}", names.join(", "), one.why));
    }
}

fn report_skill(skill: &SkillOutcome, dry_run: bool, printer: &Printer) {
    let verb = match (skill.status, dry_run) {
        (Status::Installed, false) => "Installed",
        (Status::Updated, false) => "Updated",
        (Status::Downgraded, false) => "Downgraded",
        (Status::Reinstalled, false) => "Reinstalled",
        (Status::Installed, true) => "Would install",
        (Status::Updated, true) => "Would update",
        (Status::Downgraded, true) => "Would downgrade",
        (Status::Reinstalled, true) => "Would reinstall",
        (Status::Unchanged, _) => {
            return printer.detail(format!("{} {} is there", skill.name, skill.version));
        }
    };
    let mut text = format!("{} {}", skill.name, skill.version);
    if let Some(previous) = &skill.previous {
        text.push_str(&format!(" (was {previous})"));
    }
    if skill.dependency {
        text.push_str(", needed by others");
    }
    if skill.merged {
        text.push_str(", your changes carried over");
    }
    match &skill.signer {
        Some(signer) if skill.first_signer => {
            text.push_str(&format!(", signed by {signer}, now pinned"))
        }
        Some(_) => text.push_str(", signature verified"),
        None => {}
    }
    printer.done(verb, text);
}

pub fn report_links(links: &LinkReport, printer: &Printer) {
    let agents: BTreeSet<&str> = links
        .placed
        .iter()
        .filter(|placed| placed.change != Change::Unchanged)
        .flat_map(|placed| &placed.agents)
        .map(String::as_str)
        .collect();
    if !agents.is_empty() {
        let names: Vec<&str> = agents.iter().copied().collect();
        let shown = if names.len() > 6 {
            format!("{} agents", names.len())
        } else {
            names.join(", ")
        };
        printer.done("Linked", format!("for {shown}"));
    }
    for placed in links
        .placed
        .iter()
        .filter(|placed| placed.fallback.is_some())
    {
        let reason = placed.fallback.as_deref().unwrap_or_default();
        printer.warn(format!(
            "{} is a copy, not a link: {reason}",
            placed.path.display()
        ));
    }
    for conflict in &links.conflicts {
        printer.warn(format!(
            "{} was left as it is: {}",
            conflict.path.display(),
            conflict.help()
        ));
    }
    for kept in &links.kept {
        printer.warn(format!(
            "{kept} (move or delete it; `skills uninstall --force` moves it to the store's .backup folder)"
        ));
    }
    for failure in &links.failures {
        printer.warn(format!(
            "{} could not be written: {}",
            failure.path.display(),
            failure.reason
        ));
    }
    for agent in &links.without_folder {
        printer.warn(format!("{agent} has no folder for skills of this scope"));
    }
}

/// Tells of skills that were asked for, or are new, and that no agent sees.
pub fn note_unseen(outcome: &InstallOutcome, printer: &Printer) {
    let Some(links) = &outcome.links else { return };
    let command = Requirer::Direct(ORIGIN_COMMAND.into());
    let is_named = |name: &SkillName| {
        let planned = outcome.plan.get(name);
        let mut reasons = planned.into_iter().flat_map(|planned| &planned.reasons);
        reasons.any(|reason| reason.requirer == command)
    };
    let is_news =
        |skill: &&SkillOutcome| skill.status != Status::Unchanged || is_named(&skill.name);
    let unseen: Vec<&SkillOutcome> = outcome
        .skills
        .iter()
        .filter(is_news)
        .filter(|skill| links.unseen.iter().any(|name| skill.name.as_str() == name))
        .collect();
    if unseen.is_empty() {
        return;
    }
    let names: Vec<&str> = unseen.iter().map(|skill| skill.name.as_str()).collect();
    let spec = |skill: &&SkillOutcome| {
        let entry = outcome
            .entries
            .iter()
            .find(|entry| entry.name == skill.name);
        let spec = entry.and_then(|entry| entry.spec.clone());
        spec.unwrap_or_else(|| skill.name.to_string())
    };
    let specs: Vec<String> = unseen.iter().map(spec).collect();
    printer.note(format!(
        "no agent sees {} yet: `skills install {} --agent NAME`",
        names.join(", "),
        specs.join(" ")
    ));
}

/// An agent that does not see what was asked for is a failure, after everything has been told; so is
/// a skill that could not be updated, and one that could not be read.
pub fn verdict(outcome: &InstallOutcome) -> Result<(), Failure> {
    if !outcome.held.is_empty() || !outcome.left_out.is_empty() {
        return Err(Failure::reported(1));
    }
    match &outcome.links {
        Some(links) if !links.is_complete() => Err(Failure::reported(1)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::unchanged;

    #[test]
    fn nothing_to_do_reads_as_a_sentence_after_unchanged() {
        assert_eq!(unchanged(0), "no skill is affected");
        assert_eq!(unchanged(1), "1 skill, as it should be");
        assert_eq!(unchanged(3), "3 skills, all as they should be");
    }
}
