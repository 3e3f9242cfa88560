//! Claude's skills: the folder as it is. The catalogue goes into the system prompt.

use serde_json::{Map, Value, json};

use crate::skill::Skill;

use super::{Framework, RenderOptions, catalogue, explicit};

pub(super) fn render(skills: &[&Skill], options: &RenderOptions<'_>) -> Value {
    let entries: Vec<Value> = skills.iter().map(|skill| entry(skill, options)).collect();
    json!({ "catalogue": catalogue(skills, options), "skills": entries })
}

fn entry(skill: &Skill, options: &RenderOptions<'_>) -> Value {
    let manifest = &skill.manifest;
    let mut entry = Map::new();
    entry.insert("name".into(), manifest.name.as_str().into());
    entry.insert("description".into(), manifest.description.clone().into());
    if let Some(path) = options.path_of(skill) {
        entry.insert("path".into(), path.into());
    }
    if !manifest.allowed_tools.is_empty() {
        entry.insert(
            "allowedTools".into(),
            manifest.allowed_tools.join(" ").into(),
        );
    }
    if options.instructions {
        entry.insert("instructions".into(), skill.body.clone().into());
    }
    // What the author says to Anthropic beyond the frontmatter.
    if let Some(own) = explicit::read(skill, Framework::Claude) {
        entry.insert("anthropic".into(), own);
    }
    Value::Object(entry)
}
