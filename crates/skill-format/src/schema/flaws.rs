//! What is wrong with a schema itself: keywords of the wrong kind, and those that are not checked.

use serde_json::{Map, Value};

use super::check::{kind, resolve};
use super::pattern;

/// Something that is wrong with a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// JSON pointer to the keyword.
    pub pointer: String,
    pub message: String,
    /// Whether an input cannot be checked because of it.
    pub fatal: bool,
}

/// Deepest schema that is looked at; the reader of YAML allows no deeper one.
const DEPTH_MAX: usize = 64;

/// What a keyword's value must be.
#[derive(Clone, Copy)]
enum Kind {
    Schema,
    Schemas,
    SchemaMap,
    Text,
    Texts,
    Types,
    Count,
    Number,
    Boolean,
    List,
    Anything,
}

/// Every keyword of draft 2020-12 that is checked or without effect, with its kind.
const KEYWORDS: &[(&str, Kind)] = &[
    ("$anchor", Kind::Text),
    ("$comment", Kind::Text),
    ("$defs", Kind::SchemaMap),
    ("$id", Kind::Text),
    ("$ref", Kind::Text),
    ("$schema", Kind::Text),
    ("additionalProperties", Kind::Schema),
    ("allOf", Kind::Schemas),
    ("anyOf", Kind::Schemas),
    ("const", Kind::Anything),
    ("contains", Kind::Schema),
    ("contentEncoding", Kind::Text),
    ("contentMediaType", Kind::Text),
    ("default", Kind::Anything),
    ("definitions", Kind::SchemaMap),
    ("dependentRequired", Kind::Anything),
    ("dependentSchemas", Kind::SchemaMap),
    ("deprecated", Kind::Boolean),
    ("description", Kind::Text),
    ("else", Kind::Schema),
    ("enum", Kind::List),
    ("examples", Kind::List),
    ("exclusiveMaximum", Kind::Number),
    ("exclusiveMinimum", Kind::Number),
    ("format", Kind::Text),
    ("if", Kind::Schema),
    ("items", Kind::Schema),
    ("maxContains", Kind::Count),
    ("maxItems", Kind::Count),
    ("maxLength", Kind::Count),
    ("maxProperties", Kind::Count),
    ("maximum", Kind::Number),
    ("minContains", Kind::Count),
    ("minItems", Kind::Count),
    ("minLength", Kind::Count),
    ("minProperties", Kind::Count),
    ("minimum", Kind::Number),
    ("multipleOf", Kind::Number),
    ("not", Kind::Schema),
    ("oneOf", Kind::Schemas),
    ("pattern", Kind::Text),
    ("patternProperties", Kind::SchemaMap),
    ("prefixItems", Kind::Schemas),
    ("properties", Kind::SchemaMap),
    ("propertyNames", Kind::Schema),
    ("readOnly", Kind::Boolean),
    ("required", Kind::Texts),
    ("then", Kind::Schema),
    ("title", Kind::Text),
    ("type", Kind::Types),
    ("uniqueItems", Kind::Boolean),
    ("writeOnly", Kind::Boolean),
];

const TYPES: [&str; 7] = [
    "null", "boolean", "object", "array", "number", "string", "integer",
];

/// Looks through the schema of an entry point. An input has to be an object.
pub(crate) fn flaws(schema: &Value, is_input: bool) -> Vec<Flaw> {
    let mut finder = Finder {
        root: schema,
        flaws: Vec::new(),
    };
    let declared = schema.get("type");
    if is_input && declared.is_some_and(|declared| declared != "object") {
        finder.fatal("/type", "the input of a tool is an object");
    }
    finder.schema(schema, "", 0);
    finder.flaws
}

struct Finder<'a> {
    root: &'a Value,
    flaws: Vec<Flaw>,
}

