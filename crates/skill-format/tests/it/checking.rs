//! Inputs against JSON Schemas. The cases follow the keywords of draft 2020-12.

use proptest::prelude::*;
use serde_json::{Value, json};
use skill_format::{Explain, check_input};

#[track_caller]
fn accepts(schema: &Value, inputs: &[Value]) {
    for input in inputs {
        assert_eq!(
            check_input(schema, input),
            Ok(()),
            "{schema} should accept {input}"
        );
    }
}

#[track_caller]
fn refuses(schema: &Value, inputs: &[Value]) {
    for input in inputs {
        assert!(
            check_input(schema, input).is_err(),
            "{schema} should refuse {input}"
        );
    }
}

#[test]
fn an_error_names_every_problem_and_its_place() {
    let schema = json!({
        "type": "object",
        "properties": { "file": { "type": "string" }, "rows": { "items": { "minimum": 1 } } },
        "required": ["file", "mode"],
        "additionalProperties": false,
    });
    let error =
        check_input(&schema, &json!({ "file": 7, "rows": [1, 0], "a/b": 1 })).expect_err("wrong");
    assert_eq!(
        error.to_string(),
        "the input does not fit the schema of the entry point: lacks `mode`; /file is number, expected string; \
         /rows/1 is 0, less than 1; /a~1b is not a member that the schema knows"
    );
    assert_eq!(error.code(), "input-invalid");
    assert_eq!(error.place().and_then(|place| place.field), None);
}

#[test]
fn types() {
    let integer = json!({ "type": "integer" });
    accepts(
        &integer,
        &[json!(1), json!(1.0), json!(-7), json!(u64::MAX)],
    );
    refuses(
        &integer,
        &[json!(1.5), json!("1"), json!(null), json!(true)],
    );
    let several = json!({ "type": ["string", "null"] });
    accepts(&several, &[json!("x"), json!(null)]);
    refuses(&several, &[json!(0), json!([])]);
    accepts(&json!(true), &[json!(1)]);
    refuses(&json!(false), &[json!(1)]);
    accepts(&json!({}), &[json!(1), json!({})]);
}

#[test]
fn enumerations_and_constants() {
    let schema = json!({ "enum": [1, "a", { "b": [2] }] });
    accepts(&schema, &[json!(1.0), json!("a"), json!({ "b": [2.0] })]);
    refuses(
        &schema,
        &[json!(2), json!({ "b": [2], "c": 0 }), json!(null)],
    );
    accepts(&json!({ "const": null }), &[json!(null)]);
    refuses(&json!({ "const": null }), &[json!(0)]);
}

#[test]
fn numbers() {
    accepts(
        &json!({ "minimum": 1, "maximum": 2.5 }),
        &[json!(1), json!(2.5)],
    );
    refuses(
        &json!({ "minimum": 1, "maximum": 2.5 }),
        &[json!(0.9), json!(3)],
    );
    refuses(
        &json!({ "exclusiveMinimum": 1, "exclusiveMaximum": 2 }),
        &[json!(1), json!(2)],
    );
    accepts(&json!({ "multipleOf": 0.1 }), &[json!(0.3), json!(7)]);
    refuses(&json!({ "multipleOf": 3 }), &[json!(4), json!(0.5)]);
    accepts(&json!({ "multipleOf": 3 }), &[json!(-6), json!(0)]);
}

#[test]
fn strings() {
    accepts(
        &json!({ "minLength": 2, "maxLength": 3 }),
        &[json!("äö"), json!("abc"), json!(1)],
    );
    refuses(
        &json!({ "minLength": 2, "maxLength": 3 }),
        &[json!("a"), json!("abcd")],
    );
    accepts(&json!({ "pattern": "^a+$" }), &[json!("aa"), json!(7)]);
    refuses(&json!({ "pattern": "^a+$" }), &[json!("ab")]);
    // What cannot be checked is not let through.
    refuses(&json!({ "pattern": "(?=a)" }), &[json!("a")]);
    accepts(&json!({ "format": "date" }), &[json!("no date")]);
}

#[test]
fn arrays() {
    accepts(
        &json!({ "items": { "type": "string" } }),
        &[json!([]), json!(["a"]), json!("not an array")],
    );
    refuses(
        &json!({ "items": { "type": "string" } }),
        &[json!(["a", 1])],
    );
    let tuple = json!({ "prefixItems": [{ "type": "string" }], "items": false });
    accepts(&tuple, &[json!(["a"]), json!([])]);
    refuses(&tuple, &[json!(["a", 1]), json!([1])]);
    refuses(
        &json!({ "minItems": 1, "maxItems": 2 }),
        &[json!([]), json!([1, 2, 3])],
    );
    refuses(
        &json!({ "uniqueItems": true }),
        &[
            json!([1, 1.0]),
            json!([{ "a": 1, "b": 2 }, { "b": 2, "a": 1 }]),
        ],
    );
    accepts(
        &json!({ "uniqueItems": true }),
        &[json!([1, "1", true, null, [1]])],
    );
    let contains = json!({ "contains": { "const": 1 }, "maxContains": 2 });
    accepts(&contains, &[json!([1, 2, 1])]);
    refuses(&contains, &[json!([2]), json!([1, 1, 1])]);
}

