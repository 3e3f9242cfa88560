//! The assertions of JSON Schema, one function per kind of value.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use regex::Regex;
use serde_json::{Map, Number, Value};

use super::{InputProblem, PROBLEMS_MAX, object, pattern};

/// Deepest nesting of schemas within schemas, references counted.
const DEPTH_MAX: usize = 64;
/// Most schemas applied to one input: references can make a small schema apply very often. About
/// a second of work.
const STEPS_MAX: usize = 1_000_000;

pub(super) fn run(schema: &Value, input: &Value) -> Vec<InputProblem> {
    let mut checker = Checker {
        root: schema,
        steps: 0,
        depth: 0,
        patterns: HashMap::new(),
    };
    let mut report = Report::default();
    checker.check(schema, input, "", &mut report);
    report.problems
}

pub(super) struct Checker<'a> {
    root: &'a Value,
    steps: usize,
    depth: usize,
    /// Patterns that have been compiled.
    patterns: HashMap<String, Result<Regex, String>>,
}

/// Problems found so far.
#[derive(Default)]
pub(super) struct Report {
    problems: Vec<InputProblem>,
}

impl Report {
    pub fn add(&mut self, pointer: &str, message: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(InputProblem {
                pointer: pointer.to_owned(),
                message: message.into(),
            });
        }
    }

    fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Checker<'_> {
    pub fn check(&mut self, schema: &Value, input: &Value, at: &str, report: &mut Report) {
        self.steps += 1;
        if self.depth >= DEPTH_MAX {
            return report.add(
                at,
                "cannot be checked: the schema is nested too deeply or refers to itself",
            );
        }
        if self.steps > STEPS_MAX {
            return report.add(at, "cannot be checked: the schema applies too often");
        }
        self.depth += 1;
        match schema {
            Value::Bool(true) => {}
            Value::Bool(false) => report.add(at, "is not allowed"),
            Value::Object(schema) => self.check_object_schema(schema, input, at, report),
            _ => report.add(
                at,
                "cannot be checked: a schema is neither an object nor a boolean",
            ),
        }
        self.depth -= 1;
    }

    /// Whether the input fits, for schemas that are alternatives.
    pub fn fits(&mut self, schema: &Value, input: &Value) -> bool {
        let mut report = Report::default();
        self.check(schema, input, "", &mut report);
        report.is_clean()
    }

    pub fn pattern(&mut self, text: &str) -> Result<Regex, String> {
        if let Some(known) = self.patterns.get(text) {
            return known.clone();
        }
        let compiled = pattern(text);
        self.patterns.insert(text.to_owned(), compiled.clone());
        compiled
    }

    fn check_object_schema(
        &mut self,
        schema: &Map<String, Value>,
        input: &Value,
        at: &str,
        report: &mut Report,
    ) {
        if let Some(reference) = schema.get("$ref") {
            self.check_reference(reference, input, at, report);
        }
        check_type(schema, input, at, report);
        check_enumeration(schema, input, at, report);
        match input {
            Value::Number(number) => check_number(schema, number, at, report),
            Value::String(text) => self.check_string(schema, text, at, report),
            Value::Array(items) => self.check_array(schema, items, at, report),
            Value::Object(members) => object::check(self, schema, members, at, report),
            Value::Null | Value::Bool(_) => {}
        }
        self.check_combinations(schema, input, at, report);
    }

    fn check_reference(&mut self, reference: &Value, input: &Value, at: &str, report: &mut Report) {
        let target = reference
            .as_str()
            .and_then(|reference| resolve(self.root, reference));
        match target {
            Some(target) => self.check(target, input, at, report),
            None => report.add(
                at,
                format!("cannot be checked: {reference} is not in the schema"),
            ),
        }
    }

    fn check_string(
        &mut self,
        schema: &Map<String, Value>,
        text: &str,
        at: &str,
        report: &mut Report,
    ) {
        let sizes = ["minLength", "maxLength"];
        if sizes.iter().any(|key| schema.contains_key(*key)) {
            check_size(
                schema,
                sizes,
                text.chars().count(),
                "characters",
                at,
                report,
            );
        }
        if let Some(expected) = schema.get("pattern").and_then(Value::as_str) {
            match self.pattern(expected) {
                Ok(regex) if regex.is_match(text) => {}
                Ok(_) => report.add(at, format!("does not match `{expected}`")),
                Err(problem) => report.add(at, format!("cannot be checked: {problem}")),
            }
        }
    }

    fn check_array(
        &mut self,
        schema: &Map<String, Value>,
        items: &[Value],
        at: &str,
        report: &mut Report,
    ) {
        check_size(
            schema,
            ["minItems", "maxItems"],
            items.len(),
            "items",
            at,
            report,
        );
        if schema.get("uniqueItems") == Some(&Value::Bool(true)) && has_duplicates(items) {
            report.add(at, "has an item twice");
        }
        let prefix = schema.get("prefixItems").and_then(Value::as_array);
        let prefix = prefix.map(Vec::as_slice).unwrap_or_default();
        for (i, item) in items.iter().enumerate() {
            let item_schema = prefix.get(i).or(schema.get("items"));
            if let Some(item_schema) = item_schema {
                self.check(item_schema, item, &format!("{at}/{i}"), report);
            }
        }
        if let Some(contained) = schema.get("contains") {
            let count = items
                .iter()
                .filter(|item| self.fits(contained, item))
                .count();
            let least = schema
                .get("minContains")
                .and_then(Value::as_u64)
                .unwrap_or(1);
            let most = schema.get("maxContains").and_then(Value::as_u64);
            let count = count as u64;
            if count < least || most.is_some_and(|most| count > most) {
                report.add(
                    at,
                    format!("has {count} items of the kind that it must contain"),
                );
            }
        }
    }

    fn check_combinations(
        &mut self,
        schema: &Map<String, Value>,
        input: &Value,
        at: &str,
        report: &mut Report,
    ) {
        let list = |key: &str| schema.get(key).and_then(Value::as_array).map(Vec::as_slice);
        for part in list("allOf").unwrap_or_default() {
            self.check(part, input, at, report);
        }
        if list("anyOf").is_some_and(|parts| !parts.iter().any(|part| self.fits(part, input))) {
            report.add(at, "fits none of the alternatives");
        }
        if let Some(parts) = list("oneOf") {
            match parts.iter().filter(|part| self.fits(part, input)).count() {
                0 => report.add(at, "fits none of the alternatives"),
                1 => {}
                several => report.add(
                    at,
                    format!("fits {several} alternatives, of which it may fit only one"),
                ),
            }
        }
        if schema.get("not").is_some_and(|not| self.fits(not, input)) {
            report.add(at, "is of a kind that is excluded");
        }
        if let Some(condition) = schema.get("if") {
            let branch = if self.fits(condition, input) {
                "then"
            } else {
                "else"
            };
            if let Some(branch) = schema.get(branch) {
                self.check(branch, input, at, report);
            }
        }
    }
}

