//! `skills uninstall`: from the store, and from the project's files.

use skill_client::{InstallOutcome, UninstallRequest};
use skill_format::SkillName;

use crate::cli::RegistryArg;
use crate::cli::consume::UninstallArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::installing::{self, Kit, Progress};
use crate::pinning::{self, Pinned};

pub fn run(args: &UninstallArgs, context: &Context) -> Result<(), Failure> {
    let mut pinned = match args.no_save {
        true => None,
        false => pinning::open(context.paths(), "skills uninstall", context)?,
    };
    // No registry is asked; offline makes sure of it.
    let kit = Kit::open(&RegistryArg::default(), true, context)?;
    let mut names = args
        .names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<SkillName>, _>>()?;
    let mut dropped = Vec::new();
    if let Some(pinned) = &mut pinned {
        for name in &names {
            if pinned.workspace.forget(name)? {
                dropped.push(name.clone());
            }
        }
        // Asked for and never installed, or removed by a run that was interrupted after that.
        let index = kit.store.index()?;
        names.retain(|name| index.get(name).is_some() || !dropped.contains(name));
    }
    let outcome = match names.is_empty() {
        true => InstallOutcome::default(),
        false => uninstall(&kit, names, args, context)?,
    };
    if !outcome.removed.is_empty() {
        installing::report(&outcome, &context.printer);
    }
    match &mut pinned {
        Some(pinned) => finish(pinned, &outcome, &dropped, context)?,
        None => context.printer.document(&outcome),
    }
    installing::verdict(&outcome)
}

fn uninstall(
    kit: &Kit,
    names: Vec<SkillName>,
    args: &UninstallArgs,
    context: &Context,
) -> Result<InstallOutcome, Failure> {
    let request = UninstallRequest {
        names,
        force: args.force,
    };
    let roots = installing::roots(&kit.paths, context);
    let agents = Some((&roots, installing::agent_scope(&kit.paths)));
    let progress = Progress::new(&context.printer);
    let show = |event: &skill_client::Event<'_>| progress.show(event);
    context.block_on(async { Ok(kit.installer(&show).uninstall(&request, agents).await?) })
}

/// Writes the project's files without what was dropped, if it was in them.
fn finish(
    pinned: &mut Pinned,
    outcome: &InstallOutcome,
    dropped: &[SkillName],
    context: &Context,
) -> Result<(), Failure> {
    let mut changes = Vec::new();
    if !dropped.is_empty() {
        let lock = pinned.workspace.lock_pruned();
        changes = pinning::write(&mut pinned.workspace, lock, context)?;
        pinning::tell("Dropped", dropped, "from", context);
    }
    let mut document = pinning::document(outcome, &[], &changes);
    document["dropped"] = serde_json::json!(dropped);
    context.printer.document(&document);
    Ok(())
}
