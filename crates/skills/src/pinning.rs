//! What the verbs that work in a project have in common: its two files, held so that no other
//! command changes them meanwhile, and how changes to them are told.

use skill_client::agents::AgentTable;
use skill_client::fsx::{self, FileLock};
use skill_client::install::Linking;
use skill_client::link::Mode;
use skill_client::lockfile::{LockChange, Lockfile};
use skill_client::paths::PROJECT_FILE;
use skill_client::workspace::Workspace;
use skill_client::{Config, Index, InstallOutcome, Paths, Scope};
use skill_format::{Sha256, SkillName};

use crate::cli::consume::AgentArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::installing;

/// A project whose files this command may change.
pub struct Pinned {
    pub workspace: Workspace,
    /// Held from before the files are read until after they are written: of two installs at once
    /// the second one sees what the first one wrote.
    _lock: FileLock,
}

/// The project that a command works in: none outside of one, with `--global`, or with a store that
/// was named.
pub fn open(paths: &Paths, purpose: &str, context: &Context) -> Result<Option<Pinned>, Failure> {
    if paths.scope() != Scope::Project {
        return Ok(None);
    }
    open_any(paths, purpose, context)
}

/// The same, whatever the store is.
pub fn open_any(
    paths: &Paths,
    purpose: &str,
    context: &Context,
) -> Result<Option<Pinned>, Failure> {
    let Some(dir) = paths.project_dir() else {
        return Ok(None);
    };
    if !dir.join(PROJECT_FILE).is_file() {
        context.printer.detail(format!(
            "{} has no {PROJECT_FILE}: nothing is saved to it",
            dir.display()
        ));
        return Ok(None);
    }
    // In the person's folder: `skills lock` leaves nothing in a project but its two files.
    let locks = paths.user_dir().join(".locks");
    fsx::create_dir_all(&locks, true)?;
    let dir_name = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = Sha256::of(dir_name.as_os_str().as_encoded_bytes()).to_string();
    let name = name.trim_start_matches("sha256:");
    let lock = FileLock::exclusive_blocking(&locks.join(name), purpose, |holder| {
        let holder = holder
            .map(|holder| format!(" ({holder})"))
            .unwrap_or_default();
        context.printer.note(format!(
            "waiting for the project {}, which another process is changing{holder}",
            dir.display()
        ));
    })?;
    let workspace = Workspace::read(dir)?;
    Ok(workspace.map(|workspace| Pinned {
        workspace,
        _lock: lock,
    }))
}

/// The project's files as they are, for a command that writes neither.
pub fn read(paths: &Paths) -> Result<Option<Workspace>, Failure> {
    match paths.project_dir() {
        Some(dir) => Ok(Workspace::read(dir)?),
        None => Ok(None),
    }
}

/// Without names there must be a project to say what is meant.
pub fn no_project(paths: &Paths, verb: &str) -> Failure {
    let place = paths.project_dir().unwrap_or(paths.cwd());
    let message = format!(
        "`skills {verb}` works on a project, and there is no {PROJECT_FILE} in {} or above",
        place.display()
    );
    Failure::bad_input("no-project", message).with_help(match verb {
        "install" => "name a skill: skills install NAME; or make a project: touch skills.toml",
        _ => "make a project: touch skills.toml, then: skills install NAME",
    })
}

/// The agents that a project knows: everybody's and its own.
pub fn agent_table(workspace: Option<&Workspace>) -> Result<AgentTable, Failure> {
    let mut table = AgentTable::builtin().clone();
    let custom = workspace.map(|workspace| &workspace.project().wishes().agents.custom);
    for (id, (project, global)) in custom.into_iter().flatten() {
        table = table.with_custom(id, project.as_deref(), global.as_deref())?;
    }
    Ok(table)
}

/// Into which agents: as the flags say, else the project, else the person's settings.
pub fn linking<'a>(
    args: &AgentArgs,
    workspace: Option<&Workspace>,
    config: &Config,
    table: &'a AgentTable,
    (roots, paths): (&'a skill_client::agents::Roots, &Paths),
) -> Result<Linking<'a>, Failure> {
    let wishes = workspace.map(|workspace| workspace.project().wishes());
    let settings = wishes.map(|wishes| &wishes.agents);
    let configured = settings
        .map(|settings| &settings.install)
        .filter(|agents| !agents.is_empty())
        .unwrap_or(&config.settings.agents);
    let is_flagged = args.all_agents || !args.agents.is_empty();
    let mut own = std::collections::BTreeMap::new();
    let skills = wishes.into_iter().flat_map(|wishes| wishes.skills.values());
    for wish in skills.filter(|_| !is_flagged) {
        if let Some(agents) = &wish.agents {
            own.insert(wish.installed_name().clone(), table.select(agents)?);
        }
    }
    let copies = args.copy || settings.is_some_and(|settings| settings.copy);
    Ok(Linking {
        roots,
        scope: installing::agent_scope(paths),
        agents: installing::agents(table, args, configured)?,
        own,
        mode: if copies { Mode::Copy } else { Mode::Link },
    })
}

/// Writes both files and tells what changed in the lockfile. Says which entries did.
pub fn write(
    workspace: &mut Workspace,
    lock: Lockfile,
    context: &Context,
) -> Result<Vec<LockChange>, Failure> {
    let old = workspace.lock().cloned().unwrap_or_default();
    let changes = old.changes_to(&lock);
    let count = lock.skills().len();
    if workspace.write(lock)? {
        let skills = if count == 1 { "skill" } else { "skills" };
        context
            .printer
            .done("Locked", format!("{count} {skills} in skills.lock"));
    }
    for change in &changes {
        context.printer.detail(change.to_string());
    }
    Ok(changes)
}

/// What became of entries of `skills.toml`.
pub fn tell(verb: &str, names: &[SkillName], to: &str, context: &Context) {
    if !names.is_empty() {
        let names: Vec<&str> = names.iter().map(SkillName::as_str).collect();
        let text = format!("{} {to} {PROJECT_FILE}", names.join(", "));
        context.printer.done(verb, text);
    }
}

/// The document of an outcome in a project.
pub fn document(
    outcome: &InstallOutcome,
    saved: &[SkillName],
    changes: &[LockChange],
) -> serde_json::Value {
    let mut document = serde_json::json!(outcome);
    document["saved"] = serde_json::json!(saved);
    document["lockChanges"] = serde_json::json!(changes);
    document
}

/// Tells of skills that are installed for no reason that the project knows. They stay: somebody may
/// have put them there by hand.
pub fn note_extras(workspace: &Workspace, index: &Index, context: &Context) {
    let extras: Vec<&str> = index
        .skills()
        .iter()
        .filter(|skill| {
            workspace
                .lock()
                .is_none_or(|lock| lock.get(&skill.name).is_none())
        })
        .map(|skill| skill.name.as_str())
        .collect();
    if let [.., last] = extras.as_slice() {
        context.printer.note(format!(
            "installed, and not asked for by {PROJECT_FILE}: {}; remove with: skills uninstall {last}",
            extras.join(", ")
        ));
    }
}