/// What `#` or `#/pointer` refers to.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = reference.strip_prefix('#')?;
    let pointer = percent_decode(fragment)?;
    root.pointer(&pointer)
}

fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn check_type(schema: &Map<String, Value>, input: &Value, at: &str, report: &mut Report) {
    let Some(expected) = schema.get("type") else {
        return;
    };
    let types: Vec<&str> = match expected {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.iter().any(|name| is_of_type(input, name)) {
        let expected = types.join(" or ");
        report.add(at, format!("is {}, expected {expected}", kind(input)));
    }
}

fn is_of_type(input: &Value, name: &str) -> bool {
    match name {
        "integer" => match input {
            Value::Number(number) => is_integer(number),
            _ => false,
        },
        _ => kind(input) == name,
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `1.0` is an integer (JSON Schema Validation, section 6.1.1).
fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

fn check_enumeration(schema: &Map<String, Value>, input: &Value, at: &str, report: &mut Report) {
    if let Some(Value::Array(values)) = schema.get("enum")
        && !values.iter().any(|value| same(value, input))
    {
        let shown: Vec<String> = values.iter().take(10).map(Value::to_string).collect();
        let more = if values.len() > 10 { ", …" } else { "" };
        report.add(at, format!("is not one of {}{more}", shown.join(", ")));
    }
    if let Some(value) = schema.get("const")
        && !same(value, input)
    {
        report.add(at, format!("is not {value}"));
    }
}

/// Equality of JSON values, in which `1` equals `1.0` (JSON Schema Core, section 4.2.2).
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn has_duplicates(items: &[Value]) -> bool {
    let mut seen = BTreeSet::new();
    items.iter().any(|item| !seen.insert(canonical(item)))
}

/// A text that is equal for equal values.
fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if !number.is_i64() && !number.is_u64() && float.fract() == 0.0 => {
                format!("{float:.0}")
            }
            _ => number.to_string(),
        },
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(key, value)| (Value::from(key.as_str()).to_string(), canonical(value)));
            let members: std::collections::BTreeMap<_, _> = members.collect();
            format!("{members:?}")
        }
        other => other.to_string(),
    }
}

fn check_number(schema: &Map<String, Value>, number: &Number, at: &str, report: &mut Report) {
    type Bound = (&'static str, fn(f64, f64) -> bool, &'static str);
    const BOUNDS: [Bound; 4] = [
        ("minimum", |number, bound| number >= bound, "less than"),
        ("maximum", |number, bound| number <= bound, "more than"),
        (
            "exclusiveMinimum",
            |number, bound| number > bound,
            "not more than",
        ),
        (
            "exclusiveMaximum",
            |number, bound| number < bound,
            "not less than",
        ),
    ];
    let Some(float) = number.as_f64() else {
        return;
    };
    for (key, holds, word) in BOUNDS {
        if let Some(bound) = schema.get(key).and_then(Value::as_f64)
            && !holds(float, bound)
        {
            report.add(at, format!("is {number}, {word} {}", schema[key]));
        }
    }
    if let Some(Value::Number(step)) = schema.get("multipleOf")
        && !is_multiple(number, step)
    {
        report.add(at, format!("is not a multiple of {step}"));
    }
}

fn is_multiple(number: &Number, step: &Number) -> bool {
    if let (Some(number), Some(step)) = (number.as_i64(), step.as_i64()) {
        return step == 0 || number.checked_rem(step).unwrap_or(0) == 0;
    }
    let (Some(number), Some(step)) = (number.as_f64(), step.as_f64()) else {
        return true;
    };
    // 0.3 is a multiple of 0.1, although their quotient is not exact.
    let quotient = number / step;
    !quotient.is_finite() || (quotient - quotient.round()).abs() < 1e-9
}

pub(super) fn check_size(
    schema: &Map<String, Value>,
    [least, most]: [&str; 2],
    size: usize,
    of: &str,
    at: &str,
    report: &mut Report,
) {
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
    let size = size as u64;
    if let Some(least) = bound(least).filter(|least| size < *least) {
        report.add(at, format!("has {size} {of}, fewer than {least}"));
    }
    if let Some(most) = bound(most).filter(|most| size > *most) {
        report.add(at, format!("has {size} {of}, more than {most}"));
    }
}
