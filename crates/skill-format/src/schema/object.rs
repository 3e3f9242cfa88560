//! The assertions of JSON Schema about objects.

use regex::Regex;
use serde_json::{Map, Value};

use super::check::{Checker, Report, check_size};

pub(super) fn check(
    checker: &mut Checker<'_>,
    schema: &Map<String, Value>,
    members: &Map<String, Value>,
    at: &str,
    report: &mut Report,
) {
    check_size(
        schema,
        ["minProperties", "maxProperties"],
        members.len(),
        "members",
        at,
        report,
    );
    check_required(schema, members, at, report);
    check_dependencies(checker, schema, members, at, report);
    check_members(checker, schema, members, at, report);
}

fn check_required(
    schema: &Map<String, Value>,
    members: &Map<String, Value>,
    at: &str,
    report: &mut Report,
) {
    for name in texts(schema.get("required")) {
        if !members.contains_key(name) {
            report.add(at, format!("lacks `{name}`"));
        }
    }
}

fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = list.and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

fn check_dependencies(
    checker: &mut Checker<'_>,
    schema: &Map<String, Value>,
    members: &Map<String, Value>,
    at: &str,
    report: &mut Report,
) {
    let present = |key: &str| {
        let dependencies = schema.get(key).and_then(Value::as_object);
        dependencies
            .into_iter()
            .flatten()
            .filter(|(name, _)| members.contains_key(*name))
    };
    for (name, required) in present("dependentRequired") {
        for missing in texts(Some(required)).filter(|other| !members.contains_key(*other)) {
            report.add(at, format!("lacks `{missing}`, which `{name}` needs"));
        }
    }
    for (_, dependent) in present("dependentSchemas") {
        checker.check(dependent, &Value::Object(members.clone()), at, report);
    }
}

fn check_members(
    checker: &mut Checker<'_>,
    schema: &Map<String, Value>,
    members: &Map<String, Value>,
    at: &str,
    report: &mut Report,
) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let patterns = patterns(checker, schema, at, report);
    for (name, member) in members {
        let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        if let Some(names) = schema.get("propertyNames")
            && !checker.fits(names, &Value::String(name.clone()))
        {
            report.add(&at, "has a name that is not allowed");
        }
        let own = properties.and_then(|properties| properties.get(name));
        if let Some(own) = own {
            checker.check(own, member, &at, report);
        }
        let matching: Vec<&Value> = patterns
            .iter()
            .filter(|(regex, _)| regex.is_match(name))
            .map(|(_, schema)| *schema)
            .collect();
        for schema in &matching {
            checker.check(schema, member, &at, report);
        }
        if own.is_none() && matching.is_empty() {
            match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => {
                    report.add(&at, "is not a member that the schema knows")
                }
                Some(additional) => checker.check(additional, member, &at, report),
                None => {}
            }
        }
    }
}

fn patterns<'s>(
    checker: &mut Checker<'_>,
    schema: &'s Map<String, Value>,
    at: &str,
    report: &mut Report,
) -> Vec<(Regex, &'s Value)> {
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    let mut compiled = Vec::new();
    for (text, schema) in patterns.into_iter().flatten() {
        match checker.pattern(text) {
            Ok(regex) => compiled.push((regex, schema)),
            Err(problem) => report.add(at, format!("cannot be checked: {problem}")),
        }
    }
    compiled
}
