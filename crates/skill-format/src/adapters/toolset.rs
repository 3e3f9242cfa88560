//! The tools that a set of skills gives a model, before any framework's spelling.

use serde_json::{Map, Value, json};

use crate::manifest::Entrypoint;
use crate::name::SkillName;
use crate::skill::Skill;

use super::Framework;
use super::explicit;
use super::tool_name::{GEMINI, MCP, NameRule, Names, WORD_64};

/// The tool through which a model asks for a skill's instructions.
const ACTIVATE_SKILL: &str = "activate_skill";
/// The tool through which a model reads a file of a skill.
const READ_SKILL_FILE: &str = "read_skill_file";
/// Longest description of a tool, in characters (OpenAI function tools).
const DESCRIPTION_CHARS_MAX: usize = 1024;

/// What a call of a tool is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolTarget {
    /// Answer with [`super::skill_content`] of the skill named in `name`.
    ActivateSkill,
    /// Answer with the file `path` of the skill named in `name`.
    ReadSkillFile,
    /// Run an entry point with the arguments as its input.
    Entrypoint {
        skill: SkillName,
        entrypoint: String,
    },
    /// A tool that the author declared for this framework; only the skill can say what it does.
    Explicit { skill: SkillName },
}

/// A tool that was derived.
#[derive(Debug)]
pub(super) struct Tool {
    pub name: String,
    pub description: String,
    /// A JSON Schema with `type: object`.
    pub input_schema: Value,
    pub output_schema: Option<Value>,
    pub idempotent: bool,
    pub target: ToolTarget,
}

/// A tool in the author's own words, under a name that is used once.
#[derive(Debug)]
pub(super) struct ExplicitTool {
    pub name: Option<String>,
    pub tool: Value,
    pub skill: SkillName,
}

#[derive(Debug, Default)]
pub(super) struct Toolset {
    pub derived: Vec<Tool>,
    pub explicit: Vec<ExplicitTool>,
}

/// The name of each tool that [`super::render`] declares, and what calling it means.
pub fn tool_targets(skills: &[&Skill], framework: Framework) -> Vec<(String, ToolTarget)> {
    let set = toolset(skills, framework);
    let derived = set.derived.into_iter().map(|tool| (tool.name, tool.target));
    let explicit = set.explicit.into_iter().filter_map(|tool| {
        let target = ToolTarget::Explicit { skill: tool.skill };
        Some((tool.name?, target))
    });
    derived.chain(explicit).collect()
}

pub(super) fn toolset(skills: &[&Skill], framework: Framework) -> Toolset {
    let rule = match framework {
        Framework::Vertex => GEMINI,
        Framework::Mcp => MCP,
        _ => WORD_64,
    };
    let mut set = Toolset::default();
    let mut names = Names::default();
    let mut own_forms = Vec::new();
    let mut derived = Vec::new();
    for skill in skills {
        match explicit::tools(skill, framework) {
            Some(tools) => own_forms.push((*skill, tools)),
            None => derived.push(*skill),
        }
    }
    if !derived.is_empty() {
        set.derived.extend(shared_tools(&derived, &mut names, rule));
    }
    for skill in derived {
        let scripts = skill.manifest.entrypoints.iter();
        let tools = scripts.filter_map(|script| script_tool(skill, script, &mut names, rule));
        set.derived.extend(tools);
    }
    for (skill, tools) in own_forms {
        let tools = tools
            .into_iter()
            .map(|tool| explicit_tool(skill, tool, &mut names, rule));
        set.explicit.extend(tools);
    }
    set
}

fn shared_tools(skills: &[&Skill], names: &mut Names, rule: NameRule) -> [Tool; 2] {
    let enumeration: Vec<&str> = skills
        .iter()
        .map(|skill| skill.manifest.name.as_str())
        .collect();
    let name =
        json!({ "type": "string", "enum": enumeration, "description": "The name of the skill" });
    let mut tool = |wanted: &str, description: &str, properties: Value, target| Tool {
        name: names.claim(wanted, wanted, rule),
        description: description.to_owned(),
        input_schema: closed_object(properties),
        output_schema: None,
        idempotent: true,
        target,
    };
    [
        tool(
            ACTIVATE_SKILL,
            "Loads the full instructions of a skill. Call it before starting a task that matches the description of a skill.",
            json!({ "name": name }),
            ToolTarget::ActivateSkill,
        ),
        tool(
            READ_SKILL_FILE,
            "Reads a file of an activated skill, such as a reference that its instructions mention.",
            json!({
                "name": name,
                "path": { "type": "string", "description": "The path of the file inside the skill" },
            }),
            ToolTarget::ReadSkillFile,
        ),
    ]
}

/// An object with these properties, all of them required, and no others.
fn closed_object(properties: Value) -> Value {
    let required: Vec<&String> = properties
        .as_object()
        .map(|p| p.keys().collect())
        .unwrap_or_default();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn script_tool(
    skill: &Skill,
    script: &Entrypoint,
    names: &mut Names,
    rule: NameRule,
) -> Option<Tool> {
    let input_schema = as_object_schema(script.input_schema.as_ref()?);
    let skill_name = &skill.manifest.name;
    let description = script
        .description
        .as_ref()
        .unwrap_or(&skill.manifest.description);
    let identity = format!("{skill_name}/{}", script.name);
    Some(Tool {
        name: names.claim(&format!("{skill_name}__{}", script.name), &identity, rule),
        description: shorten(description),
        input_schema,
        output_schema: script.output_schema.clone(),
        idempotent: script.idempotent,
        target: ToolTarget::Entrypoint {
            skill: skill_name.clone(),
            entrypoint: script.name.clone(),
        },
    })
}

/// Frameworks want the type said even where it is clear, and `properties` even where empty.
fn as_object_schema(schema: &Value) -> Value {
    let mut object = Map::new();
    object.insert("type".into(), "object".into());
    object.insert("properties".into(), json!({}));
    if let Some(schema) = schema.as_object() {
        object.extend(schema.clone());
    }
    Value::Object(object)
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= DESCRIPTION_CHARS_MAX {
        return text.to_owned();
    }
    let kept: String = text.chars().take(DESCRIPTION_CHARS_MAX - 1).collect();
    kept + "…"
}

fn explicit_tool(
    skill: &Skill,
    mut tool: Value,
    names: &mut Names,
    rule: NameRule,
) -> ExplicitTool {
    // The Chat Completions API nests what the Responses API has at the top.
    let holder = match tool.get("function").is_some_and(Value::is_object) {
        true => &mut tool["function"],
        false => &mut tool,
    };
    let mut name = None;
    if let Some(wanted) = holder.get("name").and_then(Value::as_str) {
        let identity = format!("{}/{wanted}", skill.manifest.name);
        let claimed = names.claim(wanted, &identity, rule);
        holder["name"] = claimed.clone().into();
        name = Some(claimed);
    }
    ExplicitTool {
        name,
        tool,
        skill: skill.manifest.name.clone(),
    }
}
