//! `skills lock`: `skills.lock` from `skills.toml`, without installing anything.

use jiff::SignedDuration;
use serde_json::json;
use skill_client::Index;
use skill_client::lockfile::Lockfile;
use skill_client::workspace::{Renew, Workspace};
use skill_format::SkillName;

use crate::cli::consume::LockArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::installing::{Kit, Progress};
use crate::pinning;

pub fn run(args: &LockArgs, context: &Context) -> Result<(), Failure> {
    let paths = context.paths();
    if args.check {
        let workspace = pinning::read(paths)?.ok_or_else(|| pinning::no_project(paths, "lock"))?;
        return check(&workspace, &resolved(&workspace, args, context)?, context);
    }
    let mut pinned = pinning::open_any(paths, "skills lock", context)?
        .ok_or_else(|| pinning::no_project(paths, "lock"))?;
    let lock = resolved(&pinned.workspace, args, context)?;
    let old = pinned.workspace.lock().cloned().unwrap_or_default();
    let changes = old.changes_to(&lock);
    let count = lock.skills().len();
    let written = pinned.workspace.write(lock)?;
    for change in &changes {
        context.printer.line(change.to_string());
    }
    let skills = if count == 1 { "skill" } else { "skills" };
    let what = if written {
        "in skills.lock"
    } else {
        "as before"
    };
    context
        .printer
        .done("Locked", format!("{count} {skills} {what}"));
    context.printer.document(&json!({
        "written": written,
        "skills": count,
        "changes": changes,
    }));
    Ok(())
}

/// Whether everybody who locks this project anew gets the lockfile that it has.
fn check(workspace: &Workspace, lock: &Lockfile, context: &Context) -> Result<(), Failure> {
    let message = match workspace.lock() {
        Some(old) if old.changes_to(lock).is_empty() => {
            context
                .printer
                .done("Checked", "skills.lock is what skills.toml asks for");
            context.printer.document(&json!({
                "written": false,
                "skills": lock.skills().len(),
                "changes": [],
            }));
            return Ok(());
        }
        Some(_) => "skills.lock is not what skills.toml asks for",
        None => "there is no skills.lock",
    };
    let mut failure = Failure::failed("lockfile-outdated", message)
        .with_help("bring it up to date and commit it: skills lock");
    let old = workspace.lock().cloned().unwrap_or_default();
    for change in old.changes_to(lock) {
        failure.add_cause(change.to_string());
    }
    Err(failure)
}

fn resolved(
    workspace: &Workspace,
    args: &LockArgs,
    context: &Context,
) -> Result<Lockfile, Failure> {
    let names = args
        .update
        .iter()
        .flatten()
        .map(|name| name.parse())
        .collect::<Result<Vec<SkillName>, _>>()?;
    workspace.check_known(&names)?;
    let renew = match &args.update {
        None => Renew::Nothing,
        Some(_) if names.is_empty() => Renew::Everything,
        Some(_) => Renew::These(&names),
    };
    let config = context.config()?;
    let kit = Kit::for_project(&args.registry, args.offline, Some(workspace), context)?;
    // What is installed here must not matter: everybody gets the same lockfile.
    let mut request = workspace.request(&config, &Index::default(), renew, true)?;
    request.allow_unsigned |= args.allow_unsigned;
    let hours = config.settings.minimum_release_age_hours.map(i64::from);
    request.minimum_age = request
        .minimum_age
        .or(hours.map(SignedDuration::from_hours));
    let progress = Progress::new(&context.printer);
    let show = |event: &skill_client::Event<'_>| progress.show(event);
    let plan = context.block_on(async { Ok(kit.installer(&show).plan(&request).await?) })?;
    Ok(workspace.lock_of_plan(&plan))
}
