//! `skills audit`: what became known of the installed and locked skills since they were installed.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::json;
use skill_client::audit::{
    Advisories, AuditReport, Collected, Collector, Finding, Level, audit, sarif,
};
use skill_client::http::HttpOptions;
use skill_client::lockfile::{LOCK_FILE, Lockfile};
use skill_client::project::Project;
use skill_client::{Cache, Clock, Index, Paths, Store, SystemClock};
use skill_format::Diagnostic;
use skill_signing::{Keyring, Pins};

use crate::cli::consume::{AuditArgs, AuditLevel};
use crate::context::Context;
use crate::failure::{BAD_INPUT, Failure};
use crate::printer::Printer;

pub fn run(args: &AuditArgs, context: &Context) -> Result<(), Failure> {
    if args.sarif && context.printer.is_json() {
        let failure = Failure::bad_input("two-formats", "--sarif and --json are two documents");
        return Err(failure.with_help("leave out one of them"));
    }
    let paths = context.paths();
    let suppressions = match paths
        .project_dir()
        .map(Project::read)
        .transpose()?
        .flatten()
    {
        Some(project) => project.wishes().suppressions.clone(),
        None => Vec::new(),
    };
    let (advisories, collected) = context.block_on(async {
        let advisories = advisories(args, context).await?;
        Ok((advisories, collect(args, paths, context).await?))
    })?;
    let today = SystemClock.now().to_zoned(TimeZone::UTC).date();
    let report = audit(
        &collected.skills,
        &advisories.advisories,
        &suppressions,
        today,
    );
    for problem in &advisories.problems {
        context.printer.warn(advisory_problem(problem));
    }
    for gap in &collected.gaps {
        context.printer.warn(gap);
    }
    for stale in &report.stale_suppressions {
        context.printer.warn(format!("skills.toml: {stale}"));
    }
    if args.sarif {
        let document = sarif(&report, env!("CARGO_PKG_VERSION"));
        context.printer.raw(format!("{document:#}\n").as_bytes());
    } else {
        show(&report, &context.printer);
    }
    let mut document = json!(report);
    document["advisoryProblems"] = json!(advisories.problems);
    document["gaps"] = json!(collected.gaps);
    document["offline"] = json!(args.offline);
    context.printer.document(&document);
    // What was not checked is no clean bill.
    if report.reaches(level(args.level)) || !collected.gaps.is_empty() {
        Err(Failure::reported(1))
    } else if !advisories.problems.is_empty() {
        Err(Failure::reported(BAD_INPUT))
    } else {
        Ok(())
    }
}

async fn advisories(args: &AuditArgs, context: &Context) -> Result<Advisories, Failure> {
    let mut advisories = Advisories::default();
    for source in &args.advisories {
        let is_address = source.starts_with("https://") || source.starts_with("http://");
        if !is_address {
            advisories.add_path(&context.resolve(source))?;
        } else if args.offline {
            // Not the address itself: there may be a password in it.
            let text = "advisories at an address cannot be read with --offline";
            return Err(Failure::bad_input("advisories-offline", text)
                .with_help("save them to a file, and name that"));
        } else {
            let url = source.parse().map_err(|error| {
                let text = format!("the address of the advisories is not valid: {error}");
                Failure::bad_input("advisories-url", text).with_help("give https://HOST/PATH")
            })?;
            advisories
                .add_url(&url, HttpOptions::default(), Arc::new(SystemClock))
                .await?;
        }
    }
    Ok(advisories)
}

async fn collect(args: &AuditArgs, paths: &Paths, context: &Context) -> Result<Collected, Failure> {
    let store = Store::new(paths.store_dir());
    let project = paths.project_dir();
    let lock = project.map(Lockfile::read).transpose()?.flatten();
    let clients = if args.offline {
        Vec::new()
    } else {
        context.clients_at(registries(&store.index()?, lock.as_ref()))?
    };
    let collector = Collector {
        store: &store,
        cache: &Cache::new(paths.cache_dir()),
        lock: project
            .zip(lock.as_ref())
            .map(|(dir, lock)| (dir.join(LOCK_FILE), lock)),
        clients: &clients,
        keyring: &Keyring::open(paths.keyring_dir()),
        pins: &Pins::open(paths.pins_file()),
        now: SystemClock.now(),
    };
    let collected = collector.collect().await?;
    for client in &clients {
        client.remember();
    }
    Ok(collected)
}

/// Where installed and locked skills came from.
fn registries<'a>(index: &'a Index, lock: Option<&'a Lockfile>) -> BTreeSet<&'a str> {
    let installed = index.skills().iter().map(|skill| &skill.source);
    let locked = lock
        .into_iter()
        .flat_map(|lock| lock.skills().values().map(|skill| &skill.source));
    installed
        .chain(locked)
        .filter_map(|source| source.registry())
        .collect()
}

fn level(level: AuditLevel) -> Level {
    match level {
        AuditLevel::Low => Level::Low,
        AuditLevel::Moderate => Level::Moderate,
        AuditLevel::High => Level::High,
        AuditLevel::Critical => Level::Critical,
    }
}

fn advisory_problem(problem: &Diagnostic) -> String {
    let field = problem
        .field
        .as_ref()
        .map(|field| format!(" (at {field})"))
        .unwrap_or_default();
    format!("{}{field}", problem.message)
}

fn show(report: &AuditReport, printer: &Printer) {
    let row = |finding: &Finding, note: &str| {
        [
            finding.level.to_string(),
            format!("{} {}", finding.skill, finding.version),
            format!("{}{note}", finding.message),
            finding
                .fix
                .clone()
                .or_else(|| finding.url.clone())
                .unwrap_or_default(),
        ]
    };
    let open = report.findings.iter().map(|finding| row(finding, ""));
    let excused = report
        .suppressed
        .iter()
        .map(|excused| row(&excused.finding, &format!(" (excused: {})", excused.reason)));
    if !report.findings.is_empty() || !report.suppressed.is_empty() {
        printer.table(
            ["level", "skill", "finding", "what to do"],
            open.chain(excused),
        );
    }
    printer.done("Audited", summary(report));
}

/// `4 skills against 2 advisories: 1 high, 2 low`.
fn summary(report: &AuditReport) -> String {
    let levels = [
        Level::Critical,
        Level::High,
        Level::Moderate,
        Level::Low,
        Level::Info,
    ];
    let counts: Vec<String> = levels
        .into_iter()
        .map(|level| {
            let of_level = report
                .findings
                .iter()
                .filter(|finding| finding.level == level);
            (level, of_level.count())
        })
        .filter(|(_, count)| *count > 0)
        .map(|(level, count)| format!("{count} {level}"))
        .collect();
    let found = if counts.is_empty() {
        "nothing found".to_owned()
    } else {
        counts.join(", ")
    };
    let skills = plural(report.skills, "skill", "skills");
    match report.advisories {
        0 => format!("{skills}, without advisories: {found}"),
        count => format!(
            "{skills} against {}: {found}",
            plural(count, "advisory", "advisories")
        ),
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