impl Finder<'_> {
    fn fatal(&mut self, pointer: &str, message: impl Into<String>) {
        self.add(pointer, message.into(), true);
    }

    fn add(&mut self, pointer: &str, message: String, fatal: bool) {
        self.flaws.push(Flaw {
            pointer: pointer.to_owned(),
            message,
            fatal,
        });
    }

    fn schema(&mut self, schema: &Value, at: &str, depth: usize) {
        match schema {
            Value::Object(object) if depth < DEPTH_MAX => self.keywords(object, at, depth),
            Value::Object(_) => self.fatal(at, "the schema is nested too deeply"),
            Value::Bool(_) => {}
            other => self.fatal(
                at,
                format!("a schema is an object or a boolean, not {}", kind(other)),
            ),
        }
    }

    fn keywords(&mut self, object: &Map<String, Value>, at: &str, depth: usize) {
        for (keyword, value) in object {
            let at = format!("{at}/{keyword}");
            let known = KEYWORDS.binary_search_by_key(&keyword.as_str(), |(name, _)| name);
            match known {
                Ok(index) => self.keyword(KEYWORDS[index].1, value, &at, depth),
                // By convention, `x-` is for whoever wants it.
                Err(_) if keyword.starts_with("x-") => {}
                Err(_) => self.add(&at, format!("`{keyword}` is not checked"), false),
            }
        }
        if let Some(Value::String(reference)) = object.get("$ref")
            && resolve(self.root, reference).is_none()
        {
            self.fatal(
                &format!("{at}/$ref"),
                format!("`{reference}` is not in the schema"),
            );
        }
        if let Some(Value::String(text)) = object.get("pattern")
            && let Err(problem) = pattern(text)
        {
            self.fatal(&format!("{at}/pattern"), problem);
        }
    }

    fn keyword(&mut self, expected: Kind, value: &Value, at: &str, depth: usize) {
        let fits = match expected {
            Kind::Schema => return self.schema(value, at, depth + 1),
            Kind::Schemas => return self.schemas(value, at, depth),
            Kind::SchemaMap => return self.schema_map(value, at, depth),
            Kind::Text => value.is_string(),
            Kind::Texts => value
                .as_array()
                .is_some_and(|list| list.iter().all(Value::is_string)),
            Kind::Types => {
                is_type(value)
                    || value
                        .as_array()
                        .is_some_and(|list| list.iter().all(is_type))
            }
            Kind::Count => value.is_u64(),
            Kind::Number => value.is_number(),
            Kind::Boolean => value.is_boolean(),
            Kind::List => value.is_array(),
            Kind::Anything => true,
        };
        if !fits {
            self.fatal(
                at,
                format!("is {}, which is not what this keyword takes", kind(value)),
            );
        }
    }

    fn schemas(&mut self, value: &Value, at: &str, depth: usize) {
        let Value::Array(list) = value else {
            return self.fatal(
                at,
                format!("is {}, expected a list of schemas", kind(value)),
            );
        };
        for (i, schema) in list.iter().enumerate() {
            self.schema(schema, &format!("{at}/{i}"), depth + 1);
        }
    }

    fn schema_map(&mut self, value: &Value, at: &str, depth: usize) {
        let Value::Object(map) = value else {
            return self.fatal(at, format!("is {}, expected schemas by name", kind(value)));
        };
        for (name, schema) in map {
            self.schema(schema, &format!("{at}/{name}"), depth + 1);
        }
    }
}

fn is_type(value: &Value) -> bool {
    value.as_str().is_some_and(|name| TYPES.contains(&name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(schema: &Value) -> Vec<String> {
        let flaws = flaws(schema, true).into_iter();
        flaws
            .map(|flaw| format!("{}: {} ({})", flaw.pointer, flaw.message, flaw.fatal))
            .collect()
    }

    #[test]
    fn keywords_are_sorted_for_binary_search() {
        assert!(KEYWORDS.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn a_correct_schema_has_no_flaws() {
        let schema = json!({
            "type": "object",
            "properties": { "a": { "type": ["string", "null"], "minLength": 1 }, "b": { "$ref": "#/$defs/b" } },
            "required": ["a"],
            "additionalProperties": false,
            "$defs": { "b": { "items": { "enum": [1, 2] } } },
            "x-order": 3,
        });
        assert_eq!(found(&schema), Vec::<String>::new());
    }

    #[test]
    fn each_flaw_has_its_place() {
        let schema = json!({
            "type": "array",
            "properties": { "a": 1, "b": { "type": "text" }, "c": { "pattern": "(?=x)" } },
            "required": "a",
            "anyOf": {},
            "unevaluatedProperties": false,
            "$ref": "#/nowhere",
        });
        let expected = [
            "/type: the input of a tool is an object (true)",
            "/properties/a: a schema is an object or a boolean, not number (true)",
            "/properties/b/type: is string, which is not what this keyword takes (true)",
            "/properties/c/pattern: the pattern `(?=x)` is not supported (true)",
            "/required: is string, which is not what this keyword takes (true)",
            "/anyOf: is object, expected a list of schemas (true)",
            "/unevaluatedProperties: `unevaluatedProperties` is not checked (false)",
            "/$ref: `#/nowhere` is not in the schema (true)",
        ];
        assert_eq!(found(&schema), expected);
    }
}
