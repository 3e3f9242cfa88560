//! Skills of OpenAI's shell tool: folders where the agent has them, else the files themselves as
//! zip.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::skill::Skill;

use super::{RenderOptions, zip};

pub(super) fn render(skills: &[&Skill], options: &RenderOptions<'_>) -> Value {
    let entries: Vec<Value> = skills
        .iter()
        .filter_map(|skill| entry(skill, options))
        .collect();
    // An environment is local as a whole: one skill without a folder makes all of them travel.
    let kind = if options.path_of.is_some() {
        "local"
    } else {
        "container_auto"
    };
    let environment = json!({ "type": kind, "skills": entries });
    json!({ "tools": [{ "type": "shell", "environment": environment }] })
}

fn entry(skill: &Skill, options: &RenderOptions<'_>) -> Option<Value> {
    let name = skill.manifest.name.as_str();
    let description = &skill.manifest.description;
    if options.path_of.is_some() {
        let path = options.path_of(skill)?;
        return Some(json!({ "name": name, "description": description, "path": path }));
    }
    let archive = zip::write(name, skill.tree.iter())?;
    let source = json!({
        "type": "base64",
        "media_type": "application/zip",
        "data": STANDARD.encode(archive),
    });
    Some(json!({
        "type": "inline",
        "name": name,
        "description": description,
        "source": source,
    }))
}
