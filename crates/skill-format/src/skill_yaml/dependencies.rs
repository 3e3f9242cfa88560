//! `dependencies`: other skills, hosts, and packages of other ecosystems, under one roof.
//!
//! A text is the range of a skill, unless its key names a host or runtime; a map holds the
//! packages of an ecosystem, unless its key is `skills`.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Severity};
use crate::fields::{Fields, Located, Remarks, text_of};
use crate::manifest::Dependencies;
use crate::name::{SkillName, is_host};
use crate::range::Range;
use crate::yaml::{Entry, Mapping, Node, Value};

pub(super) fn read(fields: &mut Fields<'_>, remarks: &mut Remarks) -> Dependencies {
    let mut dependencies = Dependencies::default();
    let Some(entry) = fields.entry("dependencies", remarks) else {
        return dependencies;
    };
    match &entry.value.value {
        Value::Mapping(mapping) => {
            for entry in &mapping.entries {
                take(&mut dependencies, entry, remarks);
            }
        }
        Value::Sequence(items) => specs(&mut dependencies, items, "dependencies", remarks),
        Value::Scalar(_) => remarks.wrong_kind(&entry.value, "dependencies", "a map"),
    }
    dependencies
}

fn take(dependencies: &mut Dependencies, entry: &Entry, remarks: &mut Remarks) {
    let path = format!("dependencies.{}", entry.key);
    match (&entry.value.value, entry.key.as_str()) {
        (Value::Mapping(mapping), "skills") => {
            for entry in &mapping.entries {
                skill(
                    dependencies,
                    entry,
                    &format!("{path}.{}", entry.key),
                    remarks,
                );
            }
        }
        (Value::Sequence(items), "skills") => specs(dependencies, items, &path, remarks),
        (Value::Mapping(mapping), ecosystem) => {
            let packages = packages(mapping, &path, remarks);
            dependencies.packages.insert(ecosystem.to_owned(), packages);
        }
        (Value::Sequence(items), ecosystem) => {
            let requirements = items
                .iter()
                .filter_map(|item| text_of(item, &path, remarks));
            let packages = requirements.map(|text| requirement(&text.value)).collect();
            dependencies.packages.insert(ecosystem.to_owned(), packages);
        }
        (Value::Scalar(scalar), host) if is_host(host) => {
            let range = if scalar.is_null() {
                "*"
            } else {
                scalar.text.trim()
            };
            dependencies.hosts.insert(host.to_owned(), range.to_owned());
        }
        (Value::Scalar(_), _) => skill(dependencies, entry, &path, remarks),
    }
}

fn skill(dependencies: &mut Dependencies, entry: &Entry, path: &str, remarks: &mut Remarks) {
    let Some(range) = range_text(&entry.value, path, remarks) else {
        return;
    };
    add_skill(dependencies, &entry.key, &range, path, entry.line, remarks);
}

/// Skills in the form `name` or `name@range`.
fn specs(dependencies: &mut Dependencies, items: &[Node], path: &str, remarks: &mut Remarks) {
    for (i, item) in items.iter().enumerate() {
        let path = format!("{path}[{i}]");
        if let Some(Located { value, line }) = text_of(item, &path, remarks) {
            let (name, range) = value.split_once('@').unwrap_or((&value, "*"));
            add_skill(dependencies, name, range, &path, line, remarks);
        }
    }
}

fn add_skill(
    dependencies: &mut Dependencies,
    name: &str,
    range: &str,
    path: &str,
    line: u32,
    remarks: &mut Remarks,
) {
    let name = match SkillName::parse(name) {
        Ok(name) => name,
        Err(error) => return remarks.push_error(Severity::Error, &error, line, path),
    };
    match range.parse::<Range>() {
        Ok(range) => {
            if dependencies.skills.insert(name.clone(), range).is_some() {
                let message = format!("the skill `{name}` is required twice");
                remarks.push(
                    Diagnostic::error("dependency-twice", message)
                        .line(line)
                        .field(path),
                );
            }
        }
        Err(error) => remarks.push_error(Severity::Error, &error, line, path),
    }
}

fn packages(mapping: &Mapping, path: &str, remarks: &mut Remarks) -> BTreeMap<String, String> {
    let mut packages = BTreeMap::new();
    for entry in &mapping.entries {
        let path = format!("{path}.{}", entry.key);
        if let Some(range) = range_text(&entry.value, &path, remarks) {
            packages.insert(entry.key.clone(), range);
        }
    }
    packages
}

/// The text of a range; nothing means any version.
fn range_text(node: &Node, path: &str, remarks: &mut Remarks) -> Option<String> {
    if node.is_null() {
        return Some("*".into());
    }
    text_of(node, path, remarks).map(|text| text.value)
}

/// A requirement in one text, such as `pandas>=1.0`, `requests[socks]` or `@scope/lib@^2`, as
/// package and range.
fn requirement(text: &str) -> (String, String) {
    let starts_range = |(at, c): (usize, char)| {
        let range = " <>=!~^".contains(c) || c == '@' && at > 0;
        range.then_some(at)
    };
    let end = text
        .char_indices()
        .find_map(starts_range)
        .unwrap_or(text.len());
    let (package, range) = text.split_at(end);
    let range = range.trim().trim_start_matches('@').trim();
    let range = if range.is_empty() { "*" } else { range };
    (package.to_owned(), range.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_split_at_the_range() {
        let split = |text| {
            let (package, range) = requirement(text);
            format!("{package} | {range}")
        };
        assert_eq!(split("pandas>=1.0"), "pandas | >=1.0");
        assert_eq!(split("requests[socks] ~= 2.1"), "requests[socks] | ~= 2.1");
        assert_eq!(split("@scope/lib@^2"), "@scope/lib | ^2");
        assert_eq!(split("jq"), "jq | *");
    }
}
