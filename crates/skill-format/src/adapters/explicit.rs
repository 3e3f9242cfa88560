//! Forms that the author wrote for one framework, which win over what would be derived.

use serde_json::{Map, Value};

use crate::skill::Skill;

use super::Framework;

/// Largest file that is looked at, in bytes: far more than a model could be told.
const BYTES_MAX: usize = 1 << 20;

/// The path of the author's own form for `framework`, if there is one in the skill.
pub(super) fn path(skill: &Skill, framework: Framework) -> Option<&str> {
    let default = default_path(framework)?;
    let supported = skill.manifest.frameworks.iter();
    let named = supported
        .filter(|support| is_for(&support.name, framework))
        .find_map(|support| {
            let file = support.instructions_file.as_deref()?;
            file.ends_with(".json")
                .then_some(file.trim_start_matches("./"))
        });
    let exists = |path: &&str| skill.tree.get(path).is_some();
    named.filter(exists).or(Some(default)).filter(exists)
}

/// Whether `frameworks[].name` speaks of `framework`: `anthropic-claude` does for both of its forms.
fn is_for(name: &str, framework: Framework) -> bool {
    let named = name.parse::<Framework>().ok();
    named.is_some_and(|named| default_path(named) == default_path(framework))
}

/// Metadata or tools for Anthropic: the one form that may hold no tool.
pub(crate) const ANTHROPIC_FORM: &str = ".skill/anthropic.json";
const OPENAI_FORM: &str = ".skill/openai.json";
const GOOGLE_FORM: &str = ".skill/google.json";

/// Where the forms lie that the author wrote for single frameworks.
pub(crate) const fn own_form_paths() -> [&'static str; 3] {
    [ANTHROPIC_FORM, GOOGLE_FORM, OPENAI_FORM]
}

fn default_path(framework: Framework) -> Option<&'static str> {
    match framework {
        Framework::Claude | Framework::AnthropicTool => Some(ANTHROPIC_FORM),
        Framework::OpenAi => Some(OPENAI_FORM),
        Framework::Vertex => Some(GOOGLE_FORM),
        Framework::OpenAiSkills | Framework::Roundtable | Framework::Mcp => None,
    }
}

/// Whether an author's form declares a tool.
pub(crate) fn holds_tools(form: &Value) -> bool {
    let mut tools = Vec::new();
    collect(form.clone(), &mut tools);
    !tools.is_empty()
}

/// The author's own form for `framework`, if it is there and JSON.
pub(super) fn read(skill: &Skill, framework: Framework) -> Option<Value> {
    let file = skill.tree.get(path(skill, framework)?)?;
    if file.bytes.len() > BYTES_MAX {
        return None;
    }
    serde_json::from_slice(&file.bytes).ok()
}

/// The author's tools for `framework`: one object, a list, or a list under the key that the
/// framework itself uses. `None` where the file holds no tool.
pub(super) fn tools(skill: &Skill, framework: Framework) -> Option<Vec<Value>> {
    let mut tools = Vec::new();
    collect(read(skill, framework)?, &mut tools);
    (!tools.is_empty()).then_some(tools)
}

fn collect(form: Value, tools: &mut Vec<Value>) {
    const LISTS: [&str; 4] = [
        "tools",
        "functions",
        "functionDeclarations",
        "function_declarations",
    ];
    match form {
        Value::Array(items) => items.into_iter().for_each(|item| collect(item, tools)),
        Value::Object(mut object) => {
            let list = LISTS
                .iter()
                .find_map(|key| object.remove(*key).filter(Value::is_array));
            match list {
                Some(list) => collect(list, tools),
                None if is_tool(&object) => tools.push(Value::Object(object)),
                None => {}
            }
        }
        _ => {}
    }
}

/// An object is a tool if it has a name and either a type or a schema of its input, if it nests
/// that under `function`, or if its type is one that the framework has built in.
fn is_tool(object: &Map<String, Value>) -> bool {
    const INPUTS: [&str; 5] = [
        "parameters",
        "parametersJsonSchema",
        "parameters_json_schema",
        "input_schema",
        "inputSchema",
    ];
    let has_name = object.get("name").is_some_and(Value::is_string);
    let has_input = INPUTS.iter().any(|key| object.contains_key(*key));
    let kind = object.get("type").and_then(Value::as_str);
    // A bare JSON Schema is no tool.
    let built_in = kind.is_some_and(|kind| !matches!(kind, "object" | "function"));
    let nested = object.get("function").is_some_and(Value::is_object);
    nested || built_in || has_name && (has_input || kind.is_some())
}