#[test]
fn objects() {
    let schema = json!({
        "properties": { "a": { "type": "integer" } },
        "patternProperties": { "^x-": { "type": "string" } },
        "additionalProperties": { "type": "boolean" },
        "propertyNames": { "maxLength": 4 },
        "dependentRequired": { "a": ["b"] },
        "dependentSchemas": { "c": { "required": ["a"] } },
        "minProperties": 1,
        "maxProperties": 3,
    });
    accepts(
        &schema,
        &[
            json!({ "a": 1, "b": true }),
            json!({ "x-1": "s" }),
            json!({ "a": 1, "b": true, "c": true }),
        ],
    );
    refuses(
        &schema,
        &[
            json!({}),
            json!({ "a": "1", "b": true }),
            json!({ "a": 1 }),
            json!({ "x-1": 1 }),
            json!({ "b": 1 }),
            json!({ "longer": true }),
            json!({ "c": true }),
            json!({ "d": true, "e": true, "f": true, "g": true }),
        ],
    );
}

#[test]
fn combinations() {
    accepts(
        &json!({ "allOf": [{ "minimum": 1 }, { "maximum": 2 }] }),
        &[json!(1)],
    );
    refuses(
        &json!({ "allOf": [{ "minimum": 1 }, { "maximum": 2 }] }),
        &[json!(3)],
    );
    refuses(
        &json!({ "anyOf": [{ "type": "string" }, { "minimum": 5 }] }),
        &[json!(4)],
    );
    refuses(
        &json!({ "oneOf": [{ "minimum": 1 }, { "minimum": 2 }] }),
        &[json!(3), json!(0)],
    );
    accepts(
        &json!({ "oneOf": [{ "minimum": 1 }, { "minimum": 2 }] }),
        &[json!(1)],
    );
    refuses(&json!({ "not": { "type": "string" } }), &[json!("a")]);
    let conditional = json!({ "if": { "required": ["a"] }, "then": { "required": ["b"] }, "else": { "maxProperties": 0 } });
    accepts(&conditional, &[json!({ "a": 1, "b": 1 }), json!({})]);
    refuses(&conditional, &[json!({ "a": 1 }), json!({ "b": 1 })]);
}

#[test]
fn references_stay_within_the_schema() {
    let tree = json!({
        "$defs": { "node/x": { "properties": { "next": { "$ref": "#/$defs/node~1x" } }, "required": ["v"] } },
        "$ref": "#/$defs/node~1x",
    });
    accepts(&tree, &[json!({ "v": 1, "next": { "v": 2 } })]);
    refuses(&tree, &[json!({ "v": 1, "next": {} })]);
    refuses(
        &json!({ "$ref": "https://example.com/schema" }),
        &[json!(1)],
    );
    refuses(&json!({ "$ref": "#/$defs/none" }), &[json!(1)]);
    accepts(
        &json!({ "$ref": "#/%24defs/a", "$defs": { "a": true } }),
        &[json!(1)],
    );
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    refuses(&json!({ "$ref": "#" }), &[json!(1)]);
    let mut doubling = json!({ "$defs": { "a0": { "type": "string" } }, "$ref": "#/$defs/a40" });
    for i in 1..=40 {
        let next = json!({ "$ref": format!("#/$defs/a{}", i - 1) });
        doubling["$defs"][format!("a{i}")] = json!({ "allOf": [next, next] });
    }
    refuses(&doubling, &[json!("x")]);
}

fn any_json() -> impl Strategy<Value = Value> {
    let keyword = prop_oneof![
        Just("type"),
        Just("properties"),
        Just("items"),
        Just("required"),
        Just("$ref"),
        Just("anyOf"),
        Just("not"),
        Just("pattern"),
        Just("minimum"),
        Just("multipleOf"),
        Just("enum"),
        Just("additionalProperties"),
        Just("a"),
    ];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z#/(*]{0,6}".prop_map(Value::from),
        Just(json!("object")),
        Just(json!("#")),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((keyword.clone(), inner), 0..4).prop_map(|pairs| {
                pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_schema_makes_the_checker_panic(schema in any_json(), input in any_json()) {
        let once = check_input(&schema, &input);
        prop_assert_eq!(check_input(&schema, &input), once);
    }
}
