//! Function tools of OpenAI: flat for the Responses API, nested for Chat Completions.

use serde_json::{Map, Value, json};

use crate::skill::Skill;

use super::toolset::toolset;
use super::{Framework, RenderOptions, catalogue};

pub(super) fn render(skills: &[&Skill], options: &RenderOptions<'_>) -> Value {
    let set = toolset(skills, Framework::OpenAi);
    let derived = set.derived.into_iter().map(|tool| {
        json!({
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "strict": is_strict(&tool.input_schema),
            "parameters": tool.input_schema,
        })
    });
    let explicit = set.explicit.into_iter().map(|explicit| flat(explicit.tool));
    let tools = derived.chain(explicit);
    let tools: Vec<Value> = if options.openai_chat {
        tools.map(nested).collect()
    } else {
        tools.collect()
    };
    json!({ "catalogue": catalogue(skills, options), "tools": tools })
}

/// An author's tool as the Responses API has it. A tool of another type stays as it is.
fn flat(tool: Value) -> Value {
    let Value::Object(mut tool) = tool else {
        return tool;
    };
    let mut flat = Map::new();
    match tool.remove("function") {
        Some(Value::Object(function)) => {
            flat.insert("type".into(), "function".into());
            flat.extend(function);
        }
        _ => {
            if !tool.contains_key("type") {
                flat.insert("type".into(), "function".into());
            }
            flat.extend(tool);
        }
    }
    Value::Object(flat)
}

fn nested(tool: Value) -> Value {
    match tool {
        Value::Object(mut function) if function.get("type") == Some(&"function".into()) => {
            // `shift_remove` keeps the order of the rest.
            function.shift_remove("type");
            json!({ "type": "function", "function": function })
        }
        other => other,
    }
}

/// Keywords that OpenAI's strict mode does not take.
const NOT_STRICT: [&str; 12] = [
    "allOf",
    "contains",
    "default",
    "dependentRequired",
    "dependentSchemas",
    "if",
    "not",
    "oneOf",
    "patternProperties",
    "prefixItems",
    "propertyNames",
    "uniqueItems",
];

/// Whether a schema meets OpenAI's strict mode: every object closed, every property required.
///
/// A property that has the name of such a keyword makes it `false` too, which does no harm.
fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => {
            let plain = !NOT_STRICT.iter().any(|key| object.contains_key(*key));
            plain && is_closed(object) && object.values().all(is_strict)
        }
        Value::Array(items) => items.iter().all(is_strict),
        _ => true,
    }
}

fn is_closed(object: &Map<String, Value>) -> bool {
    if object.get("type") != Some(&"object".into()) {
        return true;
    }
    let no_properties = Map::new();
    let properties = object
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&no_properties);
    let required = object.get("required").and_then(Value::as_array);
    let is_required =
        |name: &String| required.is_some_and(|r| r.iter().any(|r| r == name.as_str()));
    object.get("additionalProperties") == Some(&Value::Bool(false))
        && properties.keys().all(is_required)
}
