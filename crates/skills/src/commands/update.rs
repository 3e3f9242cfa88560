//! `skills update`: the newest versions that the ranges allow, the project's where there is one.

use skill_client::install::{InstallRequest, Linking};
use skill_client::link::Mode;
use skill_client::workspace::{Renew, Workspace};
use skill_client::{Config, Index};
use skill_format::{Range, SkillName};

use crate::cli::consume::UpdateArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::installing::{self, Kit, Progress};
use crate::pinning;

pub fn run(args: &UpdateArgs, context: &Context) -> Result<(), Failure> {
    let mut pinned = pinning::open(context.paths(), "skills update", context)?;
    let workspace = pinned.as_ref().map(|pinned| &pinned.workspace);
    let kit = Kit::for_project(&args.registry, args.offline, workspace, context)?;
    let names = args
        .names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<SkillName>, _>>()?;
    let index = kit.store.index()?;
    let mut request = match workspace {
        Some(workspace) => of_project(workspace, &index, &names, args, &context.config()?)?,
        None => InstallRequest::update(&index, &names, args.latest)?,
    };
    if context.registry_flag(&args.registry).is_some() {
        turn_to(&mut request, &names, &index, kit.registry());
    }
    request.force = args.force;
    request.dry_run = args.dry_run;
    request.allow_unsigned |= args.allow_unsigned;
    request.environment = Some(context.environment_names());
    let roots = installing::roots(&kit.paths, context);
    // No agent is added: an update reaches those that see a skill already, and no others.
    let linking = Linking {
        roots: &roots,
        scope: installing::agent_scope(&kit.paths),
        agents: Vec::new(),
        own: Default::default(),
        mode: Mode::Link,
    };
    let progress = Progress::new(&context.printer);
    let show = |event: &skill_client::Event<'_>| progress.show(event);
    let outcome = context.block_on(async {
        Ok(kit
            .installer(&show)
            .install(&request, Some(&linking))
            .await?)
    })?;
    installing::report(&outcome, &context.printer);
    match &mut pinned {
        Some(pinned) if !outcome.dry_run => {
            let mut saved = Vec::new();
            for entry in outcome.entries.iter().filter(|_| args.latest) {
                if pinned.workspace.widen(&entry.name, &entry.version)? {
                    saved.push(entry.name.clone());
                }
            }
            let lock = pinned.workspace.lock_of(&outcome);
            let changes = pinning::write(&mut pinned.workspace, lock, context)?;
            pinning::tell("Saved", &saved, "to", context);
            context
                .printer
                .document(&pinning::document(&outcome, &saved, &changes));
        }
        _ => context.printer.document(&outcome),
    }
    installing::verdict(&outcome)
}

/// The project's skills by its ranges; what was installed beside it by what was asked for then.
fn of_project(
    workspace: &Workspace,
    index: &Index,
    names: &[SkillName],
    args: &UpdateArgs,
    config: &Config,
) -> Result<InstallRequest, Failure> {
    let renew = match names.is_empty() {
        true => Renew::Everything,
        false => Renew::These(names),
    };
    let mut request = workspace.request(config, index, renew, names.is_empty())?;
    request.spare_roots = true;
    if args.latest {
        for root in &mut request.roots {
            if names.is_empty() || names.contains(&root.name) {
                root.range = Range::any();
            }
        }
    }
    let is_known = |name: &SkillName| {
        let lock = workspace.lock();
        workspace.wish(name).is_some() || lock.is_some_and(|lock| lock.get(name).is_some())
    };
    let installed = index.skills().iter().map(|skill| skill.name.clone());
    let mut beside: Vec<SkillName> = match names.is_empty() {
        true => installed.collect(),
        false => names.to_vec(),
    };
    beside.retain(|name| !is_known(name));
    if !beside.is_empty() {
        let others = InstallRequest::update(index, &beside, args.latest)?;
        request.wanted.extend(others.wanted);
        request.update.extend(others.update);
        request.registries.extend(others.registries);
        request.held.extend(others.held);
    }
    request.unnamed = names.is_empty();
    Ok(request)
}

/// `--registry`: what was named is looked for there; without names, what came from there is meant.
fn turn_to(request: &mut InstallRequest, names: &[SkillName], index: &Index, registry: &str) {
    if !names.is_empty() {
        request.registries.retain(|name, _| !names.contains(name));
        return;
    }
    let is_from_there = |name: &SkillName| {
        let installed = index.get(name);
        installed.is_none_or(|skill| skill.source.registry() == Some(registry))
    };
    request.update.retain(is_from_there);
    request
        .wanted
        .retain(|wanted| wanted.installed_name().is_none_or(is_from_there));
    request.held.retain(|held| is_from_there(&held.name));
}
