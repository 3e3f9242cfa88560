//! `skills outdated`: which installed skills have newer versions, or were withdrawn. Changes nothing.

use jiff::SignedDuration;
use serde_json::json;
use skill_client::outdated::{self, Availability, OutdatedRow, Standing};
use skill_client::project::ProjectSource;
use skill_client::workspace::Workspace;
use skill_client::{Clock as _, InstalledSkill, Scope, SystemClock};
use skill_format::{Range, Version};

use crate::cli::consume::OutdatedArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::installing::Kit;
use crate::pinning;

pub fn run(args: &OutdatedArgs, context: &Context) -> Result<(), Failure> {
    let paths = context.paths();
    let workspace = match paths.scope() {
        Scope::Project => pinning::read(paths)?,
        Scope::User | Scope::Named => None,
    };
    let kit = Kit::for_project(&args.registry, args.offline, workspace.as_ref(), context)?;
    let index = kit.store.index()?;
    let ranges = |skill: &InstalledSkill| {
        let wishes = workspace
            .as_ref()
            .map(|workspace| workspace.project().wishes());
        match wishes.and_then(|wishes| wishes.overrides.get(&skill.name)) {
            Some(range) => vec![range.clone()],
            None => outdated::ranges(&index, skill, own_range(workspace.as_ref(), skill)),
        }
    };
    let availability = availability(workspace.as_ref(), context)?;
    let rows = context.block_on(async {
        Ok(outdated::outdated(index.skills(), &kit.clients(), &ranges, availability).await)
    })?;
    show(&rows, args, context);
    context.printer.document(&json!({ "skills": rows }));
    // Whoever could not be asked might have had news.
    let is_unsure = rows.iter().any(|row| row.standing == Standing::Unreachable);
    let is_outdated = args.exit_code && rows.iter().any(OutdatedRow::needs_attention);
    match is_unsure || is_outdated {
        true => Err(Failure::reported(1)),
        false => Ok(()),
    }
}

fn own_range(workspace: Option<&Workspace>, skill: &InstalledSkill) -> Option<Range> {
    match &workspace?.wish(&skill.name)?.source {
        ProjectSource::Registry { range, .. } => Some(range.clone()),
        _ => None,
    }
}

fn availability(workspace: Option<&Workspace>, context: &Context) -> Result<Availability, Failure> {
    let configured = context.config()?.settings.minimum_release_age_hours;
    let age = workspace
        .and_then(|workspace| workspace.project().wishes().policy.minimum_release_age)
        .or(configured.map(|hours| SignedDuration::from_hours(i64::from(hours))));
    Ok(Availability {
        published_until: age.and_then(|age| SystemClock.now().checked_sub(age).ok()),
    })
}

fn show(rows: &[OutdatedRow], args: &OutdatedArgs, context: &Context) {
    let printer = &context.printer;
    for row in rows {
        if let Some(problem) = &row.problem {
            printer.warn(format!("{}: {problem}", row.name));
        }
    }
    let shown: Vec<&OutdatedRow> = rows
        .iter()
        .filter(|row| args.all || row.needs_attention())
        .collect();
    if shown.is_empty() {
        return printer.line(nothing_to_do(rows));
    }
    let version = |version: &Option<Version>| {
        let text = version.as_ref().map(ToString::to_string);
        text.unwrap_or_else(|| "-".to_owned())
    };
    printer.table(
        ["name", "installed", "wanted", "latest", "source", "remark"],
        shown.iter().map(|row| {
            [
                row.name.to_string(),
                row.current.to_string(),
                version(&row.wanted),
                version(&row.latest),
                row.source.to_string(),
                remark(row),
            ]
        }),
    );
}

/// What there is to say where nothing needs attention: one sentence.
fn nothing_to_do(rows: &[OutdatedRow]) -> String {
    let count = |standing| rows.iter().filter(|row| row.standing == standing).count();
    let said = |count: usize, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        more => Some(format!("{more} {many}")),
    };
    let parts = [
        said(
            count(Standing::UpToDate),
            "skill is up to date",
            "skills are up to date",
        ),
        said(
            count(Standing::Local),
            "does not come from a registry",
            "do not come from a registry",
        ),
        said(
            count(Standing::Unknown),
            "is not in its registry",
            "are not in their registries",
        ),
        said(
            count(Standing::Unreachable),
            "could not be asked about",
            "could not be asked about",
        ),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "No skills are installed.".to_owned(),
        false => parts.join(", ") + ".",
    }
}

fn remark(row: &OutdatedRow) -> String {
    let standing = match row.standing {
        Standing::HeldBack => Some("held back by its range".to_owned()),
        Standing::Local => Some("not from a registry".to_owned()),
        Standing::Unknown => Some("not in the registry".to_owned()),
        Standing::Unreachable => Some("could not be asked".to_owned()),
        Standing::UpToDate | Standing::Outdated => None,
    };
    let yanked = row.yanked.as_ref();
    let yanked = yanked.map(|reason| format!("withdrawn: {reason}"));
    let deprecated = row.deprecated.as_ref();
    let deprecated = deprecated.map(|advice| format!("deprecated: {advice}"));
    let remarks = [yanked, deprecated, standing].into_iter().flatten();
    remarks.collect::<Vec<_>>().join("; ")
}
