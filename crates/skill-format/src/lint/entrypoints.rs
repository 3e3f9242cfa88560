//! Entry points: their scripts exist and can be started, their schemas can be checked against.

use crate::diagnostic::{Diagnostic, Severity};
use crate::fields::Located;
use crate::manifest::Entrypoint;
use crate::schema::flaws;

use super::{Report, Subject};

/// Scripts of these kinds are given to their interpreter; others have to be executable.
const INTERPRETED: [&str; 8] = ["bash", "cjs", "js", "mjs", "py", "rb", "sh", "wasm"];

pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let declared = subject.yaml.and_then(|yaml| yaml.entrypoints.as_ref());
    for entrypoint in declared.into_iter().flatten() {
        check_script(subject, entrypoint, report);
        check_schemas(entrypoint, report);
        check_description(entrypoint, report);
    }
}

fn check_script(subject: &Subject<'_>, entrypoint: &Located<Entrypoint>, report: &mut Report) {
    let Entrypoint { name, command, .. } = &entrypoint.value;
    let remark = |remark: Diagnostic| {
        remark
            .line(entrypoint.line)
            .field(format!("entrypoints.{name}.command"))
    };
    let Some(file) = subject.tree.get(command) else {
        let message = format!("the script `{command}` of entry point `{name}` does not exist");
        let last = command
            .split_whitespace()
            .find(|word| subject.tree.get(word).is_some());
        let help = match last {
            Some(word) => {
                format!("write `command: {word}`: interpreter and arguments do not belong here")
            }
            None => "write the path of a script in the skill".to_owned(),
        };
        return report.yaml(remark(
            Diagnostic::error("entrypoint-missing", message).help(help),
        ));
    };
    let extension = command
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension);
    if !file.executable && !INTERPRETED.contains(&extension) {
        let message = format!("`{command}` is not executable, and its name tells no interpreter");
        let help = format!("make it executable: `chmod +x {command}`");
        report.yaml(remark(
            Diagnostic::warning("entrypoint-not-executable", message).help(help),
        ));
    }
}

fn check_schemas(entrypoint: &Located<Entrypoint>, report: &mut Report) {
    let Entrypoint {
        name,
        input_schema,
        output_schema,
        ..
    } = &entrypoint.value;
    let schemas = [
        ("input-schema", input_schema, true),
        ("output-schema", output_schema, false),
    ];
    for (key, schema, is_input) in schemas {
        let found = schema.iter().flat_map(|schema| flaws(schema, is_input));
        for flaw in found.take(10) {
            let (severity, code) = if flaw.fatal {
                (Severity::Error, "schema-invalid")
            } else {
                (Severity::Warning, "schema-not-checked")
            };
            let place = if flaw.pointer.is_empty() {
                String::new()
            } else {
                format!(" at {}", flaw.pointer)
            };
            let message = format!("`{key}` of entry point `{name}`{place}: {}", flaw.message);
            report.yaml(
                Diagnostic::new(severity, code, message)
                    .line(entrypoint.line)
                    .field(format!("entrypoints.{name}.{key}")),
            );
        }
    }
}

/// A model chooses tools by their descriptions.
fn check_description(entrypoint: &Located<Entrypoint>, report: &mut Report) {
    let Entrypoint {
        name,
        description,
        input_schema,
        ..
    } = &entrypoint.value;
    if input_schema.is_some() && description.is_none() {
        let message = format!("entry point `{name}` becomes a tool, but has no description");
        report.yaml(
            Diagnostic::warning("entrypoint-without-description", message)
                .line(entrypoint.line)
                .field(format!("entrypoints.{name}.description"))
                .help("say what the tool does: a model chooses tools by their descriptions"),
        );
    }
}
