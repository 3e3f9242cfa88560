//! `entrypoints`: scripts that can be run on their own, and what goes in and out of them.

use crate::diagnostic::{Diagnostic, Severity};
use crate::fields::{Fields, Located, Remarks};
use crate::manifest::Entrypoint;
use crate::yaml::{Mapping, Node, Value};

use super::missing;

/// Longest time-out, in seconds: a day.
const TIMEOUT_SECONDS_MAX: u64 = 86_400;

/// A list of maps with a `name`, or a map of maps by name.
pub(super) fn read(
    fields: &mut Fields<'_>,
    remarks: &mut Remarks,
) -> Option<Vec<Located<Entrypoint>>> {
    let entry = fields.entry("entrypoints", remarks)?;
    let mut entrypoints = Vec::new();
    match &entry.value.value {
        Value::Sequence(items) => {
            for (i, item) in items.iter().enumerate() {
                let path = format!("entrypoints[{i}]");
                let name = name_in(item, &path, remarks);
                add(&mut entrypoints, name, item, &path, remarks);
            }
        }
        Value::Mapping(mapping) => {
            for entry in &mapping.entries {
                let path = format!("entrypoints.{}", entry.key);
                let name = Some(entry.key.clone());
                add(&mut entrypoints, name, &entry.value, &path, remarks);
            }
        }
        Value::Scalar(_) => remarks.wrong_kind(&entry.value, "entrypoints", "a list"),
    }
    Some(entrypoints)
}

fn name_in(item: &Node, path: &str, remarks: &mut Remarks) -> Option<String> {
    let Value::Mapping(mapping) = &item.value else {
        return None;
    };
    let name = Fields::new(mapping, path).text("name", remarks);
    if name.is_none() {
        remarks.push(missing(path, "name", item.line));
    }
    name.map(|name| name.value)
}

fn add(
    entrypoints: &mut Vec<Located<Entrypoint>>,
    name: Option<String>,
    node: &Node,
    path: &str,
    remarks: &mut Remarks,
) {
    let Value::Mapping(mapping) = &node.value else {
        remarks.wrong_kind(node, path, "a map");
        return;
    };
    let line = node.line;
    let Some(name) = name else { return };
    let Some(value) = entrypoint(name, mapping, path, line, remarks) else {
        return;
    };
    if entrypoints
        .iter()
        .any(|other| other.value.name == value.name)
    {
        let message = format!("there are two entry points `{}`", value.name);
        remarks.push(
            Diagnostic::error("entrypoint-twice", message)
                .line(line)
                .field(path),
        );
        return;
    }
    entrypoints.push(Located { value, line });
}

fn entrypoint(
    name: String,
    mapping: &Mapping,
    path: &str,
    line: u32,
    remarks: &mut Remarks,
) -> Option<Entrypoint> {
    let mut fields = Fields::new(mapping, path);
    fields.also_known(&["name"]);
    let command = fields.text("command", remarks);
    let entrypoint = Entrypoint {
        name,
        command: command
            .as_ref()
            .map(|command| command.value.trim_start_matches("./").to_owned())
            .unwrap_or_default(),
        description: fields.text("description", remarks).map(|text| text.value),
        input_schema: schema(&mut fields, "input-schema", remarks),
        output_schema: schema(&mut fields, "output-schema", remarks),
        idempotent: fields.boolean("idempotent", remarks).unwrap_or(false),
        timeout_seconds: timeout(&mut fields, remarks),
    };
    fields.warn_of_unknown(remarks);
    if !is_name(&entrypoint.name) {
        let message = format!("`{}` is not a name of an entry point", entrypoint.name);
        remarks.push(
            Diagnostic::error("entrypoint-name", message)
                .line(line)
                .field(path)
                .help("use 1 to 64 letters, digits, `-` and `_`, beginning with a letter"),
        );
        return None;
    }
    if command.is_none() {
        remarks.push(missing(path, "command", line));
        return None;
    }
    Some(entrypoint)
}

fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn schema(
    fields: &mut Fields<'_>,
    key: &'static str,
    remarks: &mut Remarks,
) -> Option<serde_json::Value> {
    let entry = fields.entry(key, remarks)?;
    if !matches!(entry.value.value, Value::Mapping(_)) {
        remarks.wrong_kind(&entry.value, &fields.path(key), "a JSON Schema");
        return None;
    }
    Some(entry.value.to_json())
}

fn timeout(fields: &mut Fields<'_>, remarks: &mut Remarks) -> Option<u64> {
    let Located { value, line } = fields.number("timeout-seconds", remarks)?;
    if (1..=TIMEOUT_SECONDS_MAX).contains(&value) {
        return Some(value);
    }
    let message =
        format!("a time-out of {value} seconds is not between 1 and {TIMEOUT_SECONDS_MAX}");
    remarks.push(
        Diagnostic::new(Severity::Error, "entrypoint-timeout", message)
            .line(line)
            .field(fields.path("timeout-seconds")),
    );
    None
}
