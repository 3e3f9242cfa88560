//! What Python scripts and `skill.yaml` say of packages is understood by those who install them.

use std::collections::BTreeSet;

use crate::diagnostic::{Diagnostic, Severity};
use crate::python::{Requirement, ScriptMetadata, is_python_script, unclosed_block};

use super::{Report, Subject};

/// Names under which `skill.yaml` has packages of Python.
const ECOSYSTEMS: [&str; 3] = ["python", "pypi", "pip"];

pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let declared = subject
        .manifest
        .into_iter()
        .flat_map(|manifest| &manifest.entrypoints);
    let entry_points: BTreeSet<&str> = declared.map(|entry| entry.command.as_str()).collect();
    for (path, file) in subject.tree.iter() {
        let is_started = path.starts_with("scripts/") || entry_points.contains(path);
        if is_started && is_python_script(path, &file.bytes) {
            check_script(path, &String::from_utf8_lossy(&file.bytes), report);
        }
    }
    check_packages(subject, report);
}

fn check_script(path: &str, script: &str, report: &mut Report) {
    if let Err(error) = ScriptMetadata::read(script) {
        report.other(path, Diagnostic::of_error(&error).file(path));
    }
    if let Some(line) = unclosed_block(script) {
        let message = "the block `/// script` has no end, so it is not read";
        report.other(
            path,
            Diagnostic::warning("python-metadata-unclosed", message)
                .line(line)
                .help("end it with the line `# ///`, with nothing but comments before"),
        );
    }
}

/// What is lenient for readers who only show it keeps the skill from being run.
fn check_packages(subject: &Subject<'_>, report: &mut Report) {
    let Some(manifest) = subject.manifest else {
        return;
    };
    for (ecosystem, packages) in &manifest.dependencies.packages {
        if !ECOSYSTEMS.contains(&ecosystem.to_ascii_lowercase().as_str()) {
            continue;
        }
        for (package, range) in packages {
            if let Err(error) = Requirement::of_package(package, range) {
                let remark = Diagnostic::of_error(&error);
                report.yaml(Diagnostic {
                    severity: Severity::Warning,
                    ..remark.field(format!("dependencies.{ecosystem}.{package}"))
                });
            }
        }
    }
}
