//! Roundtable: the metadata that its skill manager shows, and the TypeScript files it loads.

use serde_json::{Value, json};

use crate::skill::Skill;

use super::RenderOptions;

pub(super) fn render(skills: &[&Skill], options: &RenderOptions<'_>) -> Value {
    let entries: Vec<Value> = skills.iter().map(|skill| entry(skill, options)).collect();
    json!({ "skills": entries })
}

fn entry(skill: &Skill, options: &RenderOptions<'_>) -> Value {
    let manifest = &skill.manifest;
    let file = |path: &'static str| skill.tree.get(path).map(|_| path);
    let instructions = file("src/instructions.md").unwrap_or("SKILL.md");
    let mut entry = json!({
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "author": manifest.author,
        "tags": manifest.tags,
        "capabilities": manifest.capabilities,
        "dependencies": manifest.dependencies,
        "implementation": file("src/skill.ts"),
        "agent": file("src/agent.ts"),
        "types": file("src/types.ts"),
        "instructionsFile": instructions,
    });
    if let Some(path) = options.path_of(skill) {
        entry["path"] = path.into();
    }
    if options.instructions {
        let own = skill.tree.get("src/instructions.md");
        let own = own.map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
        entry["instructions"] = own.unwrap_or_else(|| skill.body.clone()).into();
    }
    entry
}
