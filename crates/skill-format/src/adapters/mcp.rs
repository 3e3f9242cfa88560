//! The skills extension of the Model Context Protocol (SEP-2640): what `skills/list` answers, and
//! the tools of `tools/list`.

use serde_json::{Map, Value, json};

use crate::digest::Sha256;
use crate::frontmatter;
use crate::skill::Skill;
use crate::tree::SKILL_MD;

use super::toolset::{Tool, toolset};
use super::{Framework, RenderOptions};

pub(super) fn render(skills: &[&Skill], options: &RenderOptions<'_>) -> Value {
    let entries: Vec<Value> = skills.iter().map(|skill| entry(skill, options)).collect();
    let tools: Vec<Value> = toolset(skills, Framework::Mcp)
        .derived
        .into_iter()
        .map(tool)
        .collect();
    json!({ "skills": entries, "tools": tools })
}

fn entry(skill: &Skill, options: &RenderOptions<'_>) -> Value {
    let uri = |path: &str| format!("skill://{}/{}", skill.manifest.name, percent_encode(path));
    let resources: Vec<Value> = skill
        .tree
        .iter()
        .map(|(path, file)| {
            json!({
                "uri": uri(path),
                "digest": Sha256::of(&file.bytes),
                "size": file.bytes.len(),
            })
        })
        .collect();
    let mut entry = json!({
        "uri": uri(SKILL_MD),
        "frontmatter": frontmatter_of(skill),
        "resources": resources,
    });
    if options.instructions {
        entry["instructions"] = skill.body.clone().into();
    }
    entry
}

/// The frontmatter as it was written, with the name and description that count.
fn frontmatter_of(skill: &Skill) -> Value {
    let mut object = Map::new();
    object.insert("name".into(), skill.manifest.name.as_str().into());
    object.insert(
        "description".into(),
        skill.manifest.description.clone().into(),
    );
    let written = skill
        .tree
        .get(SKILL_MD)
        .and_then(|file| frontmatter::read(&file.bytes).ok());
    for entry in written
        .map(|parts| parts.fields.entries)
        .unwrap_or_default()
    {
        if !object.contains_key(&entry.key) {
            object.insert(entry.key, entry.value.to_text_json());
        }
    }
    Value::Object(object)
}

fn tool(tool: Tool) -> Value {
    let mut declaration = json!({
        "name": tool.name,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        "annotations": { "idempotentHint": tool.idempotent },
    });
    // The protocol wants an object; other outputs are answered as text.
    let is_object = |schema: &Value| schema.get("type") == Some(&"object".into());
    if let Some(schema) = tool.output_schema.filter(is_object) {
        declaration["outputSchema"] = schema;
    }
    declaration
}

/// A path as part of a URI (RFC 3986, section 3.3), with its slashes.
fn percent_encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
