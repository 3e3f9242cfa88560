//! `skills validate`: every skill below some paths, against the specification.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;
use skill_client::fsx;
use skill_client::publish::InstalledPlaces;
use skill_format::{Diagnostic, Explain, Limits, SKILL_MD, Severity, SkillTree, lint};

use super::publish::{installed_places, note_left_out};
use crate::cli::author::ValidateArgs;
use crate::context::Context;
use crate::failure::{BAD_INPUT, Failure, io_failure};

pub fn run(args: &ValidateArgs, context: &Context) -> Result<(), Failure> {
    let folders: Vec<_> = args
        .paths
        .iter()
        .map(|path| context.resolve(path))
        .collect();
    let installed = installed_places(&folders, context)?;
    let mut reports = Vec::new();
    for path in &args.paths {
        reports.extend(validate(path, &installed, context)?);
    }
    let summary = Summary::of(&reports, args.strict);
    for report in &reports {
        show(report, context);
    }
    context
        .printer
        .line(summary.text(args.strict, context.printer.is_verbose()));
    context.printer.document(&json!({
        "ok": summary.failed == 0,
        "skills": reports,
        "summary": summary,
    }));
    if summary.failed > 0 {
        return Err(Failure::reported(BAD_INPUT));
    }
    Ok(())
}

/// What is said about one skill.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// As the user would write it.
    path: PathBuf,
    #[serde(skip)]
    is_archive: bool,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    fn count(&self, severity: Severity) -> usize {
        self.diagnostics
            .iter()
            .filter(|remark| remark.severity == severity)
            .count()
    }
}

/// The skill at `path`, or the skills below it, without those that were only installed there.
fn validate(
    path: &Path,
    installed: &InstalledPlaces,
    context: &Context,
) -> Result<Vec<Report>, Failure> {
    let absolute = context.resolve(path);
    let metadata =
        std::fs::metadata(&absolute).map_err(|error| io_failure(path, "read", &error))?;
    if !metadata.is_dir() {
        // Whoever names the file means the skill.
        if absolute.file_name().is_some_and(|name| name == SKILL_MD) {
            let folder = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            return Ok(vec![validate_folder(
                folder.unwrap_or(Path::new(".")),
                context,
            )]);
        }
        return Ok(vec![validate_archive(path, &absolute)]);
    }
    let found = installed
        .own_skills(&absolute)
        .map_err(|error| io_failure(path, "read", &error))?;
    note_left_out(&found.left_out, context);
    for folder in &found.unreadable {
        context
            .printer
            .warn(format!("{} cannot be read", folder.display()));
    }
    if found.is_partial {
        context.printer.warn(format!(
            "{} has too many folders to look into all of them",
            path.display()
        ));
    }
    if found.folders.is_empty() {
        // A folder that was meant to be one skill is told what it lacks.
        return Ok(vec![validate_folder(path, context)]);
    }
    let relative = |folder: PathBuf| match folder.strip_prefix(&absolute) {
        Ok(below) if below.as_os_str().is_empty() => path.to_owned(),
        Ok(below) if path == Path::new(".") => below.to_owned(),
        Ok(below) => path.join(below),
        Err(_) => folder,
    };
    Ok(found
        .folders
        .into_iter()
        .map(|folder| validate_folder(&relative(folder), context))
        .collect())
}

fn validate_folder(path: &Path, context: &Context) -> Report {
    let absolute = context.resolve(path);
    // `.` has no name of its own.
    let real = absolute.canonicalize().unwrap_or_else(|_| absolute.clone());
    let name = real
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let diagnostics = match SkillTree::read_dir(&absolute, &Limits::default()) {
        Ok(tree) => lint(&tree, name.as_deref()),
        Err(error) => vec![refused(&error, &absolute)],
    };
    Report {
        path: path.to_owned(),
        is_archive: false,
        diagnostics,
    }
}

fn validate_archive(path: &Path, absolute: &Path) -> Report {
    Report {
        path: path.to_owned(),
        is_archive: true,
        diagnostics: check_archive(absolute),
    }
}

fn check_archive(path: &Path) -> Vec<Diagnostic> {
    let max = Limits::default().archive_bytes_max;
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if size > max {
        let message = format!("the archive has {size} bytes, more than the {max} that are allowed");
        return vec![Diagnostic::error("limit-archive-size", message)];
    }
    let bytes = match fsx::read_start(path, max) {
        Ok(bytes) => bytes,
        Err(error) => {
            return vec![Diagnostic::error(
                "io",
                format!("the file cannot be read: {error}"),
            )];
        }
    };
    match SkillTree::read_archive(&bytes, &Limits::default()) {
        Ok(tree) => lint(&tree, None),
        Err(error) => vec![Diagnostic::of_error(&error)],
    }
}

/// Why a folder cannot be read as a skill, with a path inside of it.
fn refused(error: &impl Explain, folder: &Path) -> Diagnostic {
    let mut refusal = Diagnostic::of_error(error);
    if let Some(file) = &refusal.file
        && let Ok(inside) = Path::new(file).strip_prefix(folder)
    {
        refusal.file = Some(inside.display().to_string());
    }
    refusal
}

fn show(report: &Report, context: &Context) {
    let hides = |remark: &&Diagnostic| match remark.severity {
        Severity::Error => false,
        Severity::Warning => context.global.quiet,
        Severity::Info => context.global.quiet || !context.printer.is_verbose(),
    };
    for remark in report.diagnostics.iter().filter(|remark| !hides(remark)) {
        let mut remark = remark.clone();
        remark.file = Some(place(report, remark.file.as_deref()));
        context.printer.diagnostic(&remark);
    }
}

/// A path that an editor can open, where there is one.
fn place(report: &Report, file: Option<&str>) -> String {
    let path = report.path.display();
    match file {
        None => path.to_string(),
        Some(file) if report.is_archive => format!("{path}({file})"),
        Some(file) if report.path == Path::new(".") => file.to_owned(),
        Some(file) => report.path.join(file).display().to_string(),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    skills: usize,
    failed: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
}

impl Summary {
    fn of(reports: &[Report], strict: bool) -> Self {
        let sum = |severity| reports.iter().map(|report| report.count(severity)).sum();
        let fails = |report: &&Report| {
            report.count(Severity::Error) > 0 || strict && report.count(Severity::Warning) > 0
        };
        Self {
            skills: reports.len(),
            failed: reports.iter().filter(fails).count(),
            errors: sum(Severity::Error),
            warnings: sum(Severity::Warning),
            notes: sum(Severity::Info),
        }
    }

    fn text(&self, strict: bool, verbose: bool) -> String {
        let verdict = match (self.skills, self.failed) {
            (1, 0) => "1 skill is valid".to_owned(),
            (skills, 0) => format!("{skills} skills are valid"),
            (1, _) => "1 skill is not valid".to_owned(),
            (skills, 1) => format!("1 of {skills} skills is not valid"),
            (skills, failed) => format!("{failed} of {skills} skills are not valid"),
        };
        let mut counts = vec![
            plural(self.errors, "error"),
            plural(self.warnings, "warning"),
        ];
        counts.push(
            plural(self.notes, "note")
                + if verbose || self.notes == 0 {
                    ""
                } else {
                    " (-v shows them)"
                },
        );
        let strictly = if strict { " strictly" } else { "" };
        format!("{verdict}{strictly}: {}", counts.join(", "))
    }
}

fn plural(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}
